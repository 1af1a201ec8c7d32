"""A computation in a process of its own: it says nothing until it is done, but can be ended at any time.

Not by `multiprocessing`: it would run the main module again, and a page's script is one. Arrays travel in
files without a name, so that nothing stays behind whatever ends the two processes.
"""

import os
import subprocess
import sys
import threading
import time
from importlib import import_module
from tempfile import TemporaryFile
from typing import Final

import numpy as np

from core.jobs import Report
from core.settings import REPOSITORY

_TICK_S: Final = 0.2
_LOOK_UP_S: Final = 1.0


def compute_apart(function: str, values: np.ndarray, *, report: Report) -> np.ndarray:
    """Return what a function makes of an array, computed in another process.

    Args:
        function: "module:name" of a function from one array to another.
        values: what it is given.
        report: called several times a second; what it raises ends the process at once.

    Raises:
        ChildProcessError: the function failed, or its process was killed; the message says why.
    """
    command = [sys.executable, "-m", __name__, function, str(os.getpid())]
    with TemporaryFile() as given, TemporaryFile() as made, TemporaryFile() as said:
        np.save(given, values, allow_pickle=False)
        given.seek(0)
        with subprocess.Popen(command, cwd=REPOSITORY, stdin=given, stdout=made, stderr=said) as process:  # noqa: S603
            _wait_for(process, report)
        if process.returncode:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise ChildProcessError(
                lines[-1] if lines else f"its process ended with code {process.returncode}"
            )
        made.seek(0)
        return np.asarray(np.load(made, allow_pickle=False))


def _wait_for(process: subprocess.Popen[bytes], report: Report) -> None:
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


def main(function: str, parent: int) -> None:
    """Compute, from standard input to standard output."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    made, sys.stdout = sys.stdout.buffer, sys.stderr  # what a library prints is no part of the result
    module, _, name = function.partition(":")
    values = np.load(sys.stdin.buffer, allow_pickle=False)
    np.save(made, getattr(import_module(module), name)(values), allow_pickle=False)
    made.flush()


def _end_with(parent: int) -> None:
    """End this process when whoever asked is gone: an app that is ended amid the work cannot do it."""
    while os.getppid() == parent:
        time.sleep(_LOOK_UP_S)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
