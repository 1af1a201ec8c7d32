"""Synthetic lesions: the same for a seed, different for a diagnosis, and a dataset like the real one."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.pictures import read_picture
from core.data.readers import count_missing, read_dataset
from core.data.synthetic import PAINTERS, draw_lesion, make_dataset
from core.labels import CODES, MALIGNANT

SMALL = (90, 120)


def test_every_diagnosis_can_be_drawn():
    assert tuple(PAINTERS) == CODES


@pytest.mark.parametrize("kind", CODES)
def test_a_drawing_is_an_rgb_picture_and_the_same_for_its_seed(kind):
    drawing = draw_lesion(3, kind=kind)
    assert drawing.shape == (450, 600, 3)
    assert drawing.dtype == np.uint8
    np.testing.assert_array_equal(draw_lesion(3, kind=kind), drawing)
    assert (draw_lesion(4, kind=kind) != drawing).mean() > 0.5


@pytest.mark.parametrize("kind", CODES)
def test_the_lesion_stands_out_from_its_skin(kind):
    for seed in range(4):
        drawing = draw_lesion(seed, kind=kind).astype(float)
        lesion = drawing[180:270, 255:345].mean(axis=(0, 1))
        # Halfway up the left and right edges: within the round window where there is one.
        skin = np.concatenate([drawing[190:260, 60:110], drawing[190:260, 490:540]]).mean(axis=(0, 1))
        assert np.abs(lesion - skin).max() > 10
        assert skin[0] > skin[2] + 5, "skin is warmer than grey"


def test_one_seed_gives_another_drawing_for_each_diagnosis():
    drawings = [draw_lesion(1, kind=kind, size_px=SMALL) for kind in CODES]
    assert all((one != other).any() for one, other in itertools.combinations(drawings, 2))


def mean_colour(kind: str) -> np.ndarray:
    centres = [draw_lesion(seed, kind=kind, size_px=SMALL)[36:54, 50:70] for seed in range(10)]
    return np.mean(centres, axis=(0, 1, 2))


def test_vascular_lesions_are_red_and_nevi_brown():
    red, brown = mean_colour("vasc"), mean_colour("nv")
    assert red[2] > red[1] + 5, "blood leaves more blue than green"
    assert brown[1] > brown[2], "melanin leaves more green than blue"


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**63),
    kind=st.sampled_from(CODES),
    height=st.integers(16, 160),
    width=st.integers(16, 160),
)
def test_any_seed_and_size_can_be_drawn(seed, kind, height, width):
    drawing = draw_lesion(seed, kind=kind, size_px=(height, width))
    assert drawing.shape == (height, width, 3)
    assert drawing.std() > 1


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "made", images_per_class=9, seed=5, size_px=SMALL)


def test_a_made_dataset_reads_as_kaggles_layout_with_every_picture(dataset):
    table = read_dataset(dataset, layout="kaggle")
    assert table["dx"].value_counts().to_dict() == dict.fromkeys(CODES, 9)
    assert count_missing(table) == 0
    assert (table.attrs["left_out"], table.attrs["unmapped"]) == ({}, {})
    folders = {path.parent.name for path in dataset.rglob("*.jpg")}
    assert folders == {"HAM10000_images_part_1", "HAM10000_images_part_2"}
    shapes = {read_picture(path, name=path.name).pixels.shape for path in dataset.rglob("*.jpg")}
    assert shapes == {(*SMALL, 3)}


def test_it_has_lesions_of_two_photos_and_facts_that_are_unknown(dataset):
    table = read_dataset(dataset)
    photos = table.groupby("lesion_id").size()
    # Nine photos a class: two, one, one, two, one, one, and one that is the last.
    assert photos.value_counts().to_dict() == {1: 5 * len(CODES), 2: 2 * len(CODES)}
    facts = table[["age_years", "sex", "site"]].isna()
    assert facts.any(axis=1).any()
    assert not facts.all(axis=1).any()
    assert (table.groupby("lesion_id")[["age_years", "sex", "site"]].nunique(dropna=False) == 1).all(
        axis=None
    )


def test_its_malignant_diagnoses_are_all_from_histology(dataset):
    table = read_dataset(dataset)
    malignant = table["dx"].isin(np.array(CODES)[MALIGNANT])
    assert (table.loc[malignant, "dx_type"] == "histo").all()
    assert set(table.loc[~malignant, "dx_type"]) == {"histo", "follow_up"}


def test_two_photos_of_a_lesion_are_alike_but_not_the_same(dataset):
    table = read_dataset(dataset)
    pair = next(rows for _, rows in table.groupby("lesion_id") if len(rows) == 2)
    first, second = (read_picture(Path(path), name="p").pixels.astype(int) for path in pair["image_path"])
    assert np.abs(first - second).mean() > 3
    assert np.abs(first[::-1, ::-1] * 0.93 - second).mean() < 4


def test_a_seed_makes_the_same_dataset_and_another_one_other_drawings(tmp_path):
    def pictures(name: str, seed: int) -> list[bytes]:
        folder = make_dataset(tmp_path / name, images_per_class=2, seed=seed, size_px=(48, 64))
        return [path.read_bytes() for path in sorted(folder.rglob("*.*")) if path.is_file()]

    assert pictures("a", 1) == pictures("b", 1)
    assert not set(pictures("c", 2)) & set(pictures("a", 1))
