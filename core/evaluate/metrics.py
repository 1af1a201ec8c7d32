"""The numbers a classifier is judged by. Add one by adding one entry to `_ENTRIES`; tests run over METRICS.

Every function takes
    truth: class indices in the order of CODES, shape (N,);
    probabilities: rows that sum to 1, columns in the order of CODES, shape (N, 7);
    weights: how often each picture counts, shape (N,); a weight of 2 is the picture twice, 0 is left out.
        Or shape (R, N): R such weightings, as resamples are, measured at once.
and returns one number, or R of them, shape (R,): NaN where it is not defined (a class nobody has, no picture
at all), never 0 or 1.
The answer of a picture is its most probable class; of equal ones the first in the order of CODES.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from core.labels import BY_CODE, CODES, INDEX, MALIGNANT
from core.predict.calibration import balanced_prior, malignancy

CALIBRATION_BINS: Final = 15
# float32 probabilities cannot tell smaller ones from zero, and one confident mistake must not cost infinity.
_SMALLEST_PROBABILITY: Final = 1e-7
# Positives that are paired with all negatives in one product; bounds its memory.
_PAIRED_AT_ONCE: Final = 512


MOST_PROBABLE: Final = "most probable"
OPERATING_POINT: Final = "operating point"
DECISIONS: Final = {
    MOST_PROBABLE: "the most probable of the seven diagnoses is the answer",
    OPERATING_POINT: "suspicious from the operating point on, by the malignancy probability",
}
"""The rules that a metric may decide by, and what each means. See also `categories.ABOVE_HALF`."""


class Measure(Protocol):
    """A function of truth, probabilities and weights; see the module's docstring."""

    def __call__(self, truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, /) -> np.ndarray:
        """Return the number of each weighting, shape () or (R,); NaN where it is not defined."""


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
        decided_by: the rule that makes an answer of probabilities, as in DECISIONS; "" where it needs none.
    """

    name: str
    about: str
    measure: Measure
    higher_is_better: bool = True
    classes: tuple[int, ...] = tuple(range(len(CODES)))
    recentre: bool = False
    decided_by: str = ""

    def __call__(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        """Return the metric with every picture counted once."""
        return float(self.measure(truth, probabilities, np.ones(len(truth))))

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
    """Return each class's share of pictures answered right, shape (..., 7); NaN for a class nobody has."""
    of_class = _one_hot(truth)
    return _ratio(weights @ (of_class * _right(truth, probabilities)[:, None]), weights @ of_class)


