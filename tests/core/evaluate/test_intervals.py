"""The intervals resample lesions, carry their n, and are as wide as they should be."""

import math
import time

import numpy as np
import pandas as pd
import pytest

from core.evaluate.intervals import (
    interval_over_lesions,
    lesion_bootstrap,
    weighted_mean,
    weighted_median,
    wilson,
)
from core.evaluate.metrics import METRICS, at_threshold
from core.labels import INDEX
from tests.core.evaluate.test_metrics import draw_answers, one_hot

ACCURACY = {"accuracy": METRICS["accuracy"]}


def draw_half_right(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and the answers of a model that is right on a random half."""
    generator = np.random.default_rng(seed)
    truth = np.full(n, INDEX["nv"])
    return truth, one_hot(np.where(generator.random(n) < 0.5, INDEX["nv"], INDEX["mel"]))


def test_the_interval_of_a_share_is_as_wide_as_the_binomial_one():
    truth, answers = draw_half_right(400)
    interval = lesion_bootstrap(truth, answers, np.arange(400), ACCURACY, resamples=4000)["accuracy"]
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 400), rel=0.08)
    assert interval.low < interval.value < interval.high


def test_photos_of_one_lesion_do_not_make_an_interval_narrower():
    truth, answers = draw_half_right(100)
    once = lesion_bootstrap(truth, answers, np.arange(100), ACCURACY)["accuracy"]
    copies = np.repeat(np.arange(100), 9)
    ninefold = lesion_bootstrap(truth[copies], answers[copies], copies, ACCURACY)["accuracy"]
    assert (ninefold.low, ninefold.high) == pytest.approx((once.low, once.high))
    assert (once.n, once.n_lesions) == (100, 100)
    assert (ninefold.n, ninefold.n_lesions) == (900, 100)


def test_a_recall_carries_the_pictures_and_lesions_of_its_class():
    truth = np.array([INDEX["mel"]] * 3 + [INDEX["nv"]] * 4)
    lesions = np.array(["a", "a", "b", "c", "d", "d", "d"])
    intervals = lesion_bootstrap(truth, one_hot(truth), lesions, resamples=20)
    assert (intervals["recall_mel"].n, intervals["recall_mel"].n_lesions) == (3, 2)
    assert (intervals["recall_nv"].n, intervals["recall_nv"].n_lesions) == (4, 2)
    assert (intervals["accuracy"].n, intervals["accuracy"].n_lesions) == (7, 4)


@pytest.mark.parametrize("kind", [object, "string", "category"])
def test_a_picture_of_an_unknown_lesion_is_a_lesion_of_its_own(kind):
    truth, answers = draw_half_right(5)
    lesions = pd.Series(["a", None, "a", None, None], dtype=kind)
    interval = lesion_bootstrap(truth, answers, lesions, ACCURACY, resamples=10)["accuracy"]
    assert interval.n_lesions == 4


@pytest.mark.parametrize("name", METRICS)
def test_the_value_is_the_metric_itself_and_lies_within_its_interval(name):
    truth, probabilities = draw_answers(1, 350)
    interval = lesion_bootstrap(truth, probabilities, np.arange(350) // 2, resamples=200)[name]
    assert interval.value == METRICS[name](truth, probabilities)
    assert interval.low <= interval.value <= interval.high


def test_the_interval_of_the_calibration_error_is_not_shifted_by_the_resampling():
    # Resampling adds noise to every bin, so the plain percentiles would lie above the value.
    truth, probabilities = draw_answers(1, 350)
    interval = lesion_bootstrap(truth, probabilities, np.arange(350) // 2, resamples=400)["ece"]
    assert 0 <= interval.low < interval.value < interval.high < 2.5 * interval.value


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others():
    truth, probabilities = draw_answers(0)
    lesions = np.arange(len(truth)) // 2
    first, again, other = (
        lesion_bootstrap(truth, probabilities, lesions, resamples=50, seed=seed) for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_an_undefined_metric_has_an_undefined_interval_and_keeps_its_n():
    truth = np.full(6, INDEX["nv"])
    intervals = lesion_bootstrap(truth, one_hot(truth), np.arange(6), resamples=20)
    auc, recall = intervals["melanoma_auc"], intervals["recall_mel"]
    assert all(math.isnan(number) for number in (auc.value, auc.low, auc.high))
    assert auc.n == 6
    assert recall.n == recall.n_lesions == 0
    assert intervals["recall_nv"].low == 1.0


def test_a_metric_defined_in_few_resamples_has_no_interval():
    # Seven lesions of seven classes: hardly any resample holds them all.
    truth = np.arange(7)
    balanced = lesion_bootstrap(truth, one_hot(truth), truth, resamples=100)["balanced_accuracy"]
    assert balanced.value == 1.0
    assert math.isnan(balanced.low)
    assert math.isnan(balanced.high)


def test_no_pictures_give_undefined_intervals():
    intervals = lesion_bootstrap(np.zeros(0, dtype=int), np.zeros((0, 7)), np.array([]), resamples=5)
    assert all(math.isnan(interval.low) and interval.n == 0 for interval in intervals.values())


def test_lesion_ids_of_another_length_are_refused():
    truth, probabilities = draw_answers(0)
    with pytest.raises(ValueError, match="3 lesion ids for 210 pictures"):
        lesion_bootstrap(truth, probabilities, np.arange(3))


def test_no_resamples_are_refused():
    truth, probabilities = draw_answers(0)
    with pytest.raises(ValueError, match="resamples is 0"):
        lesion_bootstrap(truth, probabilities, truth, resamples=0)


def test_a_thousand_resamples_of_a_thousand_pictures_are_no_matter_of_minutes():
    truth, probabilities = draw_answers(0, 1000)
    started = time.process_time()
    lesion_bootstrap(truth, probabilities, np.arange(1000) // 2, {**METRICS, **at_threshold(0.2)})
    # About 1.2 s; the bound leaves room for a slow machine and still catches a loop over pictures.
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("right", "count", "low", "high"), [(8, 10, 0.490, 0.943), (0, 20, 0.0, 0.161), (20, 20, 0.839, 1.0)]
)
def test_wilsons_interval_is_the_published_one(right, count, low, high):
    assert wilson(right, count) == pytest.approx((low, high), abs=0.001)
    assert np.isnan(wilson(0, 0)).all()


def test_means_and_medians_of_pictures_are_weighted_by_how_often_they_were_drawn():
    values = np.array([1.0, 5.0, 2.0, 10.0])
    weights = np.array([[1.0, 1, 1, 1], [0, 3, 1, 0], [0, 0, 0, 2]])
    np.testing.assert_allclose(weighted_mean(values, weights), [4.5, 4.25, 10])
    np.testing.assert_allclose(weighted_median(values, weights), [2, 5, 10])


def test_an_interval_of_values_is_over_lesions_and_leaves_out_what_is_undefined():
    rng = np.random.default_rng(0)
    of_lesion = rng.normal(size=60)
    values = np.append(np.repeat(of_lesion, 3), np.nan)
    lesions = pd.Series([*np.repeat(np.arange(60), 3), 999])
    found = interval_over_lesions(values, lesions, weighted_mean, resamples=800)
    assert (found.n, found.n_lesions) == (180, 60)
    assert found.value == pytest.approx(of_lesion.mean())
    spread = 1.96 * of_lesion.std() / np.sqrt(60)
    assert found.high - found.low == pytest.approx(2 * spread, rel=0.15)
    nothing = interval_over_lesions(np.array([np.nan]), pd.Series([1]), weighted_mean)
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()
    assert nothing.n == nothing.n_lesions == 0


def test_one_lesion_alone_has_no_interval():
    found = interval_over_lesions(np.array([0.2, 0.4]), pd.Series(["a", "a"]), weighted_mean)
    assert found.value == pytest.approx(0.3)
    assert np.isnan([found.low, found.high]).all()
    assert (found.n, found.n_lesions) == (2, 1)
