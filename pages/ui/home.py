"""The parts of the home page."""

from dataclasses import dataclass
from typing import Final

import streamlit as st

from pages.ui import frame, installed


@dataclass(frozen=True)
class Stop:
    """One stop of the tour: a minute, a page, and what to do there."""

    title: str
    page: str
    words: str
    link: str


TOUR: Final = (
    Stop(
        "Minute one: get an answer",
        "Predict",
        "A drawn lesion is answered as soon as the page opens. Read the malignancy probability against its "
        "threshold, then all seven diagnoses. Upload a dermoscopic picture of your own when you like.",
        "Open Predict",
    ),
    Stop(
        "Minute two: ask why",
        "Predict",
        "Pick any diagnosis and see which regions speak for it (orange) and against it (blue), on one scale. "
        "Then change age, sex or site: the sum moves at once, without asking the network again.",
        "See the evidence",
    ),
    Stop(
        "Minute three: see how it learned",
        "Train",
        "Replay the training of this very checkpoint in a minute and a half: what it found, mixed up, "
        "and where it looked, epoch by epoch.",
        "Open Train",
    ),
    Stop(
        "Afterwards: ask how good it is",
        "Compare",
        "Look at what was measured on lesions the model never saw, each number with its interval and the "
        "number of pictures behind it.",
        "Open Compare",
    ),
)


def draw_tour() -> None:
    """Draw the stops, each with the link to its page."""
    st.header("Three minutes", anchor=False)
    with st.grid(2, min_column_width=300):
        for stop in TOUR:
            with st.container(border=True, height="stretch"):
                st.markdown(f"**{stop.title}**")
                st.markdown(stop.words)
                st.space("stretch")
                frame.link(stop.page, stop.link)


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
