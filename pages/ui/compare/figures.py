"""The charts of Compare, as Plotly figures. Each model keeps its colour, its dash and its mark."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.evaluate.curves import Bin, Curve
from core.evaluate.intervals import Interval
from core.evaluate.sheet import interval_words
from pages.ui import charts, theme

_DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_MARKS: Final = ("circle", "diamond", "square", "triangle-up", "cross", "star")
FORMATS: Final = ("svg", "png")
FORMAT: Final = "compare_format"
_ROW_PX: Final = 44
_HEADING: Final = 0.55
"""Room for a group's name, in rows."""
_LONGEST: Final = 28


def draw(figure: go.Figure, *, key: str, alt: str, file_name: str) -> None:
    """Draw a chart that can be saved by its one button, in the format that was asked for."""
    modebar = {"bgcolor": "rgba(0,0,0,0)", "color": theme.colour("grayColor")}
    modebar["activecolor"] = theme.colour("textColor")
    st.plotly_chart(
        figure.update_layout(modebar=modebar),
        key=key,
        alt=alt,
        config={
            "displayModeBar": True,
            "modeBarButtons": [["toImage"]],
            "displaylogo": False,
            "scrollZoom": False,
            "responsive": True,
            "toImageButtonOptions": {
                "format": st.session_state.get(FORMAT) or FORMATS[0],
                "filename": file_name,
                "scale": 2,
            },
        },
    )


@dataclass(frozen=True)
class Row:
    """One row of `whiskers`: name, number, colour, whether it is greyed for being small, and its group."""

    name: str
    interval: Interval
    colour: str
    small: bool = False
    group: str = ""


def whiskers(rows: Sequence[Row], *, line: float = float("nan"), line_words: str = "") -> go.Figure:
    """Return one row each: a point with its interval, the name above, the number at the right.

    Args:
        rows: what to draw; the first row of a group has the group's name above it.
        line: where to draw a dashed line. line_words: what it is called.
    """
    figure = go.Figure()
    height = 0.0
    heights = []
    for place, row in enumerate(rows):
        if row.group and (not place or rows[place - 1].group != row.group):
            height += _HEADING
            _write(figure, f"<b>{_plain(row.group)}</b>", height - 0.72, at=0)
        heights.append(height)
        _add_row(figure, row, height)
        height += 1
    _span(figure, rows, line)
    if np.isfinite(line):
        _add_line(figure, heights, line, f"{line_words} {line:.3f}")
    figure.update_xaxes(
        showgrid=False, zeroline=False, ticks="outside", tickcolor=theme.colour("borderColor")
    )
    figure.update_yaxes(visible=False, range=[height - 0.6, -0.8])
    figure = charts.plain(figure, bottom=26)
    return figure.update_layout(height=round(_ROW_PX * height) + 60, margin_t=24)


def _add_row(figure: go.Figure, row: Row, y: float) -> None:
    one, opacity = row.interval, 0.4 if row.small else 1.0
    figure.add_scatter(
        x=[one.low, one.high], y=[y, y], mode="lines", line={"color": row.colour, "width": 5},
        opacity=0.45 * opacity, hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=[one.value], y=[y], mode="markers", marker={"color": row.colour, "size": 12}, opacity=opacity,
        hovertemplate=f"{_plain(row.name)}: {interval_words(one)}, n = {one.n:,}, {one.n_lesions:,} lesions"
        "<extra></extra>",
    )  # fmt: skip
    # Longer ones would lie below the number on a phone; the pointer reads them whole.
    shown = row.name if len(row.name) <= _LONGEST else f"{row.name[: _LONGEST - 1]}…"
    _write(figure, _plain(shown), y - 0.2, at=0)
    _write(figure, f"{interval_words(one)}  n = {one.n:,}", y - 0.2, at=1)


def _write(figure: go.Figure, text: str, y: float, *, at: int) -> None:
    """Write at the left (0) or the right (1) end."""
    figure.add_annotation(
        text=text, x=at, xref="paper", xanchor="right" if at else "left", y=y, yanchor="bottom",
        showarrow=False,
    )  # fmt: skip


def _span(figure: go.Figure, rows: Sequence[Row], line: float) -> None:
    seen = [
        end
        for row in rows
        for end in (row.interval.low, row.interval.value, row.interval.high, line)
        if np.isfinite(end)
    ]
    if seen:
        room = 0.05 * (max(seen) - min(seen)) + 0.005
        figure.update_xaxes(range=[min(seen) - room, max(seen) + room])


