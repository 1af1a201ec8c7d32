"""Temperatures, operating points and the balanced prior do what their definitions say."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from core.errors import EvaluationError
from core.labels import CODES, INDEX, MALIGNANT
from core.predict.calibration import (
    LARGEST_TEMPERATURE,
    PRIOR_POWERS,
    SMALLEST_TEMPERATURE,
    balanced_prior,
    choose_prior_power,
    fit_operating_points,
    fit_temperature,
    malignancy,
    softmax,
)

NEVUS_FREQUENCIES = np.array([0.03, 0.05, 0.11, 0.01, 0.11, 0.67, 0.02])


def draw_logits(seed: int, n: int = 300, *, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and truth drawn from them, so that `temperature` is what calibrates them."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=2, size=(n, 7))
    probabilities = softmax(logits)
    truth = np.array([generator.choice(7, p=row) for row in probabilities])
    return logits * temperature, truth


def with_malignancy(scores: list[float]) -> np.ndarray:
    """Return probabilities whose melanoma and nevus columns give these malignancy probabilities."""
    probabilities = np.zeros((len(scores), 7))
    probabilities[:, INDEX["mel"]] = scores
    probabilities[:, INDEX["nv"]] = 1 - np.array(scores)
    return probabilities


def loss(logits: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    return float(-np.log(softmax(logits, temperature)[np.arange(len(truth)), truth]).mean())


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_fitted_temperature_is_the_one_that_made_the_logits(temperature):
    logits, truth = draw_logits(0, 5000, temperature=temperature)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.06)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_temperature_has_a_smaller_loss(seed):
    logits, truth = draw_logits(seed, temperature=1.7)
    fitted = fit_temperature(logits, truth)
    searched = minimize_scalar(
        lambda t: loss(logits, truth, math.exp(t)), bounds=(-3, 3), method="bounded", options={"xatol": 1e-9}
    )
    assert loss(logits, truth, fitted) <= searched.fun + 1e-12
    assert fitted == pytest.approx(math.exp(searched.x), rel=1e-3)


def test_a_model_that_is_always_right_gets_the_smallest_temperature_and_one_of_noise_the_largest():
    truth = np.arange(70) % 7
    assert fit_temperature(np.eye(7)[truth], truth) == pytest.approx(SMALLEST_TEMPERATURE)
    assert fit_temperature(-np.eye(7)[truth], truth) == pytest.approx(LARGEST_TEMPERATURE)


def test_a_temperature_never_changes_the_answer():
    logits, _ = draw_logits(0)
    assert (softmax(logits, 3.3).argmax(axis=1) == logits.argmax(axis=1)).all()


def test_a_temperature_is_fitted_on_finite_logits_of_some_pictures():
    with pytest.raises(EvaluationError, match="No validation picture"):
        fit_temperature(np.zeros((0, 7)), np.zeros(0, dtype=int))
    with pytest.raises(EvaluationError, match="NaN or infinity"):
        fit_temperature(np.full((1, 7), np.nan), np.zeros(1, dtype=int))
    with pytest.raises(ValueError, match="shape"):
        fit_temperature(np.zeros((2, 6)), np.zeros(2, dtype=int))


@given(st.lists(st.floats(-1e4, 1e4), min_size=7, max_size=7), st.floats(0.05, 20))
def test_probabilities_sum_to_one_however_large_the_logits(logits, temperature):
    probabilities = softmax(np.array(logits), temperature)
    assert probabilities.sum() == pytest.approx(1)
    assert (probabilities >= 0).all()


def test_malignancy_is_the_sum_of_melanoma_basal_cell_carcinoma_and_keratosis():
    probabilities = np.arange(14, dtype=float).reshape(2, 7)
    chosen = [CODES.index(code) for code in ("akiec", "bcc", "mel")]
    np.testing.assert_array_equal(malignancy(probabilities), probabilities[:, chosen].sum(axis=1))
    assert malignancy(probabilities[0]) == probabilities[0, chosen].sum()


@given(
    scores=st.lists(st.integers(0, 12), min_size=2, max_size=60),
    target=st.sampled_from([0.05, 0.5, 0.9, 0.95, 1.0]),
    seed=st.integers(0, 1000),
)
def test_the_operating_point_is_the_highest_threshold_that_reaches_its_target(scores, target, seed):
    truth = np.random.default_rng(seed).choice([INDEX["mel"], INDEX["nv"]], size=len(scores))
    malignant = MALIGNANT[truth]
    assume(malignant.any())
    probabilities = with_malignancy([score / 12 for score in scores])
    suspicion = malignancy(probabilities)
    (point,) = fit_operating_points(probabilities, truth, [target])
    reaching = [t for t in np.unique(suspicion) if np.mean(suspicion[malignant] >= t) >= target - 1e-9]
    assert point.threshold == max(reaching)
    assert point.sensitivity == np.mean(suspicion[malignant] >= point.threshold)
    if not malignant.all():
        assert point.specificity == np.mean(suspicion[~malignant] < point.threshold)
    assert (point.n_malignant, point.n_benign) == (malignant.sum(), (~malignant).sum())


def test_nineteen_of_twenty_reach_a_sensitivity_of_95_percent():
    truth = np.full(20, INDEX["mel"])
    (point,) = fit_operating_points(with_malignancy([(i + 1) / 40 for i in range(20)]), truth, [0.95])
    assert point.sensitivity == 0.95
    assert point.threshold == pytest.approx(2 / 40)


def test_pictures_that_tie_with_the_threshold_are_suspicious():
    truth = np.array([INDEX["mel"], INDEX["mel"], INDEX["nv"], INDEX["nv"]])
    (point,) = fit_operating_points(with_malignancy([0.5, 0.5, 0.5, 0.1]), truth, [0.5])
    assert (point.sensitivity, point.specificity) == (1.0, 0.5)


def test_half_precision_probabilities_find_their_own_threshold_again():
    generator = np.random.default_rng(0)
    probabilities = softmax(generator.normal(size=(200, 7))).astype(np.float32)
    truth = generator.integers(7, size=200)
    (point,) = fit_operating_points(probabilities, truth, [0.9])
    again = malignancy(probabilities.astype(np.float64))[MALIGNANT[truth]] >= point.threshold
    assert again.mean() == point.sensitivity


def test_operating_points_are_named_by_their_target():
    truth = np.array([INDEX["bcc"], INDEX["nv"]])
    points = fit_operating_points(with_malignancy([0.9, 0.1]), truth)
    assert [point.name for point in points] == ["sensitivity 0.90", "sensitivity 0.95"]


def test_no_threshold_is_made_up_without_malignant_pictures():
    with pytest.raises(EvaluationError, match="No malignant validation picture"):
        fit_operating_points(with_malignancy([0.2]), np.array([INDEX["nv"]]))


def test_specificity_without_benign_pictures_is_undefined():
    (point,) = fit_operating_points(with_malignancy([0.2]), np.array([INDEX["mel"]]), [0.9])
    assert math.isnan(point.specificity)


@pytest.mark.parametrize("target", [0.0, -0.5, 1.01])
def test_a_target_outside_its_range_is_refused(target):
    with pytest.raises(ValueError, match="target sensitivity"):
        fit_operating_points(with_malignancy([0.2]), np.array([INDEX["mel"]]), [target])


def test_a_prior_power_of_zero_changes_nothing_and_of_one_divides_by_the_frequencies():
    probabilities = softmax(np.random.default_rng(0).normal(size=(5, 7)))
    np.testing.assert_allclose(balanced_prior(probabilities, NEVUS_FREQUENCIES, 0.0), probabilities)
    np.testing.assert_allclose(balanced_prior(NEVUS_FREQUENCIES, NEVUS_FREQUENCIES, 1.0), np.full(7, 1 / 7))


@given(power=st.floats(0, 1), scale=st.sampled_from([1.0, 1e-3, 10_015.0]))
def test_a_balanced_prior_sums_to_one_and_counts_do_as_well_as_shares(power, scale):
    probabilities = softmax(np.random.default_rng(1).normal(size=(4, 7)))
    balanced = balanced_prior(probabilities, NEVUS_FREQUENCIES * scale, power)
    np.testing.assert_allclose(balanced.sum(axis=1), 1)
    np.testing.assert_allclose(balanced, balanced_prior(probabilities, NEVUS_FREQUENCIES, power))


def test_a_class_never_trained_on_cannot_be_balanced():
    with pytest.raises(ValueError, match="above zero"):
        balanced_prior(np.full(7, 1 / 7), np.array([1, 1, 1, 0, 1, 1, 1]), 0.5)


def test_the_chosen_power_is_the_one_that_puts_a_known_prior_right():
    """Answers right for equal frequencies, moved to a power of the training's, want that power back."""
    generator = np.random.default_rng(5)
    logits = generator.normal(size=(7000, 7))
    truth = np.array([generator.choice(7, p=row) for row in softmax(logits)])
    for power in (0.0, 0.3, 1.0):
        skewed = softmax(logits + power * np.log(NEVUS_FREQUENCIES))
        assert choose_prior_power(skewed, truth, NEVUS_FREQUENCIES) == pytest.approx(power, abs=0.11)


