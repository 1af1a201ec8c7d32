"""Every figure of the app, as Plotly figures and overlays. Colours come from theme, words from core."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from core.labels import BY_CODE, CODES, INDEX
from core.words import NBSP, percent, short_name
from pages.ui import theme

if TYPE_CHECKING:
    from core.explain.trust import Curves
    from core.predict.whatif import Curve

# Charts here are read, not zoomed: dragging must scroll a phone.
CONFIG: Final = {"displayModeBar": False, "scrollZoom": False, "responsive": True}
LOGITS: Final = "logits"
"""The unit of evidence, unless a reader is spoken to otherwise (core.explain.spoken)."""
_ROW_PX: Final = 46
_LABEL_PX: Final = 14
_SHARE_AXIS: Final = {
    "range": [0, 1],
    "tickvals": [0, 0.25, 0.5, 0.75, 1],
    "ticktext": [f"{share}{NBSP}%" for share in (0, 25, 50, 75, 100)],
}


def count_diagnoses(table: pd.DataFrame) -> pd.DataFrame:
    """Return images and lesions of each diagnosis in a metadata table, most frequent first."""
    grouped = table.groupby("dx")
    counts = pd.DataFrame({"images": grouped.size(), "lesions": grouped["lesion_id"].nunique()})
    counts = counts.reindex(list(CODES), fill_value=0).sort_values("images", ascending=False)
    counts.index = pd.Index([short_name(code) for code in counts.index], name="diagnosis")
    return counts


def counts(table: pd.DataFrame) -> go.Figure:
    """Draw what `count_diagnoses` returns as bars."""
    colours = theme.diagnosis_colours()
    by_name = {short_name(code): colours[code] for code in CODES}
    values = table["images"].tolist()
    return _rows(
        labels=table.index.tolist(),
        values=values,
        texts=[f"{value:,}" for value in values],
        colours=[by_name[name] for name in table.index],
        maximum=max([*values, 1]),
        unit="images",
    )


def probabilities(values: np.ndarray) -> go.Figure:
    """Draw the seven probabilities, shape (7,), most probable first, each with its full name."""
    colours = theme.diagnosis_colours()
    order = [CODES[index] for index in np.argsort(-values, kind="stable")]
    shares = [float(values[INDEX[code]]) for code in order]
    return _rows(
        labels=[short_name(code) for code in order],
        values=shares,
        texts=[percent(share) for share in shares],
        colours=[colours[code] for code in order],
        maximum=1.0,
        unit="probability",
    )


def _rows(
    *,
    labels: list[str],
    values: list[float],
    texts: list[str],
    colours: list[str],
    maximum: float,
    unit: str,
) -> go.Figure:
    """Draw bars whose name stands above and whose number stands at the right: readable on a phone too."""
    rows = list(range(len(labels)))
    figure = go.Figure()
    figure.add_bar(
        y=rows, x=[maximum] * len(rows), orientation="h", width=0.3, hoverinfo="skip",
        marker_color=theme.rgba(theme.colour("borderColor"), 0.45),
    )  # fmt: skip
    figure.add_bar(
        y=rows, x=values, orientation="h", width=0.3, marker_color=colours,
        customdata=list(zip(labels, texts, strict=True)),
        hovertemplate=f"%{{customdata[0]}}: %{{customdata[1]}} ({unit})<extra></extra>",
    )  # fmt: skip
    for row, label, text in zip(rows, labels, texts, strict=True):
        place = {"y": row - 0.17, "yanchor": "bottom", "showarrow": False, "yshift": 1}
        figure.add_annotation(text=label, x=0, xref="paper", xanchor="left", **place)
        figure.add_annotation(text=text, x=1, xref="paper", xanchor="right", **place)
    figure.update_layout(barmode="overlay", height=_ROW_PX * len(rows) + 12, bargap=0)
    figure.update_xaxes(visible=False, range=[0, maximum])
    figure.update_yaxes(visible=False, range=[len(rows) - 0.72, -0.72])
    return plain(figure)


def malignancy(probability: float, threshold: float | None, *, above: bool) -> go.Figure:
    """Draw the malignancy probability on a bar from 0 to 1, with the threshold marked where there is one."""
    ink = theme.colour("textColor")
    figure = go.Figure()
    figure.add_bar(
        y=[0], x=[1], orientation="h", width=0.6, hoverinfo="skip",
        marker_color=theme.rgba(theme.colour("borderColor"), 0.45),
    )  # fmt: skip
    figure.add_bar(
        y=[0], x=[probability], orientation="h", width=0.6,
        marker_color=theme.colour("redColor" if above else "grayColor"),
        hovertemplate=f"malignancy probability {percent(probability)}<extra></extra>",
    )  # fmt: skip
    if threshold is not None:
        figure.add_shape(
            type="line", x0=threshold, x1=threshold, y0=-0.42, y1=0.42, line={"color": ink, "width": 3}
        )
        figure.add_annotation(
            text=f"threshold {percent(threshold)}", x=threshold, y=0.42, yanchor="bottom",
            xanchor="right" if threshold > 0.5 else "left", showarrow=False,
        )  # fmt: skip
    for share, anchor in ((0.0, "left"), (0.5, "center"), (1.0, "right")):
        figure.add_annotation(
            text=f"{100 * share:.0f} %", x=share, y=-0.4, xanchor=anchor, yanchor="top", showarrow=False
        )
    figure.update_layout(barmode="overlay", height=84)
    figure.update_xaxes(visible=False, range=[0, 1])
    figure.update_yaxes(visible=False, range=[-1.05, 1.05])
    return plain(figure)


def overlay(seen: np.ndarray, evidence_map: np.ndarray, *, limit: float, opacity: float) -> np.ndarray:
    """Return the picture with the evidence painted over it, uint8, shape (h, w, 3).

    Nothing is painted where evidence is nothing: the paint's strength follows the size of the evidence.

    Args:
        seen: the picture as the network saw it, uint8, shape (h, w, 3).
        evidence_map: logits, any shape (rows, columns) that covers the same picture.
        limit: the evidence, in logits, that gets the strongest colour; the same for all classes.
        opacity: of the strongest colour, 0 to 1.
    """
    height, width = seen.shape[:2]
    smooth = Image.fromarray(evidence_map.astype(np.float32)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    strength = np.clip(np.asarray(smooth) / limit, -1, 1)
    paint = _paint(strength)
    alpha = (opacity * np.abs(strength) ** 0.6)[..., None]
    painted: np.ndarray = np.round(seen * (1 - alpha) + paint * alpha).astype(np.uint8)
    return painted


def raw(seen: np.ndarray, evidence_map: np.ndarray, *, limit: float) -> np.ndarray:
    """Return the map alone, place by place as the network gives it, in the size of the picture, uint8."""
    height, width = seen.shape[:2]
    places = np.repeat(np.repeat(evidence_map, -(-height // len(evidence_map)), axis=0),
                       -(-width // evidence_map.shape[1]), axis=1)[:height, :width]  # fmt: skip
    return _paint(np.clip(places / limit, -1, 1))


def _paint(strength: np.ndarray) -> np.ndarray:
    """Return the diverging colours of strengths from -1 to 1, uint8 (..., 3)."""
    scale = np.array([[int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in theme.diverging()])
    place, stops = (strength + 1) / 2, np.linspace(0, 1, len(scale))
    paint = np.stack([np.interp(place, stops, scale[:, channel]) for channel in range(3)], axis=-1)
    return np.round(paint).astype(np.uint8)


PAINTS: Final[dict[str, Callable[[np.ndarray, np.ndarray, float, float], np.ndarray]]] = {
    "over the picture": lambda seen, found, limit, opacity: overlay(
        seen, found, limit=limit, opacity=opacity
    ),
    "map alone": lambda seen, found, limit, _: raw(seen, found, limit=limit),
    "picture alone": lambda seen, _found, _limit, _opacity: seen,
}
"""How a map is shown: from picture, map, limit and opacity to pixels."""


def evidence(
    painted: np.ndarray,
    evidence_map: np.ndarray,
    *,
    limit: float,
    contour: bool = False,
    unit: str = LOGITS,
) -> go.Figure:
    """Draw a painted picture whose hover reads the evidence, with its scale beside it.

    painted: from `overlay`. evidence_map, limit: as there. contour: whether to outline where the evidence for
    the diagnosis is at least half of its strongest. unit: what evidence is measured in.
    """
    height, width = painted.shape[:2]
    rows, columns = evidence_map.shape
    figure = go.Figure()
    figure.add_layout_image(
        source=Image.fromarray(painted), x=0, y=0, sizex=width, sizey=height, xref="x", yref="y",
        sizing="stretch", layer="below",
    )  # fmt: skip
    figure.add_heatmap(
        z=evidence_map.round(3),
        x0=width / columns / 2, dx=width / columns, y0=height / rows / 2, dy=height / rows,
        # The picture is painted already; this layer only answers the pointer.
        colorscale=[[0, "rgba(0,0,0,0)"], [1, "rgba(0,0,0,0)"]], showscale=False,
        hovertemplate="evidence here %{z:+.2f} " + unit + "<extra></extra>",
    )  # fmt: skip
    strongest = float(evidence_map.max())
    if contour and strongest > 0:
        figure.add_contour(
            z=evidence_map, x0=width / columns / 2, dx=width / columns, y0=height / rows / 2,
            dy=height / rows, showscale=False, hoverinfo="skip", line={"color": "black", "width": 3},
            contours={"coloring": "none", "start": strongest / 2, "end": strongest / 2, "size": 1},
        )  # fmt: skip
    scale = theme.diverging()
    figure.add_scatter(
        x=[None], y=[None], mode="markers", hoverinfo="skip", showlegend=False,
        marker={
            "color": [0], "cmin": -limit, "cmax": limit, "showscale": True,
            "colorscale": [[index / (len(scale) - 1), one] for index, one in enumerate(scale)],
            "colorbar": {
                "orientation": "h", "y": -0.02, "yanchor": "top", "thickness": 10, "len": 0.94,
                "outlinewidth": 0,
                "title": {"text": f"against  ←  evidence, {unit}  →  for", "side": "bottom"},
                "tickvals": [-limit, 0, limit], "ticktext": [f"−{limit:.1f}", "0", f"+{limit:.1f}"],
            },
        },
    )  # fmt: skip
    figure.update_xaxes(visible=False, range=[0, width], constrain="domain")
    figure.update_yaxes(visible=False, range=[height, 0], scaleanchor="x", constrain="domain")
    figure.update_layout(height=round(390 * height / width) + 62)
    return plain(figure, bottom=62)


def describe(evidence_map: np.ndarray, *, unit: str = LOGITS) -> str:
    """Return in words where a map's strongest evidence lies and what it means to; for screen readers."""
    said = []
    for phrase, index, exists in (
        ("Strongest evidence for", int(evidence_map.argmax()), evidence_map.max() > 0),
        ("strongest evidence against", int(evidence_map.argmin()), evidence_map.min() < 0),
    ):
        if exists:
            row, column = np.unravel_index(index, evidence_map.shape)
            place = _place((row + 0.5) / evidence_map.shape[0], (column + 0.5) / evidence_map.shape[1])
            said.append(f"{phrase}: {place}, {signed(float(evidence_map.flat[index]))}")
    said.append(f"mean over the picture {signed(float(evidence_map.mean()))} {unit}")
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def _place(down: float, right: float) -> str:
    """Name the ninth of a picture that a point lies in; both from 0 to 1."""
    vertical = ("top", "middle", "bottom")[min(int(3 * down), 2)]
    horizontal = ("left", "centre", "right")[min(int(3 * right), 2)]
    return "centre" if (vertical, horizontal) == ("middle", "centre") else f"{vertical} {horizontal}"


