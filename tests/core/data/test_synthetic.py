"""Synthetic lesions: the same for a seed, different for a diagnosis, and a dataset like the real one."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.counts import bundled_counts
from core.data.pictures import read_picture
from core.data.readers import count_missing, read_dataset
from core.data.synthetic import PAINTERS, draw_dataset, draw_lesion, make_dataset
from core.errors import DataError
from core.labels import CODES, MALIGNANT

SMALL = (90, 120)


def content(folder):
    """What the files of a folder hold, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.*")) if path.is_file()}


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


def test_a_proportional_set_has_ham10000s_shares_and_facts(tmp_path):
    table = read_dataset(draw_dataset(tmp_path / "drawn", images=400, seed=1, size_px=(18, 24), workers=1))
    counts = bundled_counts()
    assert len(table) == 400
    assert count_missing(table) == 0
    shares = counts.groupby("dx")["images"].sum() / counts["images"].sum()
    drawn = table["dx"].value_counts()
    assert all(abs(drawn[code] - 400 * shares[code]) <= 2 for code in CODES)
    # 7,470 lesions have 10,015 photos.
    assert 1.2 < len(table) / table["lesion_id"].nunique() < 1.5
    nevi, melanomas = (table.loc[table["dx"] == code, "age_years"].mean() for code in ("nv", "mel"))
    assert melanomas > nevi + 5
    known = set(counts[["dx", "dx_type"]].itertuples(index=False, name=None))
    assert set(table[["dx", "dx_type"]].itertuples(index=False, name=None)) <= known


def test_a_proportional_set_is_the_same_in_any_number_of_processes_and_goes_on(tmp_path):
    first = draw_dataset(tmp_path / "a", images=60, seed=2, size_px=(18, 24), workers=1)
    second = draw_dataset(tmp_path / "b", images=60, seed=2, size_px=(18, 24), workers=2)
    assert content(first) == content(second)
    assert content(draw_dataset(tmp_path / "c", images=60, seed=3, size_px=(18, 24), workers=1)) != content(
        first
    )
    pictures = sorted(first.rglob("*.jpg"))
    kept = {path: path.stat().st_mtime_ns for path in pictures[5:]}
    for path in pictures[:5]:
        path.unlink()
    progress = []
    draw_dataset(
        tmp_path / "a",
        images=60,
        seed=2,
        size_px=(18, 24),
        workers=1,
        progress=lambda *at: progress.append(at),
    )
    assert progress[-1] == (60, 60)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert content(first) == content(second)


def test_a_thread_draws_too_as_on_a_page(tmp_path):
    import threading

    done = []
    thread = threading.Thread(
        target=lambda: done.append(
            draw_dataset(tmp_path / "t", images=60, seed=2, size_px=(18, 24), workers=2)
        )
    )
    thread.start()
    thread.join()
    assert len(read_dataset(done[0])) == 60


def test_every_diagnosis_is_there_however_few_are_asked_and_fewer_are_refused(tmp_path):
    assert set(read_dataset(draw_dataset(tmp_path / "s", images=7, seed=0, size_px=(18, 24)))["dx"]) == set(
        CODES
    )
    with pytest.raises(DataError, match="6 synthetic images are too few; expected 7"):
        draw_dataset(tmp_path / "none", images=6, seed=0)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="could not be written"):
        draw_dataset(tmp_path / "file" / "out", images=7, seed=0)


@pytest.mark.parametrize("other", [{"seed": 3}, {"images": 8}, {"size_px": (24, 32)}])
def test_another_set_is_not_drawn_into_the_pictures_of_this_one(tmp_path, other):
    asked = {"images": 7, "seed": 2, "size_px": (18, 24), "workers": 1}
    before = content(draw_dataset(tmp_path / "set", **asked))
    with pytest.raises(DataError, match="was begun with other options"):
        draw_dataset(tmp_path / "set", **(asked | other))
    assert content(draw_dataset(tmp_path / "set", **asked)) == before


def test_a_folder_that_holds_something_else_is_not_drawn_into(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds 'thesis\.txt' already"):
        draw_dataset(tmp_path, images=7, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
