"""The table: every model with its numbers, their intervals and its rank, and what others published."""

from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluate.gathering import weights_folder
from core.evaluate.intervals import Interval
from core.evaluate.lineup import MOST
from core.evaluate.metrics import DECISIONS, METRICS, OPERATING_POINT, Metric
from core.evaluate.pairs import ranks
from core.evaluate.published import published
from core.evaluate.sheet import interval_words, metric_title
from core.words import NBSP, NOT_AVAILABLE
from pages.ui import notices
from pages.ui.compare import figures
from pages.ui.compare.compared import AT_POINT, ENSEMBLES, Compared
from pages.ui.compare.downloads import offer_csv

DEFAULT_COLUMNS: Final = (
    "balanced_accuracy", "macro_auc", "macro_f1", "melanoma_sensitivity", "specificity", "ece", "brier",
)  # fmt: skip
_AT_POINT_ABOUT: Final = {
    "sensitivity": "Share of malignant pictures that are caught.",
    "specificity": "Share of benign pictures that are left alone.",
    "melanoma_sensitivity": "Share of melanomas that are caught, by whatever malignant diagnosis.",
}
PERCENT: Final = st.column_config.NumberColumn(format=f"%.1f{NBSP}%%")
"""How a table says a percentage: as a number, so that it sorts as one."""
SCROLLS: Final = "The table scrolls sideways where the screen is narrow."
ALL_COLUMNS: Final = (*METRICS, *AT_POINT)


def heading(name: str) -> str:
    """Return a metric's name as a sentence begins with it."""
    words = metric_title(name)
    return words[:1].upper() + words[1:]


def ends(interval: Interval) -> str | None:
    """Return "0.470 to 0.610"; None where there is no interval."""
    return interval_words(interval).partition(" ")[2].strip("()") or None


def draw(compared: Compared) -> None:
    """Draw ranks, the table, the ensemble builder and published results."""
    _draw_ranks(compared)
    columns = st.multiselect(
        "Columns",
        ALL_COLUMNS,
        default=list(DEFAULT_COLUMNS),
        format_func=metric_title,
        key="columns",
        bind="query-params",
    )
    table = as_table(compared, columns)
    st.dataframe(
        table.assign(model=[compared.label(place) for place in range(len(table))]),
        column_config={
            metric_title(name): st.column_config.NumberColumn(format="%.3f", help=_about(name))
            for name in columns
        },
        placeholder=NOT_AVAILABLE,
        hide_index=True,
        alt="All models with the chosen metrics, their intervals, size and training; the CSV has the same",
    )
    st.caption(SCROLLS)
    for reason in compared.lacking.values():
        st.caption(notices.plain(reason))
    offer_csv(table, "This table as CSV", name="comparison", key="compare_table_csv")
    _draw_ensemble(compared)
    _draw_published()


def _about(name: str) -> str:
    """Return what a column says, for who points at its heading."""
    if name in METRICS:
        return METRICS[name].about + _say_rule(METRICS[name])
    return _AT_POINT_ABOUT[name] + f" Decided by: {DECISIONS[OPERATING_POINT]}."


def as_table(compared: Compared, columns: list[str]) -> pd.DataFrame:
    """Return one row a model: numbers to sort by, each with its interval, and facts of the model."""
    rows = []
    for place in range(len(compared.names)):
        row: dict[str, object] = {"model": compared.names[place]}
        for name in columns:
            found = compared.measured(place, name)
            row[metric_title(name)] = (
                None if found is None or np.isnan(found.interval.value) else found.interval.value
            )
            row[f"{metric_title(name)}, 95{NBSP}%"] = None if found is None else ends(found.interval)
        row |= _facts(compared, place)
        rows.append(row)
    return pd.DataFrame(rows)


