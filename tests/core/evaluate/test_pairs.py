"""A difference is called real only when it is, and ranks are groups."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from core.evaluate.lineup import line_up
from core.evaluate.metrics import METRICS
from core.evaluate.pairs import difference, holm, mcnemar, one_a_lesion, p_words, ranks
from tests.core.evaluate.making import make_evaluation


def test_mcnemar_agrees_with_the_binomial_test_and_a_table_worked_by_hand():
    # Only a right: 8, only b right: 2, both 5, neither 1.
    a = np.repeat([True, False, True, False], [8, 2, 5, 1])
    b = np.repeat([False, True, True, False], [8, 2, 5, 1])
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b, found.both, found.neither) == (8, 2, 5, 1)
    assert found.exact == pytest.approx(binomtest(2, 10, 0.5).pvalue)
    # (1 + 10 + 45) / 1024 doubled is 0.109375; less 45 / 1024.
    assert found.exact == pytest.approx(112 / 1024)
    assert found.mid == pytest.approx(112 / 1024 - 45 / 1024)


def test_models_that_never_differ_have_p_one():
    assert mcnemar(np.ones(5, bool), np.ones(5, bool)).exact == 1
    assert mcnemar(np.zeros(0, bool), np.zeros(0, bool)).mid == 1


def test_one_picture_stands_for_a_lesion():
    facts = pd.DataFrame({"image_id": ["b", "a", "c", "d"], "lesion_id": ["x", "x", None, None]})
    assert one_a_lesion(facts).tolist() == [False, True, True, True]


def test_holm_corrects_a_table_worked_by_hand_and_leaves_what_is_undefined():
    assert holm([0.01, 0.04, 0.03, float("nan")]) == pytest.approx([0.03, 0.06, 0.06, np.nan], nan_ok=True)
    assert holm([]).shape == (0,)
    assert holm([0.9, 0.8]).max() == 1


def test_a_difference_is_paired():
    # Both swing with the draw, the gap between them does not.
    swing = np.random.default_rng(0).normal(0.7, 0.1, 2000)
    found = difference(0.72, 0.70, swing + 0.02, swing)
    assert (found.low, found.high) == pytest.approx((0.02, 0.02))
    assert found.p == pytest.approx(2 / 2001)


def test_a_p_that_no_resample_reached_is_a_bound_and_small_ones_are_no_long_numbers():
    swing = np.random.default_rng(0).normal(size=2000)
    sure = difference(0.72, 0.70, swing + 0.02, swing)
    assert p_words(sure.p, lowest=sure.lowest) == "≤ 0.001"
    some = difference(0.5, 0.4, np.r_[np.full(1990, 0.1), np.full(10, -0.1)], np.zeros(2000))
    assert some.p == pytest.approx(22 / 2001)
    assert p_words(some.p, lowest=some.lowest) == "= 0.011"
    few = difference(0.72, 0.70, np.full(9, 0.02), np.zeros(9))
    assert p_words(few.p, lowest=few.lowest) == "≤ 0.200"
    told = [p_words(p) for p in (6.9e-06, 0.0421, 0.674, 1.0, float("nan"))]
    assert told == ["< 0.001", "= 0.042", "= 0.67", "= 1.00", "n/a"]


def test_a_model_compared_with_itself_does_not_differ():
    draws = np.random.default_rng(0).normal(size=500)
    found = difference(0.5, 0.5, draws, draws)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_an_undefined_metric_has_no_difference():
    found = difference(float("nan"), 0.5, np.full(9, np.nan), np.ones(9))
    assert np.isnan([found.value, found.low, found.p]).all()


@pytest.mark.parametrize("name", ["accuracy", "brier"])
def test_models_that_cannot_be_told_apart_share_a_rank(name):
    lineup = line_up(
        [
            make_evaluation("weak", skill=0.3),
            make_evaluation("strong", skill=3.0, seed=1),
            make_evaluation("as strong", skill=3.0, seed=2),
        ],
        resamples=400,
    )
    metric = METRICS[name]
    measured = [lineup.measure(model, {name: metric})[name] for model in range(3)]
    found = ranks(metric, [one.interval.value for one in measured], [one.draws for one in measured])
    assert found == [3, 1, 1]


def test_a_model_without_the_number_has_no_rank():
    nothing = np.full(50, np.nan)
    assert ranks(METRICS["accuracy"], [0.5, float("nan")], [np.full(50, 0.5), nothing]) == [1, None]
