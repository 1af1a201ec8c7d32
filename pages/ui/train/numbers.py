"""The numbers of a run, large: step, epoch, scores, pace, waiting, memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import streamlit as st

from core.runs.story import Figure

_HERE: Final = Path(__file__)
_NUMBERS: Final = st.components.v2.component(
    "lesionlens_numbers",
    html='<div class="frame"><dl class="numbers"></dl></div>\n',
    css=_HERE.with_name("numbers.css").read_text(encoding="utf-8"),
    js=_HERE.with_name("numbers.js").read_text(encoding="utf-8"),
)


def draw(figures: Sequence[Figure], *, share: float | None) -> None:
    """Draw figures side by side. share: how much of the run is done, 0 to 1; None where nobody knows."""
    _NUMBERS(
        key="train_numbers",
        data={
            "share": share,
            "figures": [
                {"name": one.name, "value": one.value, "note": one.note, "about": one.about}
                for one in figures
            ],
        },
    )
