"""The parts of the home page."""

import streamlit as st

from core.words import Reader
from pages.ui import frame, installed, tour


def draw_tour(reader: Reader) -> None:
    """Draw the way into the tour, and its stations, each with its link."""
    st.header("Three minutes", anchor=False)
    st.markdown(
        f"{len(tour.STATIONS)} short stations over the real pages, with drawn pictures. Everything can be "
        "tried out at each of them."
    )
    tour.start_button(frame.PAGES, reader)
    with st.expander("The stations", icon=":material/route:"):
        # Plain links: a station is a fresh load of its page.
        st.markdown(
            "\n".join(
                f"1. [{station.title}]({tour.link_to(number, frame.PAGES, reader)})"
                for number, station in enumerate(tour.STATIONS, 1)
            )
        )


def draw_installed() -> None:
    """Draw what this machine has, and how to get what it has not."""
    state = installed.state()
    st.header("On this machine", anchor=False)
    with st.grid(2, min_column_width=300):
        _draw_line(
            "Checkpoint",
            state.checkpoint,
            "Bundled checkpoints come with the code. LESIONLENS_CHECKPOINT names another one: "
            "`bundled:name`, `run:name`, `local:folder` or `hf:owner/name`.",
        )
        _draw_line(
            "Dataset",
            state.data,
            "None is needed to ask about a picture. Explore shows HAM10000's distributions without one, and "
            "gets or draws pictures; `LESIONLENS_DATA=path/to/HAM10000` names a folder that is here.",
            page="Explore",
        )


def _draw_line(title: str, line: installed.Line, cure: str, *, page: str | None = None) -> None:
    with st.container(border=True, height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{title}**")
            if line.ready:
                st.badge("ready", icon=":material/check:", color="blue")
            else:
                st.badge("not here", icon=":material/remove:", color="gray")
        st.text(line.words)
        st.markdown(cure)
        if page is not None:
            frame.link(page, f"Open {page}")
