"""The one filter: what fits, what an address says of it, and how it is taken off again."""

import base64
import random
import zlib
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.data import selection as selection_module
from core.data.counts import bundled_facts
from core.data.facets import COLUMNS, UNKNOWN, Facets
from core.data.selection import AGES, IMAGES, KEYS, Selection
from tests.core.data.tables import AGES as SOME_AGES
from tests.core.data.tables import metadata_tables, table_of

TABLES = metadata_tables(min_lesions=1, max_lesions=8)


@st.composite
def tables_and_selections(draw):
    """Draw a table and a selection of values it has, or could have."""
    table = draw(TABLES)
    facets = Facets.of(table)
    words = {column: [*facets.columns[column].words, UNKNOWN] for column in COLUMNS}
    choices = draw(st.dictionaries(st.sampled_from(COLUMNS), st.just(None), max_size=3).map(dict.fromkeys))
    choices = {column: draw(st.frozensets(st.sampled_from(words[column]), max_size=4)) for column in choices}
    known = sorted(age for age in SOME_AGES if age is not None)
    ages = draw(st.none() | st.lists(st.sampled_from(known), min_size=2, max_size=2).map(sorted).map(tuple))
    images = draw(st.none() | st.frozensets(st.sampled_from(table["image_id"].tolist())))
    return table, Selection(choices, ages, images)


