"""The gallery's order: by any column, lesions kept together, each lesion on exactly one page."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.gallery import (
    LESIONS_A_PAGE,
    ORDERS,
    PICTURES_A_PAGE,
    order_rows,
    order_values,
    page_of,
)


def table(photos, **columns):
    """A table of lesions with these numbers of photos, as rows that jump between lesions."""
    rows = [(f"L{lesion:03d}", shot) for lesion, count in enumerate(photos) for shot in range(count)]
    rows.sort(key=lambda row: (row[1], row[0]))
    built = pd.DataFrame(
        {
            "image_id": [f"I{number:04d}" for number in range(len(rows))],
            "lesion_id": [lesion for lesion, _ in rows],
            "dx": "nv",
            "dx_type": "histo",
            "age_years": np.arange(len(rows), dtype=float),
            "sex": "female",
            "site": "back",
            "source": "x",
        }
    )
    # Rows of a filtered table keep the labels of the whole one.
    return built.assign(**columns).set_axis(range(5, 5 + len(rows)))


@pytest.mark.parametrize("column", ORDERS)
@pytest.mark.parametrize("descending", [False, True])
def test_every_order_is_a_permutation(column, descending):
    order = order_rows(table([3, 1, 2]), column, descending=descending)
    assert sorted(order.tolist()) == list(range(6))


@pytest.mark.parametrize(("descending", "expected"), [(False, [2, 0, 3, 1]), (True, [3, 0, 2, 1])])
def test_numbers_are_sorted_as_numbers_and_unknown_comes_last(descending, expected):
    rows = table([1] * 4, age_years=[30.0, np.nan, 5.0, 100.0])
    assert order_rows(rows, "age_years", descending=descending).tolist() == expected


@pytest.mark.parametrize(("descending", "expected"), [(False, [3, 0, 1, 2]), (True, [0, 1, 3, 2])])
def test_words_are_sorted_and_equal_ones_keep_the_order_of_ids(descending, expected):
    rows = table([1] * 4, site=pd.array(["face", "face", None, "back"], dtype="string"))
    assert order_rows(rows, "site", descending=descending).tolist() == expected


def test_lesions_can_be_sorted_by_their_photos():
    rows = table([1, 3, 2])
    page = page_of(rows, order_rows(rows, "photos", descending=True), 1)
    assert list(page.lesions) == ["L001", "L002", "L000"]


def test_a_lesion_stands_where_its_first_picture_stands_with_all_its_pictures():
    rows = table([2, 1, 2])
    values = np.array([0.1, 0.9, 0.2, 0.3, 0.8])
    page = page_of(rows, order_values(values, descending=True), 1)
    assert list(page.lesions) == ["L001", "L002", "L000"]
    assert [rows.loc[labels, "lesion_id"].unique().tolist() for labels in page.lesions.values()] == [
        ["L001"],
        ["L002"],
        ["L000"],
    ]
    assert page.lesions["L002"] == [9, 7], "the pictures of a lesion are in the order, too"


@given(
    photos=st.lists(st.integers(1, 130), min_size=1, max_size=60),
    seed=st.integers(0, 5),
)
def test_every_picture_is_on_exactly_one_page_with_its_siblings(photos, seed):
    rows = table(photos)
    order = np.random.default_rng(seed).permutation(len(rows))
    first = page_of(rows, order, 1)
    pages = [page_of(rows, order, number) for number in range(1, first.pages + 1)]
    shown = [label for page in pages for labels in page.lesions.values() for label in labels]
    assert sorted(shown) == rows.index.tolist()
    lesions = [lesion for page in pages for lesion in page.lesions]
    assert sorted(lesions) == sorted(set(rows["lesion_id"]))
    for page in pages:
        count = sum(map(len, page.lesions.values()))
        assert 1 <= len(page.lesions) <= LESIONS_A_PAGE
        assert count <= PICTURES_A_PAGE or len(page.lesions) == 1
    assert (first.n_lesions, first.n_images) == (len(photos), sum(photos))


@pytest.mark.parametrize(("asked", "given_page"), [(0, 1), (-3, 1), (2, 2), (99, 3)])
def test_a_page_that_does_not_exist_becomes_the_nearest(asked, given_page):
    rows = table([1] * 60)
    page = page_of(rows, np.arange(60), asked)
    assert (page.number, page.pages) == (given_page, 3)
    assert next(iter(page.lesions)) == f"L{24 * (given_page - 1):03d}"


def test_no_rows_are_one_empty_page():
    rows = table([1]).iloc[:0]
    page = page_of(rows, order_rows(rows, "image_id"), 1)
    assert (page.lesions, page.pages, page.n_lesions) == ({}, 1, 0)