def test_one_picture_does_not_move_the_chosen_power_far():
    """Balanced accuracy would follow the one picture of the rarest diagnosis."""
    generator = np.random.default_rng(6)
    logits = generator.normal(size=(700, 7))
    truth = np.array([generator.choice(7, p=row) for row in softmax(logits)])
    skewed = softmax(logits + np.log(NEVUS_FREQUENCIES))
    chosen = [
        choose_prior_power(np.delete(skewed, left, 0), np.delete(truth, left), NEVUS_FREQUENCIES)
        for left in range(0, 700, 7)
    ]
    assert max(chosen) - min(chosen) < 0.15


def test_of_equally_good_powers_the_smallest_is_chosen():
    truth = np.arange(7)
    assert choose_prior_power(np.eye(7), truth, NEVUS_FREQUENCIES, grid=[0.8, 0.2, 0.5]) == 0.2


def test_a_probability_of_zero_for_the_truth_still_gives_a_power():
    assert choose_prior_power(np.eye(7)[[1, 0]], np.array([0, 1]), NEVUS_FREQUENCIES) in PRIOR_POWERS


def test_a_small_split_that_lacks_classes_still_chooses_a_power():
    truth = np.array([INDEX["mel"], INDEX["nv"]])
    probabilities = np.full((2, 7), 1e-4)
    probabilities[:, INDEX["nv"]], probabilities[:, INDEX["mel"]] = [0.7, 0.95], [0.3, 0.05]
    assert choose_prior_power(probabilities, truth, NEVUS_FREQUENCIES, grid=[0.0, 0.5]) == 0.5
