"""Pictures that are the same, and pictures of the same spot of skin.

Three kinds, from the surest to the least sure:
- the same file, or other files with the same pixels (digests);
- a near copy: re-encoded, resized, turned or mirrored (perceptual hashes, `imagehash.phash`, and then the
  gray levels themselves: dark spots in the middle of skin share hashes by chance);
- the same spot photographed again: `core.data.scenes`.

Two photos of one lesion are expected to look alike. What matters is a pair under two lesion ids, since no
split by lesion keeps it together.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from PIL import Image

from core.data.splits import DUPLICATE_PAIRS

KINDS: Final = ("same file", "same pixels", "near copy", "same spot")
PAIR_COLUMNS: Final = ("first", "second", "kind", "score")

NEAR_BITS: Final = 8
"""Hashes of 64 bits that differ in at most this many are compared gray level by gray level."""

NEAR_LIKENESS: Final = 0.99
"""Correlation of 16 × 16 gray levels from which on pictures are copies. On HAM10000 the likest pictures of
different lesions that are none have 0.989."""

_HASH_SIDE_PX: Final = 128
_HASHES: Final = 128
_GRAY_SIDE: Final = 16
_ROWS: Final = 512
_PAIRS: Final = 8192

_TURNS: Final = (
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
)


def fingerprints(image: Image.Image) -> str:
    """Return what copies of a picture share, in hexadecimal digits.

    First its perceptual hash (`imagehash.phash`, 64 bits) as it is and in the seven other orientations, then
    16 × 16 gray levels of it.
    """
    import imagehash

    small = image.convert("L").resize((_HASH_SIDE_PX, _HASH_SIDE_PX), Image.Resampling.BOX)
    turned = (small if turn is None else small.transpose(turn) for turn in _TURNS)
    gray = small.reduce(_HASH_SIDE_PX // _GRAY_SIDE)
    return "".join(str(imagehash.phash(one)) for one in turned) + gray.tobytes().hex()


def find_exact(inspection: pd.DataFrame) -> pd.DataFrame:
    """Return pairs of the same file, or of the same pixels in different files; see `find_twins`."""
    pairs = []
    readable = inspection[inspection["pixel_digest"].notna()]
    for _, group in readable.groupby("pixel_digest", sort=False):
        names, files = group.index.tolist(), group["file_digest"].tolist()
        for later in range(1, len(names)):
            # Each with the first: a thousand copies make a thousand pairs, not a million.
            kind = "same file" if files[later] == files[0] else "same pixels"
            pairs.append((names[0], names[later], kind, 1.0))
    return _table(pairs)


def find_near(
    inspection: pd.DataFrame, *, bits: int = NEAR_BITS, likeness: float = NEAR_LIKENESS
) -> pd.DataFrame:
    """Return pairs of near copies, in any orientation; see `find_twins`.

    Their hashes differ in at most `bits`, and their gray levels correlate with at least `likeness`, which is
    the score. Pictures of one colour have neither and are left out.
    """
    hashed = inspection[inspection["fingerprints"].notna() & (inspection["contrast"] > 1)]
    if len(hashed) < 2:
        return _table([])
    names = hashed.index.to_numpy(dtype=object)
    texts = hashed["fingerprints"].tolist()
    hashes = np.array(
        [[int(text[at : at + 16], 16) for at in range(0, _HASHES, 16)] for text in texts], dtype=np.uint64
    )
    gray = np.array([np.frombuffer(bytes.fromhex(text[_HASHES:]), dtype=np.uint8) for text in texts])
    pairs = _close_hashes(hashes, bits)
    alike = _likeness(gray.reshape(-1, _GRAY_SIDE, _GRAY_SIDE), pairs)
    sure = alike >= likeness
    return _table(
        [
            (names[first], names[second], "near copy", float(score))
            for (first, second), score in zip(pairs[sure], alike[sure], strict=True)
        ]
    )


def _close_hashes(hashes: np.ndarray, bits: int) -> np.ndarray:
    """Return pairs of rows (first < second) of which an orientation differs in few bits, shape (P, 2)."""
    upright = hashes[:, 0]
    found = []
    for start in range(0, len(hashes), _ROWS):
        block = hashes[start : start + _ROWS]
        distance = np.full((len(block), len(hashes) - start), 64, dtype=np.uint8)
        for turn in range(len(_TURNS)):
            np.minimum(distance, np.bitwise_count(block[:, turn, None] ^ upright[None, start:]), out=distance)
        rows, columns = np.nonzero(distance <= bits)
        later = columns > rows
        found.append(np.stack([rows[later], columns[later]], axis=1) + start)
    return np.concatenate(found)


def _likeness(gray: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the highest correlation of each pair over the eight orientations, shape (P,)."""
    levels = gray.astype(np.float32)
    levels -= levels.mean(axis=(1, 2), keepdims=True)
    levels /= np.maximum(np.linalg.norm(levels, axis=(1, 2), keepdims=True), 1e-6)
    best = np.full(len(pairs), -1.0, dtype=np.float32)
    for quarter in range(4):
        turned = np.rot90(levels, quarter, axes=(1, 2))
        for view in (turned, turned[:, :, ::-1]):
            for start in range(0, len(pairs), _PAIRS):
                first, second = pairs[start : start + _PAIRS].T
                alike = (view[first] * levels[second]).sum(axis=(1, 2))
                np.maximum(best[start : start + _PAIRS], alike, out=best[start : start + _PAIRS])
    return best


