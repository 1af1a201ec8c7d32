"""The curves of runs: what to draw, from what they told, thinned for the part that is looked at.

Add a chart by adding an entry to CHARTS.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import streamlit as st

from core.labels import CODES, INDEX
from core.runs.following import Epoch, Telling, ascending, smooth, thin, window
from core.runs.library import Summary
from core.runs.story import ALWAYS_NEVUS
from core.words import short_name
from pages.ui import theme

Axis = Literal["step", "epoch", "time"]
AXES: Final[tuple[Axis, ...]] = ("step", "epoch", "time")

POINTS: Final = 700
"""Points of a line that are sent: more than a chart has pixels. A part with fewer is exact."""

# Told apart on white and on black; the first is the theme's own.
_COLOURS: Final = (
    "#D2691E", "#7A5BD0", "#C2185B", "#3F7FBF", "#8D8B00", "#B04632", "#5E7C4B", "#A05CA8", "#7F8C99",
)  # fmt: skip

_KEY: Final = "train_curves"
_HERE: Final = Path(__file__)
_CURVES: Final = st.components.v2.component(
    "lesionlens_curves",
    html='<div class="curves"></div>\n',
    css=_HERE.with_name("curves.css").read_text(encoding="utf-8"),
    js=_HERE.with_name("curves.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Drawn:
    """One run as it is drawn. colour: of all its lines."""

    run: Summary
    telling: Telling
    total_steps: int
    colour: str

    def places(self, axis: Axis, steps: np.ndarray, epochs: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return where events lie on an axis."""
        if axis == "step":
            return steps
        if axis == "time":
            return ascending(times) - self.began
        whole = self.run.epochs
        per_epoch = self.total_steps / whole if whole and self.total_steps else 0
        return steps / per_epoch if per_epoch else epochs

    @property
    def began(self) -> float:
        """When it told its first, seconds since 1970."""
        times = [*self.telling.steps["time"][:1], *(epoch.time for epoch in self.telling.epochs[:1])]
        return float(min(times, default=0.0))

    def step_places(self, axis: Axis) -> np.ndarray:
        """Return where the step events lie."""
        steps = self.telling.steps
        return self.places(axis, steps["step"], steps["epoch"], steps["time"])

    def epoch_places(self, axis: Axis) -> np.ndarray:
        """Return where the epochs lie."""
        epochs = self.telling.epochs
        columns = ([one.step for one in epochs], [one.number for one in epochs], [one.time for one in epochs])
        return self.places(axis, *(np.array(column, dtype=np.float64) for column in columns))


@dataclass(frozen=True)
class Options:
    """How a person wants the curves. smoothing: 0 to below 1. log: of losses and learning rates."""

    axis: Axis = "step"
    smoothing: float = 0.6
    log: bool = False


@dataclass(frozen=True)
class Look:
    """The part that is looked at: the axis, its range (None is all), and the options."""

    options: Options
    range: tuple[float, float] | None


Line = dict[str, Any]


def colours(count: int) -> list[str]:
    """Return a colour for each of so many runs, the theme's own first."""
    return [theme.colour("primaryColor"), *_COLOURS][:count]


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def _line(name: str, colour: str, x: np.ndarray, y: np.ndarray, look: Look, **more: object) -> Line:
    part = slice(None) if look.range is None else window(x, *look.range)
    x, y = x[part], y[part]
    kept = thin(y, POINTS)
    plain: Line = {"dash": False, "faint": False, "dots": False, "best": None, "legend": True}
    return {"name": name, "colour": colour, "x": _packed(x[kept]), "y": _packed(y[kept]), **plain, **more}


def _of_steps(column: str, drawn: Drawn, look: Look, name: str, *, smoothed: bool) -> list[Line]:
    values = drawn.telling.steps.get(column)
    if values is None or not len(values):
        return []
    x = drawn.step_places(look.options.axis)
    if not smoothed or not look.options.smoothing:
        return [_line(name, drawn.colour, x, values, look)]
    raw = _line(name, drawn.colour, x, values, look, faint=True, legend=False)
    return [raw, _line(name, drawn.colour, x, smooth(values, look.options.smoothing), look)]


