"""Curves agree with scikit-learn and with tables worked by hand."""

import numpy as np
import pytest
from sklearn import metrics as judge

from core.evaluate import curves
from core.labels import CODES
from tests.core.evaluate.test_metrics import draw_answers

TIED = np.random.default_rng(0).integers(0, 8, 90) / 8
SOME = np.random.default_rng(1).random(90) < TIED


def test_the_roc_curve_agrees_with_scikit_learn():
    x, y, thresholds = judge.roc_curve(SOME, TIED, drop_intermediate=False)
    found = curves.roc(SOME, TIED)
    np.testing.assert_allclose(found.x, x)
    np.testing.assert_allclose(found.y, y)
    np.testing.assert_allclose(found.thresholds, thresholds)


def test_precision_recall_and_its_average_agree_with_scikit_learn():
    precision, recall, _ = judge.precision_recall_curve(SOME, TIED)
    found = curves.precision_recall(SOME, TIED)
    np.testing.assert_allclose(found.x[1:], recall[:-1][::-1])
    np.testing.assert_allclose(found.y[1:], precision[:-1][::-1])
    assert curves.average_precision(SOME, TIED) == pytest.approx(judge.average_precision_score(SOME, TIED))
    assert np.isnan(curves.average_precision(np.zeros(5, bool), np.ones(5)))


def test_a_side_that_is_empty_leaves_its_rate_undefined():
    assert np.isnan(curves.roc(np.ones(4, bool), np.arange(4.0)).x).all()


def test_reliability_bins_hold_equally_many_and_say_what_happened():
    predicted = np.linspace(0.05, 0.95, 100)
    happened = np.arange(100) >= 50
    bins = curves.reliability(predicted, happened, bins=10)
    assert [one.n for one in bins] == [10] * 10
    assert bins[0].predicted == pytest.approx(predicted[:10].mean())
    assert [one.observed for one in bins] == [0] * 5 + [1] * 5
    assert all(one.low <= one.observed <= one.high for one in bins)


def test_equal_predictions_stay_in_one_bin():
    bins = curves.reliability(np.repeat([0.2, 0.8], [30, 5]), np.ones(35, bool), bins=10)
    assert [(one.predicted, one.n) for one in bins] == [(pytest.approx(0.2), 30), (pytest.approx(0.8), 5)]
    assert curves.reliability(np.zeros(0), np.zeros(0, bool)) == []


def test_net_benefit_of_a_table_worked_by_hand():
    positive = np.array([True, True, False, False, False])
    scores = np.array([0.9, 0.3, 0.6, 0.1, 0.1])
    # At 0.5: one caught, one alarm of five: 1/5 - 1/5 * 1. At 0.2: two caught, one alarm: 2/5 - 1/5 * 1/4.
    found = curves.net_benefit(positive, scores, np.array([0.5, 0.2]))
    assert found == pytest.approx([0, 0.35])
    assert curves.benefit_of_all(0.4, np.array([0.2])) == pytest.approx([0.4 - 0.6 / 4])


def test_the_surest_answers_come_first_and_all_of_them_last():
    truth = np.array([0, 1, 2])
    answers = np.eye(7)[[0, 1, 3]] * np.array([[0.9], [0.6], [0.5]])
    found = curves.risk_coverage(truth, answers)
    assert found.x == pytest.approx([1 / 3, 2 / 3, 1])
    assert found.y == pytest.approx([0, 0, 1 / 3])


def test_the_confusion_matrix_agrees_with_scikit_learn():
    truth, probabilities = draw_answers(4)
    expected = judge.confusion_matrix(truth, probabilities.argmax(1), labels=range(7))
    np.testing.assert_array_equal(curves.confusion(truth, probabilities), expected)


@pytest.mark.parametrize("target", [*CODES, "malignant"])
def test_each_curve_is_drawn_by_its_own_score(target):
    _, probabilities = draw_answers(0)
    assert curves.score_of(target, probabilities).shape == (len(probabilities),)
