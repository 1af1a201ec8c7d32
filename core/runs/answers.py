"""What a run answered to each validation picture after an epoch, where it kept that in `val/`."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from core.labels import CODES
from core.predict.calibration import softmax
from core.runs.arrays import changed, read_arrays
from core.runs.following import array_of

BINS: Final = 10


@dataclass(frozen=True)
class Answers:
    """Answers to N pictures. truth: class indices (N,). probabilities: not calibrated, shape (N, 7)."""

    image_ids: tuple[str, ...]
    truth: np.ndarray
    probabilities: np.ndarray

    def of_cell(self, truth: int, answer: int) -> list[str]:
        """Return the pictures of a truth that got an answer, the surest first."""
        found = self.probabilities.argmax(axis=1)
        places = np.flatnonzero((self.truth == truth) & (found == answer))
        order = places[np.argsort(-self.probabilities[places, answer], kind="stable")]
        return [self.image_ids[place] for place in order]


@dataclass(frozen=True)
class Reliability:
    """How often an answer of a certainty was right, by bins of certainty from 0 to 1.

    certainty, right: mean of the bin, NaN where it is empty, shape (bins,). n: pictures in it, shape (bins,).
    """

    certainty: np.ndarray
    right: np.ndarray
    n: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: the mean gap between certainty and truth, weighted by pictures."""
        total = self.n.sum()
        return (
            float(np.nansum(self.n * np.abs(self.certainty - self.right)) / total) if total else float("nan")
        )


def reliability(answers: Answers, bins: int = BINS) -> Reliability:
    """Return the reliability of the most probable answers."""
    certainty = answers.probabilities.max(axis=1)
    right = answers.probabilities.argmax(axis=1) == answers.truth
    place = np.minimum((certainty * bins).astype(int), bins - 1)
    n = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            np.bincount(place, certainty, bins) / np.where(n == 0, np.nan, n),
            np.bincount(place, right, bins) / np.where(n == 0, np.nan, n),
            n,
        )


def told_reliability(bins: object) -> Reliability | None:
    """Return the reliability that an epoch's event tells: bins of (pictures, certainty, share right)."""
    if not isinstance(bins, list) or not bins:
        return None
    table = array_of(bins, (len(bins), 3))
    if table is None or not np.isfinite(table[:, 0]).all() or not table[:, 0].sum():
        return None
    return Reliability(table[:, 1], table[:, 2], table[:, 0])


def answers_of(run: Path, epoch: int) -> Answers | None:
    """Return what a run answered after an epoch; None where it kept nothing that can be read."""
    path = run / "val" / f"epoch_{epoch:04d}.npz"
    return _read(str(path), changed(path))


@lru_cache(maxsize=16)
def _read(path: str, stamp: int) -> Answers | None:  # noqa: ARG001 -- the key
    arrays = read_arrays(Path(path), ("image_ids", "truth", "logits"))
    if arrays is None:
        return None
    ids, truth, logits = arrays
    count, size = len(ids), len(CODES)
    if truth.shape != (count,) or logits.shape != (count, size) or not np.isin(truth, np.arange(size)).all():
        return None
    return Answers(tuple(str(name) for name in ids), truth.astype(int), softmax(logits.astype(np.float64)))
