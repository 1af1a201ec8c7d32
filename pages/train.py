"""Train: what the command line does today."""

import streamlit as st

from pages.ui import frame, train

frame.page("Train")

st.markdown(
    "Watching a model learn, live, comes to this page later. Training itself already runs from the command "
    "line, with progress bars, exact resume after an interruption, and calibration on validation data at the "
    "end."
)
train.draw_commands()
train.draw_runs()
