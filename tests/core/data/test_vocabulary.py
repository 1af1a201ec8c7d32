"""The words of each dataset and what they become."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data import vocabulary
from core.data.facts import SEXES, SITES
from core.data.metadata import DX_TYPES
from core.labels import CODES, DIAGNOSES

DX_TABLES = {
    "isic_archive": vocabulary.DX_OF_ISIC_ARCHIVE,
    "pad_ufes": vocabulary.DX_OF_PAD_UFES,
    "folder": vocabulary.DX_OF_FOLDER,
}
WORD_TABLES = {
    **{f"site {name}": (words, SITES) for name, words in vocabulary.SITE_OF.items()},
    "sex": (vocabulary.SEX_OF, SEXES),
    "dx_type": (vocabulary.DX_TYPE_OF, DX_TYPES),
}


@pytest.mark.parametrize("name", WORD_TABLES)
def test_a_table_leads_into_our_values_or_to_unknown(name):
    words, values = WORD_TABLES[name]
    assert set(words.values()) <= {*values, None}
    assert all(word == vocabulary.normal(word) for word in words)
    assert not set(words) & vocabulary.UNKNOWN_WORDS


@pytest.mark.parametrize("name", DX_TABLES)
def test_a_table_of_diagnoses_leads_to_codes(name):
    assert set(DX_TABLES[name].values()) <= set(CODES)


def test_every_folder_key_is_in_the_form_it_is_looked_up_in():
    assert all(word == vocabulary.folder_word(word) for word in vocabulary.DX_OF_FOLDER)


@pytest.mark.parametrize("diagnosis", DIAGNOSES, ids=CODES)
def test_a_folder_may_bear_code_name_or_isic_column_in_any_case(diagnosis):
    for name in (diagnosis.code, diagnosis.name.replace(" / ", "_"), diagnosis.isic_column):
        for written in (name, name.upper(), name.title(), name.replace(" ", "-")):
            assert vocabulary.DX_OF_FOLDER[vocabulary.folder_word(written)] == diagnosis.code


@pytest.mark.parametrize("name", vocabulary.SITE_OF)
@given(text=st.text())
def test_the_site_of_any_text_is_a_site_or_unknown(name, text):
    assert vocabulary.site_of(text, name) in {*SITES, None}


@given(text=st.text())
def test_the_sex_of_any_text_is_a_sex_or_unknown(text):
    assert vocabulary.sex_of(text) in {*SEXES, None}


@pytest.mark.parametrize("site", SITES)
def test_ham10000_sites_stay_what_they_are(site):
    assert vocabulary.site_of(f"  {site.upper()} ", "ham10000") == site


@pytest.mark.parametrize(
    ("word", "name", "site"),
    [
        ("anterior torso", "isic", "trunk"),
        ("posterior torso", "isic", "back"),
        ("lateral torso", "isic", "trunk"),
        ("palms/soles", "isic", "acral"),
        ("head/neck", "isic", None),
        ("oral/genital", "isic", None),
        ("NOSE", "pad_ufes", "face"),
        ("FOREARM", "pad_ufes", "upper extremity"),
        ("THIGH", "pad_ufes", "lower extremity"),
        ("elbow", "pad_ufes", None),
    ],
)
def test_a_word_of_another_dataset_becomes_the_nearest_true_one(word, name, site):
    assert vocabulary.site_of(word, name) == site


def test_an_ambiguous_word_is_known_and_a_strange_one_is_not():
    assert vocabulary.translate("head/neck", vocabulary.ISIC_SITE) == (None, True)
    assert vocabulary.translate("", vocabulary.ISIC_SITE) == (None, True)
    assert vocabulary.translate("tail", vocabulary.ISIC_SITE) == (None, False)


@given(age=st.floats(0, 120))
def test_an_age_in_range_is_read_as_it_is(age):
    assert vocabulary.read_age(f" {age} ") == age


@pytest.mark.parametrize("text", ["", "  ", "unknown", "NaN", "None", "N/A"])
def test_a_blank_age_is_nan(text):
    assert math.isnan(vocabulary.read_age(text))


def test_a_recorded_zero_stays_zero():
    assert vocabulary.read_age("0.0") == 0


@pytest.mark.parametrize("text", ["abc", "-3", "999", "inf", "120.5", "45,5", "-nan"])
def test_another_age_is_refused(text):
    with pytest.raises(ValueError, match=r"age|float"):
        vocabulary.read_age(text)


@given(text=st.text())
def test_any_text_is_an_age_nan_or_refused(text):
    try:
        age = vocabulary.read_age(text)
    except ValueError:
        return
    assert math.isnan(age) or 0 <= age <= 120
