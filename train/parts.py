"""Answers that are kept as they come, so that a long measurement which was stopped goes on where it was."""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from accelerate.utils import broadcast_object_list

from core.files import replacing
from core.models.checkpoint import Checkpoint
from train.predicting import predict_pictures, processes

PICTURES: Final = 256
"""Pictures of one part: some seconds of work on a CPU, which is what a stop can cost."""

FOLDER: Final = "answered"
"""Where they are kept below an output folder; "parts" holds those of a robustness measurement."""

_PART: Final = re.compile(r"[0-9a-f]{24}\.npz(\.[0-9.]+\.partial)?")


def predict_kept(
    checkpoint: Checkpoint,
    paths: Sequence[Path],
    facts: np.ndarray,
    *,
    keep: Path,
    views: int = 1,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Return logits (N, 7) and why pictures are unreadable, by position; as `predict_pictures` does.

    keep: a folder for the parts. A part is named after the weights, pictures, facts and views that it is of,
        so one of something else is never taken. Whoever is done calls `forget`.
    """
    keep.mkdir(parents=True, exist_ok=True)
    logits: list[np.ndarray] = []
    unreadable: dict[int, str] = {}
    for first in range(0, len(paths), PICTURES):
        mine = slice(first, first + PICTURES)
        file = keep / f"{_name(checkpoint, paths[mine], facts[mine], views)}.npz"
        # Each process may see another disk; one that skips a part would be waited for by the others.
        (found,) = broadcast_object_list([_read(file) if processes().is_main_process else None])
        if found is None:

            def count(done: int, _part: int, before: int = first) -> None:
                if progress is not None:
                    progress(before + done, len(paths))

            predicted = predict_pictures(
                checkpoint, paths[mine], facts[mine], views=views, workers=workers, progress=count
            )
            found = predicted.logits, predicted.unreadable
            if processes().is_main_process:
                _write(file, *found)
        logits.append(found[0])
        unreadable |= {first + place: reason for place, reason in found[1].items()}
    if progress is not None:
        progress(len(paths), len(paths))
    return np.concatenate(logits), unreadable


def forget(keep: Path) -> None:
    """Remove the parts that `predict_kept` left in a folder, and the folder if nothing else is there."""
    for file in keep.iterdir():
        if _PART.fullmatch(file.name):
            file.unlink()
    if not any(keep.iterdir()):
        keep.rmdir()


def _name(checkpoint: Checkpoint, paths: Sequence[Path], facts: np.ndarray, views: int) -> str:
    what = [checkpoint.manifest.files, views, [str(path) for path in paths], facts.tolist()]
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _write(file: Path, logits: np.ndarray, unreadable: dict[int, str]) -> None:
    with replacing(file) as part, part.open("wb") as stream:
        np.savez(stream, logits=logits, reasons=np.array(json.dumps(unreadable)))
        stream.flush()
        os.fsync(stream.fileno())  # or a power cut leaves a name with nothing behind it


def _read(file: Path) -> tuple[np.ndarray, dict[int, str]] | None:
    """Return what a part holds; None where it was not computed yet, or not to its end."""
    try:
        # numpy leaves a file that is cut short open.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as part:
            reasons = json.loads(str(part["reasons"]))
            return part["logits"], {int(place): reason for place, reason in reasons.items()}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
