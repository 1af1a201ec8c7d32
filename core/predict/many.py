"""Many pictures through one checkpoint: the one engine behind every table, CSV and measurement.

The Predict page's table and `python -m train score` answer with it, and the trainer measures with it, so that
nothing differs between a test number and an answer on a page. Pictures are decoded in threads while the
network looks; what the network sees in one shape goes through in batches.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from core.data.preprocessing import Preprocessing
from core.errors import PictureError
from core.jobs import Report, silent
from core.labels import CODES
from core.models.checkpoint import Checkpoint
from core.models.network import AdditiveNetwork
from core.predict.unknown import judge

BATCH: Final = 32

Turn = Callable[[Tensor], Tensor]

_FLIPS: Final[tuple[Turn, ...]] = (
    lambda pixels: pixels,
    lambda pixels: pixels.flip(-1),
    lambda pixels: pixels.flip(-2),
    lambda pixels: pixels.flip(-1, -2),
)
# Dermoscopy has no up or down: a quarter turn shows the same lesion.
_TURNS: Final[tuple[Turn, ...]] = (
    *_FLIPS,
    *(lambda pixels, flip=flip: flip(pixels.transpose(-1, -2)) for flip in _FLIPS),
)
_WHOLE: Final = 1.0
# Training shows parts of pictures, so lesions are larger there than in a whole picture. Chosen on val.
_MIDDLE: Final = 0.8


@dataclass(frozen=True)
class ViewSet:
    """Views of a picture whose logits are averaged: each turn of each framing.

    shares: how much of a picture's sides is framed, from the middle. The whole comes first, since it is what
        is held against what a checkpoint knows.
    """

    turns: tuple[Turn, ...]
    shares: tuple[float, ...] = (_WHOLE,)


VIEWS: Final[dict[int, ViewSet]] = {
    1: ViewSet(_FLIPS[:1]),
    4: ViewSet(_FLIPS),
    8: ViewSet(_TURNS),
    16: ViewSet(_TURNS, (_WHOLE, _MIDDLE)),
}
"""Test-time views by their number. A number keeps its meaning: artifacts tell it."""

Read = Callable[[], np.ndarray]
"""Gives one picture, uint8 RGB (H, W, 3), or raises PictureError."""


@dataclass(frozen=True)
class Predicted:
    """Logits (N, 7) and pooled features (N, K) in the order asked; rows of unreadable pictures are NaN.

    unreadable: position -> why. unknown: position -> why it is no picture that the checkpoint can answer;
    empty where nobody asked for that.
    """

    logits: np.ndarray
    features: np.ndarray
    unreadable: dict[int, str]
    unknown: dict[int, tuple[str, ...]]


@dataclass
class _Found:
    """What was found of one picture; `seen` is let go once it is judged."""

    position: int
    logits: np.ndarray
    features: np.ndarray
    reasons: tuple[str, ...]


def predict_many(
    checkpoint: Checkpoint,
    pictures: Sequence[Read],
    facts: np.ndarray,
    *,
    views: int = 1,
    gated: bool = False,
    batch: int = BATCH,
    workers: int = 1,
    report: Report = silent,
) -> Predicted:
    """Return what a checkpoint answers to pictures with facts (N, 3); see `encode_facts`.

    gated: whether each picture is also held against what the checkpoint knows (`core.predict.unknown`).
    batch: pictures in one pass at most; of many views each there are fewer, so that progress keeps coming.
        workers: threads that decode. report: told after every pass.
    """
    found: list[_Found] = []
    unreadable: dict[int, str] = {}
    waiting: defaultdict[tuple[int, ...], list[tuple[int, np.ndarray]]] = defaultdict(list)
    at_once = min(batch, max(1, 2 * BATCH // views))
    framings = [checkpoint.manifest.preprocessing.closer(share) for share in VIEWS[views].shares]
    count = len(pictures)

    def flush(shape: tuple[int, ...]) -> None:
        places, seen = zip(*waiting.pop(shape), strict=True)
        found.extend(_look(checkpoint, list(places), list(seen), facts, views=views, gated=gated))
        report(len(found) + len(unreadable), count, unit="pictures")

    report(0, count, unit="pictures")
    for position, seen, reason in _fitted(pictures, framings, workers):
        if seen is None:
            unreadable[position] = reason
            report(len(found) + len(unreadable), count, unit="pictures")
            continue
        waiting[seen.shape].append((position, seen))
        if len(waiting[seen.shape]) == at_once:
            flush(seen.shape)
    for shape in list(waiting):
        flush(shape)
    return _in_order(found, unreadable, count)


def look_at(
    network: AdditiveNetwork, pixels: Tensor, facts: Tensor, *, views: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what a network makes of its input (framings, n, 3, h, w), on whatever device it lies.

    Logits (n, 7) averaged over views, with facts; then, of the first view, the features (n, K) and the logits
    of the picture alone (n, 7).
    """
    device = next(network.parameters()).device
    pixels, facts = pixels.to(device), facts.to(device)
    with torch.no_grad():
        looks = [
            network.look(turn(framed).contiguous(memory_format=torch.channels_last))
            for framed, _ in zip(pixels, VIEWS[views].shares, strict=True)
            for turn in VIEWS[views].turns
        ]
        logits = torch.stack([one.logits for one in looks])
        total = logits.mean(dim=0) + network.facts(facts)
    return tuple(one.float().cpu().numpy() for one in (total, looks[0].features, logits[0]))  # type: ignore[return-value]


