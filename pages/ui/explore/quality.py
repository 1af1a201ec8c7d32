"""Quality: what a picture, a pair of pictures, a label or a test set may be doubted for. No verdicts.

Add a part by adding a module with `draw` to SHOWS.
"""

from collections.abc import Callable
from typing import Final

import streamlit as st

from core.errors import LesionLensError
from pages.ui import notices
from pages.ui.explore import assurance, labels, measures, pairs
from pages.ui.explore.explored import Explored

_SHOW: Final = "explore_quality"

SHOWS: Final[dict[str, Callable[[Explored], None]]] = {
    "Pictures": measures.draw,
    "Duplicates": pairs.draw,
    "Labels": labels.draw,
    "Test data": assurance.draw,
}


def draw(explored: Explored) -> None:
    """Draw the view of what is explored."""
    shown = st.segmented_control(
        "Look at",
        list(SHOWS),
        default=next(iter(SHOWS)),
        required=True,
        key=_SHOW,
        bind="query-params",
        label_visibility="collapsed",
    )
    try:
        SHOWS[shown or next(iter(SHOWS))](explored)
    except LesionLensError as problem:
        notices.refuse(problem)