def spell(terms: Mapping[str, float]) -> str:
    """Return the terms of a logit and their sum as one line."""
    spelled = ", ".join(f"{name} {signed(value)}" for name, value in terms.items())
    return f"{spelled}; sum {signed(sum(terms.values()))}"


def waterfall(terms: Mapping[str, float], code: str, *, unit: str = LOGITS) -> go.Figure:
    """Draw the terms of a logit as steps, and their sum."""
    names = [*terms, "sum"]
    steps = [*terms.values(), sum(terms.values())]
    scale = theme.diverging()
    ink = theme.colour("grayColor")
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            y=names,
            x=steps,
            measure=["relative"] * len(terms) + ["total"],
            text=[signed(step) for step in steps],
            textposition="outside",
            cliponaxis=False,
            # Where terms are nothing the connectors stand one on the other: dots would look like text.
            connector={"line": {"color": theme.rgba(ink, 0.5), "width": 1}},
            increasing={"marker": {"color": scale[-3]}},
            decreasing={"marker": {"color": scale[2]}},
            totals={"marker": {"color": theme.colour("primaryColor")}},
            hovertemplate="%{y}: %{text} " + unit + "<extra>" + BY_CODE[code].name + "</extra>",
        )
    )
    edges = np.concatenate([[0.0], np.cumsum(list(terms.values()))])
    low, high = float(edges.min()), float(edges.max())
    room = 0.18 * max(high - low, 0.1)
    figure.update_yaxes(autorange="reversed", tickfont_size=_LABEL_PX, ticksuffix="  ")
    figure.update_xaxes(
        range=[low - room, high + room], zeroline=True, zerolinecolor=ink, title=unit, showgrid=True,
        gridcolor=theme.rgba(theme.colour("borderColor"), 0.6),
    )  # fmt: skip
    figure.update_layout(height=44 * len(names) + 60)
    return plain(figure, bottom=46)


