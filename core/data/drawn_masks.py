"""A lesion's mask drawn by hand: an outline, filled; refused by name where that makes no mask.

Outlines stand in the address with a mark of the picture they were drawn on, so that none is ever laid over
another picture.
"""

import hashlib
from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
from scipy import ndimage

from core.data.changes import Points, fill_shape, read_points, write_points
from core.data.lesion_shape import LEAST_PX, MAX_SIDE_PX
from core.data.masks import outline
from core.errors import OutlineError

MOST_OUTLINES: Final = 4
"""How many outlines of a picture are kept, so that the last ones can be taken back."""

_ONE_PIECE: Final = 0.95
"""A slip of the hand where an outline closes cuts off less than a twentieth of what it encloses."""


def fill_outline(corners: Points, shape: tuple[int, int]) -> np.ndarray:
    """Return the mask that an outline encloses, bool (height, width) of `shape`.

    corners: of the outline, in the order in which they were drawn; none where nothing was.

    Raises:
        OutlineError: it encloses nothing, too little to be measured, or crosses itself so that nobody can
            tell what is inside.
    """
    filled = fill_shape(corners, shape) if len(corners) > 1 else np.zeros(shape, dtype=bool)
    inner = _without_rim(filled)
    if not inner.any():
        raise OutlineError(
            "The outline encloses nothing: it is a line or a point. Go round the lesion, with three corners "
            "or more."
        )
    enclosed = np.asarray(ndimage.binary_fill_holes(filled))
    if _crosses_itself(corners) and _largest_part(inner) < _ONE_PIECE * _without_rim(enclosed).sum():
        raise OutlineError(
            "The outline crosses itself, so what is inside is not clear. Go round the lesion once, without "
            "crossing the line that is there."
        )
    scale = min(1.0, MAX_SIDE_PX / max(shape))
    if inner.sum() * scale**2 < LEAST_PX:
        raise OutlineError(
            f"The outline is too small: it encloses {inner.mean():.2%} of the picture, on which no shape can "
            "be measured. Draw it larger, or bring a closer picture.".replace("%", "\N{NO-BREAK SPACE}%")
        )
    return enclosed


def write_outlines(digest: str, outlines: Sequence[Points]) -> str:
    """Return the last outlines of a picture as a text that an address can hold."""
    return "~".join([_mark(digest), *(write_points(one) for one in outlines[-MOST_OUTLINES:])])


def read_outlines(digest: str, text: str) -> tuple[Points, ...]:
    """Return the outlines of this picture that a text names, the last one last; what is none is left out."""
    mark, *written = text.split("~")
    if mark != _mark(digest):
        return ()
    found = (read_points(one) for one in written[:MOST_OUTLINES])
    return tuple(one for one in found if one is not None)


def _mark(digest: str) -> str:
    return hashlib.sha256(digest.encode()).hexdigest()[:12]


def _without_rim(mask: np.ndarray) -> np.ndarray:
    return mask & ~outline(mask)


def _largest_part(mask: np.ndarray) -> int:
    parts, _ = ndimage.label(mask)
    return int(np.bincount(parts.ravel())[1:].max())


def _crosses_itself(corners: Points) -> bool:
    """Return whether two sides that share no corner cross."""
    places = np.array(corners)
    sides = list(zip(places, np.roll(places, -1, axis=0), strict=True))
    return any(
        _cross(*sides[one], *sides[other])
        for one, other in combinations(range(len(sides)), 2)
        if other - one not in (1, len(sides) - 1)
    )


def _cross(start: np.ndarray, end: np.ndarray, other_start: np.ndarray, other_end: np.ndarray) -> bool:
    return bool(
        _side(start, end, other_start) * _side(start, end, other_end) < 0
        and _side(other_start, other_end, start) * _side(other_start, other_end, end) < 0
    )


def _side(start: np.ndarray, end: np.ndarray, place: np.ndarray) -> float:
    """Return on which side of a line a place lies: the sign of the cross product."""
    (right, down), (across, along) = end - start, place - start
    return float(np.sign(right * along - down * across))
