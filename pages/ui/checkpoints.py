"""Which checkpoint answers, and its answer. A checkpoint of the Hub is pulled once, with progress."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.data.facts import Facts
from core.errors import CheckpointError, LesionLensError
from core.models.catalog import catalog, folder_of
from core.models.reference import Reference, parse_reference
from core.settings import settings
from pages.ui import cache
from pages.ui.inputs import Asked

if TYPE_CHECKING:
    from core.predict.predictor import Prediction


@dataclass(frozen=True)
class Chosen:
    """A checkpoint that lies on this machine."""

    reference: Reference
    title: str
    folder: Path


def choose() -> Chosen | None:
    """Ask which checkpoint shall answer, where there is a choice; None, and the reason shown, if none can."""
    try:
        default = parse_reference(settings().default_checkpoint)
        titles = {default: str(default)} | {entry.reference: entry.title for entry in catalog()}
        reference = _pick(titles)
        return Chosen(reference, titles[reference], _folder(reference))
    except CheckpointError as problem:
        st.error(
            f"**There is no checkpoint to ask.** {problem}\n\nLESIONLENS_CHECKPOINT names one: "
            "`bundled:name`, `local:folder` or `hf:owner/name`.",
            icon=":material/deployed_code_alert:",
        )
        return None


def ask(checkpoint: Chosen, asked: Asked, facts: Facts) -> "Prediction | None":
    """Return the answer; None, with the reason shown, where there is none.

    Only the picture's first look runs the network; changed facts are answered from what it saw.
    """
    from core.predict.predictor import answer

    try:
        loaded = cache.checkpoint(checkpoint.folder)
        return answer(loaded, cache.look(checkpoint.folder, asked.digest, asked.pixels), facts)
    except LesionLensError as problem:
        st.error(str(problem), icon=":material/error:")
        return None


def _pick(titles: dict[Reference, str]) -> Reference:
    if len(titles) == 1:
        return next(iter(titles))
    names = {str(reference): reference for reference in titles}
    chosen = st.selectbox("Checkpoint", list(names), key="checkpoint", bind="query-params")
    return names[chosen]


def _folder(reference: Reference) -> Path:
    if reference.kind != "hf":
        return folder_of(reference)
    # A branch moves; what this session has seen once stays what it asks.
    pulled = st.session_state.setdefault("pulled", {})
    if reference not in pulled:
        from core.models.hub import pull

        bar = st.progress(0.0, text=f"Fetching {reference} from the Hub …")

        def show(here: int, total: int) -> None:
            bar.progress(min(here / max(total, 1), 1.0), text=f"Fetching {reference} from the Hub …")

        try:
            pulled[reference] = pull(
                reference.name,
                reference.revision,
                token=settings().hub_token,
                timeout_s=settings().hub_timeout_s,
                progress=show,
            )
        finally:
            bar.empty()
    if notice := pulled[reference].notice:
        st.info(notice, icon=":material/cloud_off:")
    return Path(pulled[reference].folder)
