"""What one number hides: curves over thresholds, calibration, abstention, and what is mistaken for what."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from core.evaluate.intervals import wilson
from core.labels import CODES
from core.predict.calibration import malignancy

RELIABILITY_BINS: Final = 10


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of a curve, shape (K,) each.

    thresholds: what a score must reach at each point; the first is above every score.
    """

    x: np.ndarray
    y: np.ndarray
    thresholds: np.ndarray


def roc(positive: np.ndarray, scores: np.ndarray) -> Curve:
    """Return false alarm rate (x) and sensitivity (y) over falling thresholds; NaN where a side is empty.

    Args:
        positive: bool, shape (N,).
        scores: shape (N,); "at or above the threshold" is called positive.
    """
    thresholds, caught, alarms = _counts(positive, scores)
    return Curve(_over(alarms, int((~positive).sum())), _over(caught, int(positive.sum())), thresholds)


def precision_recall(positive: np.ndarray, scores: np.ndarray) -> Curve:
    """Return recall (x) and precision (y) over falling thresholds; the first point has no precision."""
    thresholds, caught, alarms = _counts(positive, scores)
    called = caught + alarms
    precision = np.divide(caught, called, out=np.full(len(called), np.nan), where=called > 0)
    return Curve(_over(caught, int(positive.sum())), precision, thresholds)


def average_precision(positive: np.ndarray, scores: np.ndarray) -> float:
    """Return the precision averaged over the steps of recall, not interpolated; NaN without positives."""
    curve = precision_recall(positive, scores)
    return float(np.sum(np.diff(curve.x) * curve.y[1:])) if positive.any() else float("nan")


def _counts(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return falling thresholds, and how many positives and negatives reach each."""
    levels, place = np.unique(scores, return_inverse=True)
    caught = np.bincount(place, positive, minlength=len(levels))[::-1].cumsum()
    alarms = np.bincount(place, ~positive, minlength=len(levels))[::-1].cumsum()
    start = np.zeros(1)
    return (
        np.concatenate([[np.inf], levels[::-1]]),
        np.concatenate([start, caught]),
        np.concatenate([start, alarms]),
    )


def _over(counts: np.ndarray, whole: int) -> np.ndarray:
    return counts / whole if whole else np.full(len(counts), np.nan)


@dataclass(frozen=True)
class Bin:
    """Pictures of similar probability: what was predicted, what happened (with its 95 % interval), and n."""

    predicted: float
    observed: float
    low: float
    high: float
    n: int


def reliability(predicted: np.ndarray, happened: np.ndarray, *, bins: int = RELIABILITY_BINS) -> list[Bin]:
    """Return bins of equal mass in the order of the prediction; equal predictions stay in one bin.

    The interval is Wilson's (1927) and takes pictures as independent, so it is somewhat too narrow where
    lesions have several photos.

    Args:
        predicted: probabilities, shape (N,). happened: bool, shape (N,).
        bins: how many at most.
    """
    if not len(predicted):
        return []
    order = np.argsort(predicted, kind="stable")
    lasts = np.arange(1, bins) * len(predicted) // bins - 1
    cuts = predicted[order][lasts[lasts >= 0]]
    place = np.searchsorted(np.unique(cuts), predicted[order], side="left")
    found = []
    for number in np.unique(place):
        mine = order[place == number]
        share = float(happened[mine].mean())
        low, high = wilson(happened[mine].sum(), len(mine))
        found.append(Bin(float(predicted[mine].mean()), share, low, high, len(mine)))
    return found


def net_benefit(positive: np.ndarray, scores: np.ndarray, risks: np.ndarray) -> np.ndarray:
    """Return the net benefit of examining what reaches a risk, for each risk in (0, 1), shape (K,).

    caught / n − alarms / n · risk / (1 − risk) (Vickers and Elkin 2006, Medical Decision Making 26:565).
    """
    if not len(positive):
        return np.full(len(risks), np.nan)
    called = scores[None] >= risks[:, None]
    caught, alarms = (called & positive).mean(axis=1), (called & ~positive).mean(axis=1)
    return np.asarray(caught - alarms * risks / (1 - risks))


def benefit_of_all(prevalence: float, risks: np.ndarray) -> np.ndarray:
    """Return the net benefit of examining everybody."""
    return np.asarray(prevalence - (1 - prevalence) * risks / (1 - risks))


def risk_coverage(truth: np.ndarray, probabilities: np.ndarray) -> Curve:
    """Return the share answered (x) and how much of that is wrong (y), the surest answers first.

    The model abstains below a confidence, its highest probability; of equal confidence all are answered or
    none (Geifman and El-Yaniv 2017, NeurIPS).
    """
    confidence = probabilities.max(axis=1)
    levels, place = np.unique(confidence, return_inverse=True)
    answered = np.bincount(place, minlength=len(levels))[::-1].cumsum()
    wrong = np.bincount(place, probabilities.argmax(axis=1) != truth, minlength=len(levels))[::-1].cumsum()
    return Curve(answered / max(1, len(truth)), wrong / np.maximum(answered, 1), levels[::-1])


def confusion(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return how many pictures of each diagnosis (row) got each answer (column), shape (7, 7)."""
    cells = truth * len(CODES) + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=len(CODES) ** 2).reshape(len(CODES), len(CODES))


def score_of(target: str, probabilities: np.ndarray) -> np.ndarray:
    """Return the score (N,) that a curve of `target`, a diagnosis's code or "malignant", is drawn by."""
    return malignancy(probabilities) if target == "malignant" else probabilities[:, CODES.index(target)]
