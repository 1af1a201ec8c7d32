"""The trainer's commands, for who starts runs without a page."""

from typing import Final

import streamlit as st

COMMANDS: Final = (
    (
        "Train from a recipe",
        "python -m train fit RECIPE --data path/to/HAM10000 --run my-first-run",
        "A recipe is a small TOML file in `train/recipes`; its head says what to expect and when.",
    ),
    (
        "Continue an interrupted run",
        "python -m train resume my-first-run",
        "It goes on from its last checkpoint, with the same result as a run that was never interrupted.",
    ),
    (
        "Measure on lesions never seen",
        "python -m train evaluate --checkpoint bundled:lesionlens-lite0 --data path/to/HAM10000 --split test",
        "Every metric comes with a 95 % interval from resampled lesions.",
    ),
    (
        "Answer a folder of pictures",
        "python -m train score --checkpoint bundled:lesionlens-lite0 --images PICTURES --out predictions.csv",
        "In the columns of the ISIC challenge; pictures that cannot be read are listed and skipped.",
    ),
)


def draw_commands() -> None:
    """Draw each command with what it does."""
    for title, command, words in COMMANDS:
        st.markdown(f"**{title}**")
        st.code(command, language=None, wrap_lines=True)
        st.markdown(words)
