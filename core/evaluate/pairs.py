"""Is the difference between two models real: paired bootstrap, McNemar's test, and ranks that are groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.evaluate.intervals import PERCENTILES
from core.evaluate.metrics import Metric

ALPHA = 0.05


@dataclass(frozen=True)
class Difference:
    """One model's metric less another's, on the same resampled lesions.

    low, high: the 95 % interval. p: two-sided, the smaller tail of the draws beyond zero, doubled.
    lowest: the smallest p that so many draws can give; a p there is a bound, not a measurement.
    """

    value: float
    low: float
    high: float
    p: float
    lowest: float = float("nan")


def difference(value_a: float, value_b: float, draws_a: np.ndarray, draws_b: np.ndarray) -> Difference:
    """Return a's value less b's with its interval, from paired draws, shape (R,) each.

    The percentile bootstrap of a paired difference (Efron and Tibshirani 1993, chapters 13 and 16); one is
    added to count and total, so that p is never 0 (Davison and Hinkley 1997, equation 4.11). NaN where the
    metric is undefined.
    """
    differences = draws_a - draws_b
    defined = differences[~np.isnan(differences)]
    nan = float("nan")
    if not len(defined) or np.isnan(value_a - value_b) or len(defined) < len(differences) / 2:
        return Difference(value_a - value_b, nan, nan, nan)
    low, high = np.percentile(defined, PERCENTILES).tolist()
    tail = min(np.sum(defined <= 0), np.sum(defined >= 0))
    lowest = 2 / (len(defined) + 1)
    return Difference(value_a - value_b, low, high, float(min(1.0, lowest * (tail + 1))), min(1.0, lowest))


def p_words(p: float, *, lowest: float = 0.0) -> str:
    """Return a p as people read it: "= 0.67", "= 0.042", "< 0.001"; "≤ 0.001" at the lowest there can be."""
    if math.isnan(p):
        return "n/a"
    if p <= lowest:
        return f"≤ {math.ceil(1000 * lowest) / 1000:.3f}"
    if p < 0.001:
        return "< 0.001"
    return f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


@dataclass(frozen=True)
class McNemar:
    """McNemar's test on matched answers.

    only_a, only_b: how often only the first, or only the second, was right. both, neither: the rest.
    exact: two-sided p of the binomial test. mid: its mid-p, less conservative.
    """

    only_a: int
    only_b: int
    both: int
    neither: int
    exact: float
    mid: float


def mcnemar(right_a: np.ndarray, right_b: np.ndarray) -> McNemar:
    """Compare which answers of two models are right, bool (N,) each; p is 1 where they never differ.

    Given that exactly one is right, each is it equally often under the null: Binomial(only_a + only_b, 1/2).
    mid-p takes half the probability of what was observed (Fagerland, Lydersen and Laake 2013, BMC Medical
    Research Methodology 13:91).
    """
    from scipy.stats import binom

    right_a, right_b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    only_a, only_b = int(np.sum(right_a & ~right_b)), int(np.sum(~right_a & right_b))
    fewer, differing = min(only_a, only_b), only_a + only_b
    tail = float(binom.cdf(fewer, differing, 0.5))
    observed = float(binom.pmf(fewer, differing, 0.5))
    return McNemar(
        only_a=only_a,
        only_b=only_b,
        both=int(np.sum(right_a & right_b)),
        neither=int(np.sum(~right_a & ~right_b)),
        exact=min(1.0, 2 * tail),
        mid=min(1.0, 2 * tail - observed),
    )


def one_a_lesion(facts: pd.DataFrame) -> np.ndarray:
    """Return which pictures stand for their lesion, bool (N,): the first by image id.

    Photos of one lesion are right or wrong together, and McNemar's test expects independent cases.
    """
    order = facts.sort_values("image_id")
    first = ~order["lesion_id"].duplicated() | order["lesion_id"].isna()
    return first.reindex(facts.index).to_numpy()


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return p-values corrected for how many there are, Holm's step-down (1979, Scand. J. Statistics 6:65).

    NaN stays NaN and does not count.
    """
    given = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(given.shape, np.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(given[order] * factors)) if len(order) else []
    return corrected


def ranks(metric: Metric, values: Sequence[float], draws: Sequence[np.ndarray]) -> list[int | None]:
    """Return each model's rank: one more than the models that are really better, after Holm's correction.

    Models that cannot be told apart share a rank. None where the metric is undefined. With three or more
    models two of one rank may still differ from each other: the pair test tells.

    Args:
        metric: says which way is better.
        values: one a model. draws: the same in each resample, shape (R,) each, paired.
    """
    sign = 1 if metric.higher_is_better else -1
    pairs = [(a, b) for a in range(len(values)) for b in range(a + 1, len(values))]
    found = [difference(values[a], values[b], draws[a], draws[b]) for a, b in pairs]
    corrected = holm([one.p for one in found])
    better = np.zeros(len(values), dtype=int)
    for (a, b), one, p in zip(pairs, found, corrected, strict=True):
        if p < ALPHA:
            better[b if sign * one.value > 0 else a] += 1
    return [None if np.isnan(value) else 1 + int(count) for value, count in zip(values, better, strict=True)]
