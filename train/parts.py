"""Answers that are kept as they come, so that a long measurement which was stopped goes on where it was."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from core.models.checkpoint import Checkpoint
from train.predicting import predict_pictures, processes

PICTURES: Final = 256
"""Pictures of one part: some seconds of work on a CPU, which is what a stop can cost."""


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
        so one of something else is never taken. Whoever is done removes the folder.
    """
    keep.mkdir(parents=True, exist_ok=True)
    logits: list[np.ndarray] = []
    unreadable: dict[int, str] = {}
    for first in range(0, len(paths), PICTURES):
        mine = slice(first, first + PICTURES)
        file = keep / f"{_name(checkpoint, paths[mine], facts[mine], views)}.npz"
        found = _read(file)
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


def _name(checkpoint: Checkpoint, paths: Sequence[Path], facts: np.ndarray, views: int) -> str:
    what = [checkpoint.manifest.files, views, [str(path) for path in paths], facts.tolist()]
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _write(file: Path, logits: np.ndarray, unreadable: dict[int, str]) -> None:
    partial = file.with_name(f"partial-{file.name}")
    np.savez(partial, logits=logits, reasons=np.array(json.dumps(unreadable)))
    partial.replace(file)


def _read(file: Path) -> tuple[np.ndarray, dict[int, str]] | None:
    """Return what a part holds; None where it was not computed yet, or not to its end."""
    try:
        with np.load(file, allow_pickle=False) as part:
            reasons = json.loads(str(part["reasons"]))
            return part["logits"], {int(place): reason for place, reason in reasons.items()}
    except (OSError, ValueError, KeyError):
        return None
