"""The shape and colours of a lesion, measured on its mask: geometry, which no model here uses.

Add a measure by adding a field to LesionMeasures and its entry to MEASURES. Shapes are measured on a copy of
at most MAX_SIDE_PX; sizes are given in the picture's own pixels.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from core.data.quality import to_lab

MAX_SIDE_PX: Final = 512
LEAST_PX: Final = 100
"""A smaller mask has no shape that could be measured."""

_NBSP: Final = "\N{NO-BREAK SPACE}"
_CELL: Final = 20.0
_LEAST_COLOUR: Final = 0.02


@dataclass(frozen=True)
class LesionMeasures:
    """What was measured; NaN where a mask is too small for it.

    Attributes:
        area_px: pixels of the picture inside the mask.
        share: the part of the picture inside, 0 to 1.
        length_px: the longest distance between two of its points (Feret's diameter).
        asymmetry_long, asymmetry_short: what does not fit when the mask is folded along its long, and its
            short axis, 0 to 1; see `asymmetry`.
        irregularity: of the border, 1 for a circle and up; see `irregularity`.
        colours: how many; see `count_colours`.
        colour_spread: root of the mean squared distance to the mean colour, in CIE L*a*b* (ΔE 1976).
    """

    area_px: float
    share: float
    length_px: float
    asymmetry_long: float
    asymmetry_short: float
    irregularity: float
    colours: float
    colour_spread: float


@dataclass(frozen=True)
class ShapeMeasure:
    """How a measure is spoken of: its title, one sentence about it, and a value in words.

    plain: the sentence for people who do not measure for a living; empty where it is the same.
    """

    title: str
    about: str
    words: Callable[[float], str]
    plain: str = ""

    def explain(self, *, plainly: bool) -> str:
        """Return the sentence about it."""
        return self.plain if plainly and self.plain else self.about

    def say(self, value: float) -> str:
        """Return a value in words; "n/a" where it is undefined."""
        return self.words(value) if math.isfinite(value) else "n/a"


def _percent(value: float) -> str:
    return f"{value:.1%}".replace("%", f"{_NBSP}%")


def _px(unit: str) -> Callable[[float], str]:
    return lambda value: f"{value:,.0f}{_NBSP}{unit}"


MEASURES: Final[Mapping[str, ShapeMeasure]] = {
    "area_px": ShapeMeasure(
        "Area", "Pixels inside the outline. A picture has no scale, so these are no millimetres.", _px("px²")
    ),
    "share": ShapeMeasure("Share of the picture", "The part of the picture inside the outline.", _percent),
    "length_px": ShapeMeasure(
        "Longest diameter", "The longest distance between two points of the outline.", _px("px")
    ),
    "asymmetry_long": ShapeMeasure(
        "Asymmetry along the long axis",
        f"What does not fit when it is folded along its long axis: 0{_NBSP}% is a mirror image.",
        _percent,
    ),
    "asymmetry_short": ShapeMeasure(
        "Asymmetry along the short axis",
        "What does not fit when it is folded along its short axis.",
        _percent,
    ),
    "irregularity": ShapeMeasure(
        "Border irregularity",
        "Perimeter² / (4π · area): 1 is a circle; long and ragged outlines have more.",
        lambda value: f"{value:.2f}",
        "How long the outline is for its area: 1 is a circle; long and ragged outlines have more.",
    ),
    "colours": ShapeMeasure(
        "Shades",
        f"How many colours, 20 units of CIELAB apart, fill 2{_NBSP}% of the lesion or more. Lighter and "
        "darker of one hue count apart, so these are more than an eye would name.",
        lambda value: f"{value:.0f}",
        f"How many clearly different shades fill 2{_NBSP}% of the lesion or more. Lighter and darker of one "
        "colour count apart, so these are more than an eye would name.",
    ),
    "colour_spread": ShapeMeasure(
        "Spread of colours",
        "How far its colours lie from their mean, in CIELAB: about 2 is the least that eyes see.",
        lambda value: f"{value:.1f}",
        "How far its colours lie from their mean: about 2 is the least that eyes see.",
    ),
}


def measure_lesion(pixels: np.ndarray, mask: np.ndarray) -> LesionMeasures:
    """Measure a lesion.

    Args:
        pixels: uint8 RGB, shape (H, W, 3).
        mask: where it is, bool, shape (H, W). Where the picture's edge cuts the lesion off, the edge counts
            as its border.
    """
    area = float(mask.sum())
    scale = min(1.0, MAX_SIDE_PX / max(mask.shape))
    small, colours = (mask, pixels) if scale == 1 else _smaller(pixels, mask, scale)
    if small.sum() < LEAST_PX:
        return LesionMeasures(area, float(mask.mean()), *[float("nan")] * 6)
    along, across = asymmetry(small)
    lab = to_lab(colours[small]).astype(np.float64)
    return LesionMeasures(
        area_px=area,
        share=float(mask.mean()),
        length_px=longest_diameter(small) / scale,
        asymmetry_long=along,
        asymmetry_short=across,
        irregularity=irregularity(small),
        colours=float(count_colours(lab)),
        colour_spread=float(np.sqrt(((lab - lab.mean(axis=0)) ** 2).sum(axis=1).mean())),
    )


def asymmetry(mask: np.ndarray) -> tuple[float, float]:
    """Return what does not fit when a mask is folded along its long and along its short axis, 0 to 1.

    The axes are those of its second moments, through its centre of mass. For each, the mask M is mirrored to
    M' and |M xor M'| / (2 |M|) is taken (after Stoecker, Li and Moss, Computerized Medical Imaging and
    Graphics 16, 1992): 0 for a mirror image, 1 where nothing meets. Round shapes have no axes of their own;
    any pair serves.
    """
    rows, columns = np.nonzero(mask)
    middle = np.array([rows.mean(), columns.mean()])
    centred = np.stack([rows, columns]) - middle[:, None]
    _, axes = np.linalg.eigh(centred @ centred.T / len(rows))
    # eigh sorts upwards: the last is the long axis. Folding along one axis turns the other around.
    found = []
    for turned in (axes[:, 0], axes[:, 1]):
        mirror = np.eye(2) - 2 * np.outer(turned, turned)
        room = _room(mask, middle)
        moved = ndimage.affine_transform(
            room.astype(np.float32), mirror, offset=_offset(mirror, room.shape), order=1
        )
        found.append(float(np.abs(room - moved).sum() / (2 * mask.sum())))
    return found[0], found[1]


def irregularity(mask: np.ndarray) -> float:
    """Return the border irregularity P² / (4π A), 1 for a circle: the isoperimetric quotient turned over.

    No shape has less than a circle; what a grid of pixels makes of a small one can be a few hundredths less.
    """
    return max(1.0, perimeter(mask) ** 2 / (4 * math.pi * float(mask.sum())))


def perimeter(mask: np.ndarray) -> float:
    """Return the length of a mask's border in pixels, by the Cauchy-Crofton formula in four directions.

    Lines of one direction, s apart, cross a border of length L about 2 L / (π s) times. Counting steps along
    pixels instead would make a circle a tenth too long; this makes upright rectangles a twentieth too short.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    crossings = (
        np.abs(np.diff(padded, axis=0)).sum(),
        np.abs(np.diff(padded, axis=1)).sum(),
        np.abs(padded[1:, 1:] - padded[:-1, :-1]).sum() / math.sqrt(2),
        np.abs(padded[1:, :-1] - padded[:-1, 1:]).sum() / math.sqrt(2),
    )
    return float(math.pi / 2 * np.mean(crossings))


def longest_diameter(mask: np.ndarray) -> float:
    """Return the longest distance between two pixels of a mask, edges included (Feret's diameter), px."""
    places = np.argwhere(mask)[:, ::-1].astype(np.int32)
    hull = cv2.convexHull(places)[:, 0].astype(np.float64)
    return float(np.linalg.norm(hull[:, None] - hull[None], axis=-1).max()) + 1


def count_colours(lab: np.ndarray) -> int:
    """Return how many colours, as cells of 20 units of CIE L*a*b* (N, 3), hold at least 2 % of them."""
    _, counts = np.unique(np.floor(lab / _CELL), axis=0, return_counts=True)
    return int((counts >= _LEAST_COLOUR * len(lab)).sum())


def _smaller(pixels: np.ndarray, mask: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    painted = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
    return np.asarray(painted) > 127, np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _room(mask: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return a mask moved so that its centre of mass is that of a square it can be turned in."""
    rows, columns = np.nonzero(mask)
    reach = math.ceil(float(np.hypot(rows - middle[0], columns - middle[1]).max())) + 2
    wide = 2 * reach + 1
    shifted = ndimage.shift(
        np.pad(mask, reach).astype(np.float32)[
            int(middle[0]) : int(middle[0]) + wide, int(middle[1]) : int(middle[1]) + wide
        ],
        -(middle % 1),
        order=1,
    )
    return np.asarray(shifted >= 0.5)


def _offset(mirror: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    centre = (np.array(shape) - 1) / 2
    return np.asarray(centre - mirror @ centre)
