"""Tests of what may be known of a patient besides the picture."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.facts import FACTS, MAX_AGE_YEARS, SEXES, SITES, Facts, encode_facts, encode_metadata

any_facts = st.builds(
    Facts,
    age_years=st.none() | st.floats(0, MAX_AGE_YEARS, width=32),
    sex=st.none() | st.sampled_from(SEXES),
    site=st.none() | st.sampled_from(SITES),
)


def test_nothing_known_is_three_unknowns():
    assert np.isnan(encode_facts([Facts()])).tolist() == [[True, True, True]]


def test_facts_become_years_and_indices():
    encoded = encode_facts([Facts(age_years=45, sex="male", site="back")])
    assert encoded.tolist() == [[45.0, SEXES.index("male"), SITES.index("back")]]
    assert encoded.dtype == np.float32


def test_no_rows_keep_their_three_columns():
    assert encode_facts([]).shape == (0, len(FACTS))


@pytest.mark.parametrize("age_years", [0, 85, MAX_AGE_YEARS])
def test_any_possible_age_is_accepted(age_years):
    assert Facts(age_years=age_years).age_years == age_years


@pytest.mark.parametrize("age_years", [-1, 120.5, float("nan"), float("inf")])
def test_an_impossible_age_is_refused_by_name(age_years):
    with pytest.raises(ValueError, match="age_years"):
        Facts(age_years=age_years)


def test_a_sex_that_is_not_in_the_list_is_refused_by_name():
    with pytest.raises(ValueError, match=r"sex is 'unknown'.*female.*None"):
        Facts(sex="unknown")


def test_a_site_that_is_not_in_the_list_is_refused_by_name():
    with pytest.raises(ValueError, match=r"site is 'torso'.*trunk.*None"):
        Facts(site="torso")


def test_facts_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Facts().sex = "male"


@given(st.lists(any_facts, max_size=5))
def test_a_table_and_a_list_of_the_same_facts_are_encoded_alike(facts):
    table = pd.DataFrame([dataclasses.asdict(one) for one in facts], columns=["age_years", "sex", "site"])
    np.testing.assert_array_equal(encode_metadata(table), encode_facts(facts))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=["None", "NaN", "NA"])
def test_a_missing_value_of_any_kind_in_a_table_is_unknown(missing):
    table = pd.DataFrame({"age_years": [50.0, np.nan], "sex": ["male", missing], "site": ["ear", missing]})
    assert np.isnan(encode_metadata(table)).tolist() == [[False] * 3, [True] * 3]