def area_under_curve(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the chance that a positive scores above a negative, a tie counting half.

    This is the area under the ROC curve (Mann-Whitney; Hanley and McNeil 1982, Radiology 143:29); NaN without
    positives or without negatives. `positive` (bool) and `scores` have shape (N,).
    """
    if weights.ndim > 1:
        return _areas_under_curves(positive, scores, weights)
    _, level = np.unique(scores, return_inverse=True)
    positives = np.bincount(level, weights * positive)
    negatives = np.bincount(level, weights * ~positive)
    below = np.cumsum(negatives) - negatives
    return _ratio(positives @ (below + negatives / 2), positives.sum() * negatives.sum())


def _areas_under_curves(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the area for each row of weights, shape (R,).

    Which pairs are in order does not depend on the weights: a matrix product counts them for all rows, which
    takes a tenth of sorting and summing row by row.
    """
    negatives = weights[:, ~positive].astype(np.float32)
    wins = np.zeros(len(weights))
    above, below = scores[positive], scores[~positive]
    counts = weights[:, positive].astype(np.float32)
    for first in range(0, len(above), _PAIRED_AT_ONCE):
        part = slice(first, first + _PAIRED_AT_ONCE)
        ordered = (np.sign(above[part, None] - below[None]) + 1) / 2
        beaten = counts[:, part] @ ordered.astype(np.float32)
        wins += np.einsum("rn,rn->r", beaten, negatives, dtype=np.float64)
    return _ratio(wins, weights @ positive.astype(np.float64) * (weights @ (~positive).astype(np.float64)))


def accuracy(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the share of pictures whose answer is right."""
    return _mean(_right(truth, probabilities), weights)


def balanced_accuracy(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of the seven recalls; NaN when a class is missing.

    The goal metric of ISIC 2018 Task 3 (Codella et al. 2019, arXiv 1902.03368); the most probable class
    decides.
    """
    return recalls(truth, probabilities, weights).mean(axis=-1)


def macro_f1(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean over classes of 2·right / (true + answered); NaN when a class is missing."""
    of_class = _one_hot(truth)
    true = weights @ of_class
    right = weights @ (of_class * _right(truth, probabilities)[:, None])
    answered = weights @ _one_hot(probabilities.argmax(axis=1))
    # With true at zero F1 would be 0 whatever the model does, so the class has no say.
    return np.where(true > 0, _ratio(2 * right, true + answered), np.nan).mean(axis=-1)


def macro_auc(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean over classes of the one-against-the-rest AUC; NaN when a class is missing."""
    areas = [
        area_under_curve(truth == index, probabilities[:, index], weights) for index in range(len(CODES))
    ]
    return np.mean(areas, axis=0)


def melanoma_auc(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the AUC of melanoma's probability, melanoma against the rest."""
    return area_under_curve(truth == INDEX["mel"], probabilities[:, INDEX["mel"]], weights)


def malignancy_auc(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the AUC of the malignancy probability, malignant against benign."""
    return area_under_curve(MALIGNANT[truth], malignancy(probabilities), weights)


def expected_calibration_error(
    truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the mean gap between confidence (the highest probability) and how often the answer is right.

    Pictures are ordered by confidence and cut into 15 bins of equal mass; each bin's gap is the absolute
    difference of its mean confidence and its accuracy. Pictures of equal confidence are pooled, and one that
    lies on a cut counts in both bins by its share, so neither order nor repetition changes the number.
    (Naeini et al. 2015, AAAI; equal mass as in Nixon et al. 2019, CVPR workshops.)
    """
    rows = np.atleast_2d(weights)
    if not len(truth):
        return np.full(weights.shape[:-1], np.nan)
    confidence = probabilities.max(axis=1)
    order = np.argsort(confidence, kind="stable")
    _, first = np.unique(confidence[order], return_index=True)
    sorted_rows = rows[:, order]
    gaps = sorted_rows * (confidence - _right(truth, probabilities))[order]
    mass = np.add.reduceat(sorted_rows, first, axis=1).cumsum(axis=1)
    gap = np.add.reduceat(gaps, first, axis=1).cumsum(axis=1)
    return _binned_gaps(mass, gap).reshape(weights.shape[:-1])


def _binned_gaps(mass: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Return the mean absolute gap over bins of equal mass, (R,), from both summed by level, (R, L)."""
    whole = mass[:, -1:]
    known = whole[:, 0] > 0
    if not known.any():
        return np.full(len(known), np.nan)
    mass, gaps, whole = mass[known], gaps[known], whole[known]
    # Rows side by side on one axis, each 1 wide and 1 apart, so that one search finds the cuts of all. The
    # summed gap is linear in mass within one level, so interpolating splits a picture at a cut.
    offsets = 2.0 * np.arange(len(mass))[:, None]
    start = np.zeros((len(mass), 1))
    places = np.hstack([start, mass / whole]) + offsets
    cuts = np.linspace(0, 1, CALIBRATION_BINS + 1) + offsets
    at_cuts = np.interp(cuts.ravel(), places.ravel(), np.hstack([start, gaps]).ravel()).reshape(cuts.shape)
    errors = np.full(len(known), np.nan)
    errors[known] = np.abs(np.diff(at_cuts, axis=1)).sum(axis=1) / whole[:, 0]
    return errors


def brier(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean squared distance from probabilities to the true class's one-hot row, 0 to 2.

    Brier 1950, Monthly Weather Review 78:1, in its form for several classes.
    """
    return _mean(((probabilities - _one_hot(truth)) ** 2).sum(axis=1), weights)


def log_loss(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of -ln(probability of the true class), that probability kept above 1e-7."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    return _mean(-np.log(np.maximum(of_truth, _SMALLEST_PROBABILITY)), weights)


def at_balanced_prior(frequencies: np.ndarray, power: float) -> Metric:
    """Return balanced accuracy of `calibration.balanced_prior`'s answers, as a metric."""

    def balanced(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return balanced_accuracy(truth, balanced_prior(probabilities, frequencies, power), weights)

    return Metric(
        "balanced_accuracy (balanced prior)",
        "Mean of the seven recalls when every diagnosis is taken for equally common beforehand.",
        balanced,
        decided_by=MOST_PROBABLE,
    )


def at_threshold(threshold: float) -> dict[str, Metric]:
    """Return sensitivity and specificity of "malignancy probability >= threshold", to join to METRICS."""

    def sensitivity(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return _mean(malignancy(probabilities) >= threshold, weights, among=MALIGNANT[truth])

    def specificity(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return _mean(malignancy(probabilities) < threshold, weights, among=~MALIGNANT[truth])

    metrics = (
        Metric(
            "sensitivity",
            f"Share of malignant pictures with a malignancy probability of {threshold:.3g} or more.",
            sensitivity,
            classes=_MALIGNANT_CLASSES,
            decided_by=OPERATING_POINT,
        ),
        Metric(
            "specificity",
            f"Share of benign pictures with a malignancy probability below {threshold:.3g}.",
            specificity,
            classes=_BENIGN_CLASSES,
            decided_by=OPERATING_POINT,
        ),
    )
    return {metric.name: metric for metric in metrics}


def melanoma_sensitivity(threshold: float) -> Metric:
    """Return the share of melanomas whose malignancy probability reaches a threshold, as a metric.

    A melanoma called suspicious as any malignant diagnosis is caught: an examination follows all the same.
    """

    def caught(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return _mean(malignancy(probabilities) >= threshold, weights, among=truth == INDEX["mel"])

    return Metric(
        "melanoma_sensitivity",
        f"Share of melanomas with a malignancy probability of {threshold:.3g} or more.",
        caught,
        classes=(INDEX["mel"],),
        decided_by=OPERATING_POINT,
    )


def _recall_of(code: str) -> Metric:
    index = INDEX[code]

    def recall(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return _mean(_right(truth, probabilities), weights, among=truth == index)

    about = f"Share of the pictures of {BY_CODE[code].name.lower()} that are answered right."
    return Metric(f"recall_{code}", about, recall, classes=(index,), decided_by=MOST_PROBABLE)


def _right(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    right: np.ndarray = probabilities.argmax(axis=1) == truth
    return right


def _one_hot(classes: np.ndarray) -> np.ndarray:
    return np.eye(len(CODES))[classes]


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    shares = np.full(np.shape(wholes), np.nan)
    np.divide(parts, wholes, out=shares, where=np.asarray(wholes) > 0)
    return shares


def _mean(values: np.ndarray, weights: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Return the weighted mean of values (N,), of those pictures alone that `among` (bool) names."""
    counted = np.ones(len(values)) if among is None else among.astype(np.float64)
    return _ratio(weights @ (values * counted), weights @ counted)


_INDICES: Final = frozenset(range(len(CODES)))
_MALIGNANT_CLASSES: Final = tuple(np.flatnonzero(MALIGNANT).tolist())
_BENIGN_CLASSES: Final = tuple(np.flatnonzero(~MALIGNANT).tolist())

_ENTRIES: Final = (
    Metric(
        "balanced_accuracy",
        "Mean of the seven recalls: every diagnosis counts the same, however rare.",
        balanced_accuracy,
        decided_by=MOST_PROBABLE,
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
    Metric(
        "macro_f1",
        "Mean over the diagnoses of the harmonic mean of recall and precision.",
        macro_f1,
        decided_by=MOST_PROBABLE,
    ),
    Metric(
        "accuracy",
        "Share of pictures answered right; always saying nevus reaches 0.669 on HAM10000.",
        accuracy,
        decided_by=MOST_PROBABLE,
    ),
    *(_recall_of(code) for code in CODES),
    Metric(
        "ece",
        "Expected calibration error: mean gap between confidence and accuracy over 15 bins of equal mass.",
        expected_calibration_error,
        higher_is_better=False,
        # Resampled gaps are noisier, and noise under an absolute value only ever adds.
        recentre=True,
        decided_by=MOST_PROBABLE,
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


def decided_by(name: str) -> str:
    """Return the rule, as in DECISIONS, by which a metric decides; those not of METRICS need the point."""
    return METRICS[name].decided_by if name in METRICS else OPERATING_POINT
