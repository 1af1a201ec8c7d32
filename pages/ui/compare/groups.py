"""Subgroups: for whom a number holds, how far groups lie apart, and where a model fails most."""

import pandas as pd
import streamlit as st

from core.evaluate.metrics import Metric
from core.evaluate.sheet import metric_title
from core.evaluate.subgroups import (
    FAILURES,
    SMALL,
    Facet,
    Gap,
    Group,
    Slice,
    by_group,
    facets_of,
    gap,
    worst_slices,
)
from core.words import NBSP, NOT_AVAILABLE
from pages.ui import notices
from pages.ui.compare import figures, table
from pages.ui.compare.compared import Compared
from pages.ui.compare.downloads import offer_csv

_METRICS = ("accuracy", "balanced_accuracy", "malignancy_auc", "sensitivity", "specificity", "ece", "brier")


def draw(compared: Compared) -> None:
    """Draw a metric by group for every model, the gaps, and the worst slices of one model."""
    facets = {facet.title: facet for facet in facets_of(compared.lineup.facts)}
    if not facets:
        st.info("These evaluations hold no facts to divide the pictures by.", icon=":material/group_off:")
        return
    with st.container(horizontal=True):
        facet = facets[st.selectbox("Groups", list(facets), key="facet", bind="query-params", width=300)]
        name = st.selectbox(
            "Number", _METRICS, format_func=metric_title, key="group_metric", bind="query-params", width=300
        )
    metrics = {
        place: metric
        for place in range(len(compared.names))
        if (metric := compared.metric(place, name)) is not None
    }
    if not metrics:
        st.info(
            "None of these models has an operating point, which this number needs.", icon=":material/block:"
        )
        return
    thresholds = tuple(None if point is None else point.threshold for point in compared.points)
    groups, gaps = _grouped(compared.key, facet.name, name, thresholds, compared, facet, metrics)
    _draw_groups(compared, groups, name)
    _draw_gaps(compared, gaps, name)
    _draw_slices(compared)


@st.cache_resource(max_entries=40, show_spinner="Measuring the groups …")
def _grouped(
    key: str,  # noqa: ARG001 -- the key of the cache, with the next three
    facet_name: str,  # noqa: ARG001
    name: str,  # noqa: ARG001
    thresholds: tuple[float | None, ...],  # noqa: ARG001
    _compared: Compared,
    _facet: Facet,
    _metrics: dict[int, Metric],
) -> tuple[list[Group], list[Gap]]:
    gaps = [gap(_compared.lineup, _facet, place, metric) for place, metric in _metrics.items()]
    return by_group(_compared.lineup, _facet, _metrics), [one for one in gaps if one is not None]


def _draw_groups(compared: Compared, groups: list[Group], name: str) -> None:
    ordered = sorted(groups, key=lambda one: [other.name for other in groups].index(one.name))
    rows = [
        figures.Row(
            compared.names[one.model] + (" (small)" if one.small else "") + (" ◆" if one.stands_out else ""),
            one.interval,
            compared.colour(one.model),
            one.small,
            group=one.name,
        )
        for one in ordered
    ]
    figures.draw(
        figures.whiskers(rows),
        key="compare_groups",
        alt=f"{metric_title(name)} by group with 95 % intervals; the table below has the same numbers",
        file_name=f"groups_{name}",
    )
    st.caption(
        f"Greyed: fewer than {SMALL} lesions, where luck decides. ◆: differs from all other pictures "
        "after Holm's "
        "correction for the groups looked at (5 %). Groups differ in their mix of diagnoses too, so a "
        "difference "
        "need not be the model's fault."
    )
    shown = pd.DataFrame(
        {
            "model": compared.names[one.model],
            "group": one.name,
            metric_title(name): one.interval.value,
            f"95{NBSP}%": table.ends(one.interval),
            "pictures": one.interval.n,
            "lesions": one.interval.n_lesions,
            "p against the rest, corrected": one.p,
        }
        for one in ordered
    )
    with st.expander("As a table", icon=":material/table_rows:"):
        st.dataframe(
            shown,
            column_config={
                metric_title(name): st.column_config.NumberColumn(format="%.3f"),
                "p against the rest, corrected": st.column_config.NumberColumn(format="%.3g"),
            },
            hide_index=True,
            placeholder=NOT_AVAILABLE,
            alt=f"{metric_title(name)} of each model in each group, with n",
        )
        offer_csv(shown, "These groups as CSV", name="groups", key="compare_groups_csv")


def _draw_gaps(compared: Compared, gaps: list[Gap], name: str) -> None:
    st.header("Gap between best and worst group", anchor=False)
    if not gaps:
        st.caption(f"Fewer than two groups have {SMALL} lesions or more: no gap can be said.")
    for one in gaps:
        low, high = sorted((abs(one.low), abs(one.high)))
        real = one.low * one.high > 0
        sure = f"(95 %: {low:.3f} to {high:.3f})" if real else "(which may be luck alone)"
        st.markdown(
            f"**{notices.plain(compared.names[one.model])}**: {abs(one.value):.3f} in {metric_title(name)} "
            f"between {notices.plain(one.best)} and {notices.plain(one.worst)} {sure}."
        )


def _draw_slices(compared: Compared) -> None:
    st.header("Where it fails most", anchor=False)
    with st.container(horizontal=True):
        name = st.selectbox("Model", compared.names, key="slice_model", bind="query-params", width=300)
        failure = FAILURES[
            st.selectbox(
                "Failure", list(FAILURES), format_func=lambda key: FAILURES[key].title, key="failure",
                bind="query-params", width=300,
            )
        ]  # fmt: skip
    place = compared.names.index(name)
    point = compared.points[place]
    if point is None and failure.name != "wrong":
        st.info("This model has no operating point, which this failure needs.", icon=":material/block:")
        return
    threshold = 1.0 if point is None else point.threshold
    found, looked_at = _slices(compared.key, place, failure.name, threshold, compared)
    real = [one for one in found if one.p < 0.05]
    st.markdown(
        f"Of {looked_at:,} slices by one or two features with {SMALL} lesions or more, **{len(real)}** of "
        "the worst "
        f"{len(found)} fail more often than the rest after correction for all of them."
    )
    if found:
        st.dataframe(
            pd.DataFrame(_slice_row(one, failure.title) for one in found),
            column_config=dict.fromkeys((failure.title, "elsewhere"), table.PERCENT)
            | {"p, corrected": st.column_config.NumberColumn(format="%.3g")},
            hide_index=True,
            alt=f"The slices with the most {failure.title}, with n and p",
        )  # fmt: skip


def _slice_row(one: Slice, failure: str) -> dict[str, object]:
    return {
        "slice": " and ".join(f"{feature}: {value}" for feature, value in one.features),
        failure: 100 * one.rate,
        "elsewhere": 100 * one.elsewhere,
        f"more by (95{NBSP}%)": f"{100 * one.low:.1f} to {100 * one.high:.1f} points",
        "p, corrected": one.p,
        "pictures": one.n,
        "lesions": one.n_lesions,
    }


@st.cache_data(max_entries=40, show_spinner="Looking at every slice …")
def _slices(
    key: str,  # noqa: ARG001 -- the key of the cache
    place: int,
    failure: str,
    threshold: float,
    _compared: Compared,
) -> tuple[list[Slice], int]:
    return worst_slices(_compared.lineup, place, FAILURES[failure], threshold=threshold)
