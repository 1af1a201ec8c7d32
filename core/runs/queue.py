"""What waits to be trained, in order, and the dispatcher that starts it: one run at a time on a machine.

The queue lies beside the runs, in `.queue`:

waiting.json    the items, first to last, changed under a lock
NAME.output     what the trainer of an item prints, until its run folder is there to hold it

Machines that share a runs folder share its queue; each needs the datasets at the same paths. A dispatcher is
`python -m train work`: a process of its own that outlives whoever started it, and ends with the queue.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from typing import Any, Final, Literal

from filelock import FileLock, Timeout

from core.errors import RunError
from core.runs.folder import LIVE_STATES, RunFolder, Status, write_atomically
from core.settings import REPOSITORY

LOOK_EVERY_S: Final = 0.5
"""How often a dispatcher looks whether the machine is free."""

ABANDONED_S: Final = 600.0
"""A trainer takes its folder within seconds; one that has not after this long was on a machine that died."""

_LOCK_TIMEOUT_S: Final = 20.0
_ASKING_S: Final = 2.0


@dataclass(frozen=True)
class Queued:
    """One run that waits.

    Attributes:
        name: of the run.
        recipe: name or file of the recipe; for a resumed run, what its config.json says.
        data_dir: the dataset's folder.
        overrides: values of the recipe to change, "key=value".
        submitted: when it was put here, seconds since 1970.
        what: "fit" begins the run, "resume" goes on with it.
        starting: whether its trainer was started, and has not taken its run folder yet.
        starter: host of the dispatcher that started it; "" where nobody has.
        started: when it did, seconds since 1970; 0 where that was not written down.
    """

    name: str
    recipe: str
    data_dir: Path
    overrides: tuple[str, ...] = ()
    submitted: float = 0.0
    what: Literal["fit", "resume"] = "fit"
    starting: bool = False
    starter: str = ""
    started: float = 0.0

    @property
    def arguments(self) -> list[str]:
        """The command line of its trainer, after `python -m train`."""
        if self.what == "resume":
            return ["resume", self.name]
        changes = [word for override in self.overrides for word in ("--set", override)]
        return ["fit", self.recipe, "--data", str(self.data_dir), "--run", self.name, *changes]


def waiting(runs_dir: Path) -> tuple[Queued, ...]:
    """Return what waits, first to last; empty where nobody ever queued anything.

    Raises:
        RunError: the queue cannot be read.
    """
    path = _folder(runs_dir) / "waiting.json"
    try:
        return tuple(_item(stored) for stored in json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise RunError(
            f"The queue {path} cannot be read ({problem}). Delete that file and submit again what waited."
        ) from problem


def add(runs_dir: Path, item: Queued) -> None:
    """Put an item last; raises RunError when one of its name waits already."""
    with _changing(runs_dir) as items:
        if any(other.name == item.name for other in items):
            raise RunError(f"Run {item.name!r} is in the queue already. Choose another name.")
        items.append(item)


def move(runs_dir: Path, name: str, to: int) -> None:
    """Move an item to a place, 0 being the next to start; raises RunError when it does not wait."""
    with _changing(runs_dir) as items:
        item = _waiting_one(items, name)
        items.remove(item)
        # What is being started stays first.
        items.insert(max(to, sum(other.starting for other in items)), item)


def cancel(runs_dir: Path, name: str) -> None:
    """Take an item out; raises RunError when it does not wait (any more)."""
    with _changing(runs_dir) as items:
        items.remove(_waiting_one(items, name))


def is_working(runs_dir: Path) -> bool:
    """Whether a dispatcher of this machine looks after the queue."""
    lock = _worker_lock(runs_dir)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def ensure_worker(runs_dir: Path) -> None:
    """Start a dispatcher if this machine has none; it goes on without us."""
    if is_working(runs_dir):
        return
    output = _folder(runs_dir) / "worker.output"
    try:
        with output.open("wb") as file:
            process = start_detached(["work"], runs_dir, file.fileno())
    except OSError as problem:
        raise RunError(f"The dispatcher of the queue could not be started ({problem}).") from problem
    # Somebody has to look when it ends, or it stays in the table of processes.
    threading.Thread(target=process.wait, name="worker", daemon=True).start()


def start_detached(arguments: Sequence[str], runs_dir: Path, output: int) -> subprocess.Popen[bytes]:
    """Start `python -m train` in a session of its own: it outlives this process and its terminal."""
    return subprocess.Popen(  # noqa: S603 - this project's own program
        [sys.executable, "-m", "train", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=REPOSITORY,
        env=os.environ | {"LESIONLENS_RUNS": str(runs_dir)},
        start_new_session=True,
    )


def work(runs_dir: Path) -> bool:
    """Start one waiting run after the other while none lives on this machine, until the queue is empty.

    Returns False when this machine has a dispatcher already.
    """
    _folder(runs_dir).mkdir(parents=True, exist_ok=True)
    lock = _worker_lock(runs_dir)
    try:
        # Who only asks whether there is a dispatcher holds the lock for a moment too.
        lock.acquire(timeout=_ASKING_S)
    except Timeout:
        return False
    try:
        _restore_started(runs_dir)
        while (item := _next(runs_dir, lock)) is not None:
            _train(runs_dir, item)
    finally:
        lock.release()
    return True


def living_here(runs_dir: Path) -> list[RunFolder]:
    """Return the runs that are being trained on this machine now."""
    found = []
    for path in runs_dir.glob("*/status.json"):
        run = RunFolder(path.parent)
        if _lives_here(run):
            found.append(run)
    return found


def _lives_here(run: RunFolder) -> bool:
    try:
        status = run.status()
    except RunError:
        return False
    return status.is_here and status.observed() in LIVE_STATES


def _next(runs_dir: Path, lock: FileLock) -> Queued | None:
    """Wait until the machine is free and return what to start; None, and the lock given back, if nothing."""
    while True:
        for run in living_here(runs_dir):
            while _lives_here(run) and waiting(runs_dir):
                time.sleep(LOOK_EVERY_S)
        with _changing(runs_dir) as items:
            # What another machine is starting is not started twice.
            free = next((place for place, item in enumerate(items) if not item.starting), None)
            if free is None:
                # Still under the queue's lock: who submits now finds that there is no dispatcher.
                lock.release()
                return None
            if not living_here(runs_dir):
                items[free] = replace(items[free], starting=True, starter=gethostname(), started=time.time())
                return items[free]


def _train(runs_dir: Path, item: Queued) -> None:
    run = RunFolder(runs_dir / item.name)
    output = _folder(runs_dir) / f"{item.name}.output"
    with output.open("wb") as file:
        process = start_detached(item.arguments, runs_dir, file.fileno())
        while process.poll() is None and not _is_trained_by(run, process.pid):
            time.sleep(LOOK_EVERY_S / 5)
        if process.poll() is not None:
            _tell_of_a_false_start(run, item, process, output)
        with _changing(runs_dir) as items:
            items[:] = [other for other in items if other.name != item.name]
        process.wait()
    if run.path.is_dir():
        with suppress(FileNotFoundError):  # whoever else looks after this folder has moved it
            output.replace(run.path / "output.txt")


def _is_trained_by(run: RunFolder, pid: int) -> bool:
    try:
        return (run.path / "config.json").is_file() and run.status().pid == pid
    except RunError:
        return False


def _tell_of_a_false_start(
    run: RunFolder, item: Queued, process: subprocess.Popen[bytes], output: Path
) -> None:
    """Leave a failed run where a trainer ended before it took the folder: nothing ends without a word."""
    if process.returncode == 0 or (run.path.exists() and item.what == "fit"):
        return
    if _is_trained_by(run, process.pid) or _lives(run):
        return  # It has said itself what became of it, or somebody else trains it.
    lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    message = lines[-1] if lines else f"The trainer ended with code {process.returncode} and without a word."
    if item.what == "fit":
        run = RunFolder.create(run.path.parent, item.name)
    elif not run.path.is_dir():
        return  # It was deleted while it waited.
    for line in lines:
        run.log(line)
    run.write_status(replace(_last_status(run), state="failed", message=message, phase=""))
    if item.what == "fit":
        run.write_config(
            {
                "recipe_name": Path(item.recipe).stem,
                "data_dir": str(item.data_dir),
                "overrides": list(item.overrides),
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )


def _lives(run: RunFolder) -> bool:
    try:
        return run.status().observed() in LIVE_STATES
    except RunError:
        return False


def _last_status(run: RunFolder) -> Status:
    try:
        return run.status()
    except RunError:
        return Status.starting()


def _restore_started(runs_dir: Path) -> None:
    """Let what a killed dispatcher or a dead machine was starting wait again, unless its run is there."""
    with _changing(runs_dir) as items:
        left = [(item, _is_left(item)) for item in items]
        items[:] = [
            replace(item, starting=False, starter="", started=0.0) if is_left else item
            for item, is_left in left
            if not (is_left and item.what == "fit" and (runs_dir / item.name).exists())
        ]


def _is_left(item: Queued) -> bool:
    """Whether nobody is starting it any more, though it says so."""
    if not item.starting:
        return False
    mine = item.starter in ("", gethostname())  # "": started before the starter was written down
    return mine or 0 < item.started < time.time() - ABANDONED_S


@contextmanager
def _changing(runs_dir: Path) -> Iterator[list[Queued]]:
    """Give the items to change; what is left in the list is the queue afterwards."""
    folder = _folder(runs_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock", timeout=_LOCK_TIMEOUT_S):
            before = waiting(runs_dir)
            items = list(before)
            yield items
            if tuple(items) != before:
                stored = [asdict(item) | {"data_dir": str(item.data_dir)} for item in items]
                write_atomically(folder / "waiting.json", json.dumps(stored, indent=2) + "\n")
    except Timeout as problem:
        raise RunError(
            f"The queue in {folder} has been locked for {_LOCK_TIMEOUT_S:.0f} s by another process. Try "
            "again."
        ) from problem
    except OSError as problem:
        raise RunError(
            f"The queue in {folder} cannot be changed ({problem.strerror or problem}). Give yourself the "
            "right to write there, or set LESIONLENS_RUNS to another folder."
        ) from problem


def _waiting_one(items: Sequence[Queued], name: str) -> Queued:
    for item in items:
        if item.name == name and not item.starting:
            return item
    started = any(item.name == name for item in items)
    names = ", ".join(item.name for item in items if not item.starting) or "nothing"
    raise RunError(
        f"Run {name!r} is being started already." if started else f"{name!r} does not wait; {names} does."
    )


def _item(stored: dict[str, Any]) -> Queued:
    return Queued(**stored | {"data_dir": Path(stored["data_dir"]), "overrides": tuple(stored["overrides"])})


def _folder(runs_dir: Path) -> Path:
    return runs_dir / ".queue"


def _worker_lock(runs_dir: Path) -> FileLock:
    return FileLock(_folder(runs_dir) / f"worker-{gethostname()}.lock")