def _facts(compared: Compared, place: int) -> dict[str, object]:
    evaluation = compared.lineup.evaluations[place]
    model = evaluation.model
    parameters, size, seconds = (
        _number(model.get(key)) for key in ("parameters", "size_bytes", "training_s")
    )
    ms = st.session_state.get("compare_ms", {}).get(evaluation.checkpoint)
    return {
        "million parameters": None if parameters is None else round(parameters / 1e6, 2),
        "MB": None if size is None else round(size / 1e6, 1),
        "ms here": ms,
        "training, min": None if seconds is None else round(seconds / 60, 1),
        "data": model.get("data"),
        "date": evaluation.date[:10],
        "weights": "here" if weights_folder(evaluation.checkpoint) else "not here",
    }


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _draw_ranks(compared: Compared) -> None:
    name = st.selectbox(
        "Rank by", ALL_COLUMNS, format_func=metric_title, key="rank_by", bind="query-params", width=300
    )
    found = [compared.measured(place, name) for place in range(len(compared.names))]
    known = [place for place, one in enumerate(found) if one is not None and np.isfinite(one.interval.value)]
    if not known:
        st.info(
            f"No model here has a {metric_title(name)}: it is not defined on these pictures, or needs an "
            "operating point.",
            icon=":material/do_not_disturb_on:",
        )
        return
    metric = compared.metric(known[0], name)
    assert metric is not None  # noqa: S101 -- it was measured
    measured = [one for one in found if one is not None and np.isfinite(one.interval.value)]
    group = ranks(metric, [one.interval.value for one in measured], [one.draws for one in measured])
    sign = -1 if metric.higher_is_better else 1
    order = sorted(range(len(known)), key=lambda at: (group[at], sign * measured[at].interval.value))
    rows = [
        figures.Row(
            f"{group[at]}.  {compared.label(known[at])}", measured[at].interval, compared.colour(known[at])
        )
        for at in order
    ]
    figures.draw(
        figures.whiskers(rows, line=compared.nevus_line(name), line_words="always nevus"),
        key="compare_ranks",
        alt=f"{metric_title(name)} with 95 % intervals, best first: "
        + "; ".join(f"{row.name} {interval_words(row.interval)}" for row in rows),
        file_name=f"ranks_{name}",
    )
    better = "Higher is better." if metric.higher_is_better else "Lower is better."
    st.caption(
        f"{metric.about}{_say_rule(metric)} {better} A rank is one more than the number of models that are "
        f"really better (paired differences over lesions, 5{NBSP}%, Holm's correction): models that cannot "
        "be told apart share it."
    )


def _say_rule(metric: Metric) -> str:
    return f" Decided by: {DECISIONS[metric.decided_by]}." if metric.decided_by else ""


def _draw_ensemble(compared: Compared) -> None:
    with st.expander("Build an ensemble", icon=":material/group_work:"):
        st.caption("The mean of several models' probabilities, judged at once from what they answered.")
        members = st.multiselect("Members", compared.names, key="compare_members")
        name = f"Mean of {', '.join(members)}"
        st.button(
            "Add it to the models",
            icon=":material/add:",
            key="compare_add_ensemble",
            disabled=len(members) < 2,
            on_click=_add_ensemble,
            args=(name, tuple(members), compared.names),
        )


def _add_ensemble(name: str, members: tuple[str, ...], picked: tuple[str, ...]) -> None:
    st.session_state.setdefault(ENSEMBLES, {})[name] = members
    st.session_state["models"] = list(dict.fromkeys([*picked, name]))[-MOST:]


def _draw_published() -> None:
    st.header("Published elsewhere, not measured here", anchor=False)
    st.caption("These stand beside ours for orientation. Each says why it may not be comparable.")
    for one in published():
        numbers = ", ".join(f"{metric_title(name)} **{value:.3f}**" for name, value in one.numbers.items())
        st.markdown(
            f"- **{notices.plain(one.system)}**: {numbers} on {notices.plain(one.data)}.  \n"
            f"  May not compare: {notices.plain(one.why)}  \n  Source: {notices.plain(one.source)}."
        )


def published_table() -> pd.DataFrame:
    """Return what others published, one row a system."""
    return pd.DataFrame(
        {"system": one.system, "tested on": one.data}
        | {metric_title(name): value for name, value in one.numbers.items()}
        | {"why it may not compare": one.why, "source": one.source}
        for one in published()
    )
