"""Prediction sets keep their promise, and natural frequencies count lesions and say when they are too few."""

import numpy as np
import pytest

from core.errors import EvaluationError
from core.labels import CODES
from core.predict.heldout import COVERAGE, FEWEST_LESIONS, covered, fit_held_out


def answers(lesions, *, seed, most=3):
    """Return probabilities, truth and lesion ids; pictures of one lesion are answered alike."""
    rng = np.random.default_rng(seed)
    truth, ids, logits = [], [], []
    for lesion in range(lesions):
        true = rng.integers(len(CODES))
        own = rng.normal(size=len(CODES)) + 1.5 * np.eye(len(CODES))[true]
        for _ in range(rng.integers(1, most + 1)):
            truth.append(true)
            ids.append(f"lesion {lesion}")
            logits.append(own + 0.1 * rng.normal(size=len(CODES)))
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True), np.array(truth), np.array(ids)


def test_new_lesions_of_every_class_are_covered_as_promised():
    shares = []
    for seed in range(12):
        fitted = fit_held_out(*answers(700, seed=seed))
        probabilities, truth, ids = answers(1400, seed=100 + seed, most=1)
        inside = covered(fitted.sets, probabilities, truth)
        assert len(set(ids)) == len(truth)
        shares.append([inside[truth == index].mean() for index in range(len(CODES))])
    # The promise holds on average over splits; one split of 100 lesions a class varies by 0.03.
    np.testing.assert_array_less(COVERAGE - 0.02, np.mean(shares, axis=0))
    np.testing.assert_array_less(np.mean(shares, axis=0), COVERAGE + 0.04)


def test_the_threshold_is_the_one_worked_out_by_hand():
    # Nine lesions: 9 / 10 of the mass is just the promised share, so the worst of them sets the threshold.
    values = np.linspace(0.9, 0.1, 9)
    probabilities = np.zeros((9, 7))
    probabilities[:, 5], probabilities[:, 4] = values, 1 - values
    sets = fit_held_out(probabilities, np.full(9, 5), np.arange(9)).sets
    assert sets.least[5] == pytest.approx(0.1)
    fewer = fit_held_out(probabilities[:8], np.full(8, 5), np.arange(8)).sets
    assert fewer.least[5] == 0
    assert set(fewer.always()) == set(CODES)


def test_a_lesion_counts_once_however_many_pictures_it_has():
    probabilities, truth, ids = answers(200, seed=1, most=1)
    once = fit_held_out(probabilities, truth, ids)
    again = fit_held_out(*(np.repeat(array, 4, axis=0) for array in (probabilities, truth, ids)))
    assert once.sets.least == pytest.approx(again.sets.least)
    assert once == again


def test_scores_fall_into_ranges_that_count_every_lesion():
    probabilities, truth, ids = answers(300, seed=2)
    fitted = fit_held_out(probabilities, truth, ids)
    assert sum(one.n_lesions for one in fitted.scores) == 300
    assert fitted.near(0.0) == fitted.scores[0]
    assert fitted.near(1.0) == fitted.scores[-1]
    assert fitted.near(0.2).low == 0.2
    for one in fitted.scores:
        low, high = one.interval
        assert one.n_lesions == 0 or low <= one.n_malignant / one.n_lesions <= high
        assert one.enough == (one.n_lesions >= FEWEST_LESIONS)


def test_without_pictures_there_is_nothing_to_fit():
    with pytest.raises(EvaluationError, match="give the split some"):
        fit_held_out(np.zeros((0, 7)), np.zeros(0, int), [])
    with pytest.raises(ValueError, match="2 lesion ids"):
        fit_held_out(np.full((1, 7), 1 / 7), np.zeros(1, int), ["a", "b"])
