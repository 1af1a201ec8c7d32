"""Which models are compared, on which pictures, at which operating point: what every view is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import streamlit as st

from core.errors import EvaluationError
from core.evaluate.artifact import Evaluation
from core.evaluate.ensemble import average
from core.evaluate.gathering import evaluation_folders, told_apart, weights_folder
from core.evaluate.lineup import MOST, LineUp, Measured, line_up
from core.evaluate.metrics import METRICS, Metric, at_threshold, melanoma_sensitivity
from core.evaluate.operating import DEFAULT_POINT, RULES, Rule, Wish, choose_threshold, parse_wish
from core.evaluate.subgroups import histology_only
from core.labels import NEVUS_INDEX
from core.predict.calibration import OperatingPoint
from core.settings import settings
from core.words import NBSP, Reader
from pages.ui import cache, notices, theme
from pages.ui.points import POINT

IMPORTED: Final = "compare_imported"
ENSEMBLES: Final = "compare_ensembles"
_TOLD: Final = "compare_told"
_WANTED: Final = "compare_wanted"
_RULE: Final = "compare_rule"
_VALUE: Final = "compare_value"
_COLOURS: Final = ("primaryColor", "orangeColor", "violetColor", "blueColor", "redColor", "greenColor")
AT_POINT: Final = ("sensitivity", "specificity", "melanoma_sensitivity")
"""Metrics that need a threshold."""


@dataclass(frozen=True, eq=False)
class Compared:
    """What the views draw.

    Attributes:
        lineup: the models and the pictures they have in common, after the histology switch.
        key: names the line-up in caches.
        wish: the operating point asked for. points: what it is for each model, None where it has none.
        lacking: why a model has no operating point, by its name.
        reader: who reads. histology: whether only pictures that histology confirmed count.
        came_with: the model that the address came with, by its name.
    """

    lineup: LineUp
    key: str
    wish: Wish
    points: tuple[OperatingPoint | None, ...]
    lacking: Mapping[str, str]
    reader: Reader
    histology: bool = False
    came_with: str | None = None
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", self.lineup.names)

    def metric(self, model: int, name: str) -> Metric | None:
        """Return a metric as it is for a model; None where it needs a threshold and there is none."""
        if name not in AT_POINT:
            return METRICS[name]
        point = self.points[model]
        if point is None:
            return None
        return (
            at_threshold(point.threshold) | {"melanoma_sensitivity": melanoma_sensitivity(point.threshold)}
        )[name]

    def measured(self, model: int, name: str) -> Measured | None:
        """Return a metric of a model with interval and draws; None as in `metric`."""
        metric = self.metric(model, name)
        if metric is None:
            return None
        threshold = self.points[model].threshold if name in AT_POINT else None  # type: ignore[union-attr]
        return _measured(self.key, model, name, threshold, self.lineup, metric)

    def measure(self, model: int, metric: Metric) -> Measured:
        """Return a metric that needs no operating point, of a model, with interval and draws."""
        return _measured(self.key, model, metric.name, None, self.lineup, metric)

    def nevus_line(self, name: str) -> float:
        """Return what always answering "nevus" would reach; NaN for what needs a threshold."""
        if name in AT_POINT:
            return float("nan")
        always = np.zeros((self.lineup.n_images, self.lineup.probabilities.shape[-1]))
        always[:, NEVUS_INDEX] = 1.0
        return METRICS[name](self.lineup.truth, always)

    def label(self, model: int) -> str:
        """Return a model's name, with a mark where it is the one that the address came with."""
        name = self.names[model]
        return f"► {name}" if name == self.came_with else name

    def colour(self, model: int) -> str:
        """Return the colour of a model, the same in every view."""
        return theme.colour(_COLOURS[model % len(_COLOURS)])


