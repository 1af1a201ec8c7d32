"""The brush: a person marks a part of the picture, to hide it, to keep nothing else, or as the lesion."""

import base64
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import streamlit as st
from PIL import Image

from core.data.changes import MOST_POINTS, Points, read_points, write_points

_HERE: Final = Path(__file__)
_BRUSH: Final = st.components.v2.component(
    "lesionlens_brush",
    html="""<div class="brush">
  <div class="surface" tabindex="0" role="application">
    <img>
    <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true"><polygon />
      <g class="corners" /><g class="cross" /></svg>
  </div>
  <div class="tools">
    <button type="button" data-do="polygon" aria-pressed="false">Polygon</button>
    <button type="button" data-do="back">Last corner away</button>
    <button type="button" data-do="clear">Clear</button>
    <span class="uses"></span>
  </div>
  <output></output>
</div>
""",
    css=_HERE.with_name("brush.css").read_text(encoding="utf-8"),
    js=_HERE.with_name("brush.js").read_text(encoding="utf-8"),
)


def draw(
    pixels: np.ndarray,
    *,
    key: str,
    digest: str,
    label: str,
    uses: Mapping[str, str],
    marked: Callable[[str, Points], None],
    by_corners: bool = False,
) -> None:
    """Draw the brush over a picture, uint8 RGB (H, W, 3).

    Args:
        pixels: the picture.
        key: of the widget. digest: tells the picture from others.
        label: what the brush is for, to a screen reader.
        uses: the words of each button that uses what is marked; the first one is Enter's.
        marked: called with a use and the corners of the shape; no corners where what came is no shape.
        by_corners: whether it begins with a polygon, and a drag draws an oval instead of a box.
    """

    def tell() -> None:
        if (use := read_use(st.session_state[key].marked, uses)) is not None:
            marked(use, read_shape(st.session_state[key].marked))

    height, width = pixels.shape[:2]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    source = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    data = {
        "key": digest,
        "src": source,
        "alt": "The picture to mark",
        "label": label,
        "aspect": f"{width} / {height}",
        "most": MOST_POINTS,
        "uses": list(uses.items()),
        "oval": by_corners,
        "polygon": by_corners,
    }
    _BRUSH(key=key, data=data, on_marked_change=tell)


def read_use(sent: object, uses: Mapping[str, str]) -> str | None:
    """Return what a browser wants done with a shape; None for what is not offered."""
    try:
        use = str(sent["use"])  # type: ignore[index]  # what is no mapping raises
    except (TypeError, KeyError):
        return None
    return use if use in uses else None


def read_shape(sent: object) -> Points:
    """Return the corners that a browser sent, which is not to be trusted; none for what is no shape."""
    try:
        corners = sent["points"]  # type: ignore[index]  # what is no mapping raises
        found = read_points(write_points(tuple((float(x), float(y)) for x, y in corners)))
    except (TypeError, ValueError, KeyError):
        return ()
    return found or ()