def _of_epochs(column: str, drawn: Drawn, look: Look, name: str, **more: object) -> list[Line]:
    values = drawn.telling.of_epochs(column)
    if not np.isfinite(values).any():
        return []
    return [_line(name, drawn.colour, drawn.epoch_places(look.options.axis), values, look, dots=True, **more)]


def _best(column: str, drawn: Drawn, look: Look) -> dict[str, object] | None:
    best = drawn.telling.best_epoch(column)
    if best is None:
        return None
    x = drawn.epoch_places(look.options.axis)[drawn.telling.epochs.index(best)]
    return {"x": float(x), "y": best.get(column), "words": f"best {best.get(column):.3f}"}


def _losses(runs: Sequence[Drawn], look: Look) -> list[Line]:
    lines = []
    for one in runs:
        alone = len(runs) == 1
        train = "training" if alone else f"{one.run.name}, training"
        val = "validation" if alone else f"{one.run.name}, validation"
        told = _of_steps("loss", one, look, train, smoothed=True) or _of_epochs(
            "train_loss", one, look, train
        )
        lines += [line | {"legend": alone and line["legend"]} for line in told]
        more: Line = {"dash": True, "legend": alone}
        if alone:
            more["colour"] = theme.colour("orangeColor")
        lines += [line | more for line in _of_epochs("val_loss", one, look, val)]
    return lines


def _scores(column: str) -> Callable[[Sequence[Drawn], Look], list[Line]]:
    def lines(runs: Sequence[Drawn], look: Look) -> list[Line]:
        return [
            line | {"best": _best(column, one, look), "legend": False}
            for one in runs
            for line in _of_epochs(column, one, look, "validation" if len(runs) == 1 else one.run.name)
        ]

    return lines


def _recalls(runs: Sequence[Drawn], look: Look) -> list[Line]:
    """Return a line a diagnosis, of the run that is looked at alone: seven a run would be a thicket."""
    one = runs[0]
    epochs = [epoch for epoch in one.telling.epochs if epoch.recall is not None]
    if not epochs:
        return []
    x = one.epoch_places(look.options.axis)[[epoch.recall is not None for epoch in one.telling.epochs]]
    told = np.array([epoch.recall for epoch in epochs])
    palette = theme.diagnosis_colours()
    return [
        _line(short_name(code), palette[code], x, told[:, INDEX[code]], look, dots=True) for code in CODES
    ]


def _steps(column: str) -> Callable[[Sequence[Drawn], Look], list[Line]]:
    def lines(runs: Sequence[Drawn], look: Look) -> list[Line]:
        return [
            line | {"legend": False}
            for one in runs
            for line in _of_steps(column, one, look, one.run.name, smoothed=False)
        ]

    return lines


def _always_nevus(runs: Sequence[Drawn]) -> list[dict[str, object]]:
    share = nevus_share(runs[0].telling.epochs)
    return [{"y": share, "words": f"always “nevus”: {share:.3f}"}]


def nevus_share(epochs: Sequence[Epoch]) -> float:
    """Return how many of the validation pictures are nevi; of HAM10000 as a whole while nobody told."""
    for epoch in reversed(epochs):
        if epoch.confusion is not None and epoch.confusion.sum() > 0:
            return float(epoch.confusion[INDEX["nv"]].sum() / epoch.confusion.sum())
    return ALWAYS_NEVUS


@dataclass(frozen=True)
class Chart:
    """One chart. about: what it shows, for a tooltip. logs: whether a logarithmic axis makes sense."""

    title: str
    about: str
    lines: Callable[[Sequence[Drawn], Look], list[Line]]
    marks: Callable[[Sequence[Drawn]], list[dict[str, object]]] = lambda _: []
    logs: bool = False
    low: float | None = None
    high: float | None = None


