"""Arrays that a trainer keeps beside its events, read as files of anyone."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

LARGEST_BYTES: Final = 32 * 2**20


def changed(path: Path) -> int:
    """Return what changes when a file does; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def read_arrays(path: Path, names: Sequence[str]) -> list[np.ndarray] | None:
    """Return the named arrays of an npz file; None where it is missing, torn, too large or lacks one."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return None
        # Opened here: numpy leaves a torn file open.
        with path.open("rb") as file, np.load(file) as stored:
            return [stored[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
