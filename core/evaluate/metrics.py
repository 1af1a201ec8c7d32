"""The numbers a classifier is judged by. Add one by adding one entry to `_ENTRIES`; tests run over METRICS.

Every function takes
    truth: class indices in the order of CODES, shape (N,);
    probabilities: rows that sum to 1, columns in the order of CODES, shape (N, 7);
    weights: how often each picture counts, shape (N,); a weight of 2 is the picture twice, 0 is left out.
and returns NaN where the number is not defined (a class nobody has, no picture at all), never 0 or 1.
The answer of a picture is its most probable class; of equal ones the first in the order of CODES.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from core.labels import BY_CODE, CODES, INDEX, MALIGNANT
from core.predict.calibration import malignancy

CALIBRATION_BINS: Final = 15
# float32 probabilities cannot tell smaller ones from zero, and one confident mistake must not cost infinity.
_SMALLEST_PROBABILITY: Final = 1e-7


class Measure(Protocol):
    """A function of truth, probabilities and weights; see the module's docstring."""

    def __call__(self, truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, /) -> float:
        """Return the number, NaN where it is not defined."""


@dataclass(frozen=True)
class Metric:
    """One number a classifier is judged by.

    Attributes:
        name: what METRICS and artifacts call it.
        about: one sentence for a tooltip.
        measure: computes it with weights; call the metric itself when every picture counts once.
        higher_is_better: whether more is better.
        classes: the class indices whose pictures it is measured on (its n); all classes by default.
        recentre: whether resampling shifts it, so that its interval is moved back around its value.
    """

    name: str
    about: str
    measure: Measure
    higher_is_better: bool = True
    classes: tuple[int, ...] = tuple(range(len(CODES)))
    recentre: bool = False

    def __call__(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        """Return the metric with every picture counted once."""
        return self.measure(truth, probabilities, np.ones(len(truth)))

    def counts(self, truth: np.ndarray) -> np.ndarray:
        """Return which pictures the metric is measured on, bool, shape (N,)."""
        return np.isin(truth, self.classes)


def score(
    truth: np.ndarray, probabilities: np.ndarray, metrics: Mapping[str, Metric] | None = None
) -> dict[str, float]:
    """Return every metric's value, without intervals; see `intervals.lesion_bootstrap` for those.

    Raises:
        ValueError: arrays of the wrong shape, or class indices that do not exist.
    """
    truth, probabilities = checked(truth, probabilities)
    return {name: metric(truth, probabilities) for name, metric in (metrics or METRICS).items()}


def checked(truth: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return truth as int64 (N,) and probabilities as float64 (N, 7).

    Raises:
        ValueError: arrays of the wrong shape, or class indices that do not exist.
    """
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 1 or probabilities.shape != (len(truth), len(CODES)):
        raise ValueError(
            f"truth has shape {truth.shape} and probabilities {probabilities.shape}; "
            f"expected (N,) and (N, {len(CODES)})."
        )
    if len(truth) and not (np.issubdtype(truth.dtype, np.integer) and set(np.unique(truth)) <= _INDICES):
        raise ValueError(f"truth holds {np.unique(truth)[:8]}; expected class indices 0 to {len(CODES) - 1}.")
    return truth.astype(np.int64), probabilities


def recalls(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return each class's share of pictures answered right, shape (7,); NaN for a class nobody has."""
    return _share(_per_class(truth, weights * _right(truth, probabilities)), _per_class(truth, weights))


def area_under_curve(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """Return the chance that a positive scores above a negative, a tie counting half.

    This is the area under the ROC curve (Mann-Whitney); NaN without positives or without negatives.
    All three arrays have shape (N,); `positive` is bool.
    """
    _, level = np.unique(scores, return_inverse=True)
    positives = np.bincount(level, weights * positive)
    negatives = np.bincount(level, weights * ~positive)
    below = np.cumsum(negatives) - negatives
    wins = float(positives @ (below + negatives / 2))
    return _ratio(wins, float(positives.sum() * negatives.sum()))


def accuracy(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Return the share of pictures whose answer is right."""
    return _mean(_right(truth, probabilities), weights)


def balanced_accuracy(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean of the seven recalls; NaN when a class is missing."""
    return float(recalls(truth, probabilities, weights).mean())


def macro_f1(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean over classes of 2·right / (true + answered); NaN when a class is missing."""
    true = _per_class(truth, weights)
    right = _per_class(truth, weights * _right(truth, probabilities))
    answered = _per_class(probabilities.argmax(axis=1), weights)
    # With true at zero F1 would be 0 whatever the model does, so the class has no say.
    return float(np.where(true > 0, _share(2 * right, true + answered), np.nan).mean())


def macro_auc(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean over classes of the one-against-the-rest AUC; NaN when a class is missing."""
    areas = [
        area_under_curve(truth == index, probabilities[:, index], weights) for index in range(len(CODES))
    ]
    return float(np.mean(areas))


def melanoma_auc(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Return the AUC of melanoma's probability, melanoma against the rest."""
    return area_under_curve(truth == INDEX["mel"], probabilities[:, INDEX["mel"]], weights)


def malignancy_auc(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Return the AUC of the malignancy probability, malignant against benign."""
    return area_under_curve(MALIGNANT[truth], malignancy(probabilities), weights)


def expected_calibration_error(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean gap between confidence (the highest probability) and how often the answer is right.

    Pictures are ordered by confidence and cut into 15 bins of equal mass; each bin's gap is the absolute
    difference of its mean confidence and its accuracy. Pictures of equal confidence are pooled, and one that
    lies on a cut counts in both bins by its share, so neither order nor repetition changes the number.
    """
    if not weights.any():
        return float("nan")
    confidence = probabilities.max(axis=1)
    _, level = np.unique(confidence, return_inverse=True)
    mass = np.cumsum(np.bincount(level, weights))
    gaps = np.cumsum(np.bincount(level, weights * (confidence - _right(truth, probabilities))))
    cuts = np.linspace(0, mass[-1], CALIBRATION_BINS + 1)
    # The summed gap is linear in mass within one level, so interpolating splits a picture at a cut.
    gaps_at_cuts = np.interp(cuts, np.append(0, mass), np.append(0, gaps))
    return float(np.abs(np.diff(gaps_at_cuts)).sum() / mass[-1])


def brier(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean squared distance from probabilities to the true class's one-hot row, 0 to 2."""
    return _mean(((probabilities - np.eye(len(CODES))[truth]) ** 2).sum(axis=1), weights)


def log_loss(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean of -ln(probability of the true class), that probability kept above 1e-7."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    return _mean(-np.log(np.maximum(of_truth, _SMALLEST_PROBABILITY)), weights)


def at_threshold(threshold: float) -> dict[str, Metric]:
    """Return sensitivity and specificity of "malignancy probability >= threshold", to join to METRICS."""

    def sensitivity(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
        return _mean(malignancy(probabilities) >= threshold, weights * MALIGNANT[truth])

    def specificity(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
        return _mean(malignancy(probabilities) < threshold, weights * ~MALIGNANT[truth])

    metrics = (
        Metric(
            "sensitivity",
            f"Share of malignant pictures with a malignancy probability of {threshold:.3g} or more.",
            sensitivity,
            classes=_MALIGNANT_CLASSES,
        ),
        Metric(
            "specificity",
            f"Share of benign pictures with a malignancy probability below {threshold:.3g}.",
            specificity,
            classes=_BENIGN_CLASSES,
        ),
    )
    return {metric.name: metric for metric in metrics}


def _recall_of(code: str) -> Metric:
    index = INDEX[code]

    def recall(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
        return _mean(_right(truth, probabilities), weights * (truth == index))

    about = f"Share of the pictures of {BY_CODE[code].name.lower()} that are answered right."
    return Metric(f"recall_{code}", about, recall, classes=(index,))


def _right(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    right: np.ndarray = probabilities.argmax(axis=1) == truth
    return right


def _per_class(classes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.bincount(classes, weights, minlength=len(CODES))


def _share(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    shares = np.full(len(wholes), np.nan)
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return _ratio(float(values @ weights), float(weights.sum()))


_INDICES: Final = frozenset(range(len(CODES)))
_MALIGNANT_CLASSES: Final = tuple(np.flatnonzero(MALIGNANT).tolist())
_BENIGN_CLASSES: Final = tuple(np.flatnonzero(~MALIGNANT).tolist())

_ENTRIES: Final = (
    Metric(
        "balanced_accuracy",
        "Mean of the seven recalls: every diagnosis counts the same, however rare.",
        balanced_accuracy,
    ),
    Metric(
        "macro_auc",
        "How well each diagnosis is told from the rest, averaged over the seven; 0.5 is chance.",
        macro_auc,
    ),
    Metric(
        "melanoma_auc",
        "How well melanoma is told from everything else; 0.5 is chance.",
        melanoma_auc,
    ),
    Metric(
        "malignancy_auc",
        "How well malignant is told from benign by the malignancy probability; 0.5 is chance.",
        malignancy_auc,
    ),
    Metric("macro_f1", "Mean over the diagnoses of the harmonic mean of recall and precision.", macro_f1),
    Metric(
        "accuracy",
        "Share of pictures answered right; always saying nevus reaches 0.669 on HAM10000.",
        accuracy,
    ),
    *(_recall_of(code) for code in CODES),
    Metric(
        "ece",
        "Expected calibration error: mean gap between confidence and accuracy over 15 bins of equal mass.",
        expected_calibration_error,
        higher_is_better=False,
        # Resampled gaps are noisier, and noise under an absolute value only ever adds.
        recentre=True,
    ),
    Metric(
        "brier",
        "Mean squared distance between the probabilities and the truth, 0 to 2.",
        brier,
        higher_is_better=False,
    ),
    Metric(
        "log_loss",
        "Mean negative logarithm of the probability given to the truth.",
        log_loss,
        higher_is_better=False,
    ),
)
METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _ENTRIES}
