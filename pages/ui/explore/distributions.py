"""Distributions: what a dataset holds, chart by chart; a click on any mark filters everything."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.data.facets import COLUMNS, TITLES, UNKNOWN, Facets
from core.data.selection import Selection
from core.data.summary import SUMMARIES, Finding, balance_plan, count, crosstab, size, summarise
from core.labels import INDEX
from core.words import NBSP, NOT_AVAILABLE, proportion
from pages.ui.explore import figures, filtering, rows
from pages.ui.explore.explored import Explored, Unit

Findings = Mapping[str, Finding]

_COUNTS: Final = "counts"
_SHARES: Final = "row percentages"
_STANDS_ON: Final = {"age": " of known age"}


def draw(explored: Explored) -> None:
    """Draw every chart of what is explored, then its rows."""
    found = summarise(explored.dataset.table, explored.selection, explored.unit)
    whole = _of_everything(explored.dataset.key, explored.unit, explored.dataset.table)
    said = ":material/straighten: A bar that fills its track is 100 %."
    if explored.selection:
        said += (
            " The small mark across a bar, and the grey behind ages, are the whole dataset. A chart leaves "
            "its own part of the filter aside, so that its other bars stay in reach."
        )
    st.caption(said)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _draw_balance(explored, found, whole)
    with right:
        _draw_missing(explored, found)
        _draw_bars("sex", "sex", explored, found, whole)
    _draw_ages(explored, found)
    _draw_sites(explored, found, whole)
    left, right = st.columns(2, gap="medium")
    with left:
        _draw_bars("dx_type", "dx_type", explored, found, whole)
    with right:
        _draw_bars("images_per_lesion", "images_per_lesion", explored, found, whole)
    _draw_cross(explored)
    rows.draw(explored)


@st.cache_resource(max_entries=16, show_spinner=False)
def _of_everything(key: str, unit: Unit, _table: pd.DataFrame) -> dict[str, Finding]:  # noqa: ARG001 -- the key
    return summarise(_table, Selection(), unit)


def _card(name: str, finding: Finding, explored: Explored) -> DeltaGenerator:
    """Return a framed container with a summary's title and how many it stands on."""
    unit, of = explored.unit, _STANDS_ON.get(name, "")
    said = f"n{NBSP}={NBSP}{finding.n:,}{NBSP}{unit}{of}"
    if explored.selection.keys.intersection(SUMMARIES[name].columns):
        # The chart leaves its own part of the filter aside, and so counts more than are chosen.
        chosen = SUMMARIES[name].function(explored.chosen, unit).n
        said += f", {chosen:,} of them chosen"
    card = st.container(border=True, gap="small")
    with card, st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.header(SUMMARIES[name].title, anchor=False)
        st.caption(said, width="content")
    return card


def _draw_bars(name: str, column: str, explored: Explored, found: Findings, whole: Findings) -> None:
    finding = found[name]
    with _card(name, finding, explored):
        _put_bars(name, column, explored, found, whole)
        st.markdown(finding.sentence)


def _put_bars(name: str, column: str, explored: Explored, found: Findings, whole: Findings) -> None:
    finding = found[name]
    data = figures.bars(
        finding.table, whole[name].table, column, explored.selection, unit=explored.unit, n=finding.n
    )
    if name == "class_balance" and finding.n:
        nevi = float(finding.table["share"].iloc[INDEX["nv"]])
        data = figures.with_line(data, nevi, f"always “nevus”: right for {proportion(nevi)}")
    figures.draw(
        data | {"label": f"{SUMMARIES[name].title}: {explored.unit} by {TITLES[column].lower()}"},
        key=f"explore_{name}",
        on_pick=lambda picked: filtering.toggle(column, str(picked.get("value"))),
    )


def _draw_balance(explored: Explored, found: Findings, whole: Findings) -> None:
    finding = found["class_balance"]
    with _card("class_balance", finding, explored):
        _put_bars("class_balance", "dx", explored, found, whole)
        st.markdown(finding.sentence)
        st.caption("▲ malignant or pre-malignant")
        plan = st.expander("Balance plan", icon=":material/balance:", key="explore_plan", on_change="rerun")
        if plan.open:
            with plan:
                _draw_plan(explored)


def _draw_plan(explored: Explored) -> None:
    training = explored.selection.choose(explored.dataset.table, but="dx")
    if "split" in training:
        training = training[training["split"] == "train"]
        st.caption(
            f"For the {len(training):,} images, of any diagnosis, that pass the rest of the filter and that "
            "the recipes' split gives to training."
        )
    most = int(training["dx"].value_counts().max()) if len(training) else 1
    target, power = st.columns(2)
    wanted = target.number_input(
        "Copies: images wanted of each diagnosis",
        min_value=1,
        value=most,
        step=100,
        key="explore_plan_target",
    )
    strength = power.slider(
        "Drawing: weight = frequency to the power of −p",
        0.0, 1.0, 0.5, 0.05, key="explore_plan_power",
        help="0 draws as often as there are images, 1 draws every diagnosis alike.",
    )  # fmt: skip
    plan = balance_plan(training, target=int(wanted), power=strength)
    st.table(_plan_in_words(plan.table), alt="Copies and drawing weights for each diagnosis")
    st.markdown(plan.sentence)


