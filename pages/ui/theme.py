"""The colours of the charts, from `.streamlit/config.toml`: the one place where they are written."""

from typing import Final

import streamlit as st

from core.labels import CODES

MODES: Final = ("light", "dark")


def mode() -> str:
    """Return "light" or "dark", as this person's browser shows the app."""
    return "dark" if st.context.theme.type == "dark" else "light"


def diagnosis_colours() -> dict[str, str]:
    """Return each diagnosis's colour, the same in both modes."""
    return dict(zip(CODES, st.get_option("theme.chartCategoricalColors"), strict=True))


def diverging() -> tuple[str, ...]:
    """Return ten colours from against (blue) over nothing to for (orange), as "#RRGGBB"."""
    return tuple(st.get_option(f"theme.{mode()}.chartDivergingColors"))


def sequential() -> tuple[str, ...]:
    """Return ten colours from little to much, as "#RRGGBB"."""
    return tuple(st.get_option(f"theme.{mode()}.chartSequentialColors"))


def colour(name: str) -> str:
    """Return a colour of the current mode by its name in config.toml, such as "textColor"."""
    return str(st.get_option(f"theme.{mode()}.{name}"))


def rgba(colour: str, alpha: float) -> str:
    """Return "#RRGGBB" with an opacity between 0 and 1, as CSS says it."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:.3f})"
