"""A job of `core.jobs` on a page: a button, a live bar with cancel, an error with retry, the result."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import streamlit as st

from core import jobs
from core.words import NBSP
from pages.ui import notices

T = TypeVar("T")


def draw(
    key: str,
    title: str,
    work: Callable[[jobs.Report], T],
    *,
    button: str,
    about: str,
    on_disk: bool = False,
) -> T | None:
    """Draw the job of a key in its present state; return the result once there is one.

    Args:
        key: names the job for all sessions of this server.
        title: what is being done, as the beginning of a sentence.
        work: what runs in its own thread; it may touch no Streamlit.
        button: the label of the button that starts it.
        about: one sentence: what it gives and how long it takes.
        on_disk: whether the result lies on the disk and was just not found there: that a job was done
            before is then no answer, and it can be started again.
    """
    job: jobs.Job[T] | None = jobs.find(key)
    if job is not None and job.state == "done":
        if not on_disk:
            return job.result
        jobs.forget(key)
        st.rerun()  # It may have ended after the look at the disk.
    if job is not None and job.state == "running":
        # Only this panel repaints while it runs; the page comes back once, at the end.
        st.fragment(_draw_running, run_every="1s")(key)
        return None
    if job is not None and job.problem is not None:
        notices.refuse(job.problem)
    elif job is not None:
        st.info("Cancelled. What was done so far is kept where it can be.", icon=":material/cancel:")
    st.caption(about)
    st.button(
        button if job is None else f"{button} again",
        key=f"job_start_{key}",
        icon=":material/play_arrow:",
        on_click=_start,
        args=(key, title, work),
    )
    return None


def _start(key: str, title: str, work: Callable[[jobs.Report], object]) -> None:
    jobs.start(key, title, work)


def _draw_running(key: str) -> None:
    job = jobs.find(key)
    if job is None or job.state != "running":
        st.rerun()
    progress = job.progress
    words = f"{job.title}: {_amount(progress)}"
    if (left := job.eta_s) is not None:
        words += f", about {_clock(left)} left"
    if progress.note:
        words += f" · {notices.plain(progress.note)}"
    st.progress(progress.share or 0.0, text=words)
    st.button("Cancel", key=f"job_cancel_{key}", icon=":material/stop:", on_click=job.cancel)


def _amount(progress: jobs.Progress) -> str:
    done, unit = progress.done, progress.unit
    if unit == "bytes":
        shown = f"{done / 1e6:,.1f}"
        return f"{shown} of {progress.total / 1e6:,.1f} MB" if progress.total else f"{shown} MB"
    if unit == "%":
        return f"{done:.1f}{NBSP}%"
    amount = f"{done:,.0f} of {progress.total:,.0f}" if progress.total else f"{done:,.0f}"
    return f"{amount} {unit}".strip()


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))).removeprefix("0:")
