"""A run folder: written by one trainer, read by anyone, also while it is being written.

config.json     the whole recipe and where everything came from
split.csv       the split manifest
events.jsonl    one JSON object a line, appended in one write and never taken back
status.json     state, process, heartbeat and when to expect the next, step; replaced atomically
request.json    what somebody asks of the trainer: pause, resume or stop; see `core.runs.control`
log.txt         the lines the trainer printed, each with its time
output.txt      everything else it printed, of a run that was started through the queue
checkpoints/    resumable training states, rotated
watch/          the watch images, per epoch
val/            the answers to the validation pictures, per epoch
"""

import errno
import json
import math
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil  # type: ignore[import-untyped]  # its types are a package of their own
from filelock import FileLock

from core.errors import RunError
from core.files import replacing
from core.models.reference import RUN_NAME

STALE_AFTER_S: Final = 120.0
"""A run on another machine whose heartbeat is this late has died; here its process is looked at."""

BEAT_EVERY_S: Final = 2.0
"""How often a trainer writes its heartbeat where its work lets it."""

LIVE_STATES: Final = ("running", "paused")

RESUMED: Final = "resumed"
"""The kind of event that says: what was told after its epoch and step is told again from here."""

# Clocks of two machines differ by a little. A heartbeat further ahead than this says nothing about now.
_CLOCKS_DIFFER_S: Final = 30.0
_LONGEST_GAP_S: Final = 3600.0
# A process start is counted from the machine's start, so it is off by a little.
_CLOCK_SLACK_S: Final = 2.0


@dataclass(frozen=True)
class Status:
    """How a run stands. `state` is running, paused, finished, stopped or failed as its trainer wrote it.

    heartbeat, next_heartbeat: when the trainer last wrote, and until when it means to again, seconds since
        1970 by its own clock.
    phase: what a running trainer is at: "preparing", "training" or "measuring".
    process: which of all processes that ever had this number on this machine is meant; see `process_mark`.
    """

    state: str
    pid: int
    host: str
    heartbeat: float
    step: int = 0
    total_steps: int = 0
    epoch: int = 0
    best: float | None = None
    message: str = ""
    next_heartbeat: float = 0.0
    device: str = ""
    phase: str = ""
    process: str = ""

    @classmethod
    def starting(
        cls, total_steps: int = 0, *, step: int = 0, epoch: int = 0, best: float | None = None
    ) -> "Status":
        """Return the first status of this process as a trainer, at the step where it begins or goes on."""
        return cls(
            "running",
            os.getpid(),
            socket.gethostname(),
            time.time(),
            step,
            total_steps,
            epoch,
            best,
            phase="preparing",
            process=process_mark(os.getpid()),
        )

    def observed(self, now: float | None = None) -> str:
        """Return the state as an onlooker sees it: a running trainer that is gone has 'died'.

        On this machine the process itself is looked at, whatever the clock says. A trainer on another
        machine, seen over a shared folder, is judged by its heartbeat.
        """
        if self.state not in LIVE_STATES:
            return self.state
        if self.is_here:
            return self.state if _lives(self) else "died"
        return "died" if self.late_s(now) > STALE_AFTER_S else self.state

    @property
    def is_here(self) -> bool:
        """Whether its trainer runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    def late_s(self, now: float | None = None) -> float:
        """Return by how many seconds the next heartbeat is overdue; 0 while it is in time.

        A heartbeat from the future (clocks that differ, or one that was set back) is counted from when this
        process first saw it, so that it makes nobody immortal.
        """
        now = time.time() if now is None else now
        gap_s = min(max(self.next_heartbeat - self.heartbeat, 0.0), _LONGEST_GAP_S)
        if self.heartbeat - now <= _CLOCKS_DIFFER_S:
            return max(0.0, now - self.heartbeat - gap_s)
        return max(0.0, time.monotonic() - _first_seen(self.host, self.pid, self.heartbeat) - gap_s)


@lru_cache(maxsize=1024)
def _first_seen(_host: str, _pid: int, _heartbeat: float) -> float:
    """Return when this process first asked for this heartbeat, by its own steady clock."""
    return time.monotonic()


def process_mark(pid: int) -> str:
    """Return what tells a process from all others that had its number; no clock can change it on Linux.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The 22nd field, counted after the name in brackets, which may hold anything: ticks since the boot.
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return f"{boot}/{stat.rpartition(')')[2].split()[19]}"
    except (OSError, IndexError):
        return f"{psutil.Process(pid).create_time():.2f}"


