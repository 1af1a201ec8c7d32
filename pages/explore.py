"""Explore: the seven diagnoses and, where a dataset is at hand, what it holds."""

import streamlit as st

from pages.ui import frame
from pages.ui.explore import card

reader = frame.page("Explore")

st.markdown(
    "The seven diagnoses that every model here chooses between, and what the local dataset holds of each. "
    "Filters, distributions and a gallery come to this page later; the command line trains, evaluates and "
    "scores on the same folder today (`python -m train --help`)."
)

card.draw_diagnoses(reader)
card.draw_dataset()
