"""Measure a checkpoint by a command of the trainer, in a process of its own.

It outlives the browser and the app. What passes between the two lies in the folder that it writes:

*.csv            the result; see `core.evaluate.robustness` and `core.evaluate.map_quality`
parts/ or pictures-*.jsonl
                 what was measured so far: what was stopped goes on with it
progress.json    how far it is
stop             somebody asks the process that it names to end; it looks after each batch or picture
lock, pid        held while it works, so that nobody works there twice, and by whom
starting         held by who starts it, until it works
output.txt       what it printed
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from socket import gethostname
from typing import Final

from filelock import FileLock, Timeout

from core.errors import RunError
from core.evaluate.gathering import MAP_QUALITY_FILE, ROBUSTNESS_FILE
from core.jobs import Cancelled, Report
from core.runs import control, queue
from core.runs.folder import write_atomically

LOOK_EVERY_S: Final = 0.5
# A batch of 32 pictures with hairs through a large network, on a slow processor.
_ENDS_WITHIN_S: Final = 90.0
_ASKING_S: Final = 2.0
_LOADING: Final = "Loading the model and the dataset"
_ODD: Final = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Measurement:
    """What can be measured: the trainer's command, the table that it writes, and what it keeps meanwhile."""

    command: str
    table: str
    kept: str


ROBUSTNESS: Final = Measurement("robustness", ROBUSTNESS_FILE, "parts/*.npy")
MAPS: Final = Measurement("maps", MAP_QUALITY_FILE, "pictures-*.jsonl")


@dataclass(frozen=True)
class Standing:
    """How far a measurement is.

    Attributes:
        share: of the work, by the seconds that it takes; 0 to 1.
        done, total: pictures, those of earlier runs included.
        now: what is being measured, in words.
    """

    share: float
    done: int
    total: int
    now: str


def folder_of(runs_dir: Path, what: Measurement, name: str, lesions: int) -> Path:
    """Return where a model is measured on so many lesions; the Compare page looks there."""
    return runs_dir / f"{what.command}-{_ODD.sub('-', name)}-{lesions}"


def command_words(
    what: Measurement, reference: str, *, name: str, data_dir: Path | str, lesions: int, folder: Path
) -> list[str]:
    """Return the arguments of `python -m train` that measure a checkpoint; see `measure_apart`."""
    return [
        what.command, "--checkpoint", reference, "--data", str(data_dir), "--lesions", str(lesions),
        "--name", name, "--out", str(folder),
    ]  # fmt: skip


