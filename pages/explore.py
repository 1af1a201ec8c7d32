"""Explore: what a dataset holds, with one filter for every chart, picture and number."""

import streamlit as st

from core.data.summary import UNITS
from pages.ui import frame, inputs
from pages.ui.explore import datasets, filtering, overview, views
from pages.ui.explore.explored import Explored

reader = frame.page("Explore")

with st.container(horizontal=True, vertical_alignment="bottom"):
    dataset = datasets.choose()
    if dataset.folder is not None and dataset.has_pictures:
        inputs.offer_dataset(dataset.folder, synthetic=dataset.kind == "synthetic")
    unit = st.segmented_control(
        "Count", UNITS, default="images", required=True, key="unit", bind="query-params"
    )

selection = filtering.read(dataset.table)
explored = Explored(dataset, selection, selection.choose(dataset.table), unit, reader)
overview.draw(explored)
filtering.draw_chips(selection)

view = views.choose()
views.draw(view, explored)
