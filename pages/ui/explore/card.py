"""Card: where a dataset is from, what may be done with it, how its labels were made, and its known issues."""

import streamlit as st

from core.data.cards import DatasetCard, cards
from core.data.facets import UNKNOWN, Facets
from core.data.getting.sources import Licence
from core.labels import DIAGNOSES, Diagnosis
from core.words import Reader
from pages.ui import notices
from pages.ui.explore.explored import Explored


def draw(explored: Explored) -> None:
    """Draw the card of each source of what is explored, and of each diagnosis."""
    facet = Facets.of(explored.dataset.table).columns["source"]
    sources = [source for source in facet.words if source != UNKNOWN]
    known = cards()
    for source in sources:
        if source in known:
            _draw_card(known[source])
    if strangers := [source for source in sources if source not in known]:
        st.info(
            notices.plain(
                f"Nothing is known here about {', '.join(strangers)}. Ask who gave it to you for its "
                "licence, how its labels were made, and what is wrong with it."
            ),
            icon=":material/help:",
        )
    _draw_diagnoses(explored.reader)


def _draw_card(card: DatasetCard) -> None:
    st.header(card.title, anchor=False)
    st.markdown(card.about + (f" [Home of the dataset]({card.home})" if card.home else ""))
    left, right = st.columns(2, gap="medium")
    with left:
        with st.container(border=True):
            st.subheader("How labels were made", anchor=False)
            st.markdown(card.labels)
        if card.licence is not None:
            _draw_licence(card.licence)
    with right, st.container(border=True):
        st.subheader("Known issues", anchor=False)
        st.markdown(card.issues)


def _draw_licence(licence: Licence) -> None:
    with st.container(border=True):
        st.subheader("Licence and citation", anchor=False)
        st.markdown(f"[{licence.name}]({licence.address}). {licence.about}")
        st.caption("To name it")
        st.code(licence.credit, language=None, wrap_lines=True)
        st.caption("To cite")
        st.code(licence.cite, language=None, wrap_lines=True)


def _draw_diagnoses(reader: Reader) -> None:
    """Draw a card for each diagnosis, the malignant ones first."""
    st.header("Seven diagnoses", anchor=False)
    for malignant, columns in ((True, 3), (False, 4)):
        with st.grid(columns, min_column_width=190):
            for diagnosis in DIAGNOSES:
                if diagnosis.malignant == malignant:
                    _draw_diagnosis(diagnosis, reader)


def _draw_diagnosis(diagnosis: Diagnosis, reader: Reader) -> None:
    with st.container(border=True, height="stretch", gap="xsmall"):
        if diagnosis.malignant:
            st.badge("malignant", icon=":material/warning:", color="red")
        else:
            st.badge("benign", color="gray")
        st.markdown(f"**{diagnosis.name}**")
        st.caption(diagnosis.code if reader.name == "ML" else diagnosis.plain_name)
        st.markdown(diagnosis.about)
