"""Card: where a dataset is from, what may be done with it, how its labels were made, and its known issues."""

import streamlit as st

from core.labels import DIAGNOSES, Diagnosis
from core.words import Reader
from pages.ui.explore.explored import Explored


def draw(explored: Explored) -> None:
    """Draw the card of what is explored."""
    draw_diagnoses(explored.reader)


def draw_diagnoses(reader: Reader) -> None:
    """Draw a card for each diagnosis, the malignant ones first."""
    st.header("Seven diagnoses", anchor=False)
    for malignant, columns in ((True, 3), (False, 4)):
        with st.grid(columns, min_column_width=190):
            for diagnosis in DIAGNOSES:
                if diagnosis.malignant == malignant:
                    _draw_card(diagnosis, reader)


def _draw_card(diagnosis: Diagnosis, reader: Reader) -> None:
    with st.container(border=True, height="stretch", gap="xsmall"):
        if diagnosis.malignant:
            st.badge("malignant", icon=":material/warning:", color="red")
        else:
            st.badge("benign", color="gray")
        st.markdown(f"**{diagnosis.name}**")
        st.caption(diagnosis.code if reader.name == "ML" else diagnosis.plain_name)
        st.markdown(diagnosis.about)
