"""Measuring a model from the page, on poor pictures or its maps: a job that goes on without the browser."""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import streamlit as st

from core import jobs
from core.errors import EvaluationError
from core.evaluate.artifact import Evaluation
from core.evaluate.gathering import weights_folder
from core.evaluate.robustness import not_measured, read_robustness
from core.runs import measuring
from core.settings import settings
from pages.ui import cache, notices
from pages.ui import jobs as panel

LESIONS: Final = (50, 100, 200, 400)
DEFAULT_LESIONS: Final = 200
_REFERENCE: Final = re.compile(r"(bundled|run|local|hf):(?!.* \+ )")


@dataclass(frozen=True)
class Offer:
    """What a view offers to measure.

    Attributes:
        what: the measurement. key: begins the keys of its widgets.
        about: what it does and how long that takes, in a sentence.
        lacking: what the table in a folder lacks of what is measured today, in words; it can be added.
    """

    what: measuring.Measurement
    key: str
    about: str
    lacking: Callable[[Path], Sequence[str]]


def _lacking_of_robustness(table: Path) -> list[str]:
    try:
        return not_measured(read_robustness([table]))
    except EvaluationError:  # What cannot be read is refused where it is shown, and measured again here.
        return ["all of it"]


POOR: Final = Offer(
    measuring.ROBUSTNESS,
    "poor",
    "Looks at the pictures of these lesions in about eighty ways.",
    _lacking_of_robustness,
)
MAPS: Final = Offer(
    measuring.MAPS,
    "maps",
    "Looks at each picture of these lesions that has a lesion mask about fifty times, with parts of it "
    "hidden.",
    lambda _: [],
)


def draw(offer: Offer, evaluations: Sequence[Evaluation], without: Sequence[str]) -> None:
    """Offer to measure one of the models; where it cannot be done here, say why, and the command.

    without: the names of those that were not measured; they come first.
    """
    loadable = [one for one in evaluations if _REFERENCE.match(one.checkpoint)]
    loadable.sort(key=lambda one: one.name not in without)
    if not loadable:
        st.caption("None of these models is a checkpoint, so there is nothing here that could be measured.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = [one.name for one in loadable]
        name = st.selectbox("Model to measure", names, key=f"{offer.key}_model", width=300)
        lesions = st.selectbox(
            "Test lesions",
            LESIONS,
            index=LESIONS.index(DEFAULT_LESIONS),
            key=f"{offer.key}_lesions",
            width=160,
            help="More lesions make the intervals narrower and take longer. The mix of diagnoses is kept.",
        )
    chosen = loadable[names.index(name)]
    folder = measuring.folder_of(settings().runs_dir, offer.what, chosen.name, lesions)
    reason = _why_not(chosen)
    data_dir = settings().data_dir
    if reason is not None or data_dir is None:
        st.caption(f"{reason} The command:")
        st.code(command(offer, chosen, lesions), language=None, wrap_lines=True)
        return
    table = folder / offer.what.table
    lacking = offer.lacking(table) if table.is_file() else None
    if lacking == []:
        st.caption(
            f"{notices.plain(chosen.name)} was measured on {lesions} lesions. Its newest numbers are above."
        )
    else:
        _draw_job(offer, chosen, lesions, folder, data_dir, lacking or ())


def command(offer: Offer, chosen: Evaluation, lesions: int = DEFAULT_LESIONS) -> str:
    """Return the command that measures a model, into a folder where the page looks."""
    # Visitors of a shared server need not know where things lie on it.
    own = settings().allow_training
    runs_dir = settings().runs_dir if own else Path("runs")
    words = measuring.command_words(
        offer.what,
        chosen.checkpoint,
        name=chosen.name,
        data_dir=(own and settings().data_dir) or "path/to/HAM10000",
        lesions=lesions,
        folder=measuring.folder_of(runs_dir, offer.what, chosen.name, lesions),
    )
    return shlex.join(["python", "-m", "train", *words])


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


def _draw_job(
    offer: Offer, chosen: Evaluation, lesions: int, folder: Path, data_dir: Path, lacking: Sequence[str]
) -> None:
    key, title = f"{offer.what.command}:{folder.name}", f"Measuring {chosen.name}"

    def work(report: jobs.Report) -> Path:
        return measuring.measure_apart(
            offer.what,
            chosen.checkpoint,
            name=chosen.name,
            data_dir=data_dir,
            lesions=lesions,
            folder=folder,
            report=report,
        )

    if jobs.find(key) is None and measuring.is_measuring(folder):
        jobs.start(key, title, work)  # Its process has outlived the app that started it.
    begun = measuring.is_begun(offer.what, folder)
    panel.draw(
        key,
        title,
        work,
        button="Measure what is new" if lacking else "Measure it",
        about=f"{offer.about} How long that takes here is said after the first pictures. It goes on when the "
        "browser is closed, and can be stopped and gone on with."
        + (f" An older version measured it without: {', '.join(lacking).lower()}." if lacking else "")
        + (" What is done already in the same way is not done again." if begun else ""),
        on_disk=True,
    )
