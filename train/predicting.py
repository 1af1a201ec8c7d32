"""Many pictures through one checkpoint, as the Predict page takes them, shared by torchrun's processes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from core.data.pictures import read_picture
from core.data.splits import Split
from core.errors import EvaluationError
from core.jobs import Report
from core.models.checkpoint import Checkpoint
from core.predict.many import Predicted, Read, predict_many
from train.data import available_cpus

T = TypeVar("T")


def predict_pictures(
    checkpoint: Checkpoint,
    paths: Sequence[Path],
    facts: np.ndarray,
    *,
    views: int = 1,
    workers: int = 1,
    change: Callable[[np.ndarray, str], np.ndarray] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Predicted:
    """Return what a checkpoint answers to pictures with facts (N, 3); see `encode_facts`.

    change: what is done to each picture, uint8 (H, W, 3), before the checkpoint's own preprocessing; it also
        gets the file's stem.
    """
    state = processes()
    mine = share_of(paths)
    checkpoint.network.to(state.device)
    found = predict_many(
        checkpoint,
        [_reader(paths[position], change) for position in mine],
        facts[mine],
        views=views,
        workers=min(workers, available_cpus()),
        report=reporting(progress, len(paths)),
    )
    if state.num_processes == 1:
        return found
    return _together(gather_object([(mine, found)]), len(paths))


def processes() -> PartialState:
    """Return who shares this work: one process, or several under torchrun."""
    return PartialState(cpu=not torch.cuda.is_available())


def share_of(items: Sequence[T]) -> list[int]:
    """Return the positions that this process works on."""
    state = processes()
    return list(range(len(items)))[state.process_index :: state.num_processes]


def reporting(progress: Callable[[int, int], None] | None, count: int) -> Report:
    """Return a report to a progress of all processes' pictures."""
    others = processes().num_processes

    def report(done: float, total: float | None = None, *, unit: str = "", note: str = "") -> None:
        del total, unit, note
        if progress is not None and done:
            progress(min(int(done) * others, count), count)

    return report


def _reader(path: Path, change: Callable[[np.ndarray, str], np.ndarray] | None) -> Read:
    def read() -> np.ndarray:
        pixels = read_picture(path, name=path.name).pixels
        return pixels if change is None else change(pixels, path.stem)

    return read


def _together(shares: Sequence[tuple[list[int], Predicted]], count: int) -> Predicted:
    """Put the processes' answers into the order asked."""
    width = max(found.features.shape[1] for _, found in shares)
    logits = np.full((count, shares[0][1].logits.shape[1]), np.nan, dtype=np.float32)
    features = np.full((count, width), np.nan, dtype=np.float32)
    unreadable: dict[int, str] = {}
    unknown: dict[int, tuple[str, ...]] = {}
    for positions, found in shares:
        logits[positions] = found.logits
        if found.features.shape[1] == width:
            features[positions] = found.features
        unreadable |= {positions[place]: why for place, why in found.unreadable.items()}
        unknown |= {positions[place]: why for place, why in found.unknown.items()}
    return Predicted(logits, features, unreadable, unknown)


def refuse_another_split(checkpoint: Checkpoint, split: Split) -> None:
    """Refuse test pictures that a checkpoint may have been trained on.

    Raises:
        EvaluationError: the split is not the one that the checkpoint was trained with.
    """
    if split.hash != checkpoint.manifest.split_hash:
        raise EvaluationError(
            f"Checkpoint {checkpoint.manifest.name} was trained with another split of data than this dataset "
            "gives: its test pictures may have been trained on. Use the dataset it was trained on."
        )
