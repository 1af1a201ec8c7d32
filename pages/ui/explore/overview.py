"""The numbers above every view: how much is chosen, of how much."""

import streamlit as st

from core.data.summary import size
from core.labels import CODES, MALIGNANT
from core.words import proportion
from pages.ui.explore.explored import Explored

_MALIGNANT = [code for code, malignant in zip(CODES, MALIGNANT, strict=True) if malignant]


def draw(explored: Explored) -> None:
    """Draw how many images and lesions are chosen, and how many of them are malignant."""
    table, chosen = explored.dataset.table, explored.chosen
    malignant = chosen[chosen["dx"].isin(_MALIGNANT)]
    with st.grid(4, min_column_width=150):
        _metric("Images", size(chosen, "images"), size(table, "images"))
        _metric("Lesions", size(chosen, "lesions"), size(table, "lesions"))
        _metric(f"Malignant {explored.unit}", size(malignant, explored.unit), size(chosen, explored.unit))
        _metric("With a picture here", int(chosen["image_path"].notna().sum()), len(chosen))


def _metric(title: str, part: int, whole: int) -> None:
    share = proportion(part / whole if whole else float("nan"))
    st.metric(
        title,
        f"{part:,}",
        f"{share} of {whole:,}",
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
    )
