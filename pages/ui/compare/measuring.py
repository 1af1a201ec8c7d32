"""Measuring a model on poor pictures from the page: a job that goes on without the browser."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import streamlit as st

from core import jobs
from core.evaluate.artifact import Evaluation
from core.evaluate.gathering import ROBUSTNESS_FILE, weights_folder
from core.runs import measuring
from core.settings import settings
from pages.ui import cache, notices
from pages.ui import jobs as panel

LESIONS: Final = (50, 100, 200, 400)
DEFAULT_LESIONS: Final = 200
_REFERENCE: Final = re.compile(r"(bundled|run|local|hf):(?!.* \+ )")


def draw(evaluations: Sequence[Evaluation]) -> None:
    """Offer to measure one of the models; where it cannot be done here, say why, and the command."""
    loadable = [one for one in evaluations if _REFERENCE.match(one.checkpoint)]
    if not loadable:
        st.caption("None of these models is a checkpoint, so there is nothing to show poor pictures to.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = [one.name for one in loadable]
        name = st.selectbox("Model to measure", names, key="poor_model", width=300)
        lesions = st.selectbox(
            "Test lesions",
            LESIONS,
            index=LESIONS.index(DEFAULT_LESIONS),
            key="poor_lesions",
            width=160,
            help="More lesions make the intervals narrower and take longer. The mix of diagnoses is kept.",
        )
    chosen = loadable[names.index(name)]
    folder = measuring.folder_of(settings().runs_dir, chosen.name, lesions)
    reason = _why_not(chosen)
    data_dir = settings().data_dir
    if reason is not None or data_dir is None:
        st.caption(f"{reason} The command:")
        st.code(command(chosen, lesions), language=None, wrap_lines=True)
    elif (folder / ROBUSTNESS_FILE).is_file():
        st.caption(
            f"{notices.plain(chosen.name)} was measured on {lesions} lesions. Its newest numbers are above."
        )
    else:
        _draw_job(chosen, lesions, folder, data_dir)


def command(chosen: Evaluation, lesions: int = DEFAULT_LESIONS) -> str:
    """Return the command that measures a model, into a folder where the page looks."""
    # Visitors of a shared server need not know where things lie on it.
    own = settings().allow_training
    data = (own and settings().data_dir) or "path/to/HAM10000"
    folder = measuring.folder_of(settings().runs_dir if own else Path("runs"), chosen.name, lesions)
    words = [
        "python", "-m", "train", "robustness", "--checkpoint", chosen.checkpoint, "--data", str(data),
        "--lesions", str(lesions), "--name", chosen.name, "--out", str(folder),
    ]  # fmt: skip
    return shlex.join(words)


def _why_not(chosen: Evaluation) -> str | None:
    """Return why a model cannot be measured from this page, in a sentence; None where it can."""
    if not settings().allow_training:
        return "Long work is switched off on this server (LESIONLENS_ALLOW_TRAINING)."
    if settings().data_dir is None:
        return "This needs the dataset's pictures; set LESIONLENS_DATA to a HAM10000 folder."
    # What was brought as a file may name any folder of the server: only what lies here is loaded.
    here = any(True for _ in cache.measured([chosen.checkpoint]))
    if not here or weights_folder(chosen.checkpoint) is None:
        return f"The weights of {notices.plain(chosen.name)} are not on this machine."
    return None


def _draw_job(chosen: Evaluation, lesions: int, folder: Path, data_dir: Path) -> None:
    key, title = f"robustness:{folder.name}", f"Measuring {chosen.name}"

    def work(report: jobs.Report) -> Path:
        return measuring.measure_apart(
            chosen.checkpoint, name=chosen.name, data_dir=data_dir, lesions=lesions, folder=folder,
            report=report,
        )  # fmt: skip

    if jobs.find(key) is None and measuring.is_measuring(folder):
        jobs.start(key, title, work)  # Its process has outlived the app that started it.
    begun = measuring.is_begun(folder)
    panel.draw(
        key,
        title,
        work,
        button="Measure it",
        about="Looks at the pictures of these lesions in about eighty ways. How long that takes here is said "
        "after the first pictures. It goes on when the browser is closed, and can be stopped and gone on "
        "with." + (" Some of it is done already and is not done again." if begun else ""),
        on_disk=True,
    )
