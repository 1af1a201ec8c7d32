"""The same spot of skin in two pictures, although light, crop and turn differ: what no hash can see.

In two steps, as places are recognised in photographs. Each picture is described by its corner points (ORB,
Rublee et al., 2011). First, what those points have in common (VLAD, Jégou et al., 2010), with a few colours,
names for each picture the ones most like it under another lesion id. Then the points of each such pair are
matched: pictures of one spot agree in many points on one shift, turn and scale, and others do not.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from core.data.pictures import downscaled, read_picture
from core.data.preprocessing import LUMA
from core.data.quality import find_corners
from core.data.twins import PAIR_COLUMNS
from core.errors import PictureError, StoreError
from core.files import replacing
from core.jobs import Report, silent
from core.turns import turn

VERSION: Final = 1

POINTS: Final = 250
NEIGHBOURS: Final = 20
"""How many look-alikes of each picture are compared point by point."""

LEAST_POINTS: Final = 12
"""Points in different places that must agree before a pair is shown. On HAM10000 this finds 16 of the 18
published duplicate pairs; from 20 points on nearly every pair is the same spot, near 12 about half are."""

_KEPT_POINTS: Final = 6

_SIDE_PX: Final = 300
_WORD_BITS: Final = 256
_AXES: Final = 32
_CENTRES: Final = 32
_LEARNING_POINTS: Final = 40_000
_COLOUR_GRID: Final = (6, 8)
_COLOUR_WEIGHT: Final = 0.6
_RATIO: Final = 0.9
_NEAR_PX: Final = 4.0
_CELL_PX: Final = 6
_MOST_SCALE: Final = 2.0
_FEWEST_MATCHES: Final = 6
_ROWS: Final = 512
_BATCH: Final = 64
_PAIRS_AT_ONCE: Final = 256

# One picture: how many points, their places in px, their words, its colours.
_ROW: Final = np.dtype(
    [
        ("count", "<u2"),
        ("places", "<f2", (POINTS, 2)),
        ("words", "u1", (POINTS, _WORD_BITS // 8)),
        ("colours", "u1", (*_COLOUR_GRID, 3)),
    ]
)


def find_scenes(
    table: pd.DataFrame,
    *,
    cache_dir: Path,
    report: Report | None = None,
    workers: int | None = None,
    least_points: int = LEAST_POINTS,
) -> pd.DataFrame:
    """Return pairs of pictures that show one spot under two lesion ids, the surest first.

    Columns as `core.data.twins.find_twins` gives them; score is how many points agree. Pictures that cannot
    be read have no pair. What was done before a cancel is kept.

    Raises:
        StoreError: there are no pictures, one is gone, or the cache folder cannot be written.
    """
    here = table[table["image_path"].notna()]
    if here.empty:
        raise StoreError("There are no pictures to compare: the dataset has facts only. Get its pictures.")
    folder = _folder(here, cache_dir)
    result = folder / "scenes.parquet"
    tell = report or silent
    try:
        if not result.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with turn(folder, tell):
                if not result.exists():
                    _find(folder, here, tell, workers or os.cpu_count() or 1)
        return _sure(result, least_points)
    except OSError as problem:
        raise StoreError(
            f"The comparison could not be written to {folder} ({problem.strerror or problem}). Free some "
            "disk space or set LESIONLENS_CACHE to another folder, then start it again: it goes on."
        ) from problem


def stored_scenes(
    table: pd.DataFrame, *, cache_dir: Path, least_points: int = LEAST_POINTS
) -> pd.DataFrame | None:
    """Return the pairs that an earlier search has found; None when there was none, or it was not finished."""
    here = table[table["image_path"].notna()]
    if here.empty:
        return None
    result = _folder(here, cache_dir) / "scenes.parquet"
    return _sure(result, least_points) if result.exists() else None


def _sure(result: Path, least_points: int) -> pd.DataFrame:
    pairs = pd.read_parquet(result)
    return pairs[pairs["score"] >= least_points].reset_index(drop=True)


def describe(pixels: np.ndarray) -> np.ndarray:
    """Return the points and colours of a picture, uint8 RGB (H, W, 3), as one record of type _ROW."""
    import cv2

    row = np.zeros((), dtype=_ROW)
    small = downscaled(pixels, max_side_px=_SIDE_PX)
    luma = (small @ np.array(LUMA, dtype=np.float32)).astype(np.uint8)
    # The round edge of a dermatoscope is the same in thousands of pictures.
    usable = cv2.erode((~find_corners(small)).astype(np.uint8), np.ones((9, 9), np.uint8))
    even = cv2.createCLAHE(2.0, (4, 4)).apply(luma)
    orb = cv2.ORB.create(POINTS, 1.2, 6, edgeThreshold=12, patchSize=24, fastThreshold=4)
    points, words = orb.detectAndCompute(even, usable)
    count = 0 if words is None else min(POINTS, len(words))
    row["count"] = count
    if count:
        row["places"][:count] = [point.pt for point in points[:count]]
        row["words"][:count] = words[:count]
    rows, columns = _COLOUR_GRID
    row["colours"] = cv2.resize(small, (columns, rows), interpolation=cv2.INTER_AREA)
    return row


def count_agreeing(first: np.ndarray, second: np.ndarray) -> int:
    """Return how many points of two records agree on one shift, turn and scale; clusters count once."""
    import cv2

    if min(int(first["count"]), int(second["count"])) < _FEWEST_MATCHES:
        return 0
    places = [one["places"][: one["count"]].astype(np.float32) for one in (first, second)]
    words = [one["words"][: one["count"]] for one in (first, second)]
    best_two = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(words[0], words[1], k=2)
    sure = [
        (best.queryIdx, best.trainIdx) for best, next_ in best_two if best.distance < _RATIO * next_.distance
    ]
    if len(sure) < _FEWEST_MATCHES:
        return 0
    matches = np.array(sure)
    start, end = places[0][matches[:, 0]], places[1][matches[:, 1]]
    # Its random draws begin anew for each pair, so the answer does not depend on what came before.
    cv2.setRNGSeed(0)
    move, agrees = cv2.estimateAffinePartial2D(start, end, ransacReprojThreshold=_NEAR_PX, maxIters=500)
    if move is None:
        return 0
    scale = float(np.hypot(move[0, 0], move[0, 1]))
    if not 1 / _MOST_SCALE < scale < _MOST_SCALE:
        return 0
    inside = agrees.ravel().astype(bool)
    # Points that lie on one another are one piece of evidence, seen from either picture.
    return min(len(np.unique(part[inside] // _CELL_PX, axis=0)) for part in (start, end))


def _folder(here: pd.DataFrame, cache_dir: Path) -> Path:
    digest = hashlib.sha256(f"{VERSION} {POINTS} {NEIGHBOURS}\n".encode())
    for name, lesion, path in here[["image_id", "lesion_id", "image_path"]].itertuples(index=False):
        try:
            stat = os.stat(path)  # noqa: PTH116 -- ten thousand Path objects would take longer than the asking
            digest.update(f"{name}\0{lesion}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(f"{name}\0{lesion}\0gone\n".encode())
    return cache_dir / "scenes" / digest.hexdigest()[:24]


def _find(folder: Path, here: pd.DataFrame, tell: Callable[..., None], workers: int) -> None:
    rows = _described(folder / "points.partial", here["image_path"].tolist(), tell, workers)
    tell(0, unit="pairs", note="looking for look-alikes")
    lesions = pd.factorize(here["lesion_id"])[0]
    candidates = find_candidates(rows, lesions)
    scores = _compared(folder / "scores.partial", rows, candidates, tell, workers)
    names = here["image_id"].to_numpy(dtype=object)
    sure = scores >= _KEPT_POINTS
    pairs = pd.DataFrame(
        [
            (*sorted((names[first], names[second])), "same spot", float(score))
            for (first, second), score in zip(candidates[sure], scores[sure], strict=True)
        ],
        columns=list(PAIR_COLUMNS),
    ).sort_values(["score", "first"], ascending=[False, True], ignore_index=True)
    with replacing(folder / "scenes.parquet") as part:
        pairs.astype({"score": "float64"}).to_parquet(part)
    (folder / "compared.json").write_text(json.dumps({"pairs": len(candidates)}), encoding="utf-8")
    for left in ("points.partial", "scores.partial"):
        (folder / left).unlink(missing_ok=True)


def _described(partial: Path, paths: list[str], tell: Callable[..., None], workers: int) -> np.ndarray:
    done = _resume(partial, _ROW.itemsize)
    with partial.open("ab") as file, ThreadPoolExecutor(workers, thread_name_prefix="points") as pool:
        tell(done, len(paths), unit="pictures", note="finding points")
        while chunk := paths[done : done + _BATCH]:
            file.write(np.stack(list(pool.map(_describe_file, chunk))).tobytes())
            file.flush()
            done += len(chunk)
            tell(done, len(paths), unit="pictures", note="finding points")
    return np.fromfile(partial, dtype=_ROW)


def _describe_file(path: str) -> np.ndarray:
    try:
        return describe(read_picture(Path(path), name=Path(path).name).pixels)
    except PictureError:
        return np.zeros((), dtype=_ROW)


def _compared(
    partial: Path, rows: np.ndarray, candidates: np.ndarray, tell: Callable[..., None], workers: int
) -> np.ndarray:
    done = _resume(partial, 2)
    with partial.open("ab") as file, ThreadPoolExecutor(workers, thread_name_prefix="pairs") as pool:
        while chunk := candidates[done : done + _PAIRS_AT_ONCE].tolist():
            counted = pool.map(lambda pair: count_agreeing(rows[pair[0]], rows[pair[1]]), chunk)
            file.write(np.fromiter(counted, dtype="<u2").tobytes())
            file.flush()
            done += len(chunk)
            tell(done, len(candidates), unit="pairs", note="comparing point by point")
    return np.fromfile(partial, dtype="<u2").astype(np.int64)


def _resume(partial: Path, row_bytes: int) -> int:
    """Return how many whole rows are there, and cut off one that a killed process left torn."""
    if not partial.exists():
        return 0
    done = partial.stat().st_size // row_bytes
    os.truncate(partial, done * row_bytes)
    return done


def find_candidates(rows: np.ndarray, lesions: np.ndarray, *, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """Return pairs of positions that are worth comparing, shape (P, 2), each once, in a fixed order.

    rows: records of `describe`, shape (N,). lesions: numbers, shape (N,); pairs within one are left out.
    """
    seen = np.flatnonzero(rows["count"] > 0)
    if len(seen) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    vectors = np.hstack([_vlad(rows[seen]), _COLOUR_WEIGHT * _colours(rows["colours"][seen])])
    found: set[tuple[int, int]] = set()
    for start, block in _blocks(vectors):
        likeness = block @ vectors.T
        likeness[lesions[seen[start : start + len(block)], None] == lesions[seen][None]] = -np.inf
        count = min(neighbours, len(seen))
        nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        for row, columns in enumerate(nearest):
            ends = columns[np.isfinite(likeness[row, columns])]
            one = int(seen[start + row])
            found.update((min(one, int(two)), max(one, int(two))) for two in seen[ends])
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


def _blocks(vectors: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(vectors), _ROWS):
        yield start, vectors[start : start + _ROWS]


def _colours(grids: np.ndarray) -> np.ndarray:
    """Return unit vectors of the colours' layout, shape (N, 144)."""
    flat = grids.reshape(len(grids), -1).astype(np.float32)
    return _unit(flat - flat.mean(axis=1, keepdims=True))


