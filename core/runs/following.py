"""Following a run's events.jsonl while somebody writes it: what is new is read, what is known is kept.

A reader keeps a byte offset, so a look at a file that did not grow costs one `stat`. Numbers of steps become
columns, so that a million of them are cut, smoothed and thinned as arrays. A line that is torn, foreign or
told again by a resumed trainer is passed over; a file that was replaced or cut short is read anew.
"""

import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from core.labels import CODES
from core.runs.folder import RESUMED

AT_ONCE_BYTES: Final = 8 * 2**20
"""The most that one look reads, so that a page stays quick: about forty thousand steps."""

_NEEDED: Final = ("time", "step", "epoch")
_NUMBERS: Final = (int, float)
# What numpy itself turns into numbers; a bool is none.
_PLAIN: Final = {int, float, type(None)}


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        number: counted from 1.
        step: the last step of it.
        time: when it was written, seconds since 1970.
        numbers: every plain number of the event, such as `val_loss`.
        recall: of each diagnosis, NaN where it has no picture, shape (7,); None where it was not told.
        confusion: pictures by truth and answer, shape (7, 7); None where it was not told.
        event: the event as it stands in the file.
    """

    number: int
    step: int
    time: float
    numbers: Mapping[str, float]
    recall: np.ndarray | None
    confusion: np.ndarray | None
    event: Mapping[str, Any]

    def get(self, name: str) -> float:
        """Return a number of the epoch, NaN where it has none of this name."""
        return self.numbers.get(name, float("nan"))


@dataclass(frozen=True)
class Telling:
    """What a run has told so far. Its arrays are shared and must not be changed.

    Attributes:
        steps: a column for each number of the step events, in order, all of one length; NaN where a step has
            none. `time` (seconds since 1970), `step` and `epoch` are always there.
        epochs: what each epoch came to, in order.
        alarms: the trainer's alarms, in order, each with `time` and `words`.
        unread_bytes: what is in the file and was not read yet.
        torn: lines that could not be understood.
    """

    steps: Mapping[str, np.ndarray]
    epochs: tuple[Epoch, ...] = ()
    alarms: tuple[Mapping[str, Any], ...] = ()
    unread_bytes: int = 0
    torn: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was told yet."""
        return not len(self.steps["time"]) and not self.epochs

    def of_epochs(self, name: str) -> np.ndarray:
        """Return a number of every epoch, NaN where it was not told, shape (epochs,)."""
        return np.array([epoch.get(name) for epoch in self.epochs], dtype=np.float64)

    def best_epoch(self, name: str = "balanced_accuracy") -> Epoch | None:
        """Return the first epoch with the highest value of a number; None while there is none."""
        values = self.of_epochs(name)
        return None if not np.isfinite(values).any() else self.epochs[int(np.nanargmax(values))]

    def until(self, moment: float) -> "Telling":
        """Return what had been told at a moment, seconds since 1970."""
        count = int(np.searchsorted(ascending(self.steps["time"]), moment, side="right"))
        return replace(
            self,
            steps={name: column[:count] for name, column in self.steps.items()},
            epochs=tuple(epoch for epoch in self.epochs if epoch.time <= moment),
            alarms=tuple(alarm for alarm in self.alarms if alarm["time"] <= moment),
        )


NOTHING: Final = Telling({name: np.empty(0) for name in _NEEDED})


