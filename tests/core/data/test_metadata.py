"""The one metadata table: what it is made of and what is refused."""

import numpy as np
import pandas as pd
import pytest

from core.data.facts import encode_metadata
from core.data.metadata import COLUMNS, ROW_INDEX, validate_metadata
from core.errors import MetadataError


def table(**changes) -> pd.DataFrame:
    columns = {
        "image_id": ["a", "b", "c"],
        "lesion_id": ["1", "1", "2"],
        "dx": ["nv", "nv", "mel"],
        "dx_type": ["histo", "follow_up", None],
        "age_years": [40, 0, None],
        "sex": ["female", None, "male"],
        "site": ["back", None, "face"],
        "source": ["made"] * 3,
        "image_path": ["/somewhere/a.jpg", None, None],
    }
    return pd.DataFrame({**columns, **changes})


def test_a_table_comes_out_typed_and_in_order():
    shuffled = table()[list(reversed(COLUMNS))].assign(extra=1)
    checked = validate_metadata(shuffled, source_name="made.csv")
    assert tuple(checked.columns) == COLUMNS
    assert checked["age_years"].dtype == np.float64
    assert list(checked.index) == [0, 1, 2]
    assert checked["sex"].isna().tolist() == [False, True, False]
    assert checked["image_path"].isna().tolist() == [False, True, True]


def test_validating_twice_changes_nothing():
    once = validate_metadata(table(), source_name="made.csv")
    pd.testing.assert_frame_equal(validate_metadata(once, source_name="made.csv"), once)


def test_the_callers_table_stays_as_it_was():
    before = table()
    validate_metadata(before, source_name="made.csv")
    pd.testing.assert_frame_equal(before, table())


def test_attrs_survive_validation():
    counted = table()
    counted.attrs["left_out"] = {"scars": 3}
    assert validate_metadata(counted, source_name="made.csv").attrs["left_out"] == {"scars": 3}


def test_columns_nobody_gave_are_unknown():
    checked = validate_metadata(table()[["image_id", "lesion_id", "dx"]], source_name="made.csv")
    assert checked[["dx_type", "age_years", "sex", "site", "source", "image_path"]].isna().all(axis=None)


def test_its_facts_can_be_encoded():
    facts = encode_metadata(validate_metadata(table(), source_name="made.csv"))
    np.testing.assert_array_equal(facts, [[40, 0, 2], [0, np.nan, np.nan], [np.nan, 1, 5]])


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"dx": ["nv", "nv", "melanoma"]}, ["row 4", "dx", "'melanoma'", "akiec, bcc"]),
        ({"dx": ["nv", "nv", None]}, ["row 4", "dx is empty"]),
        ({"lesion_id": [None, "1", "2"]}, ["row 2", "lesion_id is empty"]),
        ({"image_id": ["a", "a", "c"]}, ["row 3", "image_id", "'a'", "once"]),
        ({"image_id": ["a", "A", "c"]}, ["row 3", "'A'", "once"]),
        ({"image_id": ["../../etc/passwd", "b", "c"]}, ["row 2", "path separators"]),
        ({"image_id": ["a", "b\\c", "c"]}, ["row 3", "path separators"]),
        ({"image_id": ["a", "..", "c"]}, ["row 3", "'..'"]),
        ({"image_id": ["a", "b", "c\0"]}, ["row 4", "plain name"]),
        ({"dx": ["nv", "mel", "mel"]}, ["row 3", "lesion '1'", "'mel'", "'nv'", "one diagnosis"]),
        ({"age_years": [40, 999, None]}, ["row 3", "age_years is 999.0", "0 to 120"]),
        ({"age_years": [-3, 0, None]}, ["row 2", "-3"]),
        ({"age_years": ["40", "abc", None]}, ["row 3", "'abc'", "a number"]),
        ({"age_years": [float("inf"), 0, None]}, ["row 2", "inf"]),
        ({"sex": ["woman", None, "male"]}, ["row 2", "sex", "'woman'", "female, male"]),
        ({"site": ["back", "elbow", "face"]}, ["row 3", "site", "'elbow'", "abdomen"]),
        ({"dx_type": ["histo", "guess", None]}, ["row 3", "dx_type", "'guess'", "follow_up"]),
    ],
)
def test_a_wrong_table_is_refused_with_file_row_and_expectation(changes, parts):
    with pytest.raises(MetadataError) as refusal:
        validate_metadata(table(**changes), source_name="made.csv")
    for part in ["made.csv", *parts]:
        assert part in str(refusal.value)


def test_rows_are_counted_as_the_index_named_row_says():
    numbered = table(dx=["nv", "nv", "xx"]).set_axis(pd.Index([5, 9, 12], name=ROW_INDEX))
    with pytest.raises(MetadataError, match=r"made\.csv, row 12: dx is 'xx'"):
        validate_metadata(numbered, source_name="made.csv")


def test_a_refusal_counts_the_other_rows_like_it():
    with pytest.raises(MetadataError, match=r"row 2: dx is 'x'.*\(2 more rows like it\)"):
        validate_metadata(table(dx=["x", "x", "x"]), source_name="made.csv")


def test_an_empty_table_is_refused():
    with pytest.raises(MetadataError, match=r"made\.csv has no rows"):
        validate_metadata(table().iloc[:0], source_name="made.csv")


def test_missing_columns_are_named():
    with pytest.raises(MetadataError, match=r"made\.csv lacks the columns lesion_id, dx"):
        validate_metadata(table().drop(columns=["lesion_id", "dx"]), source_name="made.csv")