def _vlad(rows: np.ndarray) -> np.ndarray:
    """Return unit vectors of what the points have in common, shape (N, _CENTRES * _AXES), float32."""
    from scipy.cluster.vq import kmeans2

    generator = np.random.default_rng(0)
    sample = rows[generator.permutation(len(rows))[:800]]
    words = np.concatenate([_bits(row) for row in sample])[:_LEARNING_POINTS]
    middle = words.mean(axis=0)
    axes = np.linalg.eigh((words - middle).T @ (words - middle))[1][:, : -_AXES - 1 : -1].astype(np.float32)
    learned = (words - middle) @ axes
    count = min(_CENTRES, len(learned))
    centres, _ = kmeans2(learned, count, minit="++", rng=np.random.default_rng(0), missing="warn")
    centres = centres.astype(np.float32)
    vectors = np.stack([_encode((_bits(row) - middle) @ axes, centres) for row in rows])
    return _unit(vectors - vectors.mean(axis=0))


def _bits(row: np.ndarray) -> np.ndarray:
    return np.unpackbits(row["words"][: row["count"]], axis=1).astype(np.float32)


def _encode(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    nearest = ((centres**2).sum(axis=1) - 2 * points @ centres.T).argmin(axis=1)
    sums = np.zeros(centres.shape, dtype=np.float32)
    np.add.at(sums, nearest, points - centres[nearest])
    flat = _unit(sums).ravel()
    return np.sign(flat) * np.sqrt(np.abs(flat))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)
