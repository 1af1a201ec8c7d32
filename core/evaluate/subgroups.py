"""For whom a model is right: metrics by age, sex, site and kind of picture, and the worst slices.

Add a facet by adding an entry to FACETS.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final, TypeAlias

import numpy as np
import pandas as pd

from core.data.quality import ITA_BANDS, MEASURES, ita_band
from core.evaluate.intervals import Interval, count_lesions
from core.evaluate.lineup import LineUp
from core.evaluate.metrics import Metric
from core.evaluate.pairs import ALPHA, difference, holm
from core.labels import INDEX, MALIGNANT
from core.predict.calibration import malignancy

QUALITY_COLUMNS: Final = (
    "sharpness", "brightness", "contrast", "overexposed", "hair", "corners", "ita_degrees",
)  # fmt: skip
UNKNOWN: Final = "unknown"
ALL: Final = "all"
HISTOLOGY: Final = "histology"
SMALL: Final = 20
"""Lesions below which a group's number is shown, but greyed: luck decides it."""
_AGE_EDGES: Final = (0, 30, 45, 60, 75, 200)
_AGE_NAMES: Final = ("under 30", "30 to 44", "45 to 59", "60 to 74", "75 and over")
_QUALITY_NAMES: Final = ("lowest third", "middle third", "highest third")


@dataclass(frozen=True)
class Facet:
    """One way to divide pictures.

    Attributes:
        name: what addresses call it. title: what people read.
        needs: the column of facts without which it is not known.
        divide: takes the facts (N, …), returns each picture's group, shape (N,); missing is unknown.
        order: of groups that have one; others go by size.
    """

    name: str
    title: str
    needs: str
    divide: Callable[[pd.DataFrame], pd.Series]
    order: tuple[str, ...] = ()


def _age_bands(facts: pd.DataFrame) -> pd.Series:
    return pd.cut(facts["age_years"], _AGE_EDGES, right=False, labels=_AGE_NAMES)


def _thirds(column: str) -> Callable[[pd.DataFrame], pd.Series]:
    def divide(facts: pd.DataFrame) -> pd.Series:
        # Ranks, not values: a measure that is zero for half of the pictures still divides where it can.
        share = facts[column].rank(pct=True, method="average")
        return pd.cut(share, (0, 1 / 3, 2 / 3, 1), labels=_QUALITY_NAMES)

    return divide


