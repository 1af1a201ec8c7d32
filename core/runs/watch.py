"""What a network made of the watch images after each epoch, as the trainer wrote it to `watch/`."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from core.labels import CODES
from core.predict.calibration import softmax
from core.runs.arrays import changed, read_arrays

MOST_EPOCHS: Final = 48
"""Epochs of a filmstrip: of a longer run every so many-th, with the first and the last."""


@dataclass(frozen=True)
class Watched:
    """The watch images after one epoch.

    Attributes:
        epoch: counted from 1.
        image_ids: of the N pictures.
        truth: class indices, shape (N,).
        maps: evidence in logits, shape (N, 7, rows, columns).
        probabilities: as the network gives them, not calibrated yet, shape (N, 7).
    """

    epoch: int
    image_ids: tuple[str, ...]
    truth: np.ndarray
    maps: np.ndarray
    probabilities: np.ndarray


def watched(run: Path, *, until: int | None = None) -> tuple[Watched, ...]:
    """Return what was watched of a run up to an epoch, in order; what cannot be read is left out.

    All of it shows the same pictures on maps of one size: a file that does not is left out too.
    """
    files = {}
    for path in (run / "watch").glob("epoch_*.npz"):
        number = path.stem.removeprefix("epoch_")
        if number.isdigit() and (until is None or int(number) <= until):
            files[int(number)] = path
    numbers = sorted(files)
    if len(numbers) > MOST_EPOCHS:
        places = np.unique(np.linspace(0, len(numbers) - 1, MOST_EPOCHS).round().astype(int))
        numbers = [numbers[place] for place in places]
    found = [_read(str(files[number]), changed(files[number]), number) for number in numbers]
    whole = [one for one in found if one is not None]
    return tuple(
        one for one in whole if one.image_ids == whole[0].image_ids and one.maps.shape == whole[0].maps.shape
    )


@lru_cache(maxsize=512)
def _read(path: str, stamp: int, epoch: int) -> Watched | None:  # noqa: ARG001 -- the key
    arrays = read_arrays(Path(path), ("image_ids", "truth", "maps", "logits"))
    if arrays is None:
        return None
    ids, truth, maps, logits = arrays
    count, size = len(ids), len(CODES)
    fits = truth.shape == (count,) and logits.shape == (count, size) and maps.ndim == 4
    if not fits or maps.shape[:2] != (count, size) or not np.isin(truth, np.arange(size)).all():
        return None
    names = tuple(str(name) for name in ids)
    return Watched(epoch, names, truth, maps.astype(np.float32), softmax(logits.astype(np.float64)))
