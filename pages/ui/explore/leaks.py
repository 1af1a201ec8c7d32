"""Leak meter: what a split rule lets through."""

import streamlit as st

from pages.ui.explore.explored import Explored


def draw(explored: Explored) -> None:
    """Draw the view of what is explored."""
    st.caption(f"{len(explored.chosen):,} rows chosen.")
