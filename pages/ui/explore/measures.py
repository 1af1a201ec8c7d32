"""Quality of pictures: each measure with its percentiles and the pictures at both ends. No verdicts."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.data.quality import MEASURES, Measure, ita_band, percentiles
from core.spreadsheet import to_csv
from core.words import proportion, short_name
from pages.ui import charts, notices, theme
from pages.ui.explore import examined, filtering, picture, tiles
from pages.ui.explore.explored import Explored

_MEASURE: Final = "explore_measure"
_END: Final = "explore_end"
_LADDER: Final = (5, 25, 50, 75, 95)
_STEEP_LADDER: Final = (50, 75, 90, 95, 99)
# From this share on, pictures that have nothing of it are left out of the histogram: one bar would hide all.
_MANY: Final = 0.3
_FILTERED: Final = 500
_ENDS: Final = {"low": "The lowest", "high": "The highest"}


def draw(explored: Explored) -> None:
    """Draw how the chosen pictures measure."""
    inspection = examined.inspection(explored.dataset)
    if inspection is None:
        examined.draw_inspect(explored.dataset)
        return
    _draw_unreadable(inspection, explored)
    measure = _ask_measure()
    st.caption(measure.about)
    chosen = inspection.reindex(explored.chosen["image_id"])[measure.name].dropna()
    if chosen.empty:
        st.info(f"{measure.title} is undefined for all chosen pictures.", icon=":material/help:")
        return
    st.markdown(_say_measure(measure, inspection[measure.name], chosen, explored))
    if chosen.min() == chosen.max():
        st.caption("There is nothing to sort by.")
        return
    st.plotly_chart(
        _histogram(measure, chosen),
        key=f"explore_histogram_{measure.name}",
        config=charts.CONFIG,
        alt=f"How {measure.title.lower()} is distributed; its percentiles stand above and below.",
    )
    if (bare := _without(chosen)) >= _MANY:
        st.caption(f"Of the {(1 - bare) * len(chosen):,.0f} pictures that have any.")
    st.markdown("**From one end to the other**")
    opened = _draw_tiles(explored, measure, chosen, _ladder(chosen), key="explore_ladder")
    opened += _draw_end(explored, measure, chosen)
    st.download_button(
        "All measures as CSV",
        data=partial(_measures_csv, inspection, explored),
        file_name="measures.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="explore_measures_csv",
    )
    picture.draw_opened(explored, opened)


def _draw_unreadable(inspection: pd.DataFrame, explored: Explored) -> None:
    broken = inspection[inspection["problem"].notna()]
    missing = int(explored.dataset.table["image_path"].isna().sum())
    if missing:
        st.caption(f"{missing:,} of {len(explored.dataset.table):,} images have no picture file here.")
    if broken.empty:
        st.caption(f":material/check_circle: All {len(inspection):,} picture files can be read.")
        return
    words = f"{len(broken):,} of {len(inspection):,} picture files cannot be read"
    with st.expander(words, icon=":material/broken_image:", expanded=len(broken) <= 3):
        for problem in broken["problem"].head(50):
            st.markdown(f"- {notices.plain(problem)}")
        if len(broken) > 50:
            st.caption(f"and {len(broken) - 50:,} more")


def _ask_measure() -> Measure:
    name = st.pills(
        "Sort the pictures by",
        list(MEASURES),
        default=next(iter(MEASURES)),
        required=True,
        format_func=lambda name: MEASURES[name].title,
        key=_MEASURE,
        bind="query-params",
    )
    return MEASURES[name or next(iter(MEASURES))]


def _say_measure(measure: Measure, values: pd.Series, chosen: pd.Series, explored: Explored) -> str:
    least, low, middle, high = (measure.say(float(np.percentile(chosen, at))) for at in (0, 5, 50, 95))
    said = (
        f"Half of the {len(chosen):,} chosen pictures lie below **{middle}**, nine in ten between {low} and "
        f"{high}."
    )
    if chosen.min() == chosen.max():
        said = f"All {len(chosen):,} chosen pictures have **{least}**."
    elif (bare := _without(chosen)) >= _MANY:
        at, words = (95, "one in twenty") if bare < 0.95 else (99, "one in a hundred")
        more = measure.say(float(np.percentile(chosen, at)))
        said = (
            f"**{proportion(bare)}** of the {len(chosen):,} chosen pictures have {least}; {words} has "
            f"{more} or more."
        )
    if explored.selection:
        whole = measure.say(float(values.median()))
        said += f" In the whole dataset the middle is {whole} (n = {int(values.notna().sum()):,})."
    absent = len(explored.chosen) - len(chosen)
    if absent:
        said += f" It cannot be told for {proportion(absent / len(explored.chosen))} ({absent:,})."
    if measure.name == "ita_degrees":
        bands = ita_band(chosen).value_counts()
        named = ", ".join(f"{band} {proportion(n / len(chosen))}" for band, n in bands.items() if n)
        said += f" By band: {named}."
    return said


def _without(chosen: pd.Series) -> float:
    """Return the share of pictures that have as little as can be."""
    return float((chosen == chosen.min()).mean())


def _histogram(measure: Measure, chosen: pd.Series) -> go.Figure:
    """Draw the pictures' values; the outermost hundredth is in the last bars."""
    shown = chosen[chosen > chosen.min()] if _without(chosen) >= _MANY else chosen
    low, high = np.percentile(shown, (0.5, 99.5))
    if low == high:
        low, high = float(shown.min()), float(shown.max()) + 1e-6
    counts, edges = np.histogram(np.clip(shown, low, high), bins=36)
    centres = (edges[:-1] + edges[1:]) / 2
    words = [
        f"{measure.say(float(a))} to {measure.say(float(b))}: {count:,} of {len(chosen):,}"
        for a, b, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    figure = go.Figure()
    figure.add_bar(
        x=centres, y=counts, width=edges[1] - edges[0], marker_color=theme.colour("primaryColor"),
        marker_line_width=0, opacity=0.75, customdata=words, hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    ink = theme.colour("textColor")
    for at, name in ((5, "5th percentile"), (95, "95th")):
        value = float(np.percentile(chosen, at))
        if low < value <= high:
            figure.add_vline(x=value, line={"color": ink, "width": 1.5, "dash": "dot"})
            figure.add_annotation(
                x=value, y=1, yref="paper", text=name, showarrow=False, yanchor="bottom",
                xanchor="left" if at == 5 else "right",
            )  # fmt: skip
    # Labels at the very ends would be cut off.
    ticks = low + (high - low) * np.array([0.06, 0.35, 0.65, 0.94])
    figure.update_xaxes(
        tickvals=ticks, ticktext=[measure.say(float(tick)) for tick in ticks], showgrid=False, zeroline=False
    )
    figure.update_yaxes(visible=False)
    figure.update_layout(height=190, bargap=0.06, margin={"t": 24})
    drawn = charts.plain(figure, bottom=26)
    return drawn.update_layout(margin={"t": 24})


def _ladder(chosen: pd.Series) -> list[str]:
    """Return the pictures that stand at the steps of the ladder."""
    ordered = chosen.sort_values(kind="stable")
    steps = _STEEP_LADDER if _without(chosen) >= _MANY else _LADDER
    places = [round(step / 100 * (len(ordered) - 1)) for step in steps]
    return list(dict.fromkeys(str(ordered.index[place]) for place in places))


def _draw_end(explored: Explored, measure: Measure, chosen: pd.Series) -> list[str]:
    """Draw the pictures at one end; return their ids."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        default = "high" if measure.doubtful == "high" else "low"
        end = st.segmented_control(
            "One end",
            list(_ENDS),
            default=default,
            required=True,
            format_func=lambda name: f"{_ENDS[name]}: {measure.low if name == 'low' else measure.high}",
            key=f"{_END}_{measure.name}",
            bind="query-params",
            label_visibility="collapsed",
        )
        tail = chosen.sort_values(ascending=end == "low", kind="stable")
        count = min(_FILTERED, max(1, round(len(tail) / 20)))
        if end == "high":
            # Pictures that have nothing of it are no high end.
            count = min(count, int((chosen > chosen.min()).sum()))
        st.button(
            f"Filter to these {count:,}",
            icon=":material/filter_alt:",
            key="explore_end_filter",
            help="At most the outermost 5 % of the chosen pictures, and 500; every other view follows.",
            on_click=_filter_to,
            args=(tail.index[:count].tolist(),),
        )
    ids = [str(name) for name in tail.index[: examined.SHOWN]]
    return _draw_tiles(explored, measure, chosen, ids, key="explore_end_tiles")


def _filter_to(image_ids: Sequence[str]) -> None:
    filtering.put(filtering.current().with_images(image_ids))


def _draw_tiles(
    explored: Explored,
    measure: Measure,
    values: pd.Series,
    image_ids: list[str],
    *,
    key: str,
) -> list[str]:
    rows = explored.dataset.table.set_index("image_id", drop=False).loc[image_ids]
    ranks = values.rank(method="min")
    percents = percentiles(values)
    groups = []
    for name in image_ids:
        dx = str(rows.loc[name, "dx"])
        place = f"percentile {percents[name]:.0f}"
        alike = int((values == values[name]).sum())
        if alike > len(values) / 100:
            place = f"like {alike:,} of {len(values):,}"
        elif not 1 <= percents[name] <= 99:
            # Among thousands the outermost hundred would all be "percentile 0".
            place = f"rank {ranks[name]:,.0f} of {len(values):,}"
        groups.append(
            tiles.Group(
                rows.loc[[name]],
                short_name(dx),
                theme.diagnosis_colours()[dx],
                (place,),
                {name: measure.say(float(values[name]))},
            )
        )
    tiles.draw(
        groups,
        key=f"{key}_{measure.name}",
        label=f"{len(groups)} pictures by {measure.title.lower()}",
        masks={},
        opened=picture.put,
    )
    return image_ids


def _measures_csv(inspection: pd.DataFrame, explored: Explored) -> bytes:
    columns = [*MEASURES, "masked", "problem"]
    told = inspection.reindex(explored.chosen["image_id"])[columns].assign(
        ita_band=lambda table: ita_band(table["ita_degrees"])
    )
    return to_csv(told, notes=[explored.selection.describe()], index=True, float_format="%.5g")