def over_ages(found: "Curve", *, now: float | None) -> go.Figure:
    """Draw each diagnosis' probability over age; now: the age that is asked about."""
    colours = theme.diagnosis_colours()
    figure = go.Figure()
    for code in CODES:
        figure.add_scatter(
            x=found.at, y=found.probabilities[:, INDEX[code]], mode="lines",
            line={"color": colours[code], "width": 3},
            name=short_name(code),
            customdata=_percents(found, code),
            hovertemplate="%{x} years: %{customdata}<extra>" + short_name(code) + "</extra>",
        )  # fmt: skip
    if now is not None:
        figure.add_vline(x=now, line={"color": theme.colour("textColor"), "width": 2, "dash": "dot"})
    figure.update_yaxes(**_SHARE_AXIS)
    figure.update_xaxes(title="age in years")
    return _shares(figure)


def over_sites(found: "Curve", *, now: str | None) -> go.Figure:
    """Draw the seven probabilities of each site as one stacked bar; now: the site asked about."""
    colours = theme.diagnosis_colours()
    names = [f"► {site}" if site == now else site for site in found.at]
    figure = go.Figure()
    for code in CODES:
        figure.add_bar(
            y=names, x=found.probabilities[:, INDEX[code]], orientation="h", name=short_name(code),
            marker_color=colours[code],
            customdata=_percents(found, code),
            hovertemplate="%{y}: %{customdata}<extra>" + short_name(code) + "</extra>",
        )  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0.25)
    figure.update_yaxes(autorange="reversed", ticksuffix=" ")
    figure.update_xaxes(**_SHARE_AXIS)
    return _shares(figure)


