"""What is said of a threshold: test numbers where there are some, and never more than was measured."""

import math

import pytest

from core import words
from core.evaluate.intervals import Interval
from core.predict.calibration import OperatingPoint

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
