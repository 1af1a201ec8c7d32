"""The Train page as a whole: what is on the shelf, and what stands beside it."""

from typing import Final

import streamlit as st

from core.errors import LesionLensError
from core.runs.library import Summary
from core.words import Reader
from pages.ui import notices
from pages.ui.train import address, commands, head, panel, shelf, sources, visible

INTRO: Final = {
    "patient": (
        "Training shows a model thousands of pictures whose diagnosis is known, over and over. After each "
        "round it is tried on pictures it has not learned from: that is the only score that counts."
    ),
    "clinician": (
        "A model learns from labelled pictures, epoch by epoch, and is judged after each on a validation "
        "part of other lesions. Watch what it finds, what it mixes up and where it looks."
    ),
    "ML": (
        "Runs of the trainer on this machine and recorded ones: metrics per step and epoch, validation "
        "confusion and calibration, evidence maps of fixed validation images."
    ),
}


def draw(reader: Reader) -> None:
    """Draw the page."""
    st.markdown(INTRO[reader.name])
    try:
        runs = sources.runs()
    except LesionLensError as problem:
        notices.refuse(problem)
        st.stop()
    run = address.chosen(runs)
    if run is None:
        st.info(
            "No run is here, not even a recorded one. The commands below start one.",
            icon=":material/model_training:",
        )
        commands.draw_commands()
        return
    others = address.compared(runs, run)
    left, right = st.columns([4, 11], gap="medium")
    with left:
        _draw_left(run, others)
    with right:
        head.draw(run)
        panel.draw(run, others, reader, hidden=visible.hidden())


def _draw_left(run: Summary, others: tuple[Summary, ...]) -> None:
    shelf.draw(run, others)
    with st.expander("From the command line", icon=":material/terminal:"):
        commands.draw_commands()
