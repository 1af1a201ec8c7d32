"""Checkpoints of the Hugging Face Hub on the pages: fetching one, and what becomes of those that are here.

No page asks the Hub while it is painted. A button does, in a job; only a checkpoint that the settings name as
the default is fetched without one.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import streamlit as st

from core import jobs
from core.data.getting.workplace import free_bytes, in_words
from core.errors import CheckpointError, LesionLensError, UnknownReference
from core.models import kept
from core.models.catalog import CatalogEntry, catalog, owner_catalog
from core.models.reference import Reference, parse_reference
from core.settings import settings
from pages.ui import jobs as job_panel
from pages.ui import notices

if TYPE_CHECKING:
    from core.models.fetching import Fetched
    from core.models.hub.owner import Latest

UPDATES_JOB: Final = "hub updates"
OWNER_JOB: Final = "hub owner"
_WANTED: Final = "hub_wanted"
_LOCKED: Final = (
    "This server is shared (`LESIONLENS_ALLOW_TRAINING` is off), so who runs it brings checkpoints here: "
    "`python -m train pull hf:owner/name`."
)


def offers() -> tuple[CatalogEntry, ...]:
    """Return what is on offer: the catalog, and the owner's list as it was last asked for."""
    owner = settings().hub_owner
    if owner is None:
        return catalog()
    try:
        return catalog() + owner_catalog(owner, kept.hub_folder())
    except CheckpointError as problem:
        notices.refuse(problem)
        return catalog()


def may_fetch(reference: Reference) -> bool:
    """Return whether a visitor may bring a checkpoint here: on a shared server only what is offered."""
    known = {entry.reference.name for entry in offers() if entry.reference.kind == "hf"}
    default = parse_reference(settings().default_checkpoint)
    return settings().allow_training or reference.name in known | {default.name}


def pinned(reference: Reference) -> Reference | None:
    """Return the reference with the commit that lies here; None when it does not. Asks nobody."""
    return kept.pin(reference, kept.hub_folder())


def draw_wanted() -> Reference | None:
    """Draw the fetching that this person began, and choose what came; return what is on its way."""
    wanted: Reference | None = st.session_state.get(_WANTED)
    if wanted is None or (job := jobs.find(_key(wanted))) is None:
        return None
    if job.state == "done" and job.result is not None:
        _take(wanted, job.result)
        return None
    draw_fetch(wanted)
    return wanted


def draw_fetch(reference: Reference) -> None:
    """Draw the button that fetches a checkpoint, or how far it is, or why it did not come."""
    if not may_fetch(reference):
        st.info(_LOCKED, icon=":material/lock:")
        return
    job_panel.draw(
        _key(reference),
        f"Fetching {notices.plain(str(reference))}",
        _work(reference),
        button="Fetch it",
        about=f"{notices.plain(str(reference))} is downloaded once, tried out, and kept in the cache folder; "
        f"{in_words(free_bytes(kept.hub_folder()))} are free there. Pictures stay here.",
        on_disk=True,
    )


def begin(reference: Reference) -> None:
    """Start fetching the checkpoint that the settings name, once; after a failure only a button does."""
    if jobs.find(_key(reference)) is None:
        jobs.start(_key(reference), f"Fetching {notices.plain(str(reference))}", _work(reference))


