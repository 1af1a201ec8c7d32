"""LesionLens, home: what this is, what is installed, and a three-minute tour.

streamlit run streamlit_app.py
"""

import streamlit as st

from core import words
from pages.ui import frame, home, hub, publishing

reader = frame.page("Home", heading="Ask a model about a skin lesion, and see why it answers")

st.markdown(
    "LesionLens is a classifier for dermoscopic pictures that shows its work. It was trained on HAM10000, "
    "ten thousand pictures of seven diagnoses, and each of its answers is a sum you can read: what every "
    "region of the picture said, plus what age, sex and site added."
)
frame.link("Predict", "Ask about a picture")

home.draw_tour(reader)
home.draw_installed()

st.header("Checkpoints from the Hub", anchor=False)
hub.draw_manage()
with st.expander(
    "Publish a checkpoint", icon=":material/publish:", on_change="rerun", key="publish"
) as publish:
    if publish.open:
        publishing.draw()

st.header("Safety and sources", anchor=False)
st.markdown(f"{words.SEE_A_DOCTOR}\n\n{words.PRIVACY}")
st.caption(words.ATTRIBUTION)
