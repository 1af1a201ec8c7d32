"""The charts of Compare, as Plotly figures. Each model keeps its colour, its dash and its mark."""

from collections.abc import Sequence
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
_ROW_PX: Final = 44


def draw(figure: go.Figure, *, key: str, alt: str, file_name: str) -> None:
    """Draw a chart that can be saved as SVG by its one button."""
    st.plotly_chart(
        figure,
        key=key,
        alt=alt,
        config={
            "displayModeBar": True,
            "modeBarButtons": [["toImage"]],
            "displaylogo": False,
            "scrollZoom": False,
            "responsive": True,
            "toImageButtonOptions": {"format": "svg", "filename": file_name},
        },
    )


def whiskers(
    rows: Sequence[tuple[str, Interval, str, bool]], *, line: float = float("nan"), line_words: str = ""
) -> go.Figure:
    """Return one row each: a point with its interval, the name above, the number at the right.

    Args:
        rows: name, value with interval, colour, and whether it is greyed for being small.
        line: where to draw a dashed line, and what it is called.
        line_words: what the line is called.
    """
    figure = go.Figure()
    for row, (name, one, colour, small) in enumerate(rows):
        opacity = 0.4 if small else 1.0
        figure.add_scatter(
            x=[one.low, one.high], y=[row, row], mode="lines", line={"color": colour, "width": 5},
            opacity=0.45 * opacity, hoverinfo="skip",
        )  # fmt: skip
        figure.add_scatter(
            x=[one.value], y=[row], mode="markers", marker={"color": colour, "size": 12}, opacity=opacity,
            hovertemplate=f"{interval_words(one)}, n = {one.n:,}, {one.n_lesions:,} lesions<extra></extra>",
        )  # fmt: skip
        place = {"y": row - 0.2, "yanchor": "bottom", "xref": "paper", "showarrow": False}
        figure.add_annotation(text=_plain(name), x=0, xanchor="left", **place)
        figure.add_annotation(text=f"{interval_words(one)}  n = {one.n:,}", x=1, xanchor="right", **place)
    seen = [end for _, one, *_ in rows for end in (one.low, one.value, one.high) if np.isfinite(end)]
    seen += [line] if np.isfinite(line) else []
    if seen:
        room = 0.05 * (max(seen) - min(seen)) + 0.005
        figure.update_xaxes(range=[min(seen) - room, max(seen) + room])
    if np.isfinite(line):
        figure.add_vline(
            x=line, line={"dash": "dash", "width": 1.5, "color": theme.colour("borderColor")}, layer="below"
        )
        figure.add_annotation(
            text=f"{line_words} {line:.3f}",
            x=line,
            y=1,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            xanchor="left" if line <= min(seen) else "right" if line >= max(seen) else "center",
        )
    figure.update_xaxes(
        showgrid=False, zeroline=False, ticks="outside", tickcolor=theme.colour("borderColor")
    )
    figure.update_yaxes(visible=False, range=[len(rows) - 0.6, -0.8])
    figure = charts.plain(figure, bottom=26)
    return figure.update_layout(height=_ROW_PX * len(rows) + 60, margin_t=24)


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
