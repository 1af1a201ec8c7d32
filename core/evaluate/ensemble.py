"""Several models as one: the mean of their probabilities, judged from their artifacts alone."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from core.errors import EvaluationError
from core.evaluate.artifact import PROBABILITY_COLUMNS, Evaluation, probabilities_of
from core.evaluate.lineup import why_not_comparable

FEWEST: Final = 2


def average(members: Sequence[Evaluation], *, name: str) -> Evaluation:
    """Return the evaluation of the mean of several models' probabilities, on the pictures all answered.

    Its validation answers are the mean of theirs; without them in one member, there are none. Metrics are
    left to be measured where it is compared.

    Raises:
        EvaluationError: fewer than two models, or models that answered different questions.
    """
    if len(members) < FEWEST:
        raise EvaluationError("An ensemble needs two models or more.")
    for other in members[1:]:
        if (reason := why_not_comparable(members[0], other)) is not None:
            raise EvaluationError(reason)
    vals = [one.val for one in members if one.val is not None]
    first = members[0]
    return Evaluation(
        name=name,
        checkpoint=" + ".join(one.checkpoint for one in members),
        split=first.split,
        split_hash=first.split_hash,
        table=_mean([one.table for one in members]),
        metrics={},
        views=max(one.views for one in members),
        app_version=first.app_version,
        date=max(one.date for one in members),
        model={
            "about": f"Mean of the probabilities of {', '.join(one.name for one in members)}.",
            "parameters": _sum(members, "parameters"),
            "size_bytes": _sum(members, "size_bytes"),
            "training_s": _sum(members, "training_s"),
        },
        val=_mean(vals) if len(vals) == len(members) else None,
    )


def _mean(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    indexed = [table.set_index("image_id", drop=False) for table in tables]
    common = [name for name in indexed[0].index if all(name in one.index for one in indexed[1:])]
    mean = np.mean([probabilities_of(one.loc[common]) for one in indexed], axis=0)
    table = indexed[0].loc[common].reset_index(drop=True)
    return table.assign(**dict(zip(PROBABILITY_COLUMNS, mean.T, strict=True)))


def _sum(members: Sequence[Evaluation], key: str) -> float | None:
    """Return the sum of a number over the members; None where one does not know it."""
    values = [one.model.get(key) for one in members]
    known = [value for value in values if isinstance(value, int | float)]
    return sum(known) if len(known) == len(values) else None
