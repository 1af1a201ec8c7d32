"""A recorded run as it looked at any moment while it ran: the same telling and status, cut at that time."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from core.runs.folder import Status
from core.runs.following import Telling, ascending

SPEEDS: Final = (1, 5, 15, 60)
LONGEST_GAP_S: Final = 60.0
"""A longer silence (a night between stop and resume) passes in this time."""


@dataclass(frozen=True)
class Replay:
    """A run that has ended, ready to be played. status: how it ended."""

    telling: Telling
    status: Status

    @cached_property
    def _times(self) -> np.ndarray:
        """When something was told, ascending, seconds since 1970."""
        epochs = np.array([epoch.time for epoch in self.telling.epochs], dtype=np.float64)
        return np.sort(np.concatenate([ascending(self.telling.steps["time"]), epochs]))

    @cached_property
    def _played(self) -> np.ndarray:
        """When each of them is told again, seconds from the start."""
        return np.concatenate([[0.0], np.cumsum(np.minimum(np.diff(self._times), LONGEST_GAP_S))])

    @property
    def length_s(self) -> float:
        """How long the replay takes at its own speed; 0 for a run that told nothing."""
        return float(self._played[-1]) if len(self._times) else 0.0

    def at(self, elapsed_s: float) -> tuple[Telling, Status]:
        """Return what had been told, and the status, this long after the start."""
        if elapsed_s >= self.length_s:
            return self.telling, self.status
        place = max(0, int(np.searchsorted(self._played, elapsed_s, side="right")) - 1)
        moment = float(self._times[place])
        telling = self.telling.until(moment)
        return telling, self._status(telling, moment)

    def when(self, epoch: int) -> float:
        """Return how long after the start an epoch was whole, seconds."""
        times = [told.time for told in self.telling.epochs if told.number == epoch]
        if not times:
            return 0.0
        return float(self._played[np.searchsorted(self._times, times[0])])

    def _status(self, telling: Telling, moment: float) -> Status:
        steps = telling.steps
        best = telling.best_epoch()
        return replace(
            self.status,
            state="running",
            message="",
            heartbeat=moment,
            step=int(steps["step"][-1]) if len(steps["step"]) else 0,
            epoch=int(steps["epoch"][-1]) if len(steps["epoch"]) else 0,
            best=None if best is None else best.get("balanced_accuracy"),
        )
