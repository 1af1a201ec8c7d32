"""From logits to probabilities that mean what they say, and to the thresholds that decisions use.

Everything here is fitted on validation data, never on test data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.errors import EvaluationError
from core.labels import CODES, MALIGNANT

SMALLEST_TEMPERATURE: Final = 0.05
LARGEST_TEMPERATURE: Final = 20.0
TARGET_SENSITIVITIES: Final = (0.90, 0.95)
PRIOR_POWERS: Final = tuple(step / 10 for step in range(11))
# Halving ln(20 / 0.05) = 6 this often leaves 6e-9, finer than any use of a temperature.
_HALVINGS: Final = 30
# 0.95 * 20 must need 19 malignant pictures, whatever the last bit of the product says.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on the malignancy probability, as measured on validation data.

    A picture is called suspicious when its malignancy probability is at or above the threshold.

    aim: what it was chosen for, as part of a sentence; empty where that is the target sensitivity.
    """

    name: str
    target_sensitivity: float
    threshold: float
    sensitivity: float
    specificity: float
    n_malignant: int
    n_benign: int
    aim: str = ""

    def metric(self, name: str) -> str:
        """Return how "sensitivity" or "specificity" at this threshold is called among the test metrics."""
        return f"{name} (val target {self.target_sensitivity:.2f})"


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities, float64, for logits of shape (..., 7) divided by a temperature."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    probabilities: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature that minimises the mean negative log likelihood, between 0.05 and 20.

    The loss is convex in 1 / temperature, so its slope changes sign once and halving the range finds where.
    A model that is right on every picture wants a temperature of zero and gets the smallest.

    Args:
        logits: shape (N, 7), finite.
        truth: class indices, shape (N,).

    Raises:
        EvaluationError: no pictures, or logits that are not finite.
        ValueError: arrays of the wrong shape.
    """
    logits, truth = np.asarray(logits, dtype=np.float64), np.asarray(truth)
    if logits.shape != (len(truth), len(CODES)):
        raise ValueError(f"logits have shape {logits.shape}; expected ({len(truth)}, {len(CODES)}).")
    if len(truth) == 0:
        raise EvaluationError("No validation picture to fit a temperature on; give the split some.")
    if not np.isfinite(logits).all():
        raise EvaluationError("The validation logits hold NaN or infinity; the training has diverged.")
    of_truth = logits[np.arange(len(truth)), truth]
    cold, hot = math.log(SMALLEST_TEMPERATURE), math.log(LARGEST_TEMPERATURE)
    for _ in range(_HALVINGS):
        middle = (cold + hot) / 2
        expected = (softmax(logits, math.exp(middle)) * logits).sum(axis=1)
        overconfident = float(np.mean(expected - of_truth)) > 0
        cold, hot = (middle, hot) if overconfident else (cold, middle)
    return math.exp((cold + hot) / 2)


def malignancy(probabilities: np.ndarray) -> np.ndarray:
    """Return the probability that the lesion is malignant (akiec + bcc + mel), shape (...,) for (..., 7)."""
    # Always summed in float64: a threshold must find the picture that set it again, bit for bit.
    total: np.ndarray = np.asarray(probabilities, dtype=np.float64)[..., MALIGNANT].sum(axis=-1)
    return total


def fit_operating_points(
    probabilities: np.ndarray, truth: np.ndarray, targets: Sequence[float] = TARGET_SENSITIVITIES
) -> tuple[OperatingPoint, ...]:
    """Return, for each target, the highest threshold whose sensitivity reaches it.

    The threshold is the malignancy probability of the malignant picture that completes the target, and
    "at or above" is suspicious; pictures that tie with it are suspicious too, so the measured sensitivity
    can lie above the target and the specificity counts tied benign pictures as false alarms.

    Args:
        probabilities: calibrated, rows that sum to 1, shape (N, 7).
        truth: class indices, shape (N,).
        targets: sensitivities in (0, 1].

    Raises:
        EvaluationError: no malignant picture to set a threshold by.
        ValueError: a target outside (0, 1].
    """
    scores, malignant = malignancy(probabilities), MALIGNANT[np.asarray(truth)]
    if not malignant.any():
        raise EvaluationError(
            "No malignant validation picture to set an operating point by; give the split some."
        )
    return tuple(_operating_point(scores[malignant], scores[~malignant], target) for target in targets)


def _operating_point(malignant: np.ndarray, benign: np.ndarray, target: float) -> OperatingPoint:
    if not 0 < target <= 1:
        raise ValueError(f"The target sensitivity is {target}; expected above 0 and at most 1.")
    needed = math.ceil(target * len(malignant) - _ROUNDING)
    threshold = float(np.sort(malignant)[-needed])
    return OperatingPoint(
        name=f"sensitivity {target:.2f}",
        target_sensitivity=target,
        threshold=threshold,
        sensitivity=float(np.mean(malignant >= threshold)),
        specificity=float(np.mean(benign < threshold)) if len(benign) else float("nan"),
        n_malignant=len(malignant),
        n_benign=len(benign),
    )


def balanced_prior(probabilities: np.ndarray, class_frequencies: np.ndarray, power: float) -> np.ndarray:
    """Return p_c / f_c ** power, rows summing to 1 again, shape (..., 7).

    Dividing by the training frequencies takes the training set's prior back out: power 1 answers as if all
    diagnoses were equally common, power 0 changes nothing.

    Args:
        probabilities: rows that sum to 1, shape (..., 7).
        class_frequencies: how common each class was in training, above zero, any scale, shape (7,).
        power: 0 to 1.

    Raises:
        ValueError: a frequency that is not above zero.
    """
    frequencies = np.asarray(class_frequencies, dtype=np.float64)
    if frequencies.shape != (len(CODES),) or not (frequencies > 0).all():
        raise ValueError(f"class_frequencies are {class_frequencies}; expected {len(CODES)} above zero.")
    # The scale cancels in the sum; relative frequencies keep the quotients near 1.
    weighted = np.asarray(probabilities, dtype=np.float64) / (frequencies / frequencies.sum()) ** power
    balanced: np.ndarray = weighted / weighted.sum(axis=-1, keepdims=True)
    return balanced


def choose_prior_power(
    probabilities: np.ndarray,
    truth: np.ndarray,
    class_frequencies: np.ndarray,
    grid: Sequence[float] = PRIOR_POWERS,
) -> float:
    """Return the power of `balanced_prior` with the smallest class-balanced log loss; of ties the smallest.

    That loss is the mean over diagnoses of the mean -log of the truth's probability: what balanced accuracy
    is to accuracy. Balanced accuracy itself jumps by 1/84 with one picture of a diagnosis that has a dozen,
    about as much as neighbours on the grid differ, so luck would choose.

    Classes that the validation pictures lack have no say, since a small split must still give an answer.

    Args:
        probabilities: rows that sum to 1, shape (N, 7).
        truth: class indices, shape (N,), at least one.
        class_frequencies: how common each class was in training, shape (7,).
        grid: the powers to try.
    """
    truth = np.asarray(truth)
    present = np.unique(truth)

    def loss(power: float) -> float:
        answers = balanced_prior(probabilities, class_frequencies, power)
        of_truth = np.log(np.maximum(answers[np.arange(len(truth)), truth], np.finfo(float).tiny))
        return -float(np.mean([np.mean(of_truth[truth == index]) for index in present]))

    return min(sorted(grid), key=loss)
