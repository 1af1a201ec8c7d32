"""The occlusion brush: a person marks a part of the picture, to hide it or to keep nothing else."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import streamlit as st
from PIL import Image

from core.data.changes import Applied, read_changes, write_changes

MOST_POINTS: Final = 24
_HERE: Final = Path(__file__)
_BRUSH: Final = st.components.v2.component(
    "lesionlens_brush",
    html="""<div class="brush">
  <div class="surface" tabindex="0" role="application" aria-label="Mark a part of the picture">
    <img>
    <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true"><polygon /><g /></svg>
  </div>
  <div class="tools">
    <button type="button" data-do="polygon" aria-pressed="false">Polygon</button>
    <button type="button" data-do="clear">Clear</button>
    <button type="button" data-use="hide">Hide this part</button>
    <button type="button" data-use="keep">Hide all else</button>
  </div>
  <output></output>
</div>
""",
    css=_HERE.with_name("brush.css").read_text(encoding="utf-8"),
    js=_HERE.with_name("brush.js").read_text(encoding="utf-8"),
)


def draw(pixels: np.ndarray, *, key: str, digest: str, marked: Callable[[Applied], None]) -> None:
    """Draw the brush over a picture, uint8 RGB (H, W, 3).

    digest: tells the picture from others. marked: called with the shape that a person wants hidden or kept.
    """

    def tell() -> None:
        if shape := read_shape(st.session_state[key].marked):
            marked(shape)

    height, width = pixels.shape[:2]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    source = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    data = {
        "key": digest,
        "src": source,
        "alt": "The picture as the network sees it",
        "aspect": f"{width} / {height}",
        "most": MOST_POINTS,
    }
    _BRUSH(key=key, data=data, on_marked_change=tell)


def read_shape(sent: object) -> Applied | None:
    """Return the shape that a browser sent; None for what is none. What is sent is not to be trusted."""
    try:
        use, corners = sent["use"], sent["points"]  # type: ignore[index]  # what is no mapping raises
        points = tuple((float(x), float(y)) for x, y in corners)
        found = read_changes(write_changes([Applied(str(use), points=points)]))
    except (TypeError, ValueError, KeyError):
        return None
    return found[0] if found and found[0].points else None