def _look(
    checkpoint: Checkpoint,
    places: list[int],
    seen: list[np.ndarray],
    facts: np.ndarray,
    *,
    views: int,
    gated: bool,
) -> Iterator[_Found]:
    pixels = torch.from_numpy(checkpoint.manifest.preprocessing.normalise(np.stack(seen, axis=1)))
    with checkpoint.lock:
        logits, features, alone = look_at(
            checkpoint.network, pixels, torch.from_numpy(facts[places]), views=views
        )
    for row, place in enumerate(places):
        reasons: tuple[str, ...] = ()
        if gated:
            reasons = judge(
                seen[row][0],
                features[row],
                checkpoint.statistics,
                logits=alone[row],
                limits=checkpoint.manifest.limits,
            ).reasons
        yield _Found(place, logits[row], features[row], reasons)


def _fitted(
    pictures: Sequence[Read], framings: Sequence[Preprocessing], workers: int
) -> Iterator[tuple[int, np.ndarray | None, str]]:
    """Yield (position, what the network sees or None, why it is unreadable), a few pictures ahead.

    What it sees: one picture for each framing, (framings, h, w, 3).
    """

    def fit(read: Read) -> tuple[np.ndarray | None, str]:
        try:
            pixels = read()
            return np.stack([framing.fit(pixels) for framing in framings]), ""
        except PictureError as problem:
            return None, str(problem)

    with ThreadPoolExecutor(max(workers, 1), thread_name_prefix="decoding") as pool:
        ahead: deque[tuple[int, Future[tuple[np.ndarray | None, str]]]] = deque()
        try:
            for position, read in enumerate(pictures):
                ahead.append((position, pool.submit(fit, read)))
                if len(ahead) > 2 * max(workers, 1):
                    done, future = ahead.popleft()
                    yield done, *future.result()
            while ahead:
                done, future = ahead.popleft()
                yield done, *future.result()
        finally:
            for _, future in ahead:
                future.cancel()


def _in_order(found: Sequence[_Found], unreadable: dict[int, str], count: int) -> Predicted:
    width = len(found[0].features) if found else 0
    logits = np.full((count, len(CODES)), np.nan, dtype=np.float32)
    features = np.full((count, width), np.nan, dtype=np.float32)
    for one in found:
        logits[one.position], features[one.position] = one.logits, one.features
    unknown = {one.position: one.reasons for one in found if one.reasons}
    return Predicted(logits, features, unreadable, unknown)