def _add_line(figure: go.Figure, heights: Sequence[float], at: float, words: str) -> None:
    """Mark a level beside every whisker; through the names above them it would be read as a letter."""
    for y in heights:
        figure.add_shape(
            type="line", x0=at, x1=at, y0=y - 0.16, y1=y + 0.22, layer="below",
            line={"dash": "dot", "width": 2, "color": theme.colour("grayColor")},
        )  # fmt: skip
    low, high = figure.layout.xaxis.range
    share = (at - low) / (high - low)
    figure.add_annotation(
        text=words, x=at, y=1, yref="paper", yanchor="bottom", showarrow=False,
        xanchor="left" if share < 0.2 else "right" if share > 0.8 else "center",
    )  # fmt: skip


def curves(
    named: Sequence[tuple[str, Curve, str, tuple[float, float] | None]],
    *,
    x: str,
    y: str,
    diagonal: bool = False,
    flat: tuple[float, str] | None = None,
) -> go.Figure:
    """Return curves with the operating point of each model.

    Args:
        named: name, curve, colour, and the point to mark, if there is one.
        x: what the horizontal axis is. y: what the vertical one is.
        diagonal: whether to draw the line of chance, or of perfect calibration.
        flat: a level to mark, and what it is called.
    """
    figure = go.Figure()
    ink = theme.colour("textColor")
    if diagonal:
        figure.add_scatter(
            x=[0, 1], y=[0, 1], mode="lines", line={"color": ink, "width": 1, "dash": "dash"},
            hoverinfo="skip", showlegend=False,
        )  # fmt: skip
    if flat is not None:
        figure.add_hline(y=flat[0], line={"dash": "dash", "width": 1, "color": ink})
        figure.add_annotation(
            text=flat[1], x=1, xref="paper", xanchor="right", y=flat[0], yanchor="bottom", showarrow=False
        )
    for place, (name, curve, colour, point) in enumerate(named):
        figure.add_scatter(
            x=curve.x, y=curve.y, mode="lines", name=_plain(name),
            line={"color": colour, "width": 2.5, "dash": _DASHES[place % len(_DASHES)]},
            customdata=np.where(np.isfinite(curve.thresholds), curve.thresholds, 1.0),
            hovertemplate=f"{x} %{{x:.3f}}<br>{y} %{{y:.3f}}<br>from %{{customdata:.3f}}",
        )  # fmt: skip
        if point is not None:
            figure.add_scatter(
                x=[point[0]], y=[point[1]], mode="markers", showlegend=False,
                marker={"color": colour, "size": 13, "symbol": _MARKS[place % len(_MARKS)],
                        "line": {"color": theme.colour("backgroundColor"), "width": 2}},
                hovertemplate=f"operating point<br>{x} %{{x:.3f}}<br>{y} %{{y:.3f}}"
                f"<extra>{_plain(name)}</extra>",
            )  # fmt: skip
    return _framed(figure, x, y)


def points(
    named: Sequence[tuple[str, Sequence[Bin], str]], *, x: str, y: str, diagonal: bool = False
) -> go.Figure:
    """Return points with intervals, joined by a line: name, points, colour. diagonal: as in `curves`."""
    figure = curves([], x=x, y=y, diagonal=diagonal)
    for place, (name, bins, colour) in enumerate(named):
        predicted, observed, low, high, n = (
            [getattr(one, key) for one in bins] for key in ("predicted", "observed", "low", "high", "n")
        )
        figure.add_scatter(
            x=predicted, y=observed, mode="lines+markers", name=_plain(name), customdata=n,
            line={"color": colour, "width": 1.5, "dash": _DASHES[place % len(_DASHES)]},
            marker={"size": 9, "symbol": _MARKS[place % len(_MARKS)]},
            error_y={
                "type": "data", "symmetric": False, "thickness": 1.5,
                "array": np.subtract(high, observed), "arrayminus": np.subtract(observed, low),
            },
            hovertemplate=f"{x} %{{x:.3f}}<br>{y} %{{y:.3f}}<br>n = %{{customdata}}",
        )  # fmt: skip
    return _framed(figure, x, y)


def _framed(figure: go.Figure, x: str, y: str) -> go.Figure:
    line = theme.colour("borderColor")
    figure.update_xaxes(title=x, gridcolor=line, zeroline=False)
    figure.update_yaxes(title=y, gridcolor=line, zeroline=False)
    figure = charts.plain(figure)
    return figure.update_layout(
        height=430,
        margin={"l": 56, "r": 8, "t": 28, "b": 44},
        showlegend=True,
        legend={"orientation": "h", "y": -0.18, "yanchor": "top"},
    ).update_yaxes(title_font_color=theme.colour("textColor"))


def _plain(text: str) -> str:
    """Return a text that Plotly shows as it stands: it takes some HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
