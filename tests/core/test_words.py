"""What is said of a threshold: test numbers where there are some, and never more than was measured."""

import math

import pytest

from core import words
from core.data.facts import Facts
from core.evaluate.intervals import Interval
from core.predict.calibration import OperatingPoint
from core.predict.heldout import PredictionSets, ScoreRange
from core.predict.sightings import Sighting

POINT = OperatingPoint("sensitivity 0.95", 0.95, 0.064, 0.96, 0.77, n_malignant=198, n_benign=808)
SENSITIVITY = Interval(0.8418, 0.772, 0.903, n=196, n_lesions=118)
SPECIFICITY = Interval(0.7633, 0.727, 0.797, n=807, n_lesions=629)


def said(reader, sensitivity=SENSITIVITY, specificity=SPECIFICITY):
    text = words.operating_point(POINT, sensitivity, specificity, words.READERS[reader])
    return text.replace(words.NBSP, " ")


def test_a_patient_reads_counts_of_test_pictures():
    assert "caught 165 of 196 malignant ones" in said("patient")
    assert "false alarm on 191 of 807 benign ones" in said("patient")


@pytest.mark.parametrize("reader", ["clinician", "ML"])
def test_the_others_read_rates_with_intervals_and_n(reader):
    assert "sensitivity 84.2 % (95 %: 77.2 % to 90.3 %, n = 196)" in said(reader)
    assert "specificity 76.3 % (95 %: 72.7 % to 79.7 %, n = 807)" in said(reader)
    assert "Chosen on validation data for sensitivity 95.0 %" in said(reader)


def test_an_interval_that_is_not_defined_is_left_out():
    unsure = Interval(1.0, math.nan, math.nan, n=2, n_lesions=1)
    assert "sensitivity 100.0 % (n = 2)" in said("ML", sensitivity=unsure)


@pytest.mark.parametrize("reader", list(words.READERS))
def test_without_a_test_the_numbers_are_those_of_the_choice_and_say_so(reader):
    text = said(reader, sensitivity=None)
    assert "Chosen on validation pictures: it caught 96.0 % of 198 malignant ones" in text
    assert "nobody tested it" in text


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0 %"), (1, "100 %"), (1 / 3, "33.3 %"), (2e-4, "< 0.1 %"), (0.9998, "> 99.9 %"), (math.nan, "n/a")],
)
def test_a_counted_share_is_nothing_or_all_only_where_it_is(share, said):
    assert words.proportion(share).replace(words.NBSP, " ") == said


@pytest.mark.parametrize(("seconds", "said"), [(5, "half a minute"), (50, "a minute"), (310, "5 minutes")])
def test_a_time_is_said_in_words(seconds, said):
    assert words.minutes(seconds) == said


def test_a_natural_frequency_carries_interval_and_n():
    text = words.natural_frequency(ScoreRange(0.1, 0.2, 48, 13)).replace(words.NBSP, " ")
    assert "**27 were malignant** (95 %: 17 to 41, n = 48 validation lesions)" in text


def test_few_lesions_are_too_few_and_none_fitted_is_said():
    assert "too few to tell, 19 validation" in words.natural_frequency(ScoreRange(0.7, 0.9, 19, 15))
    assert "not fitted" in words.natural_frequency(None)
    assert "not fitted" in words.prediction_set(None, None, words.READERS["ML"])


@pytest.mark.parametrize("reader", list(words.READERS))
def test_a_prediction_set_names_its_diagnoses_and_its_promise(reader):
    sets = PredictionSets(0.9, (0.1, 0.1, 0.1, 0.0, 0.1, 0.1, 0.1), (20, 20, 20, 3, 20, 20, 20))
    text = words.prediction_set(("nv", "df"), sets, words.READERS[reader]).replace(words.NBSP, " ")
    assert "Melanocytic nevus" in text
    assert "90 %" in text
    assert "Never left out, for want of lesions: Dermatofibroma" in text
    assert "None of the seven fits well" in words.prediction_set((), sets, words.READERS[reader])


def test_a_training_picture_is_called_memory_and_an_unknown_one_not_found():
    found = Sighting("ISIC_0000001", "HAM_1", "file", "train", 2)
    assert "memory, not skill" in words.sighting(found)
    assert "2 more of this lesion" in words.sighting(found)
    assert "Not found" in words.sighting(None)
    assert "not known" in words.sighting(Sighting("ISIC_0000001", "HAM_1", "name", None, 0))


def test_what_was_not_used_follows_the_facts():
    assert "sex, site" in words.not_used(Facts(age_years=5), uses_facts=True)[0]
    assert "no use for them" in words.not_used(Facts(age_years=5), uses_facts=False)[0]
    assert not any("weight" in line for line in words.not_used(Facts(5, "male", "back"), uses_facts=True))