def _lives(status: Status) -> bool:
    """Whether the process that wrote this status is still at work on this machine."""
    try:
        process = psutil.Process(status.pid)
        # A killed process stays as a zombie until its parent looks.
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        # A later process may have got the number. Runs of earlier versions have no mark to tell.
        if status.process:
            return status.process == process_mark(status.pid)
        return bool(process.create_time() <= status.heartbeat + _CLOCK_SLACK_S)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


class RunFolder:
    """The folder of one run; see the module for what lies in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.watch = path / "watch"
        self.val = path / "val"

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    @classmethod
    def create(cls, runs_dir: Path, name: str) -> "RunFolder":
        """Make a new folder for a run; refuses a name that leaves `runs_dir` or is taken."""
        run = cls(runs_dir / checked_name(name))
        try:
            run.path.mkdir(parents=True)
            run.checkpoints.mkdir()
            run.watch.mkdir()
            run.val.mkdir()
        except FileExistsError as problem:
            raise RunError(
                f"There is already a run {name!r} in {runs_dir}. Choose another name, or resume it with "
                f"`python -m train resume {name}`."
            ) from problem
        except OSError as problem:
            raise _unwritable(run.path, problem) from problem
        return run

    @classmethod
    def open(cls, runs_dir: Path, name: str) -> "RunFolder":
        """Open an existing run by its name, or by the path of its folder."""
        for path in (runs_dir / name, Path(name)) if name else ():
            if (path / "config.json").is_file():
                return cls(path)
        here = sorted(entry.parent.name for entry in runs_dir.glob("*/config.json"))
        raise RunError(f"There is no run {name!r} in {runs_dir}; there are: {', '.join(here) or 'none'}.")

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json, once, before anything else."""
        write_atomically(self.path / "config.json", json.dumps(config, indent=2) + "\n")

    def config(self) -> dict[str, Any]:
        """Return what `write_config` wrote; raises RunError when it cannot be read."""
        try:
            return json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise RunError(f"Run {self.path.name} has no readable config.json ({problem}).") from problem

    def append(self, event: dict[str, Any]) -> None:
        """Append one event; one write a line, so that readers and a killed writer never mix lines."""
        self._append("events.jsonl", json.dumps({"time": time.time(), **event}))

    def log(self, text: str) -> None:
        """Append what the trainer said to log.txt, with the time; it stays one line."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        self._append("log.txt", f"{now} {' '.join(text.splitlines())}")

    def _append(self, name: str, line: str) -> None:
        data = f"{line}\n".encode()
        try:
            handle = os.open(self.path / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                if os.write(handle, data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(handle)
        except OSError as problem:
            raise _unwritable(self.path / name, problem) from problem

    def end_torn_line(self) -> None:
        """End a line that a killed writer left half written, so that the next event stands alone."""
        path = self.path / "events.jsonl"
        if path.exists() and path.stat().st_size and path.read_bytes()[-1:] != b"\n":
            with path.open("ab") as file:
                file.write(b"\n")

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Return the events after a byte offset, and the offset to go on from.

        The trainer may be writing right now: an unterminated last line is left for the next call, and a line
        that a killed writer tore is passed over. A resumed run tells some epochs again: see `told_once`.
        """
        path = self.path / "events.jsonl"
        if not path.exists():
            return [], 0
        with path.open("rb") as file:
            file.seek(offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        events = []
        for line in whole.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                events.append(event)
        return events, offset + len(whole) + len(newline)

    def rewind(self, epoch: int, step: int = 0) -> None:
        """Say that a trainer goes on after `epoch`, or after a `step` of the next: the rest is told again.

        `told_once` drops the first telling. Nothing is taken out of the file, so the byte offsets of readers
        stay good. Does nothing in a new run.
        """
        if not (self.path / "events.jsonl").exists():
            return
        self.end_torn_line()
        self.append({"kind": RESUMED, "epoch": epoch, "step": step})

    def write_watch(self, epoch: int, **arrays: np.ndarray) -> None:
        """Write what the network makes of the watch images after an epoch; a reader sees all or nothing."""
        self._write_arrays(self.watch / f"epoch_{epoch:04d}.npz", arrays)

    def write_val(self, epoch: int, *, image_ids: np.ndarray, truth: np.ndarray, logits: np.ndarray) -> None:
        """Write the answers to all validation pictures after an epoch; a reader sees all or nothing.

        image_ids: text, shape (N,). truth: class indices (N,). logits: uncalibrated, stored in half
        precision, shape (N, 7).
        """
        arrays = {"image_ids": image_ids, "truth": truth, "logits": logits.astype(np.float16)}
        self._write_arrays(self.val / f"epoch_{epoch:04d}.npz", arrays)

    def _write_arrays(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        try:
            path.parent.mkdir(exist_ok=True)  # runs of earlier versions have no val/
            with replacing(path) as part, part.open("wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # a flag shares the stub's **
        except OSError as problem:
            raise _unwritable(path, problem) from problem

    def write_status(self, status: Status, *, next_in_s: float = 2 * BEAT_EVERY_S) -> None:
        """Replace status.json, with the heartbeat set to now and the next one promised in `next_in_s`."""
        now = time.time()
        beating = replace(status, heartbeat=now, next_heartbeat=now + next_in_s)
        write_atomically(self.path / "status.json", json.dumps(asdict(beating), indent=2) + "\n")

    def status(self) -> Status:
        """Return the last status written; raises RunError when there is none."""
        try:
            return Status(**json.loads((self.path / "status.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as problem:
            raise RunError(f"Run {self.path.name} has no readable status.json ({problem}).") from problem

    def take_over(self) -> Status:
        """Make this process the run's trainer; returns the status that it begins with.

        Raises:
            RunError: another living process is training it, or the folder may not be written.
        """
        try:
            # Two that come at the same moment: one writes its name first, and the other reads it.
            with FileLock(self.path / ".claim", timeout=60):
                return self._claim()
        except OSError as problem:
            raise _unwritable(self.path, problem) from problem

    def _claim(self) -> Status:
        try:
            before = self.status()
        except RunError:
            before = Status("died", 0, "", 0.0)  # killed before it could say anything
        if before.observed() in LIVE_STATES:
            raise RunError(
                f"Run {self.name} is being trained by process {before.pid} on {before.host}: two would spoil "
                f"it. Stop that one first, with `python -m train stop {self.name}`. If you know it is gone, "
                f"delete {self.path / 'status.json'}."
            )
        (self.path / "request.json").unlink(missing_ok=True)  # it was meant for the trainer before
        mine = Status.starting(before.total_steps, step=before.step, epoch=before.epoch, best=before.best)
        self.write_status(mine)
        return mine


def checked_name(name: str) -> str:
    """Return a name that a run may bear; raises RunError for one that may not."""
    if not RUN_NAME.fullmatch(name):
        raise RunError(
            f"{name!r} cannot be a run's name; use up to 100 letters, digits, '-', '_' and '.', a letter "
            "or digit first."
        )
    return name


def told_once(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a run's events, in order, without those that a resumed trainer told again."""
    told: list[dict[str, Any]] = []
    for event in events:
        if event.get("kind") == RESUMED:
            epoch, step = event.get("epoch", 0), event.get("step", 0)
            told = [
                before
                for before in told
                if before.get("epoch", 0) <= epoch or before.get("step", math.inf) <= step
            ]
        told.append(event)
    return told


def _unwritable(path: Path, problem: OSError) -> RunError:
    cure = "Free some disk space, or set LESIONLENS_RUNS to another folder"
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        cure = "Give yourself the right to write there, or set LESIONLENS_RUNS to a folder of your own"
    return RunError(
        f"{path} could not be written ({problem.strerror or problem}). {cure}; what was written before is "
        "kept."
    )


def write_atomically(path: Path, text: str) -> None:
    """Replace a text file, so that a reader sees the old one or the new one; raises RunError if it cannot."""
    try:
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise _unwritable(path, problem) from problem