CHARTS: Final = {
    "balanced": Chart(
        "Balanced accuracy",
        "On validation pictures, every diagnosis counted alike. The best epoch is what is kept.",
        _scores("balanced_accuracy"),
    ),
    "loss": Chart(
        "Loss",
        "How wrong the model is; lower is better. When validation rises while training falls, it learns its "
        "pictures by heart.",
        _losses,
        logs=True,
    ),
    "recall": Chart(
        "Found, by diagnosis",
        "Recall: of the validation pictures of each diagnosis, how many are named right.",
        _recalls,
        low=0.0,
        high=1.0,
    ),
    "accuracy": Chart(
        "Accuracy",
        "Of all validation pictures, how many are named right. Two thirds are nevi, so the dotted line is "
        "what needs no model.",
        _scores("accuracy"),
        marks=_always_nevus,
    ),
    "rate": Chart(
        "Learning rate",
        "How far one step may change the model. It warms up, then falls to nothing.",
        _steps("learning_rate"),
        logs=True,
    ),
    "pace": Chart("Pictures a second", "How fast training goes.", _steps("images_per_s"), low=0.0),
}


def figure(runs: Sequence[Drawn], look: Look) -> dict[str, Any]:
    """Return the data of all charts; see curves.js."""
    charts = []
    for name, chart in CHARTS.items():
        charts.append(
            {
                "id": name,
                "title": chart.title,
                "about": chart.about,
                "words": f"{chart.title} by {look.options.axis}. {_newest(name, runs)} Arrow keys read "
                "it off; a table follows below.",
                "log": chart.logs and look.options.log,
                "lines": chart.lines(runs, look),
                "marks": chart.marks(runs),
                "low": chart.low,
                "high": chart.high,
            }
        )
    return {
        "axis": look.options.axis,
        "domain": _domain(runs, look.options.axis),
        "range": look.range,
        "runs": [{"name": one.run.name, "colour": one.colour} for one in runs],
        "charts": charts,
    }


def _newest(chart: str, runs: Sequence[Drawn]) -> str:
    column = {"balanced": "balanced_accuracy", "loss": "val_loss", "accuracy": "accuracy"}.get(chart)
    values = runs[0].telling.of_epochs(column) if column else np.empty(0)
    known = values[np.isfinite(values)]
    return f"Last value on validation {known[-1]:.3f}." if len(known) else ""


def _domain(runs: Sequence[Drawn], axis: Axis) -> tuple[float, float]:
    """Return the axis's range: to the planned end where it is known, so that a run is seen to go on."""
    ends = [0.0]
    for one in runs:
        for places in (one.step_places(axis), one.epoch_places(axis)):
            if len(places):
                ends.append(float(places[-1]))
        ends.append(float({"step": one.total_steps, "epoch": one.run.epochs}.get(axis, 0)))
    return 0.0, max(ends) or 1.0


def looked_at(options: Options) -> Look:
    """Return the part that this person has zoomed to."""
    state = st.session_state.get(_KEY)
    told = None if state is None else state.get("range")
    if st.session_state.get(f"{_KEY}_axis") != options.axis:
        # A range of steps means nothing in epochs.
        st.session_state[f"{_KEY}_axis"] = options.axis
        told = None
    if (
        isinstance(told, list | tuple)
        and len(told) == 2
        and all(isinstance(one, int | float) and np.isfinite(one) for one in told)
        and told[0] < told[1]
    ):
        return Look(options, (float(told[0]), float(told[1])))
    return Look(options, None)


def draw(runs: Sequence[Drawn], options: Options) -> None:
    """Draw the curves of runs, the one that is looked at first."""
    _CURVES(key=_KEY, data=figure(runs, looked_at(options)), on_range_change=lambda: None)


def table(telling: Telling) -> pd.DataFrame:
    """Return what the curves show, an epoch a row: the same without a chart."""
    columns: Mapping[str, str] = {
        "train_loss": "training loss",
        "val_loss": "validation loss",
        "balanced_accuracy": "balanced accuracy",
        "accuracy": "accuracy",
        "macro_auc": "macro AUC",
    }
    rows = pd.DataFrame({title: telling.of_epochs(name) for name, title in columns.items()})
    recalls = [np.full(len(CODES), np.nan) if one.recall is None else one.recall for one in telling.epochs]
    for code in CODES:
        rows[f"{code} found"] = [float(recall[INDEX[code]]) for recall in recalls]
    rows.insert(0, "epoch", [one.number for one in telling.epochs])
    return rows.dropna(axis="columns", how="all")
