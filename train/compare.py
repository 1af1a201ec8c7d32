"""Compare evaluations on the command line, by the same engine as the Compare page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import pandas as pd

from core.errors import EvaluationError
from core.evaluate.artifact import METRICS_FILE, Evaluation
from core.evaluate.gathering import evaluation_folders, read_evaluation, told_apart
from core.evaluate.lineup import LineUp, Measured, line_up
from core.evaluate.metrics import METRICS, Metric, at_threshold, decided_by, melanoma_sensitivity
from core.evaluate.operating import Wish, choose_threshold
from core.evaluate.pairs import difference, p_words, ranks
from core.evaluate.sheet import interval_words
from core.evaluate.subgroups import histology_only
from core.settings import settings

RANKED_BY: Final = "balanced_accuracy"
SAID: Final = (
    RANKED_BY, "macro_auc", "macro_f1", "melanoma_sensitivity", "sensitivity", "specificity", "ece", "brier",
)  # fmt: skip
"""What is printed; the tables of --out hold every metric."""


def read(asked: Sequence[str]) -> list[Evaluation]:
    """Return evaluations by their folders or by the runs that they are of; all that are here for none.

    Raises:
        EvaluationError: one of them is not there, or cannot be read.
    """
    runs_dir = settings().runs_dir
    folders = [_folder(name, runs_dir) for name in asked] or evaluation_folders(runs_dir)
    return told_apart([read_evaluation(folder) for folder in folders])


@dataclass(frozen=True)
class Compared:
    """A line-up with every metric of each model; those at the operating point only where it has one.

    lacking: why a model has no operating point, by its name.
    """

    lineup: LineUp
    wish: Wish
    measured: tuple[Mapping[str, Measured], ...]
    lacking: Mapping[str, str]


def measure(evaluations: Sequence[Evaluation], wish: Wish, *, histology: bool = False) -> Compared:
    """Bring evaluations together and measure them.

    Raises:
        EvaluationError: nothing to compare.
    """
    lineup = line_up(evaluations)
    if histology:
        lineup = lineup.where(histology_only(lineup.facts))
    if not lineup.n_images:
        raise EvaluationError("None of these pictures was confirmed by histology.")
    measured, lacking = [], {}
    for place, evaluation in enumerate(lineup.evaluations):
        metrics: dict[str, Metric] = dict(METRICS)
        try:
            threshold = choose_threshold(evaluation, wish).threshold
        except EvaluationError as problem:
            lacking[evaluation.name] = str(problem)
        else:
            metrics |= at_threshold(threshold) | {"melanoma_sensitivity": melanoma_sensitivity(threshold)}
        measured.append(lineup.measure(place, metrics))
    return Compared(lineup, wish, tuple(measured), lacking)


def say(compared: Compared) -> list[str]:
    """Return what is printed, line by line."""
    lineup, first = compared.lineup, compared.lineup.evaluations[0]
    what = (
        f"{lineup.n_images:,} pictures of {lineup.n_lesions:,} lesions, {first.split} of split "
        f"{first.split_hash[:12]}; operating point: {compared.wish.words}."
    )
    lines = [what]
    lines += [f"left out: {name}. {reason}" for name, reason in lineup.refused.items()]
    lines += [f"no operating point: {reason}" for reason in compared.lacking.values()]
    ranked = _ranks(compared)
    for place in sorted(range(len(ranked)), key=lambda place: ranked[place] or len(ranked) + 1):
        rank = "n/a" if ranked[place] is None else f"{ranked[place]}."
        lines.append(f"{rank} {lineup.names[place]}")
        found = compared.measured[place]
        lines += [
            f"   {name:22} {interval_words(found[name].interval):24} {decided_by(name)}".rstrip()
            for name in SAID
            if name in found
        ]
    for row in pairs_table(compared).to_dict("records"):
        if row["metric"] == RANKED_BY:
            lines.append(
                f"{row['A']} less {row['B']} in {RANKED_BY}: {row['A less B']:+.3f} ({row['from']:+.3f} to "
                f"{row['to']:+.3f}), p (uncorrected) {row['p in words']}"
            )
    return lines


def as_table(compared: Compared) -> pd.DataFrame:
    """Return a row a model and metric: value, interval, pictures and lesions behind it."""
    return pd.DataFrame(
        {"model": name, "metric": metric, "decided by": decided_by(metric)} | vars(one.interval)
        for name, found in zip(compared.lineup.names, compared.measured, strict=True)
        for metric, one in found.items()
    )


def pairs_table(compared: Compared) -> pd.DataFrame:
    """Return a row a pair and metric that both have: the paired difference with interval and p."""
    rows = []
    for first, second in combinations(range(len(compared.measured)), 2):
        for metric, a in compared.measured[first].items():
            if (b := compared.measured[second].get(metric)) is None:
                continue
            found = difference(a.interval.value, b.interval.value, a.draws, b.draws)
            p = p_words(found.p, lowest=found.lowest).removeprefix("= ")
            names = {"A": compared.lineup.names[first], "B": compared.lineup.names[second], "metric": metric}
            rows.append(
                names
                | {"decided by": decided_by(metric), "A less B": found.value, "from": found.low}
                | {"to": found.high, "p": found.p, "p in words": p}
            )
    columns = ["A", "B", "metric", "decided by", "A less B", "from", "to", "p", "p in words"]
    return pd.DataFrame(rows, columns=columns)


def _ranks(compared: Compared) -> list[int | None]:
    found = [one[RANKED_BY] for one in compared.measured]
    return ranks(METRICS[RANKED_BY], [one.interval.value for one in found], [one.draws for one in found])


def _folder(name: str, runs_dir: Path) -> Path:
    """Return the folder of an evaluation by its path, or by the run that it is of."""
    for folder in (Path(name), runs_dir / name / "evaluation"):
        if (folder / METRICS_FILE).is_file():
            return folder
    raise EvaluationError(f"There is no evaluation {name}: neither a folder with {METRICS_FILE} nor a run.")
