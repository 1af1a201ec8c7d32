"""How sure a metric is: 95 % intervals from a bootstrap that resamples lesions, not pictures.

Photos of one lesion are right or wrong together; resampling them one by one would make intervals too narrow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from core.evaluate.metrics import METRICS, Metric, checked

RESAMPLES: Final = 2000
"""One number for every interval: the same metric on the same pictures has the same one on every page."""

PERCENTILES: Final = (2.5, 97.5)
# An interval over the few resamples where a metric happens to exist would describe luck.
_SMALLEST_DEFINED_SHARE: Final = 0.5
_Z: Final = 1.959964

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of values (N,) under each row of weights (R, N): shape (R,)."""


@dataclass(frozen=True)
class Interval:
    """A metric's value with its 95 % interval; all three NaN-able.

    Attributes:
        value: the metric on all pictures.
        low, high: the 2.5 and 97.5 percentiles over the resamples; for a metric to `recentre`, moved so that
            their mean lies on the value, and not below zero.
        n: pictures the metric is measured on (for a class's recall: the pictures of that class).
        n_lesions: lesions those pictures show.
    """

    value: float
    low: float
    high: float
    n: int
    n_lesions: int


def lesion_bootstrap(
    truth: np.ndarray,
    probabilities: np.ndarray,
    lesion_ids: np.ndarray | pd.Series,
    metrics: Mapping[str, Metric] = METRICS,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return each metric with its interval over resampled lesions.

    A resample draws as many lesions as there are, with replacement; each picture then weighs as often as its
    lesion was drawn. Resamples in which a metric is undefined are left out of its interval; where more than
    half are, the interval is NaN.

    Args:
        truth: class indices, shape (N,).
        probabilities: rows that sum to 1, shape (N, 7).
        lesion_ids: shape (N,); a picture whose lesion is unknown (None or NaN) is a lesion of its own.
        metrics: what to measure.
        resamples: how many; the same seed gives the same intervals.
        seed: of the random draws.

    Raises:
        ValueError: arrays of the wrong shape, class indices that do not exist, or no resample asked for.
    """
    truth, probabilities = checked(truth, probabilities)
    lesions = _number(lesion_ids)
    if len(lesions) != len(truth):
        raise ValueError(f"{len(lesions)} lesion ids for {len(truth)} pictures; expected one each.")
    weights = lesion_weights(lesion_ids, resamples=resamples, seed=seed)
    return {
        name: _interval(
            metric, truth, probabilities, lesions, resampled(metric, truth, probabilities, weights)
        )
        for name, metric in metrics.items()
    }


def lesion_weights(lesion_ids: np.ndarray | pd.Series, *, resamples: int, seed: int = 0) -> np.ndarray:
    """Return how often each picture counts in each resample of lesions, float64, shape (resamples, N).

    Models measured under the same weights are measured on the same draws: their differences are paired.

    Args:
        lesion_ids: shape (N,); a picture whose lesion is unknown (None or NaN) is a lesion of its own.
        resamples: how many; the same seed gives the same draws.
        seed: of the random draws.

    Raises:
        ValueError: no resample asked for.
    """
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; expected 1 or more.")
    lesions = _number(lesion_ids)
    n_lesions = int(lesions.max(initial=-1)) + 1
    generator = np.random.default_rng(seed)
    weights = np.zeros((resamples, len(lesions)))
    for row in weights if n_lesions else ():
        drawn = np.bincount(generator.integers(n_lesions, size=n_lesions), minlength=n_lesions)
        row[:] = drawn[lesions]
    return weights


def resampled(
    metric: Metric, truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return a metric in each resample, shape (R,); NaN in those in which it is undefined."""
    return np.broadcast_to(metric.measure(truth, probabilities, weights), len(weights))


def percentiles(metric: Metric, value: float, draws: np.ndarray) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a metric's value, from its draws (R,); NaN-able.

    Draws in which it is undefined are left out; where more than half are, there is no interval.
    """
    defined = draws[~np.isnan(draws)]
    if not len(defined) or len(defined) < _SMALLEST_DEFINED_SHARE * len(draws):
        return float("nan"), float("nan")
    if metric.recentre:
        defined = np.maximum(defined + value - defined.mean(), 0)
    low, high = np.percentile(defined, PERCENTILES).tolist()
    return low, high


def interval_over_lesions(
    values: np.ndarray,
    lesion_ids: np.ndarray | pd.Series,
    statistic: Statistic,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return a statistic of one number a picture, with its interval over resampled lesions.

    Args:
        values: shape (N,); pictures whose value is NaN are left out and not counted.
        lesion_ids: shape (N,); a picture whose lesion is unknown is a lesion of its own.
        statistic: `weighted_mean` or `weighted_median`.
        resamples: how many. seed: of the draws.

    One lesion alone has no interval: every resample of it is itself.
    """
    known = np.isfinite(values)
    values, lesions = np.asarray(values, dtype=np.float64)[known], pd.Series(lesion_ids).to_numpy()[known]
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"), 0, 0)
    value, n_lesions = float(statistic(values, np.ones((1, len(values))))[0]), count_lesions(lesions)
    low = high = float("nan")
    if n_lesions > 1:
        draws = statistic(values, lesion_weights(lesions, resamples=resamples, seed=seed))
        low, high = np.percentile(draws, PERCENTILES).tolist()
    return Interval(value, low, high, n=len(values), n_lesions=n_lesions)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of values (N,) under each row of weights (R, N), shape (R,)."""
    return weights @ values / weights.sum(axis=1)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the lower median of values (N,) under each row of weights (R, N), shape (R,)."""
    order = np.argsort(values, kind="stable")
    summed = np.cumsum(weights[:, order], axis=1)
    # The first value at which half the weight is reached.
    place = (summed < summed[:, -1:] / 2).sum(axis=1)
    return values[order][place]


def count_lesions(lesion_ids: np.ndarray | pd.Series) -> int:
    """Return how many lesions pictures show; one whose lesion is unknown counts by itself."""
    return len(np.unique(_number(lesion_ids)))


def _number(lesion_ids: np.ndarray | pd.Series) -> np.ndarray:
    """Return a number for each lesion, 0 to G - 1, shape (N,)."""
    # Sorted, so that the same lesions are drawn however the pictures are ordered.
    numbers, names = pd.factorize(pd.Series(lesion_ids, dtype=object), sort=True)
    unknown = numbers == -1
    numbers[unknown] = len(names) + np.arange(unknown.sum())
    return numbers


def _interval(
    metric: Metric, truth: np.ndarray, probabilities: np.ndarray, lesions: np.ndarray, draws: np.ndarray
) -> Interval:
    counted = metric.counts(truth)
    value = metric(truth, probabilities)
    low, high = percentiles(metric, value, draws)
    return Interval(value, low, high, n=int(counted.sum()), n_lesions=len(np.unique(lesions[counted])))


def wilson(right: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of `right` of `count` (Wilson, 1927); NaN for none."""
    if count == 0:
        return float("nan"), float("nan")
    share, square = right / count, _Z**2 / count
    middle = (share + square / 2) / (1 + square)
    reach = _Z * np.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    # At 0 and 1 the end is the share itself, but for the last bit.
    return max(0.0, min(share, float(middle - reach))), min(1.0, max(share, float(middle + reach)))