def _plan_in_words(table: pd.DataFrame) -> pd.DataFrame:
    def numbers(column: str, form: str, after: str = "") -> list[str]:
        return [NOT_AVAILABLE if np.isnan(value) else f"{value:{form}}{after}" for value in table[column]]

    return pd.DataFrame(
        {
            "Diagnosis": table["label"],
            "Images": numbers("images", ",.0f"),
            "Copies to add": numbers("extra", ",.0f"),
            "Each seen": numbers("repeats", ".1f", "×"),
            "Drawn": [proportion(share) for share in table["drawn_share"]],
        }
    ).set_index("Diagnosis")


def _draw_missing(explored: Explored, found: Findings) -> None:
    finding = found["missing"]
    table = finding.table
    if explored.dataset.kind == "bundled":
        # Counts alone have no pictures: nothing is missing.
        table = table[table["column"] != "image_path"]
    with _card("missing", finding, explored):
        figures.draw(
            figures.missing(table, explored.unit, finding.n, explored.selection)
            | {"label": f"Missing values: {explored.unit} by what is unknown of them"},
            key="explore_missing",
            on_pick=_pick_missing,
        )
        st.markdown(finding.sentence)


def _pick_missing(picked: dict[str, Any]) -> None:
    if (column := str(picked.get("value"))) in COLUMNS:
        filtering.toggle(column, UNKNOWN)


def _draw_ages(explored: Explored, found: Findings) -> None:
    finding = found["age"]
    everything = Facets.of(explored.dataset.table)
    bins = figures.age_bins(everything)
    facets = everything.take(explored.selection.mask(explored.dataset.table, but=SUMMARIES["age"].columns))
    counts = figures.age_counts(facets, explored.unit, bins)
    whole = figures.age_counts(everything, explored.unit, bins)
    with _card("age", finding, explored):
        figures.draw(
            figures.ages(counts, whole, finding.table, explored.selection, unit=explored.unit)
            | {"label": "Ages in five-year steps, together and for each diagnosis"},
            key="explore_ages",
            on_pick=_pick_age,
        )
        st.markdown(finding.sentence)
        st.caption("Click a step of the topmost chart, or drag over several. The line is the mean.")


def _pick_age(picked: dict[str, Any]) -> None:
    if "value" in picked:
        filtering.toggle("dx", str(picked["value"]))
        return
    low, high = picked.get("low"), picked.get("high")
    if isinstance(low, int | float) and isinstance(high, int | float) and 0 <= low <= high:
        filtering.toggle_ages(low, high, extend=bool(picked.get("extend")))


def _draw_sites(explored: Explored, found: Findings, whole: Findings) -> None:
    finding = found["site"]
    with _card("site", finding, explored):
        left, right = st.columns([6, 5], gap="medium", vertical_alignment="center")
        with left:
            figures.draw(
                figures.body(finding.table, explored.selection, unit=explored.unit, n=finding.n),
                key="explore_body",
                on_pick=lambda picked: filtering.toggle("site", str(picked.get("value"))),
            )
        with right:
            _put_bars("site", "site", explored, found, whole)
        st.markdown(finding.sentence)


def _draw_cross(explored: Explored) -> None:
    titles = {TITLES[column]: column for column in COLUMNS}
    card = st.container(border=True, gap="small")
    with card:
        st.header("Any two", anchor=False)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            first = list(COLUMNS).index("site")
            index = st.selectbox(
                "Rows", titles, index=first, key="cross_rows", bind="query-params", width=190
            )
            columns = st.selectbox("Columns", titles, key="cross_columns", bind="query-params", width=190)
            show = st.segmented_control(
                "Show",
                (_COUNTS, _SHARES),
                default=_COUNTS,
                required=True,
                key="cross_show",
                bind="query-params",
            )
        if index == columns:
            st.info("Choose two different columns to cross them.", icon=":material/grid_on:")
            return
        _put_cross(explored, titles[index], titles[columns], as_shares=show == _SHARES)


def _put_cross(explored: Explored, index: str, columns: str, *, as_shares: bool) -> None:
    table = explored.selection.choose(explored.dataset.table, but=(index, columns))
    counts = crosstab(table, index, columns, explored.unit)
    sizes = count(table, index, explored.unit)["count"].to_numpy()
    figures.draw(
        figures.cross(counts, explored.selection, unit=explored.unit, sizes=sizes, as_shares=as_shares)
        | {"label": f"{TITLES[index]} crossed with {TITLES[columns].lower()}, {explored.unit}"},
        key="explore_cross",
        on_pick=lambda picked: filtering.toggle_cell(
            index, str(picked.get("row")), columns, str(picked.get("column"))
        ),
    )
    what = f"each cell's share of its row's {explored.unit}" if as_shares else f"{explored.unit} in each cell"
    st.caption(
        f"Shown: {what}; n{NBSP}={NBSP}{size(table, explored.unit):,}. Click a cell to filter by both."
    )
