"""A run folder: written by one trainer, read by anyone, also while it is being written.

config.json     the whole recipe and where everything came from
split.csv       the split manifest
events.jsonl    one JSON object a line, appended in one write and never taken back
status.json     state, process, heartbeat, step; replaced atomically
log.txt         the lines the trainer printed, each with its time
checkpoints/    resumable training states, rotated
watch/          the watch images, per epoch
"""

import errno
import json
import os
import re
import socket
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil  # type: ignore[import-untyped]  # its types are a package of their own

from core.errors import RunError

STALE_AFTER_S: Final = 120.0
"""A run without a heartbeat for this long, and without its process, has died."""

LIVE_STATES: Final = ("running", "paused")

RESUMED: Final = "resumed"
"""The kind of event that says: what was told of later epochs is told again from here."""

# A process start is counted from the machine's start, so it is off by a little.
_CLOCK_SLACK_S: Final = 2.0
_NAME: Final = re.compile(r"\w[\w.-]{0,99}")


@dataclass(frozen=True)
class Status:
    """How a run stands. `state` is running, paused, finished, stopped or failed as its trainer wrote it."""

    state: str
    pid: int
    host: str
    heartbeat: float
    step: int = 0
    total_steps: int = 0
    epoch: int = 0
    best: float | None = None
    message: str = ""

    @classmethod
    def starting(
        cls, total_steps: int = 0, *, step: int = 0, epoch: int = 0, best: float | None = None
    ) -> "Status":
        """Return the first status of this process as a trainer, at the step where it begins or goes on."""
        return cls("running", os.getpid(), socket.gethostname(), time.time(), step, total_steps, epoch, best)

    def observed(self, now: float | None = None) -> str:
        """Return the state as an onlooker sees it: a running trainer that is gone has 'died'."""
        if self.state not in LIVE_STATES:
            return self.state
        stale = (time.time() if now is None else now) - self.heartbeat > STALE_AFTER_S
        if self.host == socket.gethostname():
            return self.state if _lives(self.pid, self.heartbeat) else "died"
        return "died" if stale else self.state


def _lives(pid: int, heartbeat: float) -> bool:
    """Whether the process that wrote this heartbeat (seconds since 1970) is still at work."""
    try:
        process = psutil.Process(pid)
        # A later process may have got the number; a killed one stays as a zombie until its parent looks.
        return (
            process.create_time() <= heartbeat + _CLOCK_SLACK_S and process.status() != psutil.STATUS_ZOMBIE
        )
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

    @classmethod
    def create(cls, runs_dir: Path, name: str) -> "RunFolder":
        """Make a new folder for a run; refuses a name that leaves `runs_dir` or is taken."""
        if not _NAME.fullmatch(name):
            raise RunError(
                f"{name!r} cannot be a run's name; use up to 100 letters, digits, '-', '_' and '.', a letter "
                "or digit first."
            )
        run = cls(runs_dir / name)
        try:
            run.path.mkdir(parents=True)
            run.checkpoints.mkdir()
            run.watch.mkdir()
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
        _write_atomically(self.path / "config.json", json.dumps(config, indent=2) + "\n")

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

    def rewind(self, epoch: int) -> None:
        """Say that a trainer goes on after `epoch`: later epochs are told again.

        `told_once` drops the first telling. Nothing is taken out of the file, so the byte offsets of readers
        stay good. Does nothing in a new run.
        """
        if not (self.path / "events.jsonl").exists():
            return
        self.end_torn_line()
        self.append({"kind": RESUMED, "epoch": epoch})

    def write_watch(self, epoch: int, **arrays: np.ndarray) -> None:
        """Write what the network makes of the watch images after an epoch; a reader sees all or nothing."""
        path = self.watch / f"epoch_{epoch:04d}.npz"
        temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            with temporary.open("wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # a flag shares the stub's **
            temporary.replace(path)
        except OSError as problem:
            temporary.unlink(missing_ok=True)
            raise _unwritable(path, problem) from problem

    def write_status(self, status: Status) -> None:
        """Replace status.json, with the heartbeat set to now."""
        beating = replace(status, heartbeat=time.time())
        _write_atomically(self.path / "status.json", json.dumps(asdict(beating), indent=2) + "\n")

    def status(self) -> Status:
        """Return the last status written; raises RunError when there is none."""
        try:
            return Status(**json.loads((self.path / "status.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as problem:
            raise RunError(f"Run {self.path.name} has no readable status.json ({problem}).") from problem


def told_once(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a run's events, in order, without those that a resumed trainer told again."""
    told: list[dict[str, Any]] = []
    for event in events:
        if event.get("kind") == RESUMED:
            told = [before for before in told if before.get("epoch", 0) <= event["epoch"]]
        told.append(event)
    return told


def _unwritable(path: Path, problem: OSError) -> RunError:
    return RunError(
        f"{path} could not be written ({problem.strerror or problem}). Free some disk space, or set "
        "LESIONLENS_RUNS to another folder; what was written before is kept."
    )


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        raise _unwritable(path, problem) from problem
