"""The facts sheet of a model, written from what was measured; what nobody measured says so."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.evaluate.artifact import Evaluation
from core.evaluate.intervals import Interval
from core.evaluate.metrics import DECISIONS, OPERATING_POINT, decided_by
from core.labels import BY_CODE, CODES
from core.markdown import plain
from core.words import DISCLAIMER, NBSP

NOT_MEASURED: Final = "not measured"


@dataclass(frozen=True)
class Field:
    """One fact of a model: its key in `Evaluation.model`, what people call it, and how it is said."""

    key: str
    title: str
    say: Callable[[Any], str]


FIELDS: Final = (
    Field("architecture", "Architecture", str),
    Field("about", "About", str),
    Field("parameters", "Parameters", lambda value: f"{value / 1e6:,.2f} million"),
    Field("size_bytes", "Size on disk", lambda value: f"{value / 1e6:,.1f} MB"),
    Field("input_px", "Shorter side of the input", lambda value: f"{value} px"),
    Field("uses_facts", "Uses age, sex and site", lambda value: "yes" if value else "no"),
    Field("data", "Trained on", str),
    Field("licence", "Licence", str),
    Field("training_images", "Pictures shown in training", lambda value: f"{value:,.0f}"),
    Field(
        "training_s",
        "Training, from first to last step",
        lambda value: f"{value:.0f} s" if value < 120 else f"{value / 60:,.0f} min",
    ),
    Field("weights", "Started from", str),
    Field("training_commit", "Code", lambda value: str(value)[:12]),
    Field("temperature", "Temperature, fitted on validation pictures", lambda value: f"{value:.3f}"),
)


def said(evaluation: Evaluation, field: Field) -> str:
    """Return a fact in words; "not measured" where it is missing or not what it should be."""
    value = evaluation.model.get(field.key)
    if value is None or value == "":
        return NOT_MEASURED
    try:
        return field.say(value)
    except (TypeError, ValueError):
        return NOT_MEASURED


_TITLES: Final = {
    "ece": "calibration error",
    "macro_f1": "macro F1",
    "brier": "Brier score",
    "log_loss": "log loss",
} | {f"recall_{code}": f"recall of {BY_CODE[code].name.lower()}" for code in CODES}
_DECIDES: Final = (
    "sensitivity",
    "specificity",
    "melanoma_sensitivity",
    *(f"recall_{code}" for code in CODES),
)
"""Metrics that stand beside others of the same name by another rule, so that theirs belongs to the name."""


def metric_title(name: str) -> str:
    """Return a metric's name as people read it: "melanoma sensitivity (operating point)"."""
    words = _TITLES.get(name, name.replace("_auc", " AUC").replace("_", " "))
    return f"{words} ({decided_by(name)})" if name in _DECIDES else words


def interval_words(one: Interval, *, digits: int = 3) -> str:
    """Return "0.540 (0.470 to 0.610)"; "n/a" where undefined."""
    if not math.isfinite(one.value):
        return "n/a"
    said = f"{one.value:.{digits}f}"
    if math.isfinite(one.low) and math.isfinite(one.high):
        said += f" ({one.low:.{digits}f} to {one.high:.{digits}f})"
    return said.replace("-", "−")


def facts_sheet(
    evaluation: Evaluation,
    measured: Mapping[str, Interval],
    *,
    on: str = "all of them",
    point: str = "",
    ms: float | None = None,
) -> str:
    """Return a model's facts as Markdown.

    Args:
        evaluation: what it answered.
        measured: metrics to list, by name.
        on: which pictures the metrics are of, in words.
        point: the operating point, in words, where one of the metrics needs it.
        ms: of one prediction on this machine, where it was measured.
    """
    where = (
        f"Measured {evaluation.date[:10]} on the {evaluation.split} pictures of split "
        f"{evaluation.split_hash[:12]}: {evaluation.n_images:,} pictures, {evaluation.views} view(s) each."
    )
    lines = [
        f"# {_cell(evaluation.name)}",
        "",
        _cell(where),
        "",
        "| fact | value |",
        "|---|---|",
        f"| Reference | {_cell(evaluation.checkpoint)} |",
        *(f"| {field.title} | {_cell(said(evaluation, field))} |" for field in FIELDS),
        f"| One prediction on this machine | {NOT_MEASURED if ms is None else f'{ms:.0f} ms'} |",
        "",
        "| diagnosis | pictures |",
        "|---|---|",
        *(
            f"| {BY_CODE[code].name} ({code}) | {int((evaluation.table['dx'] == code).sum()):,} |"
            for code in CODES
        ),
        "",
        f"Numbers on {_cell(on)}, each with its 95{NBSP}% interval over lesions.",
        "",
        "| metric | value | n, lesions |",
        "|---|---|---|",
        *(
            f"| {metric_title(name)} | {_unbroken(interval_words(one))} | {one.n:,}, {one.n_lesions:,} |"
            for name, one in measured.items()
        ),
        "",
        *_rules(measured, point),
        DISCLAIMER,
    ]
    return "\n".join(lines) + "\n"


def _rules(measured: Mapping[str, Interval], point: str) -> list[str]:
    """Return what the rules mean that the metrics decide by, as lines of Markdown."""
    known = {decided_by(name) for name in measured}
    said = [f"{rule}: {about}" for rule, about in DECISIONS.items() if rule in known]
    if OPERATING_POINT in known and point:
        said.append(f"the point: {_cell(point)}, chosen on validation pictures")
    return [f"Decided by: {'; '.join(said)}.", ""] if said else []


def _unbroken(interval: str) -> str:
    """Keep what is in brackets on one line, which a narrow column would break."""
    value, _, ends = interval.partition(" ")
    return f"{value} {ends.replace(' ', NBSP)}"


def _cell(text: str) -> str:
    """Return a text that stays in its line, or cell of a table, and becomes no markup."""
    return plain(" ".join(text.split()))
