"""Many models on the same pictures: what can be compared, what cannot and why, and every metric resampled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pandas as pd

from core.errors import EvaluationError
from core.evaluate.artifact import PROBABILITY_COLUMNS, Evaluation, probabilities_of, truth_of
from core.evaluate.intervals import RESAMPLES, Interval, count_lesions, lesion_weights, percentiles, resampled
from core.evaluate.metrics import METRICS, Metric

MOST: Final = 6
"""Models that are compared at once: more cannot be told apart in one chart."""


@dataclass(frozen=True, eq=False)
class LineUp:
    """What several models answered to the same pictures.

    Attributes:
        evaluations: the models that can be compared, in the order asked; each table as it was measured.
        facts: the common pictures with every fact that any of the artifacts knows, shape (N, …).
        truth: class indices, shape (N,).
        probabilities: shape (M, N, 7), models in the order of `evaluations`.
        left_out: pictures that a model answered and that are not common, by the model's name.
        refused: why a model cannot be compared with the first one, by its name.
        weights: how often each picture counts in each resample of lesions, shape (R, N).
    """

    evaluations: tuple[Evaluation, ...]
    facts: pd.DataFrame
    truth: np.ndarray
    probabilities: np.ndarray
    left_out: Mapping[str, int]
    refused: Mapping[str, str]
    weights: np.ndarray = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names."""
        return tuple(one.name for one in self.evaluations)

    @property
    def n_images(self) -> int:
        """Common pictures."""
        return len(self.truth)

    @property
    def n_lesions(self) -> int:
        """Lesions that the common pictures show."""
        return count_lesions(self.facts["lesion_id"])

    def where(self, chosen: np.ndarray) -> "LineUp":
        """Return the line-up on some of the pictures alone, bool (N,); the resamples stay the same draws."""
        return replace(
            self,
            facts=self.facts[chosen].reset_index(drop=True),
            truth=self.truth[chosen],
            probabilities=self.probabilities[:, chosen],
            weights=self.weights[:, chosen],
        )

    def draws(self, model: int, metric: Metric) -> np.ndarray:
        """Return a model's metric in each resample, shape (R,)."""
        return resampled(metric, self.truth, self.probabilities[model], self.weights)

    def measure(self, model: int, metrics: Mapping[str, Metric] = METRICS) -> dict[str, "Measured"]:
        """Return each metric of a model with its interval and draws."""
        return {name: self._measure(model, metric) for name, metric in metrics.items()}

    def _measure(self, model: int, metric: Metric) -> "Measured":
        draws = self.draws(model, metric)
        value = metric(self.truth, self.probabilities[model])
        counted = metric.counts(self.truth)
        n_lesions = count_lesions(self.facts["lesion_id"][counted])
        return Measured(
            Interval(value, *percentiles(metric, value, draws), int(counted.sum()), n_lesions), draws
        )


@dataclass(frozen=True, eq=False)
class Measured:
    """A metric's value with its interval, and its value in each resample, shape (R,)."""

    interval: Interval
    draws: np.ndarray = field(repr=False)


def line_up(evaluations: Sequence[Evaluation], *, resamples: int = RESAMPLES, seed: int = 0) -> LineUp:
    """Bring models together that answered the same pictures of the same split.

    The first decides what is compared; a model whose split or labels are others is refused by name. Only the
    pictures that all answered count.

    Raises:
        EvaluationError: no model, two of one name, or no picture that is common.
    """
    if not evaluations:
        raise EvaluationError("No evaluation to compare; pick one or more.")
    names = [one.name for one in evaluations]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise EvaluationError(
            f"Two evaluations are called {twice}; rename one, so that they can be told apart."
        )
    first = evaluations[0]
    refused = {
        one.name: reason for one in evaluations[1:] if (reason := why_not_comparable(first, one)) is not None
    }
    chosen = tuple(one for one in evaluations if one.name not in refused)
    common = set(first.table["image_id"]).intersection(*(one.table["image_id"] for one in chosen))
    if not common:
        raise EvaluationError("The chosen evaluations have no picture in common; choose others.")
    order = sorted(common)
    tables = [one.table.set_index("image_id", drop=False).loc[order].reset_index(drop=True) for one in chosen]
    facts = _facts(tables)
    return LineUp(
        evaluations=chosen,
        facts=facts,
        truth=truth_of(facts),
        probabilities=np.stack([probabilities_of(table) for table in tables]),
        left_out={one.name: one.n_images - len(order) for one in chosen if one.n_images > len(order)},
        refused=refused,
        weights=lesion_weights(facts["lesion_id"], resamples=resamples, seed=seed),
    )


def why_not_comparable(first: Evaluation, other: Evaluation) -> str | None:
    """Return why two evaluations answer different questions, in a sentence; None when they do not."""
    if (other.split, other.split_hash) != (first.split, first.split_hash):
        return (
            f"{other.name} was measured on {other.split} of split {other.split_hash[:12]}, {first.name} on "
            f"{first.split} of split {first.split_hash[:12]}: what one was tested on, the other may have "
            "learned. Evaluate both on one split."
        )
    own = first.table.set_index("image_id")["dx"]
    others = other.table.set_index("image_id")["dx"]
    shared = own.index.intersection(others.index)
    if not len(shared):
        return f"{other.name} and {first.name} have no picture in common."
    differing = own.loc[shared].to_numpy() != others.loc[shared].to_numpy()
    if differing.any():
        image_id = shared[np.flatnonzero(differing)[0]]
        return (
            f"{other.name} holds another diagnosis than {first.name} for {int(differing.sum())} pictures, "
            f"the first {image_id!r} ({others[image_id]} against {own[image_id]}). One truth is wrong."
        )
    return None


def _facts(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the facts of the first table, with what it lacks from the others; no probabilities."""
    facts = tables[0].drop(columns=list(PROBABILITY_COLUMNS))
    for table in tables[1:]:
        for name in table.columns.difference([*PROBABILITY_COLUMNS], sort=False):
            # A truth without facts has their columns all the same, empty.
            known = name in facts
            facts[name] = facts[name].where(facts[name].notna(), table[name]) if known else table[name]
    return facts