def fits(row, photos, selection):
    """Say whether a row fits, the slow and plain way."""
    known = {
        column: UNKNOWN if column not in row or pd.isna(row[column]) else row[column] for column in COLUMNS
    }
    known["images_per_lesion"] = str(photos[row["lesion_id"]])
    age = row["age_years"]
    if not np.isnan(age):
        low = min(age // 10 * 10, 90)
        known["age_band"] = "90-120" if low == 90 else f"{low:.0f}-{low + 9:.0f}"
    return (
        all(known[column] in values for column, values in selection.choices.items())
        and (selection.ages is None or selection.ages[0] <= age <= selection.ages[1])
        and (selection.images is None or row["image_id"] in selection.images)
    )


def part(selection, key):
    """Return the selection with the part of one key alone."""
    for other in set(KEYS) - {key}:
        selection = selection.without(other)
    return selection


@settings(max_examples=60)
@given(tables_and_selections())
def test_the_mask_is_what_a_row_by_row_look_finds(drawn):
    table, selection = drawn
    photos = table["lesion_id"].value_counts()
    expected = [fits(row, photos, selection) for row in table.to_dict("records")]
    assert selection.mask(table).tolist() == expected


@settings(max_examples=60)
@given(tables_and_selections())
def test_a_mask_is_all_of_its_parts_at_once(drawn):
    table, selection = drawn
    parts = [part(selection, key).mask(table) for key in KEYS]
    np.testing.assert_array_equal(selection.mask(table), np.logical_and.reduce(parts))


@settings(max_examples=60)
@given(tables_and_selections(), st.sampled_from(KEYS))
def test_a_chart_does_not_filter_itself(drawn, key):
    table, selection = drawn
    np.testing.assert_array_equal(selection.mask(table, but=key), selection.without(key).mask(table))
    assert (selection.mask(table, but=key) >= selection.mask(table)).all()
    assert selection.mask(table, but=KEYS).all()


@settings(max_examples=60)
@given(tables_and_selections(), st.sampled_from(COLUMNS), st.sampled_from(["nv", "male", UNKNOWN, "2"]))
def test_clicking_twice_changes_nothing(drawn, column, value):
    _, selection = drawn
    clicked = selection.toggle(column, value)
    assert (value in clicked.choices.get(column, ())) != (value in selection.choices.get(column, ()))
    assert clicked.toggle(column, value) == selection


@settings(max_examples=60)
@given(tables_and_selections())
def test_choosing_again_chooses_the_same(drawn):
    table, selection = drawn
    chosen = selection.choose(table)
    pd.testing.assert_frame_equal(chosen, table[selection.mask(table)])
    assert selection.mask(chosen).all()
    assert selection.choose(chosen) is chosen
    assert len(selection.facets(table)) == len(chosen)


def test_a_lesion_that_lost_photos_keeps_the_number_it_has_in_the_whole_dataset():
    table = table_of(
        [
            ("a", "1", "nv", None, None, None, "back", None, None),
            ("b", "1", "nv", None, None, None, "trunk", None, None),
        ]
    )
    pairs = Selection({"images_per_lesion": {"2"}})
    chosen = pairs.only("site", ["back"]).choose(table)
    assert chosen["image_id"].tolist() == ["a"]
    assert pairs.mask(chosen).tolist() == [True]


@settings(max_examples=60)
@given(tables_and_selections())
def test_taking_off_every_chip_leaves_nothing(drawn):
    table, selection = drawn
    chips = selection.chips()
    assert len(set(chips)) == len(chips)
    left = selection
    for number, chip in enumerate(chips, 1):
        left = left.without(chip.column, chip.value)
        assert len(left.chips()) == len(chips) - number
    assert left == Selection()
    assert not left
    assert left.mask(table).all()
    assert bool(selection) == bool(chips) == bool(selection.keys)


@settings(max_examples=60)
@given(tables_and_selections())
def test_an_address_gives_the_selection_back(drawn):
    table, selection = drawn
    facets = Facets.of(table)
    possible = all(
        set(values) <= set(facets.columns[name].words) for name, values in selection.choices.items()
    )
    assume(possible)
    address = urlencode(selection.to_query())
    again, problems = Selection.parse(dict(parse_qsl(address)), table)
    assert (again, problems) == (selection, ())
    assert hash(again) == hash(selection)


# Whatever an address gives a meaning to, more often than chance would have it.
NAMES = st.text(min_size=1) | st.text(st.sampled_from("%,~2C5E7\nA"), min_size=1)


@given(
    st.dictionaries(st.sampled_from(COLUMNS), st.frozensets(NAMES, min_size=1)),
    st.none() | st.tuples(st.floats(0, 120), st.floats(0, 120)).map(sorted).map(tuple),
    st.frozensets(NAMES),
)
def test_an_address_holds_whatever_values_are_called(choices, ages, images):
    selection = Selection(choices, ages, images)
    again, problems = Selection.parse(dict(parse_qsl(urlencode(selection.to_query()))))
    assert (again, problems) == (selection, ())


@given(st.frozensets(NAMES | st.from_regex(r"(ISIC_|a,)0{0,3}[0-9]{1,18}", fullmatch=True)))
def test_packed_images_come_back_whatever_they_are_called(images):
    assert selection_module._unpacked(selection_module._packed(images)) == images


def test_an_address_with_a_lasso_around_thousands_stays_short():
    block = [f"ISIC_{number:07d}" for number in range(24306, 34321)]
    lasso = Selection().with_images(random.Random(0).sample(block, 3000))
    address = urlencode(lasso.to_query())
    assert len(address) < 2500
    assert Selection.parse(dict(parse_qsl(address)))[0] == lasso


def test_few_images_are_readable_in_the_address():
    assert Selection().with_images(["b", "a"]).to_query() == {"images": "a,b"}


def test_an_address_reads_like_what_it_means():
    selection = Selection({"dx": {"nv", "mel"}, "site": {"lower extremity"}}).with_ages(20, 60.5)
    assert selection.to_query() == {"dx": "mel,nv", "site": "lower extremity", "ages": "20-60.5"}


def test_what_an_address_names_and_the_dataset_lacks_is_left_out_and_said():
    query = {
        "dx": "mel,melanoma",
        "site": "knee",
        "ages": "old",
        "images": "fact-00001,ISIC_1,ISIC_2,ISIC_3,ISIC_4",
        "view": "gallery",
    }
    selection, problems = Selection.parse(query, bundled_facts())
    assert selection == Selection({"dx": {"mel"}}).with_images(["fact-00001"])
    assert len(problems) == 4
    for problem, word in zip(
        problems, ("'melanoma'", "'knee'", "'old'", "'ISIC_1', 'ISIC_2', 'ISIC_3' and 1 more"), strict=True
    ):
        assert word in problem


@pytest.mark.parametrize("ages", ["20", "20-", "-5-20", "60-20", "0-121", "nan-nan", "inf-inf", "a-b", "-"])
def test_ages_that_are_no_range_are_left_out_and_said(ages):
    selection, (problem,) = Selection.parse({"ages": ages})
    assert selection == Selection()
    assert repr(ages) in problem


def packed(text, level=9):
    return "~" + base64.urlsafe_b64encode(zlib.compress(text.encode(), level)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "~",
        "~!!!!",
        "~abcd",
        packed("#ISIC_,7\n1\n2")[:-8],
        packed("=" + "a" * 9_000_000),
        packed("#ISIC_,7\n" + "1\n" * 200_000),
        packed("#ISIC_,999999999\n1"),
        packed(f"#{'long' * 100},7\n1"),
        packed("#ISIC_,seven\n1"),
        packed("#ISIC_,7\none"),
        packed("7"),
        packed("#ISIC_,7\n-1"),
        packed(f"#ISIC_,7\n{'9' * 5000}"),
    ],
    ids=lambda text: text[:20],
)
def test_a_damaged_list_of_images_is_left_out_and_said(text):
    selection, (problem,) = Selection.parse({"images": text})
    assert selection == Selection()
    assert "damaged" in problem


