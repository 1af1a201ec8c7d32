"""Which checkpoint answers, and its answer. A checkpoint of the Hub is pulled once, with progress."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.data.facts import Facts
from core.errors import CheckpointError
from core.models.catalog import bundled_names, catalog, folder_of
from core.models.reference import Reference, parse_reference
from core.settings import settings
from pages.ui import cache, notices, placing
from pages.ui.inputs import Asked

if TYPE_CHECKING:
    from core.models.checkpoint import Checkpoint
    from core.predict.predictor import Look, Prediction


@dataclass(frozen=True)
class Chosen:
    """A checkpoint that lies on this machine."""

    reference: Reference
    folder: Path


def choose() -> Chosen | None:
    """Ask which checkpoint shall answer, where there is a choice; None, and the reason shown, if none can."""
    try:
        default = parse_reference(settings().default_checkpoint)
        reference = _pick(list(dict.fromkeys([default, *_offered()])))
        return Chosen(reference, _folder(reference))
    except CheckpointError as problem:
        st.error(
            f"**There is no checkpoint to ask.** {notices.plain(str(problem))}\n\n"
            "LESIONLENS_CHECKPOINT names one: `bundled:name`, `local:folder` or `hf:owner/name`.",
            icon=":material/deployed_code_alert:",
        )
        return None


def say_place(chosen: Chosen, asked: Asked) -> None:
    """Say whether the checkpoint has learned from a picture of a dataset, as far as its split tells."""
    if asked.folder is None or asked.image_id is None or asked.synthetic:
        return
    table = cache.dataset(asked.folder)
    parts = placing.split(str(asked.folder), table, chosen.folder, chosen.reference)
    if parts is None:
        st.caption(placing.say_unknown(chosen.reference))
    else:
        st.caption(placing.say(chosen.reference, str(parts[asked.image_id])))


def load(chosen: Chosen) -> "Checkpoint | None":
    """Return the loaded checkpoint; None, with the reason shown, where it cannot be used."""
    try:
        return cache.checkpoint(chosen.folder, str(chosen.reference))
    except CheckpointError as problem:
        notices.refuse(problem, icon=":material/deployed_code_alert:")
        return None


def ask(checkpoint: "Checkpoint", asked: Asked, facts: Facts) -> "Prediction":
    """Return the answer.

    Only the picture's first look runs the network; changed facts are answered from what it saw.
    """
    from core.predict.predictor import answer

    return answer(checkpoint, look(checkpoint, asked), facts)


def look(checkpoint: "Checkpoint", asked: Asked) -> "Look":
    """Return what the network makes of a picture; looked at once."""
    return cache.look(checkpoint.folder, asked.digest, checkpoint, asked.pixels)


def _offered() -> list[Reference]:
    """Return the catalog's checkpoints, but no bundled one that this copy of the app came without."""
    return [
        entry.reference
        for entry in catalog()
        if entry.reference.kind != "bundled" or entry.reference.name in bundled_names()
    ]


def _pick(references: list[Reference]) -> Reference:
    names = {str(reference): reference for reference in references}
    if len(names) == 1:
        return references[0]
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
        st.info(notices.plain(notice), icon=":material/cloud_off:")
    return Path(pulled[reference].folder)