def find_twins(inspection: pd.DataFrame, scenes: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return all pairs, each once, under its surest kind.

    Args:
        inspection: from `core.data.inspection`.
        scenes: pairs of the same spot from `core.data.scenes`, where they were looked for.

    Returns:
        Columns first, second (image ids, in the order of their names), kind (one of KINDS) and score (0 to 1
        for copies; matching points for "same spot").
    """
    found = [find_exact(inspection), find_near(inspection)]
    if scenes is not None:
        found.append(scenes)
    # An exact copy is a near copy too, and a near copy shows the same spot: the first kind named wins.
    pairs = pd.concat([part for part in found if len(part)] or [_table([])], ignore_index=True)
    return pairs.drop_duplicates(["first", "second"], ignore_index=True)


def describe_pairs(
    pairs: pd.DataFrame, metadata: pd.DataFrame, parts: pd.Series | None = None
) -> pd.DataFrame:
    """Return the pairs with what each side is.

    Added: lesion_first, lesion_second, dx_first, dx_second, part_first, part_second (missing without parts),
    and `apart`: "" for the photos of one lesion, else what the pair contradicts: "lesions" (two lesion ids),
    "diagnoses" (two diagnoses too). `splits`: whether the pair lies on two sides of the split.

    parts: train, val or test of each row of `metadata`, with its index.
    """
    facts = metadata.set_index("image_id")[["lesion_id", "dx"]].rename(columns={"lesion_id": "lesion"})
    facts["part"] = pd.Series(pd.NA, index=facts.index, dtype="string")
    if parts is not None:
        facts["part"] = parts.to_numpy()
    told = pairs.copy()
    for side in ("first", "second"):
        told = told.join(facts.add_suffix(f"_{side}"), on=side)
    other_lesion = told["lesion_first"] != told["lesion_second"]
    other_dx = told["dx_first"] != told["dx_second"]
    told["apart"] = np.where(other_dx, "diagnoses", np.where(other_lesion, "lesions", ""))
    told["splits"] = (told["part_first"] != told["part_second"]).fillna(value=False).astype(bool)
    return told


@dataclass(frozen=True)
class Recall:
    """How many known pairs a search has found.

    Attributes:
        known: pairs of which both pictures are here.
        found: how many of them the search has.
        missed: those it has not.
        others: pairs under two lesion ids that the search has and nobody named before.
    """

    known: int
    found: int
    missed: tuple[tuple[str, str], ...]
    others: int


def recall_of_known(
    pairs: pd.DataFrame,
    metadata: pd.DataFrame,
    known: Collection[tuple[str, str]] = DUPLICATE_PAIRS,
) -> Recall:
    """Return how many of the known pairs are among `pairs`, and how many others cross lesion ids."""
    present = set(metadata["image_id"])
    wanted = {_ordered(*pair) for pair in known if set(pair) <= present}
    found = {_ordered(first, second) for first, second in zip(pairs["first"], pairs["second"], strict=True)}
    lesion_of = dict(zip(metadata["image_id"], metadata["lesion_id"], strict=True))
    crossing = {pair for pair in found if lesion_of.get(pair[0]) != lesion_of.get(pair[1])}
    return Recall(
        known=len(wanted),
        found=len(wanted & found),
        missed=tuple(sorted(wanted - found)),
        others=len(crossing - wanted),
    )


def _ordered(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first < second else (second, first)


def _table(pairs: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    ordered = [(*_ordered(first, second), kind, score) for first, second, kind, score in pairs]
    return pd.DataFrame(ordered, columns=list(PAIR_COLUMNS))