def claim(folder: Path) -> FileLock:
    """Return the lock of a folder, taken.

    Raises:
        RunError: another process measures there, or the folder cannot be written.
    """
    lock = _lock(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Who only asks whether somebody measures holds the lock for a moment too.
        lock.acquire(timeout=_ASKING_S)
        (folder / "pid").write_text(_process(os.getpid()), encoding="utf-8")
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


def is_begun(what: Measurement, folder: Path) -> bool:
    """Whether some of it was measured before: the rest can be gone on with."""
    return any(folder.glob(what.kept))


def tell(folder: Path, standing: Standing) -> None:
    """Write how far the measurement is."""
    write_atomically(folder / "progress.json", json.dumps(asdict(standing)) + "\n")


def ask_to_stop(folder: Path) -> None:
    """Ask the process that measures into a folder to end; one that begins there later is not meant."""
    (folder / "stop").write_text(_read(folder / "pid"), encoding="utf-8")


def asked_to_stop(folder: Path) -> bool:
    """Whether somebody asked this process to end."""
    return _read(folder / "stop") == _process(os.getpid())


def forget_stop(folder: Path) -> None:
    """Forget who asked: the number of a process that has ended may be given again."""
    (folder / "stop").unlink(missing_ok=True)


def standing(folder: Path) -> Standing | None:
    """Return how far the measurement of a folder is, or was; None where nobody knows yet."""
    try:
        return Standing(**json.loads((folder / "progress.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def measure_apart(
    what: Measurement,
    reference: str,
    *,
    name: str,
    data_dir: Path,
    lesions: int,
    folder: Path,
    report: Report,
) -> Path:
    """Measure a checkpoint, or follow the process that does so already; return the table's file.

    Args:
        what: is measured.
        reference: of the checkpoint.
        name: what the table calls it.
        data_dir: the dataset it was trained on.
        lesions: test lesions to measure on.
        folder: where to write, `folder_of` a name.
        report: told how far it is, in percent; what it raises ends the measurement after the pictures it is
            at, whoever started it, and what was done is kept.

    Raises:
        RunError: long work is switched off here, or the measurement failed; the message is its own.
    """
    control.check_allowed()
    began = time.time()
    words = command_words(what, reference, name=name, data_dir=data_dir, lesions=lesions, folder=folder)
    process = _begin(lambda: _start(words, folder), folder, report)
    try:
        while _goes_on(process, folder):
            _pass_on(folder, report, began, fresh=process is not None)
            time.sleep(LOOK_EVERY_S)
    except Cancelled:
        _end(process, folder)
        raise
    if process is not None and process.returncode:
        raise RunError(_last_words(folder) or f"Measuring {name} ended with code {process.returncode}.")
    if not (folder / what.table).is_file():
        raise RunError(f"Measuring {name} was stopped. Start it again to go on.")
    return folder / what.table


def _begin(
    start: Callable[[], "subprocess.Popen[bytes]"], folder: Path, report: Report
) -> "subprocess.Popen[bytes] | None":
    """Start a process and return it once it measures, or has ended; None where another measures already.

    It takes the folder's lock only when the model is loaded. Until then, who starts it holds another one, or
    a second app would start a second process.
    """
    began = time.time()
    starting = FileLock(folder / "starting")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while not _take(starting):
            _say_loading(report, began)
    except OSError as problem:
        raise RunError(f"Cannot write into {folder} ({problem.strerror or problem}).") from problem
    try:
        return None if is_measuring(folder) else _loaded(start(), folder, report, began)
    finally:
        starting.release()


def _loaded(
    process: "subprocess.Popen[bytes]", folder: Path, report: Report, began: float
) -> "subprocess.Popen[bytes]":
    try:
        while process.poll() is None and not is_measuring(folder):
            _say_loading(report, began)
    except Cancelled:
        process.kill()  # It has nothing yet that could be lost.
        process.wait()
        raise
    return process


def _take(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _say_loading(report: Report, began: float) -> None:
    report(time.time() - began, None, unit="s", note=_LOADING)
    time.sleep(LOOK_EVERY_S)


def _start(words: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "output.txt").open("wb") as output:
            return queue.start_detached(words, folder.parent, output.fileno())
    except OSError as problem:
        raise RunError(f"Measuring could not be started ({problem.strerror or problem}).") from problem


def _goes_on(process: "subprocess.Popen[bytes] | None", folder: Path) -> bool:
    return is_measuring(folder) if process is None else process.poll() is None


def _pass_on(folder: Path, report: Report, began: float, *, fresh: bool) -> None:
    """Report how far it is; what an earlier run left there is not told again."""
    found = standing(folder)
    if found is None or (fresh and (folder / "progress.json").stat().st_mtime < began):
        report(time.time() - began, None, unit="s", note=_LOADING)
        return
    note = f"{found.now} · {found.done:,} of {found.total:,} pictures"
    report(100 * found.share, 100, unit="%", note=note)


def _end(process: "subprocess.Popen[bytes] | None", folder: Path) -> None:
    if is_measuring(folder):
        ask_to_stop(folder)
    if process is None:
        return
    try:
        process.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:  # it sits in a batch that takes longer
        process.kill()
        process.wait()
        forget_stop(folder)


def _last_words(folder: Path) -> str:
    try:
        lines = (folder / "output.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def _process(pid: int) -> str:
    """Name a process of this machine: machines may share the folder."""
    return f"{gethostname()} {pid}"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


def _lock(folder: Path) -> FileLock:
    return FileLock(folder / "lock")
