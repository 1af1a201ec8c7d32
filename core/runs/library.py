"""The runs of a folder at a glance: thousands of them, each from its two small files, read when they change.

What cannot be read is listed too, with the reason: a run that nobody sees cannot be mended.
"""

import json
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from core.errors import RunError
from core.models.catalog import MANIFEST_FILE, OF_RUN
from core.models.reference import RUN_NAME, Reference
from core.runs.folder import LIVE_STATES, Status
from core.settings import REPOSITORY

BUNDLED: Final = "bundled:"
"""Begins the reference of a recorded run that came with the code."""
BUNDLED_RUNS: Final = REPOSITORY / "core" / "bundled" / "runs"
UNREADABLE: Final = "unreadable"
STATES: Final = ("running", "paused", "finished", "stopped", "failed", "died", UNREADABLE)

_FILES: Final = ("config.json", "status.json")


@dataclass(frozen=True)
class Summary:
    """One run at a glance.

    Attributes:
        reference: its name, with BUNDLED in front where it came with the code; what addresses call it.
        folder: where it lies.
        state: one of STATES, as an onlooker sees it now.
        status: what its trainer wrote last; None where that cannot be read.
        config: its config.json; empty where that cannot be read.
        started_s: when it was started, seconds since 1970; NaN where nobody knows.
        problem: why it is unreadable.
    """

    reference: str
    folder: Path
    state: str
    status: Status | None
    config: Mapping[str, Any] = field(repr=False)
    started_s: float = math.nan
    problem: str = ""

    @property
    def name(self) -> str:
        """The run's name without where it is from."""
        return self.folder.name

    @property
    def is_bundled(self) -> bool:
        """Whether it came with the code, to be replayed and never changed."""
        return self.reference.startswith(BUNDLED)

    @property
    def is_live(self) -> bool:
        """Whether its trainer may still tell something."""
        return self.state in LIVE_STATES

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe's values; empty where they cannot be read."""
        return found if isinstance(found := self.config.get("recipe"), dict) else {}

    @property
    def recipe_name(self) -> str:
        """What the recipe is called, else the model that it trains."""
        return str(self.config.get("recipe_name") or self.recipe.get("model") or "unknown recipe")

    @property
    def epochs(self) -> int:
        """How many epochs the recipe wants; 0 where nobody knows."""
        found = self.recipe.get("epochs")
        return found if isinstance(found, int) else 0

    @property
    def best(self) -> float:
        """The best balanced accuracy so far, NaN while there is none."""
        best = None if self.status is None else self.status.best
        return best if isinstance(best, int | float) else math.nan

    @property
    def duration_s(self) -> float:
        """Seconds from the start to the last sign of life; NaN where nobody knows."""
        return math.nan if self.status is None else max(0.0, self.status.heartbeat - self.started_s)


class Library:
    """The runs of one folder. It can be shared by threads."""

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self.folder = folder
        self.prefix = prefix
        self._lock = threading.Lock()
        self._known: dict[str, tuple[tuple[int, ...], Summary]] = {}

    def summaries(self, now: float | None = None) -> tuple[Summary, ...]:
        """Return every run, the newest first.

        now: the time, seconds since 1970; it decides who has died.

        Raises:
            RunError: the folder is there and cannot be read.
        """
        moment = time.time() if now is None else now
        with self._lock:
            found = {name: self._summary(name, path, moment) for name, path in self._folders()}
            self._known = {name: self._known[name] for name in found}
        # A run without a start stands at the end, not in the way.
        return tuple(
            sorted(found.values(), key=lambda run: (math.isnan(run.started_s), -run.started_s, run.name))
        )

    def _folders(self) -> Iterator[tuple[str, Path]]:
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    # Hidden folders hold what was deleted, or what is not whole yet.
                    if not entry.name.startswith(".") and entry.is_dir():
                        yield entry.name, Path(entry.path)
        except FileNotFoundError:
            return
        except OSError as problem:
            raise RunError(
                f"The runs in {self.folder} cannot be listed ({problem.strerror}). Set LESIONLENS_RUNS to a "
                "folder that can be read."
            ) from problem

    def _summary(self, name: str, path: Path, now: float) -> Summary:
        stamps = _stamps(path)
        before = self._known.get(name)
        if before is not None and before[0] == stamps:
            summary = before[1]
        else:
            summary = _read(f"{self.prefix}{name}", path)
            self._known[name] = (stamps, summary)
        if summary.status is None or summary.state == UNREADABLE:
            return summary
        state = summary.status.observed(now)
        return summary if state == summary.state else replace(summary, state=state)


