"""Measure how a checkpoint bears poor pictures: `python -m train robustness` in a process of its own.

It outlives the browser and the app. What passes between the two lies in the folder that it writes:

robustness.csv   the result; see `core.evaluate.robustness`
parts/           the answers so far: what was stopped goes on with them
progress.json    how far it is
stop             somebody asks it to end; it looks after every picture
lock             held while it works, so that nobody works there twice
output.txt       what it printed
"""

import json
import re
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from core.errors import RunError
from core.evaluate.gathering import ROBUSTNESS_FILE
from core.jobs import Cancelled, Report
from core.runs import control, queue
from core.runs.folder import write_atomically

LOOK_EVERY_S: Final = 0.5
_ENDS_WITHIN_S: Final = 15.0
_ASKING_S: Final = 2.0
_ODD: Final = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Standing:
    """How far a measurement is.

    Attributes:
        share: of the work, by the seconds that a picture takes under each condition; 0 to 1.
        done, total: pictures, those of earlier runs included.
        now: what is being measured, in words.
    """

    share: float
    done: int
    total: int
    now: str


def folder_of(runs_dir: Path, name: str, lesions: int) -> Path:
    """Return where a model's robustness on so many lesions is measured; the Compare page looks there."""
    return runs_dir / f"robustness-{_ODD.sub('-', name)}-{lesions}"


def claim(folder: Path) -> FileLock:
    """Return the lock of a folder, taken; whoever asked the last one to stop is forgotten.

    Raises:
        RunError: another process measures there, or the folder cannot be written.
    """
    lock = _lock(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Who only asks whether somebody measures holds the lock for a moment too.
        lock.acquire(timeout=_ASKING_S)
        (folder / "stop").unlink(missing_ok=True)
    except Timeout as problem:
        raise RunError(
            f"Another process measures into {folder} just now. Wait for it, or take another folder."
        ) from problem
    except OSError as problem:
        raise RunError(f"Cannot write into {folder} ({problem.strerror or problem}).") from problem
    return lock


def is_measuring(folder: Path) -> bool:
    """Whether a process measures into a folder now."""
    if not (folder / "lock").exists():
        return False
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def is_begun(folder: Path) -> bool:
    """Whether some conditions were measured before: the rest can be gone on with."""
    return any((folder / "parts").glob("*.npy"))


def tell(folder: Path, standing: Standing) -> None:
    """Write how far the measurement is."""
    write_atomically(folder / "progress.json", json.dumps(asdict(standing)) + "\n")


def asked_to_stop(folder: Path) -> bool:
    """Whether somebody asked the measurement to end."""
    return (folder / "stop").exists()


def standing(folder: Path) -> Standing | None:
    """Return how far the measurement of a folder is, or was; None where nobody knows yet."""
    try:
        return Standing(**json.loads((folder / "progress.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def measure_apart(
    reference: str, *, name: str, data_dir: Path, lesions: int, folder: Path, report: Report
) -> Path:
    """Measure a checkpoint, or follow the process that does so already; return the table's file.

    Args:
        reference: of the checkpoint.
        name: what the table calls it.
        data_dir: the dataset it was trained on.
        lesions: test lesions to measure on.
        folder: where to write, `folder_of` a name.
        report: told how far it is, in percent; what it raises ends the measurement after the picture it is
            at, and what was done is kept.

    Raises:
        RunError: long work is switched off here, or the measurement failed; the message is its own.
    """
    control.check_allowed()
    process = None if is_measuring(folder) else _start(reference, name, data_dir, lesions, folder)
    began = time.time()
    try:
        while _goes_on(process, folder):
            _pass_on(folder, report, began, fresh=process is not None)
            time.sleep(LOOK_EVERY_S)
    except Cancelled:
        _end(process, folder)
        raise
    if process is not None and process.returncode:
        raise RunError(_last_words(folder) or f"Measuring {name} ended with code {process.returncode}.")
    if not (folder / ROBUSTNESS_FILE).is_file():
        raise RunError(f"Measuring {name} was stopped. Start it again to go on.")
    return folder / ROBUSTNESS_FILE


def _start(
    reference: str, name: str, data_dir: Path, lesions: int, folder: Path
) -> "subprocess.Popen[bytes]":
    arguments = [
        "robustness", "--checkpoint", reference, "--data", str(data_dir), "--lesions", str(lesions),
        "--name", name, "--out", str(folder),
    ]  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "output.txt").open("wb") as output:
            return queue.start_detached(arguments, folder.parent, output.fileno())
    except OSError as problem:
        raise RunError(f"Measuring could not be started ({problem.strerror or problem}).") from problem


def _goes_on(process: "subprocess.Popen[bytes] | None", folder: Path) -> bool:
    return is_measuring(folder) if process is None else process.poll() is None


def _pass_on(folder: Path, report: Report, began: float, *, fresh: bool) -> None:
    """Report how far it is; what an earlier run left there is not told again."""
    found = standing(folder)
    if found is None or (fresh and (folder / "progress.json").stat().st_mtime < began):
        report(time.time() - began, None, unit="s", note="Loading the model and the dataset")
        return
    note = f"{found.now} · {found.done:,} of {found.total:,} pictures"
    report(100 * found.share, 100, unit="%", note=note)


def _end(process: "subprocess.Popen[bytes] | None", folder: Path) -> None:
    (folder / "stop").touch()
    if process is None:
        return
    try:
        process.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:  # it had not come to its first picture
        process.kill()
        process.wait()


def _last_words(folder: Path) -> str:
    try:
        lines = (folder / "output.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def _lock(folder: Path) -> FileLock:
    return FileLock(folder / "lock")
