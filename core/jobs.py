"""Work that takes longer than a page may wait: one thread a job, with progress, cancel, and a kept result.

A job belongs to the process, not to a session: who opens the page meanwhile sees the same job.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, Protocol, TypeVar, cast

from core.errors import LesionLensError

State = Literal["running", "done", "failed", "cancelled"]
T = TypeVar("T")

KEPT: Final = 16
"""Ended jobs that are remembered; the oldest are forgotten first."""


class Cancelled(Exception):
    """Raised inside the work by its next report, after somebody asked it to stop: no error."""


@dataclass(frozen=True)
class Progress:
    """How far a job is: `done` of `total` units (None: not known yet), and what it does just now."""

    done: float = 0
    total: float | None = None
    unit: str = ""
    note: str = ""

    @property
    def share(self) -> float | None:
        """The part that is done, 0 to 1; None while the total is not known."""
        return min(1.0, self.done / self.total) if self.total else None


class Report(Protocol):
    """What the work calls, often: it tells how far it is, and raises Cancelled when it shall stop."""

    def __call__(self, done: float, total: float | None = None, *, unit: str = "", note: str = "") -> None:
        """Tell the progress."""


def silent(done: float, total: float | None = None, *, unit: str = "", note: str = "") -> None:
    """Report to nobody, and never stop."""


class Job(Generic[T]):
    """One piece of work in a thread of its own."""

    def __init__(self, key: str, title: str, work: Callable[[Report], T]) -> None:
        self.key = key
        self.title = title
        self.progress = Progress()
        self.state: State = "running"
        self.result: T | None = None
        self.problem: LesionLensError | None = None
        self._work = work
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._phase = (self._started, 0.0)
        self._ended: float | None = None
        # A daemon: the app may be closed while a job runs, and the work must bear it.
        self._thread = threading.Thread(target=self._run, name=f"job {key}", daemon=True)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start, until the end."""
        return (self._ended or time.monotonic()) - self._started

    @property
    def eta_s(self) -> float | None:
        """Seconds that are left of the present phase if it goes on as so far; None while nobody can tell."""
        progress, (began, first) = self.progress, self._phase
        done = progress.done - first
        if self.state != "running" or not progress.total or done <= 0:
            return None
        return (time.monotonic() - began) * max(0.0, progress.total - progress.done) / done

    def cancel(self) -> None:
        """Ask the work to stop; it does at its next report."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> State:
        """Wait for the end, at most `timeout_s`, and return the state."""
        self._thread.join(timeout_s)
        return self.state

    def run(self) -> None:
        """Begin; `start` does it."""
        self._thread.start()

    def _report(self, done: float, total: float | None = None, *, unit: str = "", note: str = "") -> None:
        # A count that falls, or another unit, is another phase; what the last one took says nothing of it.
        if done < self.progress.done or unit != self.progress.unit:
            self._phase = (time.monotonic(), done)
        self.progress = Progress(done, total, unit, note)
        if self._stop.is_set():
            raise Cancelled

    def _run(self) -> None:
        state: State = "failed"
        try:
            self.result = self._work(self._report)
            state = "done"
        except Cancelled:
            state = "cancelled"
        except LesionLensError as problem:
            self.problem = problem
        except Exception as problem:
            # A bug must not end as a bar that stands still; its traceback goes to the log.
            logging.getLogger(__name__).exception("The job %s failed", self.key)
            self.problem = LesionLensError(
                f"{self.title} failed unexpectedly ({type(problem).__name__}: {problem}). "
                "The server's log has the details."
            )
        finally:
            # The work may hold pictures that somebody brought: they go when it is done.
            del self._work
            self._ended = time.monotonic()
            # Last: who sees an ended state also sees its result.
            self.state = state


_JOBS: Final[dict[str, Job[Any]]] = {}
_LOCK: Final = threading.Lock()


def start(key: str, title: str, work: Callable[[Report], T]) -> Job[T]:
    """Start work under a key, or return the job of this key that runs already.

    title: what is being done, as the beginning of a sentence ("Measuring the pictures").
    """
    with _LOCK:
        running = _JOBS.get(key)
        if running is not None and running.state == "running":
            return cast("Job[T]", running)
        _JOBS.pop(key, None)
        ended = [name for name, job in _JOBS.items() if job.state != "running"]
        for name in ended[: max(0, len(ended) - KEPT + 1)]:
            del _JOBS[name]
        job = Job(key, title, work)
        _JOBS[key] = job
        job.run()
        return job


def find(key: str) -> Job[Any] | None:
    """Return the last job of a key, running or ended; None if there was none or it is forgotten."""
    return _JOBS.get(key)


def forget(key: str) -> None:
    """Drop an ended job and its result; a running one stays."""
    with _LOCK:
        if (job := _JOBS.get(key)) is not None and job.state != "running":
            del _JOBS[key]