@st.dialog("A checkpoint from the Hub", width="medium", on_dismiss="rerun")
def fetch_dialog(*, only: bool = False) -> None:
    """Ask which checkpoint to fetch, and fetch it. only: what it was measured to, without its weights."""
    if not settings().allow_training:
        st.info(_LOCKED, icon=":material/lock:")
        return
    st.markdown(
        "Any checkpoint that LesionLens published with its evaluation. A few hundred kilobytes are fetched: "
        "its answers to its own test pictures; its weights are not needed to compare it."
        if only
        else "Any checkpoint that LesionLens published, or an image classifier of timm whose labels are the "
        "seven diagnoses. Only its settings, weights (safetensors) and card are fetched."
    )
    text = st.text_input(
        "Repository",
        placeholder="hf:owner/name",
        help="owner/name, with @ and a branch, tag or commit where a certain one is meant.",
        key="hub_repository",
    ).strip()
    only = only or st.checkbox(
        "Only what it was measured to, for the Compare page",
        key="hub_only_evaluation",
        help="A few hundred kilobytes instead of the weights.",
    )
    if not text:
        return
    try:
        reference = parse_reference(text if text.startswith("hf:") else f"hf:{text}")
    except UnknownReference as problem:
        notices.refuse(problem)
        return
    if only:
        _draw_evaluation(reference)
        return
    st.session_state[_WANTED] = reference
    if (here := pinned(reference)) is not None and jobs.find(_key(reference)) is None:
        st.success(f"It is here already: commit {str(here.revision)[:12]}.", icon=":material/task_alt:")
        if st.button("Use it", key="hub_use", type="primary", on_click=_choose, args=(here,)):
            st.rerun()
        return
    draw_fetch(reference)


def fetch_button(*, only: bool = False) -> None:
    """Draw the button that opens the dialog. only: for what a checkpoint was measured to."""
    if st.button("From the Hub", icon=":material/cloud_download:", key="hub_open"):
        fetch_dialog(only=only)


def _key(reference: Reference) -> str:
    return f"hub {reference}"


def _work(reference: Reference) -> Callable[[jobs.Report], "Fetched"]:
    def work(report: jobs.Report) -> "Fetched":
        # Its libraries take seconds to import, which no page shall wait for.
        from core.models.fetching import fetch
        from core.models.hub.access import Access

        return fetch(reference, Access.of_settings(), report)

    return work


def _draw_evaluation(reference: Reference) -> None:
    def work(report: jobs.Report) -> "Fetched":
        from core.models.fetching import fetch_evaluation
        from core.models.hub.access import Access

        return fetch_evaluation(reference, Access.of_settings(), report)

    key = f"hub evaluation {reference}"
    fetched = job_panel.draw(
        key,
        f"Fetching what {notices.plain(str(reference))} was measured to",
        work,
        button="Fetch it",
        about="Its answers to its own test pictures, and which pictures those were.",
    )
    if fetched is not None:
        st.success("It is here, and the Compare page shows it.", icon=":material/task_alt:")
        if fetched.notice:
            st.info(notices.plain(fetched.notice), icon=":material/cloud_off:")


def _take(wanted: Reference, fetched: "Fetched") -> None:
    """Choose what came, and say what the Hub had to say."""
    st.session_state.pop(_WANTED, None)
    jobs.forget(_key(wanted))
    if fetched.notice:
        st.info(notices.plain(fetched.notice), icon=":material/cloud_off:")
    _choose(fetched.reference)


def _choose(reference: Reference) -> None:
    st.session_state.pop(_WANTED, None)
    st.session_state["checkpoint"] = str(reference)


def draw_manage() -> None:
    """Draw what was pulled to this machine, what is newer on the Hub, and what an owner offers there."""
    here = kept.all_kept(kept.hub_folder())
    if not here:
        st.info(
            "Nothing was fetched from the Hub yet. What comes with the app works without it.",
            icon=":material/cloud_off:",
        )
    draw_wanted()
    updates = _updates()
    for one in here:
        _draw_kept(one, updates.get(one.repo))
    with st.container(horizontal=True, vertical_alignment="center"):
        fetch_button()
    if here:
        _draw_look_for_updates([one.repo for one in here])
    _draw_owner()


def _updates() -> "dict[str, Latest]":
    job = jobs.find(UPDATES_JOB)
    return dict(job.result) if job is not None and job.state == "done" and job.result else {}