@st.cache_resource(max_entries=400, show_spinner="Resampling the lesions …")
def _measured(
    key: str,  # noqa: ARG001 -- the key of the cache, with the next three
    model: int,
    name: str,
    threshold: float | None,  # noqa: ARG001
    _lineup: LineUp,
    _metric: Metric,
) -> Measured:
    return _lineup.measure(model, {name: _metric})[name]


def available() -> list[Evaluation]:
    """Return every evaluation that can be picked; those that cannot be read are refused by name."""
    found = []
    for folder in evaluation_folders(settings().runs_dir):
        try:
            found.append(cache.evaluation(folder))
        except EvaluationError as problem:
            notices.refuse(problem)
    found += st.session_state.get(IMPORTED, [])
    found = told_apart(found)
    by_name = {one.name: one for one in found}
    for name, members in st.session_state.get(ENSEMBLES, {}).items():
        if all(member in by_name for member in members):
            try:
                found.append(average([by_name[member] for member in members], name=name))
            except EvaluationError as problem:
                notices.refuse(EvaluationError(f"{name} is left out. {problem}"))
    return found


def choose(evaluations: list[Evaluation], reader: Reader) -> Compared | None:
    """Ask what shall be compared, and bring it together; None, and the reason shown, where nothing can be."""
    by_name = {one.name: one for one in evaluations}
    picked, came_with = _pick(evaluations)
    histology = st.toggle(
        "Histology only",
        key="histology",
        bind="query-params",
        help="Every number on pictures whose diagnosis histology confirmed. All malignant ones were; "
        "many nevi were only followed up, and those are the easier ones.",
    )
    wish = _ask_point()
    if not picked:
        st.info("Pick one model or more to begin.", icon=":material/checklist:")
        return None
    chosen = [by_name[name] for name in picked]
    # By all that they hold: all sessions share the caches, and what is brought says of itself what it likes.
    key = "|".join(one.digest for one in chosen)
    try:
        lineup = _lined_up(key, histology, chosen)
    except EvaluationError as problem:
        notices.refuse(problem)
        return None
    _say_what_is_compared(lineup, came_with)
    if not lineup.n_images:
        st.info("None of these pictures was confirmed by histology.", icon=":material/filter_alt_off:")
        return None
    points, lacking = _points(lineup, wish)
    return Compared(lineup, f"{key}|{histology}", wish, points, lacking, reader, histology, came_with)


def _pick(evaluations: list[Evaluation]) -> tuple[list[str], str | None]:
    """Ask which models are compared; also return the one that the address came with, which is among them."""
    names = [one.name for one in evaluations]
    came_with = _come_with(evaluations)
    if _WANTED in st.session_state:
        st.session_state["models"] = st.session_state.pop(_WANTED)
    picked = st.multiselect(
        f"Models, up to {MOST}",
        names,
        default=names[:MOST],
        max_selections=MOST,
        key="models",
        bind="query-params",
        help="The first decides which split is compared; models of another one are refused by name.",
    )
    if came_with is not None and st.session_state.get(_TOLD) != st.query_params["checkpoint"]:
        st.session_state[_TOLD] = st.query_params["checkpoint"]
        if picked[:1] != [came_with]:
            # Only now: at the first sight of a page its address outdoes the session.
            st.session_state[_WANTED] = list(dict.fromkeys([came_with, *picked]))[:MOST]
            st.rerun()
    return picked, came_with


def _come_with(evaluations: Sequence[Evaluation]) -> str | None:
    """Return the model whose checkpoint the address names, as links of Train and Predict do, by its name."""
    asked = st.query_params.get("checkpoint")
    if not asked:
        return None
    names = names_of(asked)
    name = next((one.name for one in evaluations if one.checkpoint in names), None)
    if name is None:
        st.info(
            f"Nobody has measured {notices.plain(asked)} here. `python -m train evaluate` with `--out` does, "
            "into a folder below the runs.",
            icon=":material/straighten:",
        )
        return None
    return name