class Follower:
    """One reader of one events.jsonl; it can be shared by threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self._columns = _Columns()
        self._telling = NOTHING

    def look(self, at_once: int = AT_ONCE_BYTES) -> Telling:
        """Return what has been told, with what is new; reads at most `at_once` bytes of it.

        A file that is not there, or cannot be read just now, has told what was read before.
        """
        with self._lock:
            try:
                self._read(at_once)
            except FileNotFoundError:
                self._forget()
            except OSError:
                return self._telling
            return self._telling

    def _read(self, at_once: int) -> None:
        with self.path.open("rb") as file:
            state = os.fstat(file.fileno())
            name = (state.st_dev, state.st_ino)
            if self._file != name or state.st_size < self._offset:
                self._forget()
                self._file = name
            if state.st_size == self._offset:
                return
            file.seek(self._offset)
            data = file.read(at_once)
        whole, newline, rest = data.rpartition(b"\n")
        # A line longer than a look is no event; without this, the reader would stand still before it.
        end = self._offset + len(data)
        self._offset += len(whole) + len(newline) or (len(rest) if len(rest) >= at_once else 0)
        told, torn = _parse(whole)
        before = self._telling
        self._telling = replace(
            self._take(told),
            unread_bytes=max(0, state.st_size - end),
            torn=before.torn + torn,
        )

    def _take(self, events: Iterable[dict[str, Any]]) -> Telling:
        epochs, alarms = list(self._telling.epochs), list(self._telling.alarms)
        steps: list[dict[str, Any]] = []
        for event in events:
            kind = event.get("kind")
            if kind == "step":
                steps.append(event)
            elif kind == "epoch" and (epoch := _epoch(event)) is not None:
                epochs.append(epoch)
            elif kind == "alarm" and _number(event.get("time")) is not None:
                alarms.append(event)
            elif kind == RESUMED and (last := _number(event.get("epoch"))) is not None:
                # As `told_once` does it, on columns.
                step = _number(event.get("step")) or 0
                self._columns.extend(steps)
                steps = []
                self._columns.drop_after(last, step)
                epochs = [one for one in epochs if one.number <= last or one.step <= step]
                alarms = [one for one in alarms if _was_before(one, last, step)]
        self._columns.extend(steps)
        return Telling(self._columns.views(), tuple(epochs), tuple(alarms))


@dataclass
class _Columns:
    """Columns of numbers that grow. What a view shows is never written again."""

    count: int = 0
    arrays: dict[str, np.ndarray] = field(default_factory=lambda: {name: np.empty(0) for name in _NEEDED})

    def extend(self, events: Sequence[dict[str, Any]]) -> None:
        names = dict.fromkeys(name for event in events for name in event)
        columns = {name: _column([event.get(name) for event in events]) for name in names}
        columns = {name: column for name, column in columns.items() if np.isfinite(column).any()}
        if not set(_NEEDED) <= set(columns):
            return
        whole = np.all([np.isfinite(columns[name]) for name in _NEEDED], axis=0)
        room = self.count + int(whole.sum())
        for name in set(columns) | set(self.arrays):
            array = self.arrays.get(name)
            if array is None or len(array) < room:
                larger = np.full(max(2 * room, 1024), np.nan)
                if array is not None:
                    larger[: self.count] = array[: self.count]
                self.arrays[name] = array = larger
            array[self.count : room] = columns[name][whole] if name in columns else np.nan
        self.count = room

    def drop_after(self, epoch: float, step: float) -> None:
        """Forget the steps after an epoch and a step. Views that were given out keep theirs."""
        epochs, steps = self.arrays["epoch"][: self.count], self.arrays["step"][: self.count]
        kept = (epochs <= epoch) | (steps <= step)
        self.arrays = {name: array[: self.count][kept] for name, array in self.arrays.items()}
        self.count = int(kept.sum())

    def views(self) -> dict[str, np.ndarray]:
        return {name: array[: self.count] for name, array in self.arrays.items()}


def _column(values: list[Any]) -> np.ndarray:
    """Return JSON values as float64, NaN for what is no finite number."""
    if set(map(type, values)) <= _PLAIN:
        with suppress(OverflowError):
            column = np.array(values, dtype=np.float64)
            column[~np.isfinite(column)] = np.nan
            return column
    return np.array([_as_float(value) for value in values], dtype=np.float64)


def _was_before(event: Mapping[str, Any], epoch: float, step: float) -> bool:
    at = _number(event.get("step"))
    return (_number(event.get("epoch")) or 0) <= epoch or (at is not None and at <= step)


def _parse(lines: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return the events of whole lines, and how many lines were none."""
    events, torn = [], 0
    for line in lines.splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            torn += bool(line.strip())
            continue
        if isinstance(event, dict):
            events.append(event)
        else:
            torn += 1
    return events, torn


def _number(value: object) -> float | None:
    """Return a JSON number as a float; None for anything else, also for one that is not finite."""
    if not isinstance(value, _NUMBERS) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if np.isfinite(found) else None


def _as_float(value: object) -> float:
    found = _number(value)
    return float("nan") if found is None else found


def _epoch(event: dict[str, Any]) -> Epoch | None:
    needed = [_number(event.get(name)) for name in _NEEDED]
    time, step, number = needed
    if time is None or step is None or number is None:
        return None
    numbers = {name: found for name, value in event.items() if (found := _number(value)) is not None}
    size = len(CODES)
    recall, confusion = array_of(event.get("recall"), (size,)), array_of(event.get("confusion"), (size, size))
    return Epoch(int(number), int(step), time, numbers, recall, confusion, event)


def array_of(value: object, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return a nested list of numbers as float64 of a shape, null as NaN; None when it is something else."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.shape == shape else None


def ascending(times: np.ndarray) -> np.ndarray:
    """Return times that never go back: a clock may have been set while a run was writing."""
    return np.maximum.accumulate(times) if len(times) else times


def smooth(values: np.ndarray, strength: float) -> np.ndarray:
    """Return an exponential moving average, unbiased at its start. strength: 0 (as it is) to below 1."""
    if not strength or not len(values):
        return values
    return pd.Series(values).ewm(alpha=1 - strength, ignore_na=True).mean().to_numpy()


def window(x: np.ndarray, low: float, high: float) -> slice:
    """Return the part of ascending places from low to high, with one more at each side to draw towards."""
    first = max(0, int(np.searchsorted(x, low, side="left")) - 1)
    return slice(first, int(np.searchsorted(x, high, side="right")) + 1)


def thin(values: np.ndarray, points: int) -> np.ndarray:
    """Return at most `points` + 2 positions that draw like all: first, last, lowest and highest of each part.

    Fewer values than `points` are all kept, so a small enough window is exact.
    """
    count = len(values)
    if count <= points:
        return np.arange(count)
    parts = max(1, points // 2)
    length = -(-count // parts)
    padded = np.full(parts * length, np.nan)
    padded[:count] = values
    blocks = padded.reshape(parts, length)
    known = np.isfinite(blocks).any(axis=1)
    starts = np.arange(parts)[known] * length
    lowest = np.where(np.isfinite(blocks), blocks, np.inf)[known].argmin(axis=1)
    highest = np.where(np.isfinite(blocks), blocks, -np.inf)[known].argmax(axis=1)
    return np.unique(np.concatenate([[0], starts + lowest, starts + highest, [count - 1]]))
