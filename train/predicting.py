"""Many pictures through one checkpoint, exactly as the Predict page takes one.

Pictures are decoded and fitted by the checkpoint's own preprocessing, so that nothing differs between a test
number and an answer on a page. Under torchrun the processes share the pictures.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from core.data.pictures import read_picture
from core.data.preprocessing import Preprocessing
from core.errors import PictureError
from core.labels import CODES
from core.models.checkpoint import Checkpoint
from core.models.network import AdditiveNetwork
from train.data import available_cpus

BATCH: Final = 32

_FLIPS: Final[tuple[Callable[[Tensor], Tensor], ...]] = (
    lambda pixels: pixels,
    lambda pixels: pixels.flip(-1),
    lambda pixels: pixels.flip(-2),
    lambda pixels: pixels.flip(-1, -2),
)
VIEWS: Final[dict[int, tuple[Callable[[Tensor], Tensor], ...]]] = {
    1: _FLIPS[:1],
    4: _FLIPS,
    # Dermoscopy has no up or down: a quarter turn shows the same lesion.
    8: (*_FLIPS, *(lambda pixels, flip=flip: flip(pixels.transpose(-1, -2)) for flip in _FLIPS)),
}
"""Test-time views by their number; their logits are averaged."""


@dataclass(frozen=True)
class Predicted:
    """Logits (N, 7) and pooled features (N, K) in the order asked; rows of unreadable pictures are NaN.

    unreadable: position -> why.
    """

    logits: np.ndarray
    features: np.ndarray
    unreadable: dict[int, str]


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
    mine = list(range(len(paths)))[state.process_index :: state.num_processes]
    pictures = _Pictures(paths, checkpoint.manifest.preprocessing, mine, change)
    network = checkpoint.network.to(state.device)
    found: list[tuple[int, np.ndarray, np.ndarray]] = []
    unreadable: dict[int, str] = {}
    waiting: defaultdict[tuple[int, ...], list[tuple[int, Tensor]]] = defaultdict(list)

    def flush(shape: tuple[int, ...]) -> None:
        positions = [position for position, _ in waiting[shape]]
        pixels = torch.stack([picture for _, picture in waiting.pop(shape)]).to(state.device)
        known = torch.from_numpy(facts[positions]).to(state.device)
        logits, features = look_at(network, pixels, known, views=views)
        found.extend(zip(positions, logits, features, strict=True))

    workers = min(workers, available_cpus()) if len(mine) > BATCH else 0
    loader = DataLoader(pictures, batch_size=None, num_workers=workers)
    for done, (position, picture, reason) in enumerate(loader, 1):
        if reason:
            unreadable[position] = reason
        else:
            waiting[picture.shape].append((position, picture))
            if len(waiting[picture.shape]) == BATCH:
                flush(picture.shape)
        if progress is not None:
            progress(min(done * state.num_processes, len(paths)), len(paths))
    for shape in list(waiting):
        flush(shape)
    if state.num_processes > 1:
        found = gather_object(found)
        unreadable = dict(gather_object(list(unreadable.items())))
    return _in_order(found, unreadable, len(paths))


def processes() -> PartialState:
    """Return who shares this work: one process, or several under torchrun."""
    return PartialState(cpu=not torch.cuda.is_available())


def look_at(
    network: AdditiveNetwork, pixels: Tensor, facts: Tensor, *, views: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (n, 7) averaged over views, and features (n, K) of the first view, for network input."""
    logits = []
    features: Tensor | None = None
    with torch.no_grad():
        for view in VIEWS[views]:
            seen = network.look(view(pixels).contiguous(memory_format=torch.channels_last))
            logits.append(seen.logits)
            features = seen.features if features is None else features
        total = torch.stack(logits).mean(dim=0) + network.facts(facts)
    assert features is not None  # noqa: S101 - VIEWS has no empty entry
    return total.float().cpu().numpy(), features.float().cpu().numpy()


class _Pictures(Dataset[tuple[int, Tensor, str]]):
    """(position, network input (3, h, w), why it is unreadable or '')."""

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        positions: Sequence[int],
        change: Callable[[np.ndarray, str], np.ndarray] | None,
    ) -> None:
        self._change = change
        self._paths = paths
        self._preprocessing = preprocessing
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int) -> tuple[int, Tensor, str]:
        position = self._positions[index]
        path = self._paths[position]
        try:
            picture = read_picture(path, name=path.name)
        except PictureError as problem:
            return position, torch.zeros(0), str(problem)
        pixels = picture.pixels if self._change is None else self._change(picture.pixels, path.stem)
        seen = self._preprocessing.fit(pixels)
        return position, torch.from_numpy(self._preprocessing.normalise(seen)), ""


def _in_order(
    found: Sequence[tuple[int, np.ndarray, np.ndarray]], unreadable: dict[int, str], count: int
) -> Predicted:
    width = len(found[0][2]) if found else 0
    logits = np.full((count, len(CODES)), np.nan, dtype=np.float32)
    features = np.full((count, width), np.nan, dtype=np.float32)
    for position, values, pooled in found:
        logits[position], features[position] = values, pooled
    return Predicted(logits, features, unreadable)
