"""Splits: no lesion on two sides, shares kept, and one seed one split."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.readers import read_dataset
from core.data.splits import (
    DUPLICATE_PAIRS,
    FRACTIONS,
    SPLITS,
    Split,
    folds_by_lesion,
    lesion_groups,
    split_by_lesion,
)
from core.errors import SplitError
from core.labels import CODES


def table_of(photos: list[tuple[str, int]]) -> pd.DataFrame:
    """Return a table with one lesion for each (dx, number of photos)."""
    rows = [
        (f"I{lesion:05d}{photo}", f"L{lesion:05d}", dx)
        for lesion, (dx, count) in enumerate(photos)
        for photo in range(count)
    ]
    return pd.DataFrame(rows, columns=["image_id", "lesion_id", "dx"])


def sides_of(parts: pd.Series, groups: pd.Series) -> int:
    """Return on how many sides the most divided group is."""
    return int(parts.groupby(groups).nunique().max())


lesions = st.lists(st.tuples(st.sampled_from(CODES), st.integers(1, 6)), min_size=1, max_size=120)
seeds = st.integers(0, 2**32)


@given(lesions, seeds)
@settings(max_examples=25)
def test_no_lesion_is_on_two_sides(photos, seed):
    metadata = table_of(photos)
    parts = split_by_lesion(metadata, seed=seed)
    assert set(parts) <= set(SPLITS)
    assert sides_of(parts, metadata["lesion_id"]) == 1


@given(lesions, seeds)
@settings(max_examples=25)
def test_shares_of_each_diagnosis_are_as_close_as_whole_lesions_allow(photos, seed):
    metadata = table_of(photos)
    parts = split_by_lesion(metadata, seed=seed)
    for dx, mine in parts.groupby(metadata["dx"]):
        largest = max(count for code, count in photos if code == dx)
        for name, fraction in zip(SPLITS, FRACTIONS, strict=True):
            assert (mine == name).sum() <= fraction * len(mine) + largest


@given(lesions, seeds, st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_one_seed_is_one_split_whatever_the_order_of_rows(photos, seed, random):
    metadata = table_of(photos)
    order = list(range(len(metadata)))
    random.shuffle(order)
    assert Split.of(metadata, seed=seed).hash == Split.of(metadata.iloc[order], seed=seed).hash


def test_another_seed_is_another_split():
    metadata = table_of([("nv", 2)] * 50)
    assert len({Split.of(metadata, seed=seed).hash for seed in range(10)}) == 10


def test_every_part_has_a_diagnosis_of_three_lesions():
    metadata = table_of([("df", 4), ("df", 1), ("df", 2)])
    for seed in range(20):
        assert set(split_by_lesion(metadata, seed=seed)) == set(SPLITS)


@pytest.mark.parametrize("fractions", [(0.5, 0.4, 0.2), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1)])
def test_fractions_that_are_no_shares_are_refused(fractions):
    with pytest.raises(SplitError, match="sum to 1"):
        split_by_lesion(table_of([("nv", 1)]), seed=0, fractions=fractions)


def test_duplicate_pairs_are_one_group_under_one_name():
    first, second = DUPLICATE_PAIRS[0]
    metadata = pd.DataFrame(
        {
            "image_id": [first, "A", second, "B", "C"],
            "lesion_id": ["L2", "L2", "L1", "L1", "L3"],
            "dx": "nv",
        }
    )
    assert list(lesion_groups(metadata)) == ["L1", "L1", "L1", "L1", "L3"]
    for seed in range(20):
        assert len(set(split_by_lesion(metadata, seed=seed)[:4])) == 1


def test_pairs_that_chain_are_one_group(monkeypatch):
    monkeypatch.setattr("core.data.splits.DUPLICATE_PAIRS", (("b", "c"), ("a", "b"), ("a", "c")))
    metadata = pd.DataFrame({"image_id": ["c", "a", "b"], "lesion_id": ["L3", "L1", "L2"], "dx": "mel"})
    assert list(lesion_groups(metadata)) == ["L1", "L1", "L1"]


def test_a_pair_with_one_picture_missing_merges_nothing():
    first, _ = DUPLICATE_PAIRS[0]
    metadata = pd.DataFrame({"image_id": [first, "A"], "lesion_id": ["L2", "L1"], "dx": "nv"})
    assert list(lesion_groups(metadata)) == ["L2", "L1"]


def test_the_eighteen_pairs_name_thirty_six_pictures():
    assert len(DUPLICATE_PAIRS) == 18
    assert len({name for pair in DUPLICATE_PAIRS for name in pair}) == 36


@given(lesions, seeds, st.integers(2, 6))
@settings(max_examples=25)
def test_folds_are_lesion_pure_and_even(photos, seed, k):
    metadata = table_of(photos)
    folds = folds_by_lesion(metadata, k=k, seed=seed)
    assert folds.between(0, k - 1).all()
    assert sides_of(folds, metadata["lesion_id"]) == 1
    for dx, mine in folds.groupby(metadata["dx"]):
        largest = max(count for code, count in photos if code == dx)
        sizes = np.bincount(mine, minlength=k)
        assert sizes.max() <= len(mine) / k + largest


@pytest.mark.parametrize("k", [1, 0, -3])
def test_fewer_than_two_folds_are_refused(k):
    with pytest.raises(SplitError, match="at least 2 folds"):
        folds_by_lesion(table_of([("nv", 1)]), k=k, seed=0)


@pytest.fixture
def split():
    return Split.of(table_of([(dx, 2) for dx in CODES for _ in range(10)]), seed=7)


def test_a_manifest_round_trips(split, tmp_path):
    split.save(tmp_path / "split.csv")
    loaded = Split.load(tmp_path / "split.csv")
    assert (loaded.seed, loaded.hash) == (7, split.hash)
    assert loaded.table.astype(str).equals(split.table.astype(str))


def test_ids_that_look_like_missing_values_round_trip(tmp_path):
    metadata = pd.DataFrame({"image_id": ["NA", "null"], "lesion_id": ["nan", "None"], "dx": "nv"})
    Split.of(metadata, seed=0).save(tmp_path / "split.csv")
    assert sorted(Split.load(tmp_path / "split.csv").table["image_id"]) == ["NA", "null"]


def test_an_altered_manifest_is_refused(split, tmp_path):
    path = tmp_path / "split.csv"
    split.save(path)
    path.write_text(path.read_text().replace(",test\n", ",train\n", 1))
    with pytest.raises(SplitError, match=r"split\.csv was altered"):
        Split.load(path)


@pytest.mark.parametrize(
    "text", ["", "image_id,split\nA,train\n", "# lesionlens split, seed 1, sha256 00\n", "\x00\xff"]
)
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "split.csv").write_text(text, encoding="latin-1")
    with pytest.raises(SplitError, match=r"split\.csv"):
        Split.load(tmp_path / "split.csv")


def test_a_manifest_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SplitError, match="is not a split manifest"):
        Split.load(tmp_path / "split.csv")


def test_strangers_are_refused_by_name_and_number(split):
    asked = pd.Series([split.table["image_id"].iloc[0], "STRANGER", "OTHER"])
    with pytest.raises(SplitError, match=r"STRANGER \(and 1 more\)"):
        split.of_images(asked)


def test_parts_come_in_the_order_asked(split):
    asked = split.table["image_id"].iloc[::-1]
    assert list(split.of_images(asked)) == list(split.table["split"].iloc[::-1])


def test_ham10000_divides_into_its_7452_groups_without_a_leak(ham10000_folder):
    metadata = read_dataset(ham10000_folder)
    split = Split.of(metadata, seed=0)
    assert split.table["group"].nunique() == 7452
    assert sides_of(split.table["split"], split.table["group"]) == 1
    part_of = split.table.set_index("image_id")["split"]
    assert all(part_of[first] == part_of[second] for first, second in DUPLICATE_PAIRS)
    shares = pd.crosstab(split.table["dx"], split.table["split"], normalize="index")[list(SPLITS)]
    assert set(shares.index) == set(CODES)
    assert np.allclose(shares, FRACTIONS, atol=0.02)
