"""A computation in a process of its own: it says nothing until it is done, but can be ended at any time.

Not by `multiprocessing`: it would run the main module again, and a page's script is one.
"""

import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Final

import numpy as np

from core.jobs import Report
from core.settings import REPOSITORY

_TICK_S: Final = 0.2


def compute_apart(function: str, values: np.ndarray, *, report: Report) -> np.ndarray:
    """Return what a function makes of an array, computed in another process.

    Args:
        function: "module:name" of a function from one array to another.
        values: what it is given.
        report: called several times a second; what it raises ends the process at once.

    Raises:
        ChildProcessError: the function failed, or its process was killed; the message says why.
    """
    with tempfile.TemporaryDirectory(prefix="lesionlens-") as folder:
        given, made = Path(folder) / "given.npy", Path(folder) / "made.npy"
        np.save(given, values, allow_pickle=False)
        complaint = _run([function, str(given), str(made)], report)
        if not made.exists():
            raise ChildProcessError(complaint)
        return np.asarray(np.load(made, allow_pickle=False))


def _run(arguments: list[str], report: Report) -> str:
    """Run this module on its own; return the last that it said of an error."""
    command = [sys.executable, "-m", __name__, *arguments]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=said) as process,  # noqa: S603
    ):
        try:
            report(0)
            while True:
                try:
                    process.wait(_TICK_S)
                    break
                except subprocess.TimeoutExpired:
                    report(0)
        finally:
            process.kill()
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"its process ended with code {process.returncode}"


def main(function: str, given: str, made: str) -> None:
    """Load the array, compute, and put the result in place at once."""
    module, _, name = function.partition(":")
    result = getattr(import_module(module), name)(np.load(given, allow_pickle=False))
    partial = Path(made).with_suffix(".partial.npy")
    np.save(partial, result, allow_pickle=False)
    partial.replace(made)


if __name__ == "__main__":
    main(*sys.argv[1:])
