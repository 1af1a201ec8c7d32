"""The numbers of each diagnosis against the rest, as the ISIC 2018 challenge reports them for Task 3.

Add one by adding one entry to `_ENTRIES`; tests run over CATEGORY_METRICS.

Every function takes
    positive: which pictures show the diagnosis, bool, shape (N,);
    scores: its probability, shape (N,);
    weights: how often each picture counts, shape (N,), or (R, N) for R weightings at once;
and returns one number, or R of them. A picture is called positive when its probability is above 0.5, so that
it may be called nothing at all; the answer of `core.evaluate.metrics` is the most probable diagnosis.

The definitions are those of the challenge's own scorer (isic-challenge-scoring; Codella et al. 2019, arXiv
1902.03368), but for one: what is not defined is NaN here and counts as 1 there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.evaluate.metrics import Measure, Metric, area_under_curve
from core.labels import BY_CODE, CODES, INDEX

DECISION: Final = 0.5
ABOVE_HALF: Final = "above 0.5"
MEAN: Final = "mean"
SENSITIVE: Final = 0.8
"""The sensitivity above which the area under the ROC curve is taken by `auc_above_sensitivity`."""


@dataclass(frozen=True)
class CategoryMetric:
    """One number of a diagnosis against the rest.

    Attributes:
        name: what CATEGORY_METRICS and artifacts call it. about: one sentence for people.
        short: what people call it, without its rule.
        measure: computes it.
        positives, negatives: whether pictures with and without the diagnosis count.
    """

    name: str
    short: str
    about: str
    measure: Measure
    positives: bool = True
    negatives: bool = True
    decides: bool = True
    """Whether it calls a picture what has a probability above 0.5; an area looks at every threshold."""

    @property
    def title(self) -> str:
        """What people call it, with the rule that it decides by."""
        return f"{self.short} ({ABOVE_HALF})" if self.decides else self.short

    def of(self, code: str) -> Metric:
        """Return it as a metric of one diagnosis, which can be resampled like any other."""
        index = INDEX[code]

        def measure(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
            return self.measure(truth == index, probabilities[:, index], weights)

        counted = tuple(
            other for other in range(len(CODES)) if (self.positives if other == index else self.negatives)
        )
        about = f"{BY_CODE[code].name}: {self.about}"
        return Metric(f"{self.name}_{code}", about, measure, classes=counted)


def sensitivity(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return TP / (TP + FN)."""
    return _share(scores > DECISION, positive, weights)


def specificity(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return TN / (TN + FP)."""
    return _share(scores <= DECISION, ~positive, weights)


def accuracy(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (TP + TN) / (TP + TN + FP + FN)."""
    return _share((scores > DECISION) == positive, np.ones(len(positive), dtype=bool), weights)


def ppv(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return TP / (TP + FP)."""
    return _share(positive, scores > DECISION, weights)


def npv(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return TN / (TN + FN)."""
    return _share(~positive, scores <= DECISION, weights)


def f1(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return 2 TP / (2 TP + FP + FN), which is Dice's coefficient."""
    called = scores > DECISION
    return _ratio(2 * (weights @ _float(called & positive)), weights @ (_float(called) + _float(positive)))


def auc_above_sensitivity(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the area under the part of the ROC curve whose sensitivity is 0.8 or more, 0 to 1.

    The integral of the sensitivity over the false alarm rate from where the curve, its points joined by
    lines, reaches 0.8; it is not normalised.
    """
    caught, alarms = _rates(positive, scores, weights)
    before, after = caught[..., :-1], caught[..., 1:]
    # Of a line that crosses the level, the part below it does not count.
    rise = after - before
    cut = np.clip(_ratio(SENSITIVE - before, rise, otherwise=0.0), 0, 1)
    widths = np.diff(alarms, axis=-1) * (1 - cut)
    heights = (before + cut * rise + after) / 2
    area = np.where(after >= SENSITIVE, widths * heights, 0.0).sum(axis=-1)
    return np.asarray(np.where(np.isnan(caught[..., -1] + alarms[..., -1]), np.nan, area))


def average_precision(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the precision averaged over the steps of recall, not interpolated; equal scores are one step."""
    caught, alarms = _summed(positive, scores, weights), _summed(~positive, scores, weights)
    precision = _ratio(caught, caught + alarms, otherwise=0.0)
    steps = np.diff(caught, axis=-1, prepend=0.0)
    return _ratio((steps * precision).sum(axis=-1), weights @ _float(positive))


def _rates(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sensitivity and false alarm rate over falling thresholds, 0 to 1; NaN where a side is empty."""
    found = []
    for side in (positive, ~positive):
        counts = _summed(side, scores, weights)
        counts = np.concatenate([np.zeros((*counts.shape[:-1], 1)), counts], axis=-1)
        found.append(_ratio(counts, np.broadcast_to((weights @ _float(side))[..., None], counts.shape)))
    return found[0], found[1]


def _summed(side: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return how much of a side reaches each score, from the highest on, shape (..., L)."""
    if not len(scores):
        return np.zeros((*weights.shape[:-1], 1))
    order = np.argsort(-scores, kind="stable")
    lasts = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    return np.asarray((weights * side)[..., order].cumsum(axis=-1)[..., lasts])


def _share(what: np.ndarray, among: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _ratio(weights @ _float(what & among), weights @ _float(among))


def _float(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64)


def _ratio(parts: np.ndarray, wholes: np.ndarray, *, otherwise: float = float("nan")) -> np.ndarray:
    shares = np.full(np.shape(wholes), otherwise)
    np.divide(parts, wholes, out=shares, where=np.asarray(wholes) > 0)
    return shares


_ENTRIES: Final = (
    CategoryMetric(
        "isic_sensitivity", "sensitivity", "share of its pictures with a probability above 0.5.", sensitivity,
        negatives=False,
    ),
    CategoryMetric(
        "isic_specificity", "specificity", "share of the others with a probability up to 0.5.", specificity,
        positives=False,
    ),
    CategoryMetric(
        "isic_accuracy", "accuracy", "share of pictures on the right side of 0.5.", accuracy
    ),
    CategoryMetric("isic_ppv", "PPV", "share of those above 0.5 that show it.", ppv),
    CategoryMetric("isic_npv", "NPV", "share of the others that do not show it.", npv),
    CategoryMetric("isic_f1", "F1", "harmonic mean of sensitivity and PPV at 0.5.", f1),
    CategoryMetric(
        "isic_auc", "AUC", "how well it is told from the rest; 0.5 is chance.", area_under_curve,
        decides=False,
    ),
    CategoryMetric(
        "isic_auc_80", "AUC above 80 %", "area under the ROC curve where its sensitivity is 0.8 or more.",
        auc_above_sensitivity, decides=False,
    ),
    CategoryMetric(
        "isic_ap", "average precision", "precision over all recalls; its share of the pictures is chance.",
        average_precision, decides=False,
    ),
)  # fmt: skip
CATEGORY_METRICS: Final[Mapping[str, CategoryMetric]] = {one.name: one for one in _ENTRIES}


def category_table(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, dict[str, float]]:
    """Return every number of every diagnosis, by code and name, and their mean under MEAN.

    truth: class indices, shape (N,). probabilities: shape (N, 7). A mean without one of the seven is NaN.
    """
    found = {
        code: {name: one.of(code)(truth, probabilities) for name, one in CATEGORY_METRICS.items()}
        for code in CODES
    }
    means = {name: float(np.mean([found[code][name] for code in CODES])) for name in CATEGORY_METRICS}
    return found | {MEAN: means}
