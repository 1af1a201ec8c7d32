"""Get data: bring a dataset to the machine that runs this, with its licence accepted before."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import streamlit as st

from core import jobs
from core.data import getting
from core.data.getting.workplace import free_bytes, in_words
from core.settings import settings
from pages.ui import jobs as job_panel
from pages.ui import notices
from pages.ui.explore.datasets import sits_here
from pages.ui.explore.explored import Explored

JOB: Final = "getting"
"""One dataset at a time: two would share the line and the disk."""


def draw(explored: Explored) -> None:  # noqa: ARG001 -- what is explored now has no say in what comes
    """Draw what is here already, the sources, the licence, and how far it is."""
    root = settings().cache_dir / "datasets"
    if _draw_result(root):
        return
    _draw_here(root)
    if not settings().allow_training:
        st.info(
            "This server is shared (`LESIONLENS_ALLOW_TRAINING` is off), so who runs it brings its datasets: "
            "`python -m train prepare get` lists the sources.",
            icon=":material/lock:",
        )
        return
    source = _choose_source()
    left, right = st.columns(2, gap="large")
    with left:
        order, mirror = _ask_order(source)
    with right:
        accepted = _ask_licence(source, order)
    # Below both: on a phone the licence comes before the button.
    _draw_start(source, order, mirror, root, accepted=accepted)


def _choose_source() -> getting.Source:
    # Paths of this machine are nobody's business who does not sit at it.
    local = settings().allow_folders and sits_here()
    names = [name for name, source in getting.SOURCES.items() if local or not source.is_here]
    chosen = st.segmented_control(
        "Where from",
        names,
        default=names[0],
        required=True,
        format_func=lambda name: getting.SOURCES[name].title,
        key="explore_from",
        bind="query-params",
    )
    return getting.SOURCES[chosen or names[0]]


def _ask_licence(source: getting.Source, order: getting.Order) -> bool:
    """Show the licence and who is to be named, and return whether it is accepted."""
    with st.container(border=True):
        st.markdown("**Licence and attribution**")
        licence = source.licence_of(order)
        if licence is None:
            st.markdown(
                "What comes may be used as its giver says: read the licence where the data is from. "
                "Pictures of patients may only be used with the right to do so."
            )
            words = "I know its licence and may use it"
        else:
            for terms in (licence, licence.other):
                if terms is not None:
                    st.markdown(f"[{terms.name}]({terms.address}). {terms.about}")
            # No caption: the link in it would be too pale.
            st.markdown(notices.plain(licence.credit))
            st.caption(f"Cite: {notices.plain(licence.cite)}")
            words = f"I have read {licence.names} and accept {'both' if licence.other else 'it'}"
        # What is accepted of one dataset says nothing of another one of the same source.
        which = source.name if licence is source.licence else f"{source.name}_other"
        return st.checkbox(words, key=f"explore_accepted_{which}")


def _ask_order(source: getting.Source) -> tuple[getting.Order, str | None]:
    """Ask for what a source needs; a key is forgotten as soon as it is used."""
    st.markdown(notices.plain(source.about))
    if (job := jobs.find(JOB)) is not None and job.state == "running":
        st.session_state[_key_field(source)] = ""
    where, key = "", ""
    if (field := source.where) is not None:
        where = st.text_input(
            field.label,
            value=field.default,
            placeholder=field.example,
            help=field.help,
            key=f"explore_where_{source.name}",
        )
    if (field := source.key) is not None:
        key = st.text_input(
            field.label,
            placeholder=field.example,
            help=field.help,
            type="password",
            autocomplete="off",
            key=_key_field(source),
        )
        if not key and sits_here() and field.is_here():
            st.caption(":material/key: One was found on this machine; the field may stay empty.")
    extras = frozenset(
        extra.name
        for extra in source.extras
        if st.checkbox(extra.label, value=extra.wanted, key=f"explore_extra_{extra.name}")
    )
    return getting.Order(where, key or None, extras, stored_key=sits_here()), _ask_mirror(source)


def _key_field(source: getting.Source) -> str:
    # A field of its own for each: a key for one must never be sent to another.
    return f"explore_get_key_{source.name}"


def _ask_mirror(source: getting.Source) -> str | None:
    # Some have an address of their own, or none. And a visitor shall not send this server's requests about.
    if source.where is not None or not sits_here():
        return None
    with st.expander("Behind a firewall", icon=":material/router:"):
        mirror = st.text_input(
            "Address of a mirror",
            placeholder="https://mirror.example.org/datasets",
            help="Asked for mirror/host/path: the folders that `wget --force-directories` makes.",
            key="explore_get_mirror",
        ).strip()
    return mirror or None


def _draw_start(
    source: getting.Source, order: getting.Order, mirror: str | None, root: Path, *, accepted: bool
) -> None:
    name = source.folder(order)
    about = _room(source, root)
    if kept := getting.kept_bytes(root, name):
        about += f" An earlier attempt has left {in_words(kept)} to go on from."
    title = f"Getting {name}"
    job = jobs.find(JOB)
    if job is not None and job.state != "running" and job.title != title:
        # What went wrong with another source says nothing of this one.
        jobs.forget(JOB)
        job = None
    if accepted or (job is not None and job.state == "running"):
        job_panel.draw(
            JOB,
            title,
            _work(source, order, mirror, root),
            button="Get it",
            about=about,
        )
        return
    if job is not None and job.problem is not None:
        notices.refuse(job.problem)
    st.caption(about)
    st.button(
        "Get it",
        icon=":material/download:",
        key="explore_get_locked",
        disabled=True,
        help="Read and accept the licence first.",
    )


def _room(source: getting.Source, root: Path) -> str:
    free = f"{in_words(free_bytes(root))} are free in the cache folder."
    return f"Needs about {in_words(source.needs_bytes)} meanwhile; {free}" if source.needs_bytes else free


def _work(
    source: getting.Source, order: getting.Order, mirror: str | None, root: Path
) -> Callable[[jobs.Report], getting.Got]:
    # The job is remembered, with its work; the order with its key leaves it when the work begins.
    held = [order]

    def work(report: jobs.Report) -> getting.Got:
        means = getting.Means(root, report, getting.Line(mirror=mirror))
        return getting.get(source, held.pop(), means, accepted=True)

    return work


def _draw_result(root: Path) -> bool:
    """Say that a dataset has just come, and what was left out of it; False when none has."""
    job: jobs.Job[getting.Got] | None = jobs.find(JOB)
    if job is None or job.state != "done" or job.result is None:
        return False
    got = getting.find(root, job.result.name) or job.result
    st.success(
        notices.plain(f"{got.name} is here: {got.n_images:,} images, {got.n_pictures:,} with a picture."),
        icon=":material/task_alt:",
    )
    for note in got.notes:
        st.caption(notices.plain(note))
    with st.container(horizontal=True):
        st.button(
            "Explore it",
            type="primary",
            icon=":material/travel_explore:",
            key="explore_got_now",
            on_click=_explore,
            args=(got.name,),
        )
        st.button("Get another", key="explore_get_another", on_click=jobs.forget, args=(JOB,))
    return True


def _draw_here(root: Path) -> None:
    found = getting.find_all(root)
    if not found:
        return
    st.markdown("**Here already**")
    for got in found:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                notices.plain(f"{got.name}: {got.n_images:,} images, {got.n_pictures:,} with a picture")
                + f" · {notices.plain(_from(got))}, {got.on[:10]}",
                width="content",
            )
            st.button(
                "Explore",
                type="tertiary",
                icon=":material/travel_explore:",
                key=f"explore_got_{got.name}",
                on_click=_explore,
                args=(got.name,),
            )


def _from(got: getting.Got) -> str:
    source = getting.SOURCES.get(got.source)
    return f"from {source.title}" if source else "from elsewhere"


def _explore(name: str) -> None:
    """Open a dataset in the first view: for callbacks."""
    from pages.ui.explore import views

    jobs.forget(JOB)
    # The dataset picker's own words for what was brought here.
    st.session_state["dataset"] = f"{name}, fetched"
    views.show(views.DEFAULT)
