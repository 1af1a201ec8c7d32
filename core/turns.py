"""Work that one process does for all: the others wait for their turn, and can stop waiting."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from core.jobs import Report

_WAIT_S: Final = 0.5


@contextmanager
def turn(folder: Path, report: Report) -> Iterator[None]:
    """Hold a folder's lock; while another process has it, report, which stops the waiting by raising."""
    lock = FileLock(folder / "lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_WAIT_S)
        except Timeout:
            report(0, note="another process does the same; waiting for it")
    try:
        yield
    finally:
        lock.release()
