"""Which checkpoint answers, and its answer. One of the Hub is fetched once, by a job (`pages.ui.hub`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from core.data.facts import Facts
from core.errors import CheckpointError, UnknownReference
from core.models import kept
from core.models.catalog import bundled_names, catalog, folder_of
from core.models.reference import Reference, is_commit, parse_reference
from core.runs.library import trained_here
from core.settings import settings
from pages.ui import cache, hub, notices, placing
from pages.ui.inputs import Asked

if TYPE_CHECKING:
    from core.models.checkpoint import Checkpoint
    from core.predict.predictor import Look, Prediction


_TOLD: Final = "checkpoint_told"


@dataclass(frozen=True)
class Chosen:
    """A checkpoint that lies on this machine."""

    reference: Reference
    folder: Path


def choose() -> Chosen | None:
    """Ask which checkpoint shall answer, where there is a choice; None, and the reason shown, if none can."""
    try:
        coming = hub.draw_wanted()
        default = parse_reference(settings().default_checkpoint)
        reference = _pick(default)
        if reference.kind != "hf":
            return Chosen(reference, folder_of(reference))
        return _of_hub(reference, is_default=reference == default, drawn=reference == coming)
    except CheckpointError as problem:
        st.error(
            f"**There is no checkpoint to ask.** {notices.plain(str(problem))}\n\n"
            "LESIONLENS_CHECKPOINT names one: `bundled:name`, `run:name`, `local:folder` or `hf:owner/name`.",
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
    return cache.look(checkpoint.identity, asked.digest, checkpoint, asked.pixels)


def _pick(default: Reference) -> Reference:
    """Ask for one of those on offer: the default, the catalog's, those of the Hub that are here."""
    references = [default, *_offered(), *_kept(), *_asked_for()]
    names = {str(reference): reference for reference in dict.fromkeys(references)}
    _follow_address(names)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Model", list(names), format_func=_title, key="checkpoint")
        hub.fetch_button()
    _tell_address(chosen, default)
    return names[chosen]


def _follow_address(names: Mapping[str, Reference]) -> None:
    """Choose what the address names, when it changed. Streamlit's own binding would write titles there."""
    asked = st.query_params.get("checkpoint")
    if asked in names and asked != st.session_state.get(_TOLD):
        st.session_state["checkpoint"] = asked
    if st.session_state.get("checkpoint") not in names:
        st.session_state.pop("checkpoint", None)  # It was removed meanwhile.


def _tell_address(chosen: str, default: Reference) -> None:
    if chosen != str(default):
        st.query_params["checkpoint"] = chosen
    else:
        st.query_params.pop("checkpoint", None)
    st.session_state[_TOLD] = st.query_params.get("checkpoint")


def _offered() -> list[Reference]:
    """Return what is on offer and what runs made here, but no bundled one that this copy came without."""
    listed = [
        entry.reference
        for entry in hub.offers()
        if entry.reference.kind != "bundled" or entry.reference.name in bundled_names()
    ]
    return [*listed, *trained_here(settings().runs_dir)]


def _kept() -> list[Reference]:
    return [one.reference for one in kept.all_kept(kept.hub_folder()) if one.is_checkpoint]


def _asked_for() -> list[Reference]:
    """Return the checkpoint of the Hub that the address names; its folders are nobody's business."""
    try:
        reference = parse_reference(str(st.query_params.get("checkpoint", "")))
    except UnknownReference:
        return []
    return [reference] if reference.kind == "hf" else []


def _title(name: str) -> str:
    reference = parse_reference(name)
    if reference.kind == "run":
        return f"{reference.name} (run)"
    if reference.kind == "local":
        return f"{Path(reference.name).name} (local)"  # its full path is the server's business
    if reference.kind == "bundled":
        titles = {entry.reference: entry.title for entry in catalog()}
        return f"{titles.get(reference, reference.name)} (bundled)"
    revision = reference.revision or "main"
    short = revision[:12] if is_commit(revision) else revision
    # The same before and after it is fetched: a browser names an option by its title.
    return f"{reference.name} @ {short} (Hub)"


def _of_hub(reference: Reference, *, is_default: bool, drawn: bool) -> Chosen:
    """Return a checkpoint of the Hub as it lies here; while it does not, the bundled one answers.

    A branch moves; what was pulled once stays what is asked, until somebody fetches a newer one.
    drawn: whether its fetching is on the page already.
    """
    pinned = hub.pinned(reference)
    if pinned is not None:
        return Chosen(pinned, folder_of(pinned))
    if is_default:
        hub.begin(reference)
    bundled = bundled_names()
    st.info(
        notices.plain(f"{reference} is not on this machine yet.")
        + (" Until it is, the checkpoint that comes with the app answers." if bundled else ""),
        icon=":material/cloud_download:",
    )
    if not drawn:
        hub.draw_fetch(reference)
    if not bundled:
        raise UnknownReference("No checkpoint came with this copy of the app. Fetch the one above.")
    stand_in = Reference("bundled", bundled[0])
    return Chosen(stand_in, folder_of(stand_in))
