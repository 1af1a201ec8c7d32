"""Downloads that are never waited for in vain: a deadline on silence, and going on where a connection broke.

The Hub's checkpoints and the datasets come through here; each brings its own session and its own words.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Final, TypeVar

import httpx2

Result = TypeVar("Result")
Ask = Callable[[dict[str, str]], AbstractContextManager[httpx2.Response]]
"""Opens a streamed answer to a request with these headers."""

ATTEMPTS: Final = 4
CUT: Final = (httpx2.RemoteProtocolError, httpx2.ReadError)
"""How a connection ends that was cut."""

_TICK_S: Final = 0.05
# A connection that broke after this much worked for a while: its attempts are counted anew.
_WORTH_BYTES: Final = 1024 * 1024


class SilenceError(OSError):
    """The other side has been silent for too long."""


class GivenUpError(Exception):
    """Nobody waits for this download any more."""


@dataclass
class Life:
    """What a download has brought so far, and when it last brought something."""

    done: int = 0
    seen: float = field(default_factory=time.monotonic)
    given_up: bool = False

    def count(self, n_bytes: float = 0) -> None:
        """Count bytes that came, or with 0 only show a sign of life; GivenUpError when nobody waits."""
        if self.given_up:
            raise GivenUpError
        self.done += int(n_bytes)
        self.seen = time.monotonic()


def bounded(
    work: Callable[[], Result],
    *,
    silence_s: float,
    life: Life | None = None,
    report: Callable[[], None] | None = None,
) -> Result:
    """Return what `work` returns, but wait no longer than `silence_s` for a sign of life.

    Looking up a name has no timeout at all, so the work runs in a thread that can be left behind. It is a
    daemon, and ends at its next byte; so it does when `report` raises, as when a page is left.

    Raises:
        SilenceError: no sign of life.
    """
    life = life or Life()
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as problem:  # noqa: BLE001 -- it is raised again where the result is asked for
            future.set_exception(problem)

    threading.Thread(target=run, name="download", daemon=True).start()
    try:
        while not wait([future], timeout=_TICK_S).done:
            if report is not None:
                report()
            if time.monotonic() - life.seen > silence_s:
                raise SilenceError(f"no answer within {silence_s:g} s")
    finally:
        life.given_up = True
    result = future.result()
    if report is not None:
        report()
    return result


def insist(ask: Callable[[], Result], life: Life) -> Result:
    """Return what `ask` returns, asking again when the connection is cut; for what may be asked twice."""
    for _ in range(ATTEMPTS - 1):
        life.count()
        try:
            return ask()
        except CUT:
            continue
    life.count()
    return ask()


def fill(
    part: BinaryIO,
    ask: Ask,
    check: Callable[[httpx2.Response], None],
    life: Life,
    *,
    validator: Callable[[], str | None] = lambda: None,
    attempts: int = ATTEMPTS,
    passing: tuple[type[Exception], ...] = CUT,
    pause: Callable[[Exception, int], None] | None = None,
) -> None:
    """Write what is still missing of a file, asking again for the rest when the connection is cut.

    Args:
        part: what is here already, open at its end.
        check: raises for an answer that is none.
        validator: returns the ETag or date of the bytes that are here, asked before each attempt; a server
            whose file has changed sends all of it.
        attempts: how often in a row to be cut before it is given up.
        passing: what is worth another attempt.
        pause: called before another attempt, with what happened and how many attempts there were.
    """
    failures = 0
    while True:
        before = part.tell()
        try:
            append(part, ask, check, life, validator=validator())
        except passing as problem:
            failures = 1 if part.tell() - before >= _WORTH_BYTES else failures + 1
            if failures >= attempts:
                raise
            life.count()  # asking again is a sign of life; the attempts are what bounds it
            if pause is not None:
                pause(problem, failures)
        else:
            return


def append(
    part: BinaryIO,
    ask: Ask,
    check: Callable[[httpx2.Response], None],
    life: Life,
    *,
    validator: str | None = None,
) -> None:
    """Write what is still missing of a file, in one request; what a cut connection brought stays."""
    headers = {"Accept-Encoding": "identity"}
    if part.tell():
        headers["Range"] = f"bytes={part.tell()}-"
        if validator is not None:
            headers["If-Range"] = validator
    with ask(headers) as response:
        if not part.tell() or _goes_on(response, part.tell()):
            check(response)
            if part.tell() and response.status_code != httpx2.codes.PARTIAL_CONTENT:
                _begin_again(part, life)  # the whole file comes: no ranges there, or the file has changed
            for chunk in response.iter_bytes():  # as they come: a chosen size would hide a slow line's life
                life.count(len(chunk))
                part.write(chunk)
            return
    _begin_again(part, life)
    append(part, ask, check, life)


def _goes_on(response: httpx2.Response, start: int) -> bool:
    """Return whether an answer to a request for the rest can be used: the server knows such a rest."""
    if response.status_code == httpx2.codes.PARTIAL_CONTENT:
        return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    return response.status_code != httpx2.codes.RANGE_NOT_SATISFIABLE


def _begin_again(part: BinaryIO, life: Life) -> None:
    life.count(-part.tell())
    part.seek(0)
    part.truncate()