def test_empty_parts_of_an_address_mean_nothing():
    assert Selection.parse(dict.fromkeys(KEYS, "")) == (Selection(), ())


def test_the_head_of_an_export_says_everything_in_one_line():
    selection = (
        Selection({"dx": {"nv", "mel"}, "source": {"two\nlines"}}).with_ages(20, 60).with_images(["a", "b"])
    )
    assert selection.describe() == (
        "Diagnosis: Melanoma or Melanocytic nevus; Source: two lines; Age: 20 to 60 years; 2 picked images"
    )
    assert Selection().describe() == "everything"


def test_chips_are_labelled_for_people():
    selection = Selection({"dx_type": {"follow_up"}, "age_band": {"20-29", UNKNOWN}}).with_images(["a"])
    assert [(chip.column, chip.value, chip.label) for chip in selection.chips()] == [
        ("dx_type", "follow_up", "Established by: follow-up"),
        ("age_band", "20-29", "Age: 20–29 years"),
        ("age_band", "unknown", "Age: unknown"),
        (IMAGES, "", "1 picked image"),
    ]


def test_an_unknown_age_fits_no_range_but_can_be_chosen():
    table = table_of(
        [
            ("a", "1", "nv", None, None, None, None, None, None),
            ("b", "2", "nv", None, 50, None, None, None, None),
        ]
    )
    assert Selection().with_ages(0, 120).mask(table).tolist() == [False, True]
    assert Selection({"age_band": {UNKNOWN}}).mask(table).tolist() == [True, False]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"choices": {"colour": {"red"}}}, "colour"),
        ({"choices": {"dx": {""}}}, "empty"),
        ({"ages": (60, 20)}, "no range"),
        ({"ages": (-1, 20)}, "no range"),
        ({"ages": (0, float("nan"))}, "no range"),
    ],
)
def test_what_can_never_fit_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Selection(**arguments)


def test_a_key_to_leave_aside_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="age_years"):
        Selection().mask(bundled_facts(), but="age_years")


def test_selections_that_mean_the_same_are_the_same():
    first = Selection({"sex": {"male"}, "dx": {"nv"}, "site": frozenset()}, images=frozenset())
    second = Selection().only("dx", ["nv"]).toggle("sex", "male")
    assert first == second
    assert hash(first) == hash(second)
    assert first.keys == {"dx", "sex"}
    assert first.without("dx", "mel") == first
    assert first.with_ages(1, 2).without(AGES) == first


def test_an_address_whose_numbers_grow_without_end_is_refused():
    import base64
    import zlib

    lines = ["#I,7", "9" * 4299, *["1"] * 20_000]
    packed = base64.urlsafe_b64encode(zlib.compress("\n".join(lines).encode(), 9)).decode().rstrip("=")
    selection, problems = Selection.parse({"images": f"~{packed}"})
    assert not selection
    assert "damaged or too long" in problems[0]
