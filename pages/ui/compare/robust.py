"""Poor pictures: each model under blur, noise, hair and bad light, with and without remedy; shortcuts."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from core.data.corruptions import CORRUPTIONS, SEVERITIES, SHORTCUTS
from core.data.steps import STEPS
from core.errors import EvaluationError
from core.evaluate.curves import Bin
from core.evaluate.gathering import robustness_files
from core.evaluate.intervals import Interval
from core.evaluate.robustness import (
    MEASURED,
    Condition,
    read_robustness,
    remedy_words,
)
from core.evaluate.sheet import metric_title
from core.evaluate.subgroups import ALL, HISTOLOGY, SMALL
from core.settings import settings
from core.words import NBSP, NOT_AVAILABLE
from pages.ui import cache, notices
from pages.ui.compare import figures, measuring, table
from pages.ui.compare.compared import Compared
from pages.ui.compare.downloads import offer_csv

_ALONE: Final = " on histology alone"
_STEP: Final = 0.05
"""How far lines stand apart, so that their intervals do not cover each other."""


def draw(compared: Compared) -> None:
    """Draw a metric over severities, with and without its remedy, and what hidden parts do."""
    rows = measured(compared)
    if rows is None:
        return
    mine = as_table(compared, rows)
    without = [name for name in compared.names if name not in set(mine["model"])]
    _say_without(rows, without)
    if mine.empty:
        st.info(
            f"None of these models was measured on poor pictures yet{_ALONE * compared.histology}.",
            icon=":material/blur_off:",
        )
        measuring.draw(measuring.POOR, compared.lineup.evaluations, without)
        return
    with st.container(horizontal=True):
        condition = st.selectbox(
            "Poor by",
            list(CORRUPTIONS),
            format_func=lambda name: CORRUPTIONS[name].title,
            key="poor_by",
            bind="query-params",
            width=240,
        )
        metric = st.selectbox(
            "Number", MEASURED, format_func=metric_title, key="poor_metric", bind="query-params", width=240
        )
    chosen = mine[mine["metric"] == metric]
    _say_few(chosen, metric)
    _draw_severities(compared, chosen, condition, metric)
    _draw_example(condition)
    _draw_worst(chosen, metric)
    _draw_shortcuts(compared, chosen, metric)
    offer_csv(mine, "All of it as CSV", name="robustness", key="compare_robustness_csv")
    with st.expander("Measure a model", icon=":material/play_circle:", expanded=bool(without)):
        measuring.draw(measuring.POOR, compared.lineup.evaluations, without)


def measured(compared: Compared) -> pd.DataFrame | None:
    """Return every row of these models; None, and the reason shown, where a file is bad."""
    try:
        rows = read_robustness(robustness_files(settings().runs_dir))
    except EvaluationError as problem:
        notices.refuse(problem)
        return None
    return rows[rows["model"].isin(compared.names)]


def as_table(compared: Compared, rows: pd.DataFrame) -> pd.DataFrame:
    """Return those of the rows that are of the pictures that count: all, or histology alone."""
    return rows[(rows["pictures"] == (HISTOLOGY if compared.histology else ALL)) & (rows["n"] > 0)]


def _say_without(rows: pd.DataFrame, without: Sequence[str]) -> None:
    """Name the models that have no rows to show, and why."""
    other = set(rows["model"])
    confirmed = set(rows.loc[rows["pictures"] == HISTOLOGY, "model"])
    never = [name for name in without if name not in other]
    if never:
        st.caption(f"Not measured: {notices.plain(', '.join(never))}.")
    for name in without:
        if name in confirmed:
            st.caption(f"Histology confirmed none of the pictures of {notices.plain(name)}.")
        elif name in other:
            st.caption(f"Not measured{_ALONE}: {notices.plain(name)}.")


def _say_few(rows: pd.DataFrame, metric: str) -> None:
    """Say which models were measured on too few lesions, and where the number is not defined."""
    for name, mine in rows.groupby("model", sort=False):
        lesions = int(mine["n_lesions"].max())
        if mine["value"].isna().all():
            st.info(
                f"{notices.plain(str(name))} has no {metric_title(metric)} on its {int(mine['n'].max()):,} "
                "pictures: one of the diagnoses that it needs is not among them.",
                icon=":material/do_not_disturb_on:",
            )
        elif lesions < SMALL:
            st.warning(
                f"{notices.plain(str(name))} was measured on {lesions} lesions, fewer than {SMALL}: luck "
                "decides here, and the intervals are themselves too narrow.",
                icon=":material/warning:",
            )


def _draw_severities(compared: Compared, rows: pd.DataFrame, condition: str, metric: str) -> None:
    corruption = CORRUPTIONS[condition]
    shown = rows[(rows["kind"] == "clean") | (rows["condition"] == condition)]
    named: list[tuple[str, list[Bin], str]] = []
    for place, name in enumerate(compared.names):
        for remedy in dict.fromkeys(("", corruption.remedy or "")):
            line = shown[(shown["model"] == name) & (shown["remedy"] == remedy)].sort_values("severity")
            if len(line) > 1:
                words = f", with {remedy_words(remedy)}" if remedy else ""
                bins = [_bin(row, aside=_STEP * len(named)) for _, row in line.iterrows()]
                named.append((f"{name}{words}", bins, compared.colour(place)))
    if not named:
        st.info(f"{corruption.title} was not measured.", icon=":material/blur_off:")
        return
    figures.draw(
        figures.points(named, x="severity (0: as it is)", y=metric_title(metric)),
        key="compare_robust",
        alt=f"{metric_title(metric)} over severities of {corruption.title.lower()}; the CSV has the numbers",
        file_name=f"robust_{condition}_{metric}",
    )
    remedy = "It has no remedy here"
    if corruption.remedy:
        remedy = f"Its remedy: {remedy_words(corruption.remedy)}"
    counted = notices.plain(_say_counts(shown, compared.histology))
    st.caption(f"{corruption.about} {remedy}. {counted} Whiskers are 95{NBSP}% intervals over lesions.")


def _say_counts(rows: pd.DataFrame, histology: bool = False) -> str:
    """Say on how many pictures the models were measured; where they differ, for each."""
    confirmed = ", confirmed by histology" * histology
    counts = rows.groupby("model", sort=False)[["n", "n_lesions"]].max()
    said = [
        f"n = {n:,} pictures of {lesions:,} test lesions{confirmed}" for n, lesions in counts.to_numpy(int)
    ]
    if len(set(said)) == 1:
        return f"{said[0]}."
    each = "; ".join(f"{name}: {words}" for name, words in zip(counts.index, said, strict=True))
    return f"Not measured on the same pictures: {each}."


def _draw_example(condition: str) -> None:
    """Show on a drawn lesion what the severities of a condition are, and what its remedy makes of them."""
    corruption = CORRUPTIONS[condition]
    with st.expander(
        "What these severities look like", icon=":material/image:", on_change="rerun", key="poor_example"
    ) as shown:
        if not shown.open:
            return
        st.caption("On a synthetic lesion, drawn by a program: nobody's skin.")
        for remedy in dict.fromkeys(("", corruption.remedy or "")):
            for place, severity in zip(st.columns(len(SEVERITIES)), SEVERITIES, strict=True):
                words = Condition("corruption", condition, severity, remedy).words
                place.image(_example(condition, severity, remedy), caption=words, width="stretch", alt=words)


@st.cache_data(max_entries=200, show_spinner=False)
def _example(condition: str, severity: int, remedy: str) -> np.ndarray:
    pixels = CORRUPTIONS[condition](cache.drawing("nv", 3), severity, seed=1)
    return STEPS[remedy](pixels) if remedy else pixels


def _bin(row: pd.Series, *, aside: float) -> Bin:
    return Bin(row["severity"] + aside, row["value"], row["low"], row["high"], int(row["n"]))


def _draw_worst(rows: pd.DataFrame, metric: str) -> None:
    """Draw the number at the highest severity, with and without remedy, beside that of clean pictures."""
    shown = rows[(rows["severity"] == max(SEVERITIES)) | (rows["kind"] == "clean")]
    said = pd.DataFrame(
        {
            "pictures": Condition(row["kind"], row["condition"], int(row["severity"]), row["remedy"]).words,
            "model": row["model"],
            metric_title(metric): row["value"],
            f"95{NBSP}%": table.ends(_interval(row)),
            "n": int(row["n"]),
        }
        for _, row in shown.iterrows()
    )
    with st.expander(f"{table.heading(metric)} at the highest severity", icon=":material/table_rows:"):
        st.dataframe(
            said,
            column_config={metric_title(metric): st.column_config.NumberColumn(format="%.3f")},
            hide_index=True,
            placeholder=NOT_AVAILABLE,
            alt=f"{metric_title(metric)} on clean pictures and at severity 5 of each way to be poor",
        )


def _interval(row: pd.Series) -> Interval:
    return Interval(row["value"], row["low"], row["high"], int(row["n"]), int(row["n_lesions"]))


def _draw_shortcuts(compared: Compared, rows: pd.DataFrame, metric: str) -> None:
    st.header("What if the lesion is hidden?", anchor=False)
    parts = rows[(rows["kind"] == "shortcut") | ((rows["kind"] == "clean") & (rows["remedy"] == ""))]
    if not (parts["kind"] == "shortcut").any():
        st.caption("Not measured: this needs the lesion masks.")
        return
    titles = {"clean": "As it is"} | {one.name: one.title for one in SHORTCUTS.values()}
    lines = [
        figures.Row(
            str(row["model"]),
            _interval(row),
            compared.colour(compared.names.index(str(row["model"]))),
            group=titles[key],
        )
        for key in titles
        for _, row in parts[parts["condition"] == key].iterrows()
    ]
    figures.draw(
        figures.whiskers(lines),
        key="compare_shortcuts",
        alt=f"{metric_title(metric)} with the lesion, the background, or all but the border hidden",
        file_name=f"shortcuts_{metric}",
    )
    st.caption(
        "A model that still does well with the lesion blanked, or with the border alone, has learned "
        "something "
        "about the picture that is not the lesion."
    )
