"""Facets: the values of each column, in an order that makes sense, found once a table."""

import gc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from core.data import facets as facets_module
from core.data.counts import bundled_facts
from core.data.facets import AGE_BANDS, COLUMNS, UNKNOWN, Facets, label_of
from core.labels import CODES
from tests.core.data.tables import metadata_tables, table_of


def row(number, *, age=50.0, sex="male", site="back", source="here"):
    return (f"i{number}", f"l{number}", "nv", "histo", age, sex, site, source, None)


def words_of(table, column):
    return Facets.of(table).columns[column].words


@settings(max_examples=40)
@given(metadata_tables())
def test_every_row_has_its_own_value_or_unknown(table):
    facets = Facets.of(table)
    for column in ("dx", "dx_type", "sex", "site", "source"):
        facet = facets.columns[column]
        found = [facet.words[code] for code in facet.codes]
        assert found == table[column].astype(object).where(table[column].notna(), UNKNOWN).tolist()
        assert (UNKNOWN in facet.words) == bool(table[column].isna().any())


@settings(max_examples=40)
@given(metadata_tables())
def test_an_age_lies_in_its_band(table):
    facet = Facets.of(table).columns["age_band"]
    for age, code in zip(table["age_years"], facet.codes, strict=True):
        band = facet.words[code]
        if np.isnan(age):
            assert band == UNKNOWN
        else:
            low, high = (int(end) for end in band.split("-"))
            assert low <= age < high + 1


def test_bands_that_nobody_is_in_are_shown_between_those_that_somebody_is_in():
    assert words_of(table_of([row(1, age=35.0), row(2, age=5.0)]), "age_band") == AGE_BANDS[:4]


def test_values_come_in_the_order_of_their_vocabulary_and_unknown_last():
    table = table_of(
        [row(1, site="trunk", sex=None), row(2, site="abdomen"), row(3, site=None), row(4, sex="female")]
    )
    assert words_of(table, "site") == ("abdomen", "back", "trunk", UNKNOWN)
    assert words_of(table, "sex") == ("female", "male", UNKNOWN)
    # All seven, so that no chart forgets the diagnoses that a dataset lacks.
    assert words_of(table, "dx") == CODES


def test_an_empty_text_and_the_word_unknown_are_unknown():
    table = table_of([row(1, source=""), row(2, source="unknown"), row(3, source=None), row(4)])
    facet = Facets.of(table).columns["source"]
    assert facet.words == ("here", UNKNOWN)
    assert facet.codes.tolist() == [1, 1, 1, 0]


def test_photos_of_a_lesion_are_counted_in_the_order_of_numbers():
    sizes = [1, 2, 10]
    rows = [
        (f"{lesion}-{photo}", str(lesion), "nv", None, None, None, None, None, None)
        for lesion, size in enumerate(sizes)
        for photo in range(size)
    ]
    facet = Facets.of(table_of(rows)).columns["images_per_lesion"]
    assert facet.words == ("1", "2", "10")
    assert np.bincount(facet.codes).tolist() == [1, 2, 10]


def test_a_split_beside_the_facts_is_a_facet_too():
    table = table_of([row(1), row(2), row(3)])
    assert words_of(table, "split") == (UNKNOWN,)
    assert words_of(table.assign(split=["test", "train", None]), "split") == ("train", "test", UNKNOWN)


@settings(max_examples=40)
@given(metadata_tables(min_lesions=1))
def test_taken_rows_keep_values_numbers_and_lesions_of_the_whole(table):
    whole = Facets.of(table)
    mask = np.arange(len(table)) % 2 == 0
    taken = whole.take(mask)
    assert len(taken) == mask.sum()
    assert taken.lesion_count == whole.lesion_count
    for column in COLUMNS:
        assert taken.columns[column].words == whole.columns[column].words
        np.testing.assert_array_equal(taken.columns[column].codes, whole.columns[column].codes[mask])
    np.testing.assert_array_equal(taken.ages, whole.ages[mask])
    np.testing.assert_array_equal(taken.pictured, whole.pictured[mask])
    assert [*taken.row_of] == table.loc[mask, "image_id"].tolist()
    assert [*taken.row_of.values()] == list(range(len(taken)))


def test_a_table_is_read_once_and_forgotten_with_it():
    table = table_of([row(1)])
    facets = Facets.of(table)
    assert Facets.of(table) is facets
    assert Facets.of(table.copy()) is not facets
    key = id(table)
    assert key in facets_module._KNOWN
    del table
    gc.collect()
    assert key not in facets_module._KNOWN


def test_facets_do_not_hold_their_table():
    tables = [table_of([row(1)]) for _ in range(5)]
    for table in tables:
        Facets.of(table)
    before = len(facets_module._KNOWN)
    del tables, table
    gc.collect()
    assert len(facets_module._KNOWN) == before - 5


@pytest.mark.parametrize("column", COLUMNS)
def test_every_value_of_ham10000_has_a_label(column):
    for word in words_of(bundled_facts(), column):
        label = label_of(column, word)
        assert label
        assert "_" not in label


def test_a_table_without_pictures_is_not_pictured():
    table = table_of([row(1), row(2)])
    assert not Facets.of(table).pictured.any()
    with_one = table.assign(image_path=pd.Series(["/a.jpg", None], dtype="str"))
    assert Facets.of(with_one).pictured.tolist() == [True, False]
