"""Compare: what was measured, with n and intervals."""

import streamlit as st

from pages.ui import compare, frame

frame.page("Compare")

st.markdown(
    "What the bundled models reached on lesions they never saw. Intervals are 95 %, from resampling lesions, "
    "not pictures. Comparing many models side by side, by subgroup and under bad light, comes later."
)
compare.draw_evaluations()

st.header("Measure one yourself", anchor=False)
st.code(
    "python -m train evaluate --checkpoint bundled:lesionlens-lite0 --data path/to/HAM10000 --split test",
    language=None,
    wrap_lines=True,
)
