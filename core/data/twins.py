"""Pictures that are the same, and pictures of the same spot of skin.

Three kinds, from the surest to the least sure:
- the same file, or other files with the same pixels (digests);
- a near copy: re-encoded, resized, turned or mirrored (perceptual hashes, `imagehash.phash`);
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

NEAR_BITS: Final = 4
"""Hashes of 64 bits that differ in at most this many are near copies: on HAM10000, chance pairs differ in
32 bits on average."""

_HASH_SIDE_PX: Final = 128
_ROWS: Final = 512

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
    """Return the perceptual hashes of a picture as it is and in the seven other orientations.

    They are 64-bit hashes (`imagehash.phash`), 16 hexadecimal digits each, the picture as it is first.
    """
    import imagehash

    small = image.convert("L").resize((_HASH_SIDE_PX, _HASH_SIDE_PX), Image.Resampling.BOX)
    turned = (small if turn is None else small.transpose(turn) for turn in _TURNS)
    return "".join(str(imagehash.phash(one)) for one in turned)


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


def find_near(inspection: pd.DataFrame, *, bits: int = NEAR_BITS) -> pd.DataFrame:
    """Return pairs whose hashes differ in at most `bits`, in any orientation; see `find_twins`.

    score: share of bits that agree. Pictures without structure (one colour) have no hash worth comparing
    and are left out.
    """
    hashed = inspection[inspection["fingerprints"].notna() & (inspection["contrast"] > 1)]
    if len(hashed) < 2:
        return _table([])
    names = hashed.index.to_numpy(dtype=object)
    hashes = np.array(
        [[int(text[at : at + 16], 16) for at in range(0, 128, 16)] for text in hashed["fingerprints"]],
        dtype=np.uint64,
    )
    upright = hashes[:, 0]
    pairs = []
    for start in range(0, len(names), _ROWS):
        block = hashes[start : start + _ROWS]
        distance = np.full((len(block), len(names) - start), 64, dtype=np.uint8)
        for turn in range(len(_TURNS)):
            np.minimum(distance, np.bitwise_count(block[:, turn, None] ^ upright[None, start:]), out=distance)
        rows, columns = np.nonzero(distance <= bits)
        for row, column in zip(rows[columns > rows], columns[columns > rows], strict=True):
            score = 1 - float(distance[row, column]) / 64
            pairs.append((names[start + row], names[start + column], "near copy", score))
    return _table(pairs)


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

    Added: lesion_first, lesion_second, dx_first, dx_second, part_first, part_second (missing without `parts`),
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