def _stamps(path: Path) -> tuple[int, ...]:
    """Return what changes when one of the two files does."""
    stamps: list[int] = []
    for name in _FILES:
        try:
            state = os.stat(path / name)  # noqa: PTH116 -- asked for thousands of runs
        except OSError:
            stamps += [0, 0, 0]
        else:
            stamps += [state.st_mtime_ns, state.st_size, state.st_ino]
    return tuple(stamps)


def _read(reference: str, path: Path) -> Summary:
    try:
        config = _object(path / "config.json")
        status = _status(path / "status.json")
    except RunError as problem:
        return Summary(reference, path, UNREADABLE, None, {}, problem=str(problem))
    return Summary(reference, path, status.state, status, config, _started(config, status))


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else problem
        raise RunError(f"Run {path.parent.name} has no readable {path.name} ({why}).") from problem
    if not isinstance(found, dict):
        raise RunError(f"Run {path.parent.name} has a {path.name} that is no table of values.")
    return found


def _status(path: Path) -> Status:
    stored = _object(path)
    try:
        known = {name: value for name, value in stored.items() if name in Status.__dataclass_fields__}
        status = Status(**known)
        whole = [int(status.pid), int(status.step), int(status.total_steps), int(status.epoch)]
        fine = math.isfinite(float(status.heartbeat)) and status.state in STATES and min(whole) >= 0
    except (TypeError, ValueError, OverflowError) as problem:
        raise RunError(f"Run {path.parent.name} has a status.json that cannot be understood.") from problem
    if not fine:
        raise RunError(f"Run {path.parent.name} has a status.json that cannot be understood.")
    return status


def _started(config: Mapping[str, Any], status: Status) -> float:
    try:
        return datetime.fromisoformat(str(config["started"])).timestamp()
    except (KeyError, ValueError, OverflowError):
        return status.heartbeat


def trained_here(folder: Path) -> list[Reference]:
    """Return the checkpoints that the runs of a folder have left, by name."""
    whole = sorted(folder.glob(f"*/{OF_RUN}/{MANIFEST_FILE}"))
    runs = [path.parent.parent for path in whole]
    return [reference_of(run) for run in runs if not run.name.startswith(".")]


def reference_of(run: Path) -> Reference:
    """Return what the checkpoint of a run of the runs' folder is called, wherever people read it.

    A folder that was renamed to what no run may be called is named by its whole path.
    """
    if RUN_NAME.fullmatch(run.name):
        return Reference("run", run.name)
    return Reference("local", str(run / OF_RUN))


def differences(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the settings in which runs differ: setting -> run -> value; what one lacks is None.

    Only what decides a run is compared: its recipe, dataset and split; not when and where it ran.
    """
    flat = {
        run: _flat({name: config.get(name) for name in ("recipe_name", "recipe", "split_hash")})
        | {"dataset": Path(str(config.get("data_dir", ""))).name}
        for run, config in configs.items()
    }
    names = {name: None for values in flat.values() for name in values if name != "about"}
    table = {name: {run: values.get(name) for run, values in flat.items()} for name in names}
    return {name: row for name, row in table.items() if not _all_alike(list(row.values()))}


def _all_alike(values: list[Any]) -> bool:
    return all(value == values[0] for value in values)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}".removeprefix("recipe.")] = value
    return flat
