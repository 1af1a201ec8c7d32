"""Augmented copies on disk: training only, as many as asked, the same for a seed, whole after a stop."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.augmenting import Augmentation, Strength, augment_dataset, plan_copies
from core.data.copies import originals_of
from core.data.metadata import validate_metadata
from core.data.pictures import read_picture
from core.data.readers import count_missing, read_dataset
from core.data.resizing import Size
from core.data.splits import Split, split_by_lesion
from core.data.synthetic import make_dataset
from core.errors import DataError, SplitError
from core.labels import CODES

TARGETS = {"df": 16, "vasc": 13}


def table_of(lesions):
    rows = [
        (f"P_{code}_{lesion}", f"L_{code}_{lesion}", code, f"/nowhere/P_{code}_{lesion}.jpg")
        for code in CODES
        for lesion in range(lesions)
    ]
    frame = pd.DataFrame(rows, columns=["image_id", "lesion_id", "dx", "image_path"])
    return validate_metadata(frame, source_name="test")


@settings(max_examples=25)
@given(
    lesions=st.integers(3, 30),
    targets=st.dictionaries(st.sampled_from(CODES), st.integers(1, 120), min_size=1),
    seed=st.integers(0, 99),
)
def test_a_plan_meets_its_targets_from_training_pictures_spread_evenly(lesions, targets, seed):
    table = table_of(lesions)
    parts = split_by_lesion(table, seed=seed)
    plan = plan_copies(table, parts, targets=targets, seed=seed)
    for code in CODES:
        wanted = max(plan.before[code], targets.get(code, 0))
        assert plan.after[code] == wanted
    assert plan.copies["image_id"].is_unique
    training = set(table["image_id"][parts == "train"])
    assert set(plan.copies["augmented_from"]) <= training
    for code, copies in plan.copies.groupby("dx"):
        assert code in targets
        often = (
            copies["augmented_from"]
            .value_counts()
            .reindex(table["image_id"][(parts == "train") & (table["dx"] == code)], fill_value=0)
        )
        assert often.max() - often.min() <= 1


def test_a_larger_target_adds_copies_and_changes_none():
    table = table_of(10)
    parts = split_by_lesion(table, seed=0)
    few = plan_copies(table, parts, targets={"df": 20}).copies.set_index("image_id")["change"]
    many = plan_copies(table, parts, targets={"df": 50}).copies.set_index("image_id")["change"]
    assert set(few.index) < set(many.index)
    assert all(many[name] == change for name, change in few.items())
    other = plan_copies(table, parts, targets={"df": 50}, seed=1).copies.set_index("image_id")["change"]
    assert other.iloc[0] != many.iloc[0]


@given(
    values=st.builds(Strength, rotate_degrees=st.floats(0, 180), shear_degrees=st.floats(0, 60)),
    seed=st.integers(0, 50),
)
def test_a_change_lies_within_its_strength(values, seed):
    change = values.draw(np.random.default_rng(seed))
    assert abs(change.geometry.rotate_degrees) <= values.rotate_degrees
    assert abs(change.geometry.shear_degrees) <= values.shear_degrees
    assert 1 / (1 + values.zoom) - 1e-9 <= change.geometry.zoom <= 1 + values.zoom + 1e-9
    assert change.light.brightness == change.light.contrast == change.light.saturation == 1


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ({"wart": 5}, "no diagnosis 'wart'"),
        ({"df": 0}, "target for df is 0"),
        ({"df": 99_999}, "over 200 copies of each. Choose"),
    ],
)
def test_a_target_that_cannot_be_is_refused(targets, words):
    table = table_of(5)
    with pytest.raises(DataError, match=words):
        plan_copies(table, split_by_lesion(table, seed=0), targets=targets)


@pytest.mark.parametrize("name", ["rotate_degrees", "shear_degrees", "zoom", "brightness"])
def test_a_strength_out_of_range_is_refused(name):
    with pytest.raises(DataError, match=name):
        Strength(**{name: -1})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("data") / "made", images_per_class=12, seed=4, size_px=(36, 48)
    )


@pytest.fixture(scope="module")
def augmented(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("augmented") / "out"
    return out, augment_dataset(data, out, Augmentation(TARGETS), workers=1)


def test_originals_and_copies_lie_in_one_folder_with_one_table(data, augmented):
    out, result = augmented
    plain, table = read_dataset(data), read_dataset(out)
    assert count_missing(table) == 0
    assert result.images == len(table)
    assert result.copies == (16 - result.before["df"]) + (13 - result.before["vasc"])
    assert {code: result.after[code] for code in TARGETS} == TARGETS
    originals = table[originals_of(table).isna()]
    assert sorted(originals["image_id"]) == sorted(plain["image_id"])
    first = plain.set_index("image_id").loc[originals["image_id"]]
    for path, source in zip(originals["image_path"], first["image_path"], strict=True):
        with open(path, "rb") as one, open(source, "rb") as other:  # noqa: PTH123 -- two at once
            assert one.read() == other.read()


def test_copies_come_from_training_and_the_split_is_the_same(data, augmented):
    out, result = augmented
    split = Split.of(read_dataset(data), seed=0)
    table = read_dataset(out)
    assert result.split_hash == split.hash == Split.of(table, seed=0).hash
    assert Split.load(out / "split.csv").hash == split.hash
    sources = originals_of(table).dropna()
    assert (split.of_images(sources) == "train").all()
    with pytest.raises(SplitError, match="prepare augment"):
        [Split.of(table, seed=seed) for seed in range(1, 6)]


def test_the_table_says_what_was_done_to_each_copy(augmented):
    out, _ = augmented
    written = pd.read_csv(out / "metadata.csv").set_index("image_id")
    copies = written[written["augmented_from"].notna()]
    assert copies[["rotate_degrees", "shear_degrees", "zoom", "flip", "quarter_turns"]].notna().all(axis=None)
    facts = ["lesion_id", "dx", "dx_type", "age_years", "sex", "site"]
    originals = written.loc[copies["augmented_from"], facts].set_axis(copies.index)
    pd.testing.assert_frame_equal(copies[facts], originals)
    assert written["augmented_from"].isna().sum() == 84


def test_a_copy_looks_like_its_original_and_is_not_it(augmented):
    out, _ = augmented
    table = read_dataset(out)
    path_of = table.set_index("image_id")["image_path"]
    for copy, source in list(zip(table["image_id"], originals_of(table), strict=True)):
        if not isinstance(source, str):
            continue
        one, other = (
            read_picture(out / "images" / f"{name}.jpg", name=name).pixels for name in (copy, source)
        )
        assert one.shape == other.shape
        assert (one != other).mean() > 0.3
        # The same skin and lesion, so about the same colours; never black corners.
        assert np.abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1))).max() < 25
    assert len(path_of) == len(table)


def test_the_same_seed_gives_the_same_bytes_in_any_number_of_processes(data, augmented, tmp_path):
    out, result = augmented
    again = augment_dataset(data, tmp_path / "again", Augmentation(TARGETS), workers=2)
    assert again == result
    names = sorted(path.name for path in (out / "images").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again" / "images").iterdir())
    for name in names:
        assert (out / "images" / name).read_bytes() == (tmp_path / "again" / "images" / name).read_bytes()
    assert (out / "metadata.csv").read_bytes() == (tmp_path / "again" / "metadata.csv").read_bytes()


class Stopped(Exception):
    pass


def test_a_stopped_command_goes_on_where_it_was(data, augmented, tmp_path):
    out, result = augmented
    folder = tmp_path / "stopped"

    def stop(done, total):
        if done >= total / 2:
            raise Stopped

    with pytest.raises(Stopped):
        augment_dataset(data, folder, Augmentation(TARGETS), workers=1, progress=stop)
    assert not (folder / "metadata.csv").exists()
    there = {path.name: path.stat().st_mtime_ns for path in (folder / "images").iterdir()}
    assert 0 < len(there) < result.images
    with pytest.raises(DataError, match="seed was 0, now 1"):
        augment_dataset(data, folder, Augmentation(TARGETS, seed=1), workers=1)
    assert augment_dataset(data, folder, Augmentation(TARGETS), workers=1) == result
    assert all((folder / "images" / name).stat().st_mtime_ns == when for name, when in there.items())
    assert (folder / "metadata.csv").read_bytes() == (out / "metadata.csv").read_bytes()
    assert not (folder / "unfinished.json").exists()
    # And once more: it is done.
    assert augment_dataset(data, folder, Augmentation(TARGETS), workers=1) == result


def test_an_unreadable_picture_is_told_and_leaves_the_split_alone(data, tmp_path):
    import shutil

    broken = shutil.copytree(data, tmp_path / "broken")
    table = read_dataset(broken)
    split = Split.of(table, seed=0)
    victim = table[(split.of_images(table["image_id"]) == "train") & (table["dx"] == "df")].iloc[0]
    with open(victim["image_path"], "wb") as file:  # noqa: PTH123
        file.write(b"\xff\xd8 broken")
    result = augment_dataset(broken, tmp_path / "out", Augmentation(TARGETS), workers=1)
    assert len(result.unreadable) == 1
    assert result.unreadable[0].startswith(
        f"{victim['image_id']}: {victim['image_id']}.jpg begins like a picture but is broken"
    )
    after = read_dataset(tmp_path / "out")
    assert result.split_hash == split.hash
    assert after.set_index("image_id").loc[[victim["image_id"]], "image_path"].isna().all()
    assert not (originals_of(after) == victim["image_id"]).any()
    assert result.after["df"] < TARGETS["df"]


def test_all_pictures_can_be_brought_to_one_size(data, tmp_path):
    asked = Augmentation({"df": 12}, size=Size(18, 24))
    augment_dataset(data, tmp_path / "out", asked, workers=1)
    shapes = {read_picture(path, name="p").pixels.shape for path in (tmp_path / "out" / "images").iterdir()}
    assert shapes == {(18, 24, 3)}


def test_what_is_augmented_already_is_refused(augmented, tmp_path):
    with pytest.raises(DataError, match="holds augmented copies already"):
        augment_dataset(augmented[0], tmp_path / "twice", Augmentation({"df": 90}), workers=1)