def _column(name: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda facts: facts[name]


FACETS: Final = {
    facet.name: facet
    for facet in (
        Facet("age", "Age", "age_years", _age_bands, _AGE_NAMES),
        Facet("sex", "Sex", "sex", _column("sex")),
        Facet("site", "Body site", "site", _column("site")),
        Facet("dx_type", "How established", "dx_type", _column("dx_type")),
        Facet(
            "ita",
            "Skin tone of the picture (ITA)",
            "ita_degrees",
            lambda facts: ita_band(facts["ita_degrees"]),
            ITA_BANDS,
        ),
        *(
            Facet(name, MEASURES[name].title, name, _thirds(name), _QUALITY_NAMES)
            for name in ("sharpness", "brightness", "contrast", "hair")
        ),
        Facet("source", "Source", "source", _column("source")),
    )
}  # fmt: skip


def facets_of(facts: pd.DataFrame) -> list[Facet]:
    """Return the facets that divide these pictures: what is known of them and not the same for all."""
    return [
        facet
        for facet in FACETS.values()
        if facet.needs in facts and len(facts[facet.needs].dropna().unique()) > 1
    ]


def divide(facts: pd.DataFrame, facet: Facet) -> pd.Series:
    """Return each picture's group as text, unknown ones as "unknown"; shape (N,), index 0 to N - 1."""
    groups = facet.divide(facts).astype("object")
    return groups.where(groups.notna(), UNKNOWN).astype(str).reset_index(drop=True)


@dataclass(frozen=True)
class Group:
    """A metric of one model in one group.

    value, with its interval, n and lesions; `p` of the difference to all other pictures, corrected for the
    groups that were looked at; NaN where it is undefined. `small`: fewer than SMALL lesions stand behind it.
    """

    model: int
    name: str
    interval: Interval
    p: float

    @property
    def small(self) -> bool:
        """Whether luck may decide the number."""
        return self.interval.n_lesions < SMALL

    @property
    def stands_out(self) -> bool:
        """Whether the group differs from all others after correction, and is not small."""
        return not self.small and self.p < ALPHA


def by_group(lineup: LineUp, facet: Facet, metrics: Mapping[int, Metric]) -> list[Group]:
    """Return a metric in every group of a facet, for each model; corrected over a model's groups.

    metrics: by the model's position; a threshold may differ from model to model.
    """
    groups = divide(lineup.facts, facet)
    names = in_order(facet, groups)
    found: list[Group] = []
    for model, metric in metrics.items():
        rows = [_group(lineup, model, metric, (groups == name).to_numpy()) for name in names]
        corrected = holm([p for _, p in rows])
        found += [
            Group(model, name, interval, float(p))
            for name, (interval, _), p in zip(names, rows, corrected, strict=True)
        ]
    return found


def in_order(facet: Facet, groups: pd.Series) -> list[str]:
    """Return the groups that occur: bands in their order, others by size, unknown last."""
    counts = groups.value_counts()
    order = {name: place for place, name in enumerate(facet.order)}
    return sorted(counts.index, key=lambda name: (name == UNKNOWN, order.get(name, 0), -counts[name], name))


def _group(lineup: LineUp, model: int, metric: Metric, mine: np.ndarray) -> tuple[Interval, float]:
    inside, outside = lineup.where(mine), lineup.where(~mine)
    here = inside.measure(model, {metric.name: metric})[metric.name]
    there = outside.measure(model, {metric.name: metric})[metric.name]
    differs = difference(here.interval.value, there.interval.value, here.draws, there.draws)
    return here.interval, differs.p


@dataclass(frozen=True)
class Gap:
    """How far a model's best and worst group lie apart, of those that are not small.

    Sampling alone makes the gap of many groups positive: its interval says how much of it may be luck.
    """

    model: int
    best: str
    worst: str
    value: float
    low: float
    high: float


def gap(lineup: LineUp, facet: Facet, model: int, metric: Metric) -> Gap | None:
    """Return the gap of a metric between the groups of a facet; None with fewer than two to compare.

    Unknown is no group here. The interval is that of the difference between the two groups that are best and
    worst on all pictures.
    """
    groups = divide(lineup.facts, facet)
    measured = {}
    for name in in_order(facet, groups):
        part = lineup.where((groups == name).to_numpy()).measure(model, {metric.name: metric})[metric.name]
        if name != UNKNOWN and part.interval.n_lesions >= SMALL and np.isfinite(part.interval.value):
            measured[name] = part
    if len(measured) < 2:
        return None
    order = sorted(measured, key=lambda name: measured[name].interval.value)
    low, high = (order[0], order[-1]) if metric.higher_is_better else (order[-1], order[0])
    best, worst = measured[high], measured[low]
    found = difference(best.interval.value, worst.interval.value, best.draws, worst.draws)
    return Gap(model, high, low, found.value, found.low, found.high)


@dataclass(frozen=True)
class Failure:
    """A way to be wrong. `among`: which pictures can fail, `failed`: which do; bool (N,) each."""

    name: str
    title: str
    of: Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]
    """Takes truth, probabilities and threshold."""


FAILURES: Final = {
    one.name: one
    for one in (
        Failure(
            "wrong", "wrong answers", lambda truth, p, _: (np.ones(len(truth), bool), p.argmax(1) != truth)
        ),
        Failure(
            "missed",
            "malignant pictures missed",
            lambda truth, p, threshold: (MALIGNANT[truth], malignancy(p) < threshold),
        ),
        Failure(
            "missed_mel",
            "melanomas missed",
            lambda truth, p, threshold: (truth == INDEX["mel"], malignancy(p) < threshold),
        ),
        Failure(
            "alarms",
            "false alarms",
            lambda truth, p, threshold: (~MALIGNANT[truth], malignancy(p) >= threshold),
        ),
    )
}


@dataclass(frozen=True)
class Slice:
    """A part of the pictures, by one or two features, in which a model fails more often than elsewhere.

    rate, elsewhere: shares that fail inside and outside. low, high: 95 % interval of their difference.
    p: corrected over all slices that were looked at. n, n_lesions: pictures inside that can fail.
    """

    features: tuple[tuple[str, str], ...]
    rate: float
    elsewhere: float
    low: float
    high: float
    p: float
    n: int
    n_lesions: int