def _percents(found: "Curve", code: str) -> list[str]:
    return [percent(float(share)) for share in found.probabilities[:, INDEX[code]]]


def _shares(figure: go.Figure) -> go.Figure:
    grid = theme.rgba(theme.colour("borderColor"), 0.6)
    figure.update_yaxes(gridcolor=grid)
    figure.update_xaxes(gridcolor=grid)
    figure = plain(figure, bottom=46)
    return figure.update_layout(
        height=430,
        # Room for the label of 100 %, half of which stands outside the plot.
        margin_t=12,
        margin_r=26,
        showlegend=True,
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0, "traceorder": "normal"},
    )


def faithfulness(curves: "Curves", *, unit: str = LOGITS) -> go.Figure:
    """Draw the deletion and the insertion curve of a map, each with its random baseline."""
    primary, ink = theme.colour("primaryColor"), theme.colour("grayColor")
    accent = theme.diverging()[-3]
    figure = go.Figure()
    for name, values, colour, dash in (
        ("strongest put back first", curves.insertion, accent, None),
        ("put back at random", curves.random_insertion, accent, "dot"),
        ("strongest taken away first", curves.deletion, primary, None),
        ("taken away at random", curves.random_deletion, primary, "dot"),
    ):
        figure.add_scatter(
            x=curves.shares, y=values, mode="lines", name=name,
            line={"color": colour, "width": 3, "dash": dash},
            customdata=[f"{100 * share:.0f}{NBSP}%" for share in curves.shares],
            hovertemplate="%{customdata} of the picture: %{y:.2f} " + unit + "<extra>" + name + "</extra>",
        )  # fmt: skip
    figure.update_xaxes(**_SHARE_AXIS, title="share of the picture", zeroline=False)
    figure.update_yaxes(title={"text": unit, "font": {"color": ink}}, zeroline=False)
    figure = plain(figure, bottom=46)
    return figure.update_layout(
        height=340,
        margin_r=26,
        showlegend=True,
        legend={"orientation": "h", "y": -0.25, "yanchor": "top", "x": 0},
    )


def signed(value: float) -> str:
    """Return a number of logits with its sign."""
    return f"{value:+.2f}".replace("-", "−")


def plain(figure: go.Figure, *, bottom: int = 0) -> go.Figure:
    """Take away what a reader does not need, and write in the app's ink: background, margins, drag."""
    ink = theme.colour("textColor")
    figure.update_annotations(font={"color": ink, "size": _LABEL_PX})
    figure.update_xaxes(tickfont_color=ink, title_font_color=ink)
    figure.update_yaxes(tickfont_color=ink)
    return figure.update_layout(
        margin={"l": 0, "r": 0, "t": 2, "b": bottom},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
        dragmode=False,
        font_color=ink,
        hoverlabel_align="left",
    )
