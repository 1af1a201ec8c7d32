"""The numbers of each diagnosis are those of hand-worked tables and of scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as judge

from core.evaluate.artifact import probabilities_of, truth_of
from core.evaluate.categories import CATEGORY_METRICS, category_table
from core.labels import CODES, INDEX
from tests.core.evaluate.making import make_table

POSITIVE = np.array([True, True, True, True, True, False, False, False, False, False])
SCORES = np.array([0.9, 0.8, 0.7, 0.5, 0.2, 0.6, 0.4, 0.3, 0.2, 0.1])
ONES = np.ones(10)
# Above 0.5: 0.9 0.8 0.7 are right and 0.6 is wrong; the positive at 0.5 itself is not called.
BY_HAND = {
    "isic_sensitivity": 3 / 5,
    "isic_specificity": 4 / 5,
    "isic_accuracy": 7 / 10,
    "isic_ppv": 3 / 4,
    "isic_npv": 4 / 6,
    "isic_f1": 6 / 9,
    # Of 25 pairs 20 are in order and one, at 0.2, is tied.
    "isic_auc": (5 + 5 + 5 + 4 + 1.5) / 25,
    # From (0.2, 0.8) to (0.6, 0.8), on to (0.8, 1) by the tie at 0.2, and to (1, 1).
    "isic_auc_80": 0.4 * 0.8 + 0.2 * 0.9 + 0.2,
    "isic_ap": (1 + 1 + 1 + 4 / 5 + 5 / 9) / 5,
}

OF_SCIKIT_LEARN = {
    "isic_sensitivity": lambda y, p: judge.recall_score(y, p > 0.5),
    "isic_specificity": lambda y, p: judge.recall_score(~y, p <= 0.5),
    "isic_accuracy": lambda y, p: judge.accuracy_score(y, p > 0.5),
    "isic_ppv": lambda y, p: judge.precision_score(y, p > 0.5, zero_division=np.nan),
    "isic_npv": lambda y, p: judge.precision_score(~y, p <= 0.5, zero_division=np.nan),
    "isic_f1": lambda y, p: judge.f1_score(y, p > 0.5, zero_division=np.nan),
    "isic_auc": judge.roc_auc_score,
    "isic_auc_80": lambda y, p: area_above(*judge.roc_curve(y, p, drop_intermediate=False)[:2]),
    "isic_ap": judge.average_precision_score,
}


def area_above(alarms: np.ndarray, caught: np.ndarray) -> float:
    """Return the area where the joined curve is at 0.8 or above, on a fine grid of its own points."""
    place = int(np.argmax(caught >= 0.8))
    start = np.interp(0.8, caught[place - 1 : place + 1], alarms[place - 1 : place + 1])
    return judge.auc([start, *alarms[place:]], [0.8, *caught[place:]])


@pytest.mark.parametrize("name", CATEGORY_METRICS)
def test_a_table_worked_by_hand(name):
    assert CATEGORY_METRICS[name].measure(POSITIVE, SCORES, ONES) == pytest.approx(BY_HAND[name])


@pytest.mark.parametrize("name", CATEGORY_METRICS)
@pytest.mark.parametrize("code", ["mel", "df"])
def test_every_number_agrees_with_scikit_learn(name, code):
    for seed in range(4):
        table = make_table(210, skill=2.0, seed=seed)
        positive, scores = truth_of(table) == INDEX[code], probabilities_of(table)[:, INDEX[code]]
        scores = np.round(scores, 2)  # many ties
        found = CATEGORY_METRICS[name].measure(positive, scores, np.ones(len(scores)))
        assert found == pytest.approx(OF_SCIKIT_LEARN[name](positive, scores), abs=1e-12)


@pytest.mark.parametrize("name", CATEGORY_METRICS)
@settings(max_examples=25)
@given(seed=st.integers(0, 1000))
def test_a_weight_is_a_repetition_and_many_weightings_are_measured_at_once(name, seed):
    generator = np.random.default_rng(seed)
    positive = generator.random(24) < 0.4
    scores = np.round(generator.random(24), 1)
    counts = generator.integers(0, 4, size=(3, 24))
    measure = CATEGORY_METRICS[name].measure
    together = measure(positive, scores, counts.astype(float))
    for row, found in zip(counts, together, strict=True):
        again, many = np.repeat(positive, row), np.repeat(scores, row)
        expected = float(measure(again, many, np.ones(len(again))))
        assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert measure(positive, scores, row.astype(float)) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", CATEGORY_METRICS)
def test_a_perfect_diagnosis_has_one_and_no_picture_has_none(name):
    measure = CATEGORY_METRICS[name].measure
    assert measure(POSITIVE, POSITIVE.astype(float), ONES) == pytest.approx(1.0)
    assert math.isnan(measure(np.zeros(0, bool), np.zeros(0), np.zeros(0)))


def test_what_is_not_defined_is_no_number():
    nobody = np.zeros(10, bool)
    undefined = {"isic_sensitivity", "isic_auc", "isic_auc_80", "isic_ap"}
    found = {name: one.measure(nobody, SCORES, ONES) for name, one in CATEGORY_METRICS.items()}
    assert {name for name, value in found.items() if np.isnan(value)} == undefined
    never = CATEGORY_METRICS["isic_ppv"].measure(POSITIVE, np.zeros(10), ONES)
    assert math.isnan(never)


def test_a_share_counts_the_pictures_that_it_is_a_share_of():
    truth = truth_of(make_table(210))
    counted = {name: int(one.of("df").counts(truth).sum()) for name, one in CATEGORY_METRICS.items()}
    assert counted["isic_sensitivity"] == 30
    assert counted["isic_specificity"] == 180
    assert set(counted.values()) == {30, 180, 210}


def test_the_table_has_every_diagnosis_and_their_mean():
    table = make_table(skill=2.0)
    truth, answers = truth_of(table), probabilities_of(table)
    found = category_table(truth, answers)
    assert list(found) == [*CODES, "mean"]
    assert found["mean"]["isic_auc"] == pytest.approx(judge.roc_auc_score(truth, answers, multi_class="ovr"))
    assert found["mel"]["isic_sensitivity"] == CATEGORY_METRICS["isic_sensitivity"].of("mel")(truth, answers)
