"""A run folder: written by one trainer, read by anyone, also while it is being written.

config.json     the whole recipe and where everything came from
split.csv       the split manifest
events.jsonl    one JSON object a line, appended in one write
status.json     state, process, heartbeat, step; replaced atomically
log.txt         what the trainer printed
checkpoints/    resumable training states, rotated
watch/          the watch images, per epoch
"""

import json
import os
import socket
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from core.errors import RunError

STALE_AFTER_S: Final = 120.0
"""A run without a heartbeat for this long, and without its process, has died."""

LIVE_STATES: Final = ("running", "paused")


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
    def starting(cls, total_steps: int) -> "Status":
        """Return the first status of a trainer that is this process."""
        return cls("running", os.getpid(), socket.gethostname(), time.time(), total_steps=total_steps)

    def observed(self, now: float | None = None) -> str:
        """Return the state as an onlooker sees it: a running trainer that is gone has 'died'."""
        if self.state not in LIVE_STATES:
            return self.state
        stale = (time.time() if now is None else now) - self.heartbeat > STALE_AFTER_S
        if self.host == socket.gethostname():
            return self.state if _is_alive(self.pid) else "died"
        return "died" if stale else self.state


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
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
        if not name or Path(name).name != name or name.startswith("."):
            raise RunError(f"{name!r} cannot be a run's name; use letters, digits, '-' and '_'.")
        run = cls(runs_dir / name)
        try:
            run.path.mkdir(parents=True)
        except FileExistsError as problem:
            raise RunError(
                f"There is already a run {name!r} in {runs_dir}. Choose another name, or resume it with "
                f"`python -m train resume {name}`."
            ) from problem
        run.checkpoints.mkdir()
        run.watch.mkdir()
        return run

    @classmethod
    def open(cls, runs_dir: Path, name: str) -> "RunFolder":
        """Open an existing run by its name, or by the path of its folder."""
        candidates = (runs_dir / name, Path(name))
        for path in candidates:
            if (path / "config.json").is_file():
                return cls(path)
        here = sorted(entry.parent.name for entry in runs_dir.glob("*/config.json"))
        raise RunError(f"There is no run {name!r} in {runs_dir}; there are: {', '.join(here) or 'none'}.")

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json, once, before anything else."""
        _write_atomically(self.path / "config.json", json.dumps(config, indent=2) + "\n")

    def config(self) -> dict[str, Any]:
        """Return what `write_config` wrote."""
        text = (self.path / "config.json").read_text(encoding="utf-8")
        return json.loads(text)

    def append(self, event: dict[str, Any]) -> None:
        """Append one event; one write a line, so that readers and a killed writer never mix lines."""
        line = json.dumps({"time": time.time(), **event}) + "\n"
        handle = os.open(self.path / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def end_torn_line(self) -> None:
        """End a line that a killed writer left half written, so that the next event stands alone."""
        path = self.path / "events.jsonl"
        if path.exists() and path.stat().st_size and path.read_bytes()[-1:] != b"\n":
            with path.open("ab") as file:
                file.write(b"\n")

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Return the events after a byte offset, and the offset to go on from.

        The trainer may be writing right now: an unterminated last line is left for the next call, and a line
        that a killed writer tore is passed over.
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
        """Drop events after `epoch`, which a resumed run is about to write again."""
        kept = [event for event in self.events()[0] if event.get("epoch", 0) <= epoch]
        _write_atomically(self.path / "events.jsonl", "".join(json.dumps(event) + "\n" for event in kept))

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


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