def worst_slices(
    lineup: LineUp, model: int, failure: Failure, *, threshold: float = 1.0, most: int = 8
) -> tuple[list[Slice], int]:
    """Look at every slice of one and of two features; return the worst, and how many were looked at.

    Slices with fewer than SMALL lesions that can fail are not looked at. The bootstrap gives each difference
    a standard error; its z-test is corrected by Holm over all slices, since the worst of hundreds is bad by
    luck alone.
    """
    among, failed = failure.of(lineup.truth, lineup.probabilities[model], threshold)
    masks = _slices(lineup, among)
    if not masks:
        return [], 0
    inside = np.stack([mask for _, mask in masks], axis=1) & among[:, None]
    fails = inside & failed[:, None]
    weights = lineup.weights.astype(np.float32)
    counts, hits = weights @ inside.astype(np.float32), weights @ fails.astype(np.float32)
    every, all_hits = weights @ among.astype(np.float32), weights @ (among & failed).astype(np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        differences = hits / counts - (all_hits[:, None] - hits) / (every[:, None] - counts)
    found = []
    for place, (features, _) in enumerate(masks):
        found.append(_slice(features, inside[:, place], among, failed, differences[:, place], lineup))
    corrected = holm([one.p for one in found])
    ranked = [Slice(**(vars(one) | {"p": float(p)})) for one, p in zip(found, corrected, strict=True)]
    ranked.sort(key=lambda one: (one.p, one.elsewhere - one.rate))
    return [one for one in ranked if one.rate > one.elsewhere][:most], len(ranked)


_Masked: TypeAlias = tuple[tuple[tuple[str, str], ...], np.ndarray]


def _slices(lineup: LineUp, among: np.ndarray) -> list[_Masked]:
    """Return each slice's features and its pictures, bool (N,), where enough of them can fail."""
    lesions = lineup.facts["lesion_id"].to_numpy()
    single = [
        ((facet.title, name), (groups == name).to_numpy())
        for facet in facets_of(lineup.facts)
        # How a diagnosis was established follows from it: such a slice would name the diagnosis again.
        if facet.name != "dx_type"
        for groups in [divide(lineup.facts, facet)]
        for name in in_order(facet, groups)
        if name != UNKNOWN
    ]
    candidates: list[_Masked] = [((one,), mask) for one, mask in single]
    candidates += [
        ((one, other), mask & second)
        for (one, mask), (other, second) in combinations(single, 2)
        if one[0] != other[0]
    ]
    return [
        (features, mask)
        for features, mask in candidates
        if (mask & among).sum() >= SMALL
        and count_lesions(lesions[mask & among]) >= SMALL
        and (~mask & among).any()
    ]


def _slice(
    features: tuple[tuple[str, str], ...],
    inside: np.ndarray,
    among: np.ndarray,
    failed: np.ndarray,
    differences: np.ndarray,
    lineup: LineUp,
) -> Slice:
    outside = among & ~inside
    rate, elsewhere = float(failed[inside].mean()), float(failed[outside].mean())
    defined = differences[np.isfinite(differences)]
    low, high = np.percentile(defined, (2.5, 97.5)).tolist()
    return Slice(
        features=features,
        rate=rate,
        elsewhere=elsewhere,
        low=low,
        high=high,
        p=_two_sided(rate - elsewhere, float(defined.std())),
        n=int(inside.sum()),
        n_lesions=count_lesions(lineup.facts["lesion_id"][inside]),
    )


def _two_sided(value: float, error: float) -> float:
    from scipy.stats import norm

    return float(2 * norm.sf(abs(value) / error)) if error > 0 else float("nan")


def histology_only(facts: pd.DataFrame) -> np.ndarray:
    """Return which pictures were confirmed by histology, bool (N,)."""
    return (facts["dx_type"] == "histo").fillna(value=False).to_numpy(dtype=bool)


def pictures_that_count(facts: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return which pictures are of ALL and which of HISTOLOGY alone, each bool (N,)."""
    return {ALL: np.ones(len(facts), dtype=bool), HISTOLOGY: histology_only(facts)}
