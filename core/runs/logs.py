"""The log of a run: its last lines, those of errors, and what likely helps when it failed."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.runs.folder import Status

TAIL_BYTES: Final = 64 * 2**10
"""The most that is read of a log: its end."""

_ERROR: Final = re.compile(
    r"\b(error|exception|traceback|failed|killed|out of memory|not finite|cannot|could not)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Cure:
    """What a message looks like, what it likely means, and what helps."""

    pattern: re.Pattern[str]
    words: str


CURES: Final = tuple(
    Cure(re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in {
        r"out of memory|cannot allocate|MemoryError|\bkilled\b": (
            "The memory was full. Train with a smaller batch (`--set batch_size=16`) and a larger "
            "`optimizer.accumulate`, or with smaller pictures (`--set size=160`)."
        ),
        r"no space left|disk": (
            "The disk was full. Free some space, then resume the run: it goes on from its last checkpoint."
        ),
        r"loss is (nan|inf)|not finite|non-finite": (
            "The loss ran away. Start a new run with a lower `optimizer.learning_rate`, a third of it for "
            "example."
        ),
        r"permission denied": (
            "The folder's rights do not allow it. Give the account that trains the right to write there, "
            "then resume."
        ),
        r"(dataset|picture|image|metadata|store).*(not|no|gone|missing|removed)|no such file": (
            "Something of the dataset is not where it was. Bring it back to the same folder, then resume."
        ),
    }.items()
)
"""Looked through in order; the first that fits is shown. Add one by adding an entry."""

DIED: Final = (
    "The process ended without a word: the machine was restarted, or the system ended it, most often because "
    "memory was short. Resume goes on from the last checkpoint; if it dies again, use a smaller batch."
)


def tail(run: Path, name: str = "log.txt") -> list[str]:
    """Return the last whole lines of a run's log, oldest first; none where there is no log."""
    path = run / name
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > TAIL_BYTES else lines


def errors_first(lines: list[str], most: int) -> tuple[list[str], list[str]]:
    """Return the newest lines that speak of errors, and the newest of the others; `most` of each."""
    wrong = [line for line in lines if _ERROR.search(line)]
    rest = [line for line in lines if not _ERROR.search(line)]
    return wrong[-most:], rest[-most:]


def likely_cure(status: Status | None, state: str, lines: list[str]) -> str | None:
    """Return what likely helps a run that failed or died; None where nothing better than its log is known."""
    if state not in ("failed", "died"):
        return None
    said = [*([status.message] if status is not None else []), *reversed(lines[-40:])]
    for cure in CURES:
        if any(cure.pattern.search(line) for line in said):
            return cure.words
    return DIED if state == "died" else None
