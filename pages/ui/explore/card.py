"""The parts of the Explore page."""

import streamlit as st

from core.errors import DataError
from core.labels import DIAGNOSES, Diagnosis
from core.settings import settings
from core.words import Reader
from pages.ui import cache, charts, notices


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


def draw_dataset() -> None:
    """Draw the local dataset's diagnoses, or say how to bring one."""
    st.header("The local dataset", anchor=False)
    folder = settings().data_dir
    if folder is None:
        st.info(
            "There is no local dataset. Start the app with `LESIONLENS_DATA=path/to/HAM10000` to see one.",
            icon=":material/folder_open:",
        )
        return
    try:
        table = cache.dataset(folder)
    except DataError as problem:
        notices.refuse(problem)
        return
    counts = charts.count_diagnoses(table)
    st.plotly_chart(
        charts.counts(counts),
        key="explore_counts",
        config=charts.CONFIG,
        alt="Images per diagnosis; the same numbers stand in the table below.",
    )
    missing = int(table["image_path"].isna().sum())
    st.caption(
        f"{len(table):,} images of {table['lesion_id'].nunique():,} lesions; {missing:,} without a picture."
    )
    with st.expander("The numbers as a table", icon=":material/table_rows:"):
        st.table(counts, alt="Images and lesions per diagnosis")
