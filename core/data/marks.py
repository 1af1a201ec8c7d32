"""What people lay or draw on a picture: a ruler's ticks, ink, print. Found by shape and colour, untrained.

Each is a count or a share with a limit that few of HAM10000's validation pictures pass; what was measured
stands at the limits. All is measured on a copy of about SIDE_PX, so the size of a picture hardly matters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from core.data.preprocessing import LUMA, cover
from core.data.quality import to_lab

SIDE_PX: Final = 225
_LONGEST: Final = 4

LEAST_TICKS: Final = 8
"""Ticks in one row, evenly apart, from which on a ruler is said to be there: 2 of 1,006 validation pictures
of HAM10000, 0 of 1,003 test pictures, and 98 to 100 in 100 of those with a ruler drawn along an edge."""

LEAST_INK: Final = 0.005
"""Share of ink-coloured pixels from which on ink is said to be there: 7 of 1,006 validation pictures (four
or more of them with a pen's marks), 1 of 1,003 test pictures, and all with ink drawn."""

LEAST_GLYPHS: Final = 100
"""Letter-sized marks on an even, colourless ground from which on a picture is called print: 0 of 1,006
validation pictures, which have 89 at most (shaved hair), 1 of 1,003 test pictures; drawn pages have 290 and
more."""

_TICK_DEPTH: Final = 22.0
_TICK_REACH: Final = 0.045
_TICK_LENGTHS: Final = (0.018, 0.2)
_TICK_WIDTH: Final = 0.03
_ALIGNED: Final = 0.016
_UNEVEN: Final = 0.22

# Gentian violet and ballpoint lie far on the blue side, where skin, blood and melanin under gel do not.
_INK_BLUE: Final = -28.0
_INK_CHROMA: Final = 30.0

_GROUND_LUMA: Final = 14.0
_GROUND_CHROMA: Final = 9.0
_GROUND_SHARE: Final = 0.4
_GLYPH_CONTRAST: Final = 40.0
_GLYPH_AREA: Final = (3, 0.01)
_GLYPH_SIDE: Final = 0.12


@dataclass(frozen=True)
class Marks:
    """What was found on a picture.

    ticks: the longest row of evenly spaced short lines. ink: share of ink-coloured pixels, 0 to 1.
    glyphs: letter-sized marks; 0 where the ground is not even and colourless, as paper and screens are.
    """

    ticks: int
    ink: float
    glyphs: int


def find_marks(pixels: np.ndarray) -> Marks:
    """Return the marks on uint8 RGB (H, W, 3)."""
    copy = _at_size(pixels)
    luma = copy @ LUMA
    return Marks(
        ticks=max(_ticks(luma), _ticks(luma.T)),
        ink=_ink(to_lab(copy)),
        glyphs=count_glyphs(pixels),
    )


def count_glyphs(pixels: np.ndarray) -> int:
    """Return how many letter-sized marks are on uint8 RGB (H, W, 3); 0 where the ground is no paper's.

    Skin is hardly ever even and colourless, so nearly every picture of it costs a look at each 16th pixel.
    """
    coarse = pixels[::4, ::4]
    if _ground(coarse @ LUMA, to_lab(coarse)) is None:
        return 0
    copy = _at_size(pixels)
    luma = copy @ LUMA
    ground = _ground(luma, to_lab(copy))
    return 0 if ground is None else _marks_on(luma, ground)


def _at_size(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    # A thread of a picture must not be enlarged to metres of it.
    scale = min(SIDE_PX / min(height, width), _LONGEST * SIDE_PX / max(height, width))
    return cover(pixels, (max(1, round(height * scale)), max(1, round(width * scale))))


def _ink(lab: np.ndarray) -> float:
    _, red, yellow = np.moveaxis(lab, -1, 0)
    # Under a lilac lamp all is bluish: ink is far bluer than most of its picture.
    blue = yellow < min(_INK_BLUE, float(np.median(yellow)) + _INK_BLUE)
    return float((blue & (np.hypot(red, yellow) > _INK_CHROMA)).mean())


def _ground(luma: np.ndarray, lab: np.ndarray) -> float | None:
    """Return the luma of an even, colourless ground that much of the picture shares; None without one."""
    counts, edges = np.histogram(luma, bins=64, range=(0, 256))
    ground = float(edges[int(counts.argmax())] + 2)
    on_ground = np.abs(luma - ground) < _GROUND_LUMA
    chroma = float(np.median(np.hypot(lab[..., 1], lab[..., 2])[on_ground]))
    return ground if on_ground.mean() >= _GROUND_SHARE and chroma <= _GROUND_CHROMA else None


def _marks_on(luma: np.ndarray, ground: float) -> int:
    parts, count = ndimage.label(np.abs(luma - ground) > _GLYPH_CONTRAST, structure=np.ones((3, 3)))
    if not count:
        return 0
    areas = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    sides = np.array([max(_extent(box)) for box in ndimage.find_objects(parts)])
    least, most = _GLYPH_AREA[0], _GLYPH_AREA[1] * luma.size
    return int(((areas >= least) & (areas <= most) & (sides <= _GLYPH_SIDE * min(luma.shape))).sum())


def _ticks(luma: np.ndarray) -> int:
    """Return the longest row of upright ticks that are evenly apart, along the second axis."""
    side = min(luma.shape)
    reach = max(3, round(_TICK_REACH * side)) | 1
    # What a closing along the row fills is dark, and thin across.
    depth = ndimage.grey_closing(luma, size=(1, reach)) - luma
    parts, _ = ndimage.label(depth > _TICK_DEPTH, structure=np.ones((3, 3)))
    shortest, longest = (part * side for part in _TICK_LENGTHS)
    places = [
        (box[0].start, box[0].stop, (box[1].start + box[1].stop) / 2)
        for box in ndimage.find_objects(parts)
        if shortest <= _extent(box)[0] <= longest and _extent(box)[1] <= max(3.0, _TICK_WIDTH * side)
    ]
    return max((_longest_even(row) for row in _rows(places, _ALIGNED * side)), default=0)


def _rows(places: list[tuple[int, int, float]], tolerance: float) -> Iterator[list[float]]:
    """Yield the positions of ticks that begin, or end, on one line."""
    for end in (0, 1):
        for line in {place[end] for place in places}:
            row = sorted(place[2] for place in places if abs(place[end] - line) <= tolerance)
            if len(row) >= LEAST_TICKS:
                yield row


def _longest_even(row: list[float]) -> int:
    """Return the most positions in sequence whose gaps are alike."""
    gaps = np.diff(row)
    best = 0
    for start in range(len(gaps)):
        usual, length = float(gaps[start]), 0
        for gap in gaps[start:]:
            if abs(gap - usual) > max(1.0, _UNEVEN * usual):
                break
            length += 1
            usual += (float(gap) - usual) / length
        best = max(best, length + 1)
    return best


def _extent(box: tuple[slice, slice]) -> tuple[int, int]:
    return box[0].stop - box[0].start, box[1].stop - box[1].start
