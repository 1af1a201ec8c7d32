"""Where the Train page reads: the runs here, those that came with the code, and what each of them told.

Readers are shared by all sessions, so a run is read once, however many watch it.
"""

from pathlib import Path
from typing import Final

import streamlit as st

from core.runs.following import Follower, Telling
from core.runs.library import BUNDLED, BUNDLED_RUNS, Library, Summary
from core.settings import settings

READERS_KEPT: Final = 48
"""Runs whose events are kept in memory; a run of 10,000 steps takes under a megabyte."""


@st.cache_resource(max_entries=4, show_spinner=False)
def _library(folder: Path, prefix: str) -> Library:
    return Library(folder, prefix)


@st.cache_resource(max_entries=READERS_KEPT, show_spinner=False)
def _follower(folder: Path) -> Follower:
    return Follower(folder / "events.jsonl")


def runs() -> tuple[Summary, ...]:
    """Return every run of this machine, the newest first, then the recorded ones.

    Raises:
        RunError: the folder of runs cannot be read.
    """
    here = _library(settings().runs_dir, "").summaries()
    return (*here, *_library(BUNDLED_RUNS, BUNDLED).summaries())


def find(reference: str) -> Summary | None:
    """Return a run as it stands now; None when it is gone."""
    return next((run for run in runs() if run.reference == reference), None)


def is_live(reference: str) -> bool:
    """Return whether a run of this name is being trained."""
    run = find(reference)
    return run is not None and run.is_live


def told(run: Summary) -> Telling:
    """Return what a run has told until now."""
    return _follower(run.folder).look()