def _draw_kept(one: kept.Kept, latest: "Latest | None") -> None:
    with st.container(border=True):
        what = (
            "checkpoint" if one.is_checkpoint else "measurements only" if one.has_evaluation else "incomplete"
        )
        branches = f" ({', '.join(one.branches)})" if one.branches else ""
        st.markdown(f"**{notices.plain(one.repo)}** · {what} · {in_words(one.n_bytes)}")
        st.caption(f"Commit {one.commit[:12]}{notices.plain(branches)}")
        if latest is not None:
            _draw_latest(one, latest)
        with st.container(horizontal=True, vertical_alignment="center"):
            if one.is_checkpoint:
                st.page_link(
                    "pages/predict.py",
                    label="Ask it",
                    icon=":material/biotech:",
                    query_params={**st.query_params.to_dict(), "checkpoint": str(one.reference)},
                )
            if settings().allow_training:
                st.button(
                    "Remove",
                    key=f"hub_remove_{one.repo}_{one.commit}",
                    icon=":material/delete:",
                    help="Deletes these files from the cache folder; the Hub keeps its own.",
                    on_click=_remove,
                    args=(one,),
                )
    if problem := st.session_state.pop(f"hub_problem_{one.repo}_{one.commit}", None):
        st.error(notices.plain(problem), icon=":material/error:")


def _draw_latest(one: kept.Kept, latest: "Latest") -> None:
    if latest.problem is not None:
        st.caption(f":material/cloud_off: {notices.plain(latest.problem)}")
    elif latest.commit == one.commit:
        st.caption(":material/check: This is the newest.")
    elif kept.checkpoint_folder(one.repo, latest.commit, kept.hub_folder()) is not None:
        st.caption(f":material/history: Commit {str(latest.commit)[:12]} is newer, and is here too.")
    else:
        st.caption(f":material/update: Commit {str(latest.commit)[:12]} is newer.")
        draw_fetch(Reference("hf", one.repo, latest.commit))


def _draw_look_for_updates(repos: list[str]) -> None:
    def work(report: jobs.Report) -> "dict[str, Latest]":
        from core.models.hub.access import Access
        from core.models.hub.owner import latest

        report(0, None, note="asking the Hub")
        return dict(latest(repos, Access.of_settings()))

    job_panel.draw(
        UPDATES_JOB,
        "Looking for newer versions",
        work,
        button="Look for newer versions",
        about="Asks the Hub about each repository above, and about nothing else.",
    )
    if _updates():
        st.button("Ask again", key="hub_updates_again", on_click=jobs.forget, args=(UPDATES_JOB,))


def _draw_owner() -> None:
    owner = settings().hub_owner
    if owner is None:
        return

    def work(report: jobs.Report) -> tuple[CatalogEntry, ...]:
        from core.models.hub.access import Access
        from core.models.hub.owner import list_owner

        report(0, None, note="asking the Hub")
        return list_owner(owner, Access.of_settings())

    st.markdown(f"**Published by {notices.plain(owner)}**")
    listed = [entry for entry in offers() if entry.reference.kind == "hf"]
    for entry in listed:
        here = pinned(entry.reference) is not None
        st.markdown(
            f"- {notices.plain(str(entry.reference))}: {notices.plain(entry.about)}"
            + (" It is here." if here else " Choose it on the Predict page to fetch it.")
        )
    found = job_panel.draw(
        OWNER_JOB,
        f"Asking what {notices.plain(owner)} has published",
        work,
        button="Ask the Hub",
        about="Lists the owner's repositories with the tag lesionlens; private ones need a token.",
    )
    if found is not None:
        if not found:
            st.caption("The Hub lists none with the tag lesionlens.")
        st.button("Ask again", key="hub_owner_again", on_click=jobs.forget, args=(OWNER_JOB,))


def _remove(one: kept.Kept) -> None:
    from pages.ui import cache

    try:
        kept.remove(one)
    except LesionLensError as problem:
        st.session_state[f"hub_problem_{one.repo}_{one.commit}"] = str(problem)
    cache.forget_checkpoints()