def names_of(reference: str) -> tuple[str, ...]:
    """Return every name that evaluations may call a checkpoint by: before runs had one, it was its folder."""
    folder = weights_folder(reference)
    return (reference,) if folder is None else (reference, f"local:{folder}")


@st.cache_resource(max_entries=6, show_spinner="Bringing the models together …")
def _lined_up(key: str, histology: bool, _chosen: list[Evaluation]) -> LineUp:  # noqa: ARG001 -- the key
    lineup = line_up(_chosen)
    return lineup.where(histology_only(lineup.facts)) if histology else lineup


def _say_what_is_compared(lineup: LineUp, came_with: str | None) -> None:
    for name, reason in lineup.refused.items():
        st.warning(f"**{notices.plain(name)}** is left out. {notices.plain(reason)}", icon=":material/block:")
    first = lineup.evaluations[0]
    said = (
        f"{lineup.n_images:,} pictures of {lineup.n_lesions:,} lesions that "
        f"{'all of these models' if len(lineup.names) > 1 else 'this model'} answered, {first.split} part "
        "of split "
        f"{first.split_hash[:12]}. Intervals are 95{NBSP}%, from 2,000 resamples of lesions, not of "
        "pictures."
    )
    more = ", ".join(f"{name} {count:,}" for name, count in lineup.left_out.items())
    said += f" Further pictures left out: {more}." if more else ""
    said += f" ► marks {came_with}, with which you came." if came_with in lineup.names else ""
    st.caption(notices.plain(said))


def _points(lineup: LineUp, wish: Wish) -> tuple[tuple[OperatingPoint | None, ...], dict[str, str]]:
    points: list[OperatingPoint | None] = []
    lacking = {}
    for evaluation in lineup.evaluations:
        try:
            points.append(choose_threshold(evaluation, wish))
        except EvaluationError as problem:
            points.append(None)
            lacking[evaluation.name] = str(problem)
    return tuple(points), lacking


def _ask_point() -> Wish:
    """Ask for the operating point; the address has it as `point`, and Predict reads it there."""
    asked = parse_wish(st.query_params.get(POINT)) or parse_wish(DEFAULT_POINT)
    assert asked is not None  # noqa: S101 -- the default can be understood
    if st.session_state.get(_RULE) not in RULES:
        st.session_state[_RULE] = asked.rule
    rule = RULES[st.session_state[_RULE]]
    value, scale = st.session_state.get(_VALUE), _scale(rule)
    if value is None or not scale * rule.low <= value <= scale * rule.high:
        wanted = asked.value if asked.rule == rule.name else rule.default
        # 100 * 0.57 is a hair below 57, which the slider would show as 56.
        st.session_state[_VALUE] = round(scale * wanted, 6)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Operating point by",
            list(RULES),
            format_func=lambda name: RULES[name].title,
            key=_RULE,
            on_change=_change_rule,
            width=240,
            help="One threshold on the malignancy probability, chosen on validation and shown on test "
            "pictures. It stands in the address, and the Predict page uses it.",
        )
        st.slider(
            rule.about,
            scale * rule.low,
            scale * rule.high,
            step=scale * rule.step,
            format=f"%d{NBSP}%%" if rule.is_share else "%d",
            key=_VALUE,
            on_change=_change_value,
        )
    return _wished()


def _scale(rule: Rule) -> float:
    """Return how many of the slider's units are one of the rule's: it shows shares as percentages."""
    return 100.0 if rule.is_share else 1.0


def _wished() -> Wish:
    rule = RULES[st.session_state[_RULE]]
    return Wish(rule.name, round(st.session_state[_VALUE] / _scale(rule), 6))


def _change_rule() -> None:
    rule = RULES[st.session_state[_RULE]]
    st.session_state[_VALUE] = round(_scale(rule) * rule.default, 6)
    _change_value()


def _change_value() -> None:
    st.query_params[POINT] = str(_wished())
