"""The Train page as a whole: what is on the shelf, and what stands beside it."""

from typing import Final

import streamlit as st

from core.errors import LesionLensError
from core.words import Reader
from pages.ui import notices
from pages.ui.train import address, commands, head, panel, queue, shelf, sources, starting, visible

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
    waiting = queue.waiting()
    try:
        runs = sources.runs()
    except LesionLensError as problem:
        notices.refuse(problem)
        st.stop()
    waits = queue.asked_for(waiting, runs)
    run = address.chosen(runs, waits=waits is not None)
    others = () if run is None else address.compared(runs, run)
    hidden = visible.hidden()
    left, right = st.columns([4, 11], gap="medium")
    with left:
        starting.draw_button()
        shelf.draw(run, others)
        with st.expander("From the command line", icon=":material/terminal:"):
            commands.draw_commands()
    with right:
        if starting.is_asked():
            starting.draw()
        elif waits is not None:
            queue.draw_waiting(waits.name)
        elif run is None:
            st.info("No run is here, not even a recorded one. Start one at the left.", icon=":material/add:")
        else:
            head.draw(run)
            panel.draw(run, others, reader, hidden=hidden)
