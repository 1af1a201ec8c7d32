"""Augmented copies: their names, and that no split lets one out of training."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.copies import copy_id, original_id, originals_of
from core.data.splits import SPLITS, Split, split_by_lesion
from core.errors import SplitError
from core.labels import CODES


def table_of(lesions, photos=2):
    rows = [
        (f"P_{code}_{lesion}_{photo}", f"L_{code}_{lesion}", code)
        for code in CODES
        for lesion in range(lesions)
        for photo in range(photos)
    ]
    return pd.DataFrame(rows, columns=["image_id", "lesion_id", "dx"])


def with_copies(table, seed, share=0.5, number=3):
    """Return the table with copies of some training pictures, shuffled."""
    parts = split_by_lesion(table, seed=seed)
    rng = np.random.default_rng(seed)
    chosen = table[(parts == "train") & (rng.random(len(table)) < share)]
    copies = [
        chosen.assign(image_id=[copy_id(name, one) for name in chosen["image_id"]])
        for one in range(1, number + 1)
    ]
    return pd.concat([table, *copies]).sample(frac=1, random_state=seed).reset_index(drop=True)


def test_a_copys_name_leads_back_to_its_original():
    assert copy_id("ISIC_0024306", 3) == "ISIC_0024306_aug03"
    assert copy_id("ISIC_0024306", 123) == "ISIC_0024306_aug123"
    assert original_id("ISIC_0024306_aug123") == "ISIC_0024306"
    assert original_id("ISIC_0024306") == "ISIC_0024306"


def test_a_name_that_only_looks_like_a_copy_is_none():
    table = pd.DataFrame(
        {
            "image_id": ["a", "a_aug01", "b_aug01", "c", "c_aug01", "d_aug1"],
            "lesion_id": ["l", "l", "l", "m", "other", "n"],
        }
    )
    assert originals_of(table).fillna("").tolist() == ["", "a", "", "", "", ""]
    assert originals_of(table.iloc[:0]).empty


@settings(max_examples=20)
@given(
    seed=st.integers(0, 1000),
    lesions=st.integers(3, 25),
    photos=st.integers(1, 3),
    share=st.floats(0, 1),
    number=st.integers(1, 4),
)
def test_copies_change_no_split_and_stay_in_training(seed, lesions, photos, share, number):
    plain = table_of(lesions, photos)
    augmented = with_copies(plain, seed, share, number)
    before, after = Split.of(plain, seed=seed), Split.of(augmented, seed=seed)
    assert after.of_images(plain["image_id"]).tolist() == before.of_images(plain["image_id"]).tolist()
    copied = originals_of(augmented).notna()
    assert (after.of_images(augmented["image_id"])[copied] == "train").all()
    assert after.hash == before.hash
    assert set(after.table["split"]) <= set(SPLITS)
    # A lesion is never on both sides, copies included.
    assert not after.table.drop_duplicates(["group", "split"])["group"].duplicated().any()


def test_a_seed_that_would_hold_an_original_out_is_refused_with_the_cure():
    augmented = with_copies(table_of(20), seed=0, share=1)
    with pytest.raises(SplitError, match=r"seed 1 holds it out as (val|test) .*prepare augment"):
        Split.of(augmented, seed=1)


def test_a_manifest_whose_copy_left_training_is_refused(tmp_path):
    augmented = with_copies(table_of(10), seed=0)
    split = Split.of(augmented, seed=0)
    split.save(tmp_path / "split.csv")
    pd.testing.assert_frame_equal(Split.load(tmp_path / "split.csv").table, split.table, check_dtype=False)
    text = (tmp_path / "split.csv").read_text()
    line = next(line for line in text.splitlines() if "_aug01" in line)
    (tmp_path / "split.csv").write_text(text.replace(line, line.removesuffix("train") + "test"))
    with pytest.raises(SplitError, match="copies belong to training"):
        Split.load(tmp_path / "split.csv")
