"""Compare: which model is better, for whom, at which threshold, by how much, and is the difference real."""

import streamlit as st

from pages.ui import frame
from pages.ui.compare import bring, compared, views

reader = frame.page("Compare")

evaluations = compared.available()
if not evaluations:
    st.info(
        "No evaluation is here. Train a model, or bring the predictions of one below.",
        icon=":material/hourglass_empty:",
    )
    bring.draw(evaluations)
    st.stop()

chosen = compared.choose(evaluations, reader)
view = views.choose()
if view == views.BRING:
    bring.draw(evaluations)
elif chosen is not None:
    views.draw(view, chosen)
