"""Counts: nothing is lost on the way to them and back, and the bundled ones are HAM10000's."""

from collections import Counter
from itertools import combinations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.counts import (
    BUNDLED_COUNTS,
    COLUMNS,
    FACT_COLUMNS,
    bundled_counts,
    bundled_facts,
    count_facts,
    expand_counts,
    read_counts,
    write_counts,
)
from core.data.metadata import COLUMNS as METADATA_COLUMNS
from core.data.readers import read_dataset
from core.errors import MetadataError
from tests.core.data.tables import metadata_tables, table_of

CROSSED = [
    list(columns)
    for number in range(1, len(FACT_COLUMNS) + 2)
    for columns in combinations((*FACT_COLUMNS, "images_per_lesion"), number)
]


def crossed_counts(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return images and lesions for each combination of values, by pandas."""
    return table.groupby(columns, dropna=False).agg(
        images=("image_id", "size"), lesions=("lesion_id", "nunique")
    )


def lesions_of(table: pd.DataFrame) -> Counter:
    """Return how often each kind of lesion is there: the facts of its photos, in any order."""
    facts = table[list(FACT_COLUMNS)].astype(object).where(table[list(FACT_COLUMNS)].notna(), None)
    by_lesion = facts.apply(tuple, axis=1).groupby(table["lesion_id"])
    return Counter(frozenset(Counter(photos).items()) for _, photos in by_lesion)


def photo(image_id: str, lesion_id: str, *, site: str | None = "back") -> tuple:
    return (image_id, lesion_id, "mel", "histo", 40, "female", site, None, None)


def test_lesions_that_are_alike_make_one_row():
    table = table_of([photo("a", "1"), photo("b", "1"), photo("c", "2"), photo("d", "2"), photo("e", "3")])
    assert count_facts(table).to_numpy().tolist() == [
        ["mel", "histo", 40, "female", "back", 1, 1, 1],
        ["mel", "histo", 40, "female", "back", 2, 4, 2],
    ]


def test_a_lesion_on_two_sites_stays_one_lesion():
    table = table_of([photo("a", "1"), photo("b", "1", site="trunk"), photo("c", "2"), photo("d", "2")])
    counts = count_facts(table)
    assert counts[["site", "images_per_lesion", "images", "lesions"]].to_numpy().tolist() == [
        ["back", 2, 1, 1],
        ["trunk", 2, 1, 1],
        ["back", 2, 2, 1],
    ]
    assert lesions_of(expand_counts(counts, source="made")) == lesions_of(table)


@settings(max_examples=40)
@given(metadata_tables(min_lesions=1))
def test_expanding_gives_every_lesion_back(table):
    expanded = expand_counts(count_facts(table), source="made")
    assert lesions_of(expanded) == lesions_of(table)
    assert tuple(expanded.columns) == METADATA_COLUMNS
    assert expanded["image_path"].isna().all()


@settings(max_examples=40)
@given(metadata_tables(min_lesions=1), st.randoms(use_true_random=False))
def test_counts_depend_neither_on_the_order_of_rows_nor_on_names(table, random):
    order = random.sample(range(len(table)), len(table))
    renamed = table.iloc[order].assign(
        image_id=[f"x{row}" for row in order], lesion_id=table["lesion_id"].iloc[order].str[::-1]
    )
    pd.testing.assert_frame_equal(count_facts(renamed), count_facts(table))


@settings(max_examples=40)
@given(metadata_tables())
def test_counts_survive_their_file(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("counts") / "counts.csv"
    counts = count_facts(table)
    write_counts(counts, path)
    pd.testing.assert_frame_equal(read_counts(path), counts)


def test_the_bundled_counts_hold_facts_only():
    header, *rows = BUNDLED_COUNTS.read_text(encoding="utf-8").splitlines()
    assert header == ",".join(COLUMNS)
    assert not [row for row in rows if "ISIC" in row or "HAM" in row]


def test_the_bundled_facts_are_what_was_published():
    table = bundled_facts()
    by_dx = table.groupby("dx").agg(images=("image_id", "size"), lesions=("lesion_id", "nunique"))
    assert by_dx["images"].to_dict() == {
        "akiec": 327,
        "bcc": 514,
        "bkl": 1099,
        "df": 115,
        "mel": 1113,
        "nv": 6705,
        "vasc": 142,
    }
    assert by_dx["lesions"].sum() == table["lesion_id"].nunique() == 7470
    assert (table.groupby("lesion_id").size() > 1).sum() == 1956
    assert table["image_id"].str.startswith("fact-").all()


def test_ham10000_gives_the_bundled_counts_byte_for_byte(ham10000_folder, tmp_path):
    path = tmp_path / "counts.csv"
    write_counts(count_facts(read_dataset(ham10000_folder)), path)
    assert path.read_bytes() == BUNDLED_COUNTS.read_bytes()


def test_every_crossed_count_of_ham10000_comes_back(ham10000_folder):
    table, facts = (
        rows.assign(images_per_lesion=rows.groupby("lesion_id")["image_id"].transform("size"))
        for rows in (read_dataset(ham10000_folder), bundled_facts())
    )
    for columns in CROSSED:
        pd.testing.assert_frame_equal(crossed_counts(facts, columns), crossed_counts(table, columns))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([(2, 3, 2)], "row 2: 3 images of 2 lesions"),
        ([(1, 0, 1)], "row 2: 0 images"),
        ([(1, 2, 1)], "row 2: 2 images of 1 lesions with 1 images"),
        ([(3, 1, 1), (1, 1, 1)], "row 3: the lesions of the row above are not complete"),
        ([(3, 2, 1), (3, 2, 1)], "row 3: its lesions have 4 images with the rows above; expected 3"),
        ([(1, 1, 1), (3, 2, 1)], "ends before"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(numbers, words):
    rows = [("nv", "histo", 50.0, "male", "back", *row) for row in numbers]
    with pytest.raises(MetadataError, match=words) as refusal:
        expand_counts(pd.DataFrame(rows, columns=list(COLUMNS)), source="made.csv")
    assert "made.csv" in str(refusal.value)


def test_a_fact_that_no_table_has_is_refused():
    rows = [("nv", "histo", 50.0, "male", "knee", 1, 1, 1)]
    with pytest.raises(MetadataError, match="site is 'knee'"):
        expand_counts(pd.DataFrame(rows, columns=list(COLUMNS)), source="made.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dx,sex\nnv,male\n", "lacks dx_type, age_years"),
        (f"{','.join(COLUMNS)}\nnv,histo,50,male,back,1,many,1\n", "cannot be read"),
        (f"{','.join(COLUMNS)}\nnv,histo,50,male,back,1,,1\n", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_a_file_that_holds_no_counts_is_refused(tmp_path, text, words):
    path = tmp_path / "counts.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MetadataError, match=f"counts.csv {words}"):
        read_counts(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MetadataError, match=r"nowhere\.csv cannot be read"):
        read_counts(tmp_path / "nowhere.csv")


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    occupied = tmp_path / "counts.csv"
    occupied.mkdir()
    (occupied / "something").touch()
    with pytest.raises(MetadataError, match="cannot be written"):
        write_counts(bundled_counts(), occupied)
    assert list(tmp_path.iterdir()) == [occupied]
