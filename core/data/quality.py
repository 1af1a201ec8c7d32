"""What can be measured on a picture without knowing what it shows: sharpness, light, hair, corners, skin.

None of these numbers is a verdict: a dark picture of a black melanoma is dark because it should be. They are
read beside the other pictures of a dataset, as percentiles. Add one by adding a field to Measures, its line
in `measure` and an entry to MEASURES.

All is measured on the picture as it is, after `downscaled` to at most MAX_SIDE_PX; lengths are parts of the
shorter side, so pictures of different sizes can be compared, except for sharpness: enlarging blurs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from core.data.pictures import downscaled
from core.data.preprocessing import LUMA

MAX_SIDE_PX: Final = 640
# Hair, corners and skin are found on a copy of about this shorter side.
_COPY_PX: Final = 225

_WHITE: Final = 240
_SOFT_EDGE: Final = 0.1
_DARK: Final = 48.0
# A border is black where it is this much darker than the picture's middle half, and dark at all.
_DARK_BESIDE_MIDDLE: Final = 0.45

_STEEPEST: Final = 0.02
_BLUR_PX: Final = 5
_LEAST_STEEPNESS: Final = 2.0

_HAIR_REACH: Final = 1 / 20
_HAIR_DEPTH: Final = 14.0
_HAIR_LENGTH: Final = 1 / 6
_HAIR_WIDTH: Final = 1 / 25

_SKIN_PX: Final = 75
_LEAST_SKIN_PX: Final = 40
_LEAST_YELLOW: Final = 1.0

ITA_BANDS: Final = ("very light", "light", "intermediate", "tan", "brown", "dark")
ITA_EDGES: Final = (55.0, 41.0, 28.0, 10.0, -30.0)
"""Degrees: above the first is the first band, and so on (Chardon et al., 1991; Del Bino, Bernerd 2013)."""

ITA_LIMITS: Final = (
    "ITA is a colour measured on the picture: arctan((L* − 50) / b*) of the skin around the lesion. Lamp, "
    "camera, gel and later correction shift it as much as skin does. It is not skin type: against people's "
    "Fitzpatrick labels it was exactly right in 28 %, within one type in 65 %, and almost never for types V "
    "and VI."
)


@dataclass(frozen=True)
class Measures:
    """What was measured on one picture; NaN where there is nothing to measure it on.

    Attributes:
        width_px, height_px: of the file.
        aspect: longer over shorter side, 1 and up.
        sharpness: what the steepest edges lose to a blur, 0 to 1; see `measure_sharpness`.
        brightness: median luma of what is not black border, 0 to 255.
        contrast: luma between the 5th and the 95th percentile there, 0 to 255.
        overexposed: share of pixels burnt out to white, 0 to 1.
        hair: share of pixels on dark hairs, 0 to 1; see `find_hair`.
        corners: share of pixels in black corners or borders, 0 to 1; see `find_corners`.
        ita_degrees: individual typology angle of the skin, -90 to 90; see ITA_LIMITS.
    """

    width_px: int
    height_px: int
    aspect: float
    sharpness: float
    brightness: float
    contrast: float
    overexposed: float
    hair: float
    corners: float
    ita_degrees: float


@dataclass(frozen=True)
class Measure:
    """How a measure is spoken of.

    Attributes:
        name: the field of Measures.
        title: what people call it.
        about: one sentence: what it is and what may be wrong with it.
        doubtful: the end of the scale that may mean a bad picture: "low", "high" or "both".
        low, high: what its ends look like.
        unit: "share", "px", "degrees", "luma" or "".
    """

    name: str
    title: str
    about: str
    doubtful: str
    low: str
    high: str
    unit: str = ""

    def say(self, value: float) -> str:
        """Return a value in words; "n/a" where it is undefined."""
        if not np.isfinite(value):
            return "n/a"
        return _SAY[self.unit](value)


_SAY: Final = {
    "share": lambda value: f"{value:.1%}".replace("%", " %"),
    "px": lambda value: f"{value:,.0f} px",
    "degrees": lambda value: f"{value:.0f}°".replace("-", "−"),
    "luma": lambda value: f"{value:.0f}",
    "": lambda value: f"{value:.2f}",
}

_ENTRIES: Final = (
    Measure(
        "sharpness",
        "Sharpness",
        "How much of its steepest edges a picture loses when it is blurred. One that is out of focus, or was "
        "enlarged, has little to lose; hair and noise count as sharp.",
        "low", "blurred", "sharp",
    ),
    Measure(
        "brightness",
        "Brightness",
        "Median brightness, 0 to 255, black borders left out. A large dark lesion lowers it too.",
        "both", "dark", "bright", "luma",
    ),
    Measure(
        "overexposed",
        "Over-exposure",
        "Share of pixels burnt out to white: glare, or too much light. Scales and cysts can be white too.",
        "high", "none burnt out", "burnt out", "share",
    ),
    Measure(
        "contrast",
        "Contrast",
        "Brightness between the darkest and the brightest 5 %, black borders left out. Pale lesions have "
        "little of it by nature.",
        "low", "flat", "strong", "luma",
    ),
    Measure(
        "hair",
        "Hair",
        "Share of pixels on dark, thin, long lines. Vessels and skin lines can be mistaken for hair, and "
        "fair hair is missed.",
        "high", "none", "much", "share",
    ),
    Measure(
        "corners",
        "Black corners",
        "Share of pixels in black corners or borders: the round edge of a dermatoscope. A model can learn "
        "which clinic a picture is from by them.",
        "high", "none", "large", "share",
    ),
    Measure(
        "width_px",
        "Width",
        "Width of the file. Odd sizes often come from another source, or from a copy that was cut.",
        "both", "narrow", "wide", "px",
    ),
    Measure(
        "height_px",
        "Height",
        "Height of the file.",
        "both", "low", "tall", "px",
    ),
    Measure(
        "aspect",
        "Aspect",
        "Longer over shorter side.",
        "both", "square", "long",
    ),
    Measure(
        "ita_degrees",
        "Skin tone (ITA)",
        ITA_LIMITS,
        "both", "darker", "lighter", "degrees",
    ),
)  # fmt: skip
MEASURES: Final[Mapping[str, Measure]] = {entry.name: entry for entry in _ENTRIES}


def measure(
    pixels: np.ndarray, mask: np.ndarray | None = None, *, size_px: tuple[int, int] | None = None
) -> Measures:
    """Measure one picture.

    Args:
        pixels: uint8 RGB, shape (H, W, 3).
        mask: where the lesion is, bool, shape (H, W), only used to find skin; it is guessed when None.
        size_px: (width, height) of the file, where `pixels` is a smaller copy of it.
    """
    height, width = pixels.shape[:2]
    shown_width, shown_height = size_px or (width, height)
    seen = downscaled(pixels, max_side_px=MAX_SIDE_PX)
    copy = _shrunk(seen, _COPY_PX)
    luma = _luma(copy)
    corners = find_corners(copy)
    hair = find_hair(copy)
    field = luma[~corners]
    low, middle, high = np.percentile(field, (5, 50, 95)) if field.size else (np.nan, np.nan, np.nan)
    return Measures(
        width_px=shown_width,
        height_px=shown_height,
        aspect=max(shown_width, shown_height) / min(shown_width, shown_height),
        sharpness=measure_sharpness(seen, _grown(corners, seen.shape[:2])),
        brightness=float(middle),
        contrast=float(high - low),
        overexposed=float((copy.min(axis=2) >= _WHITE).mean()),
        hair=float(hair.mean()),
        corners=float(corners.mean()),
        ita_degrees=measure_ita(
            copy, None if mask is None else _resized(mask, copy.shape[:2]), corners | hair
        ),
    )


def measure_sharpness(pixels: np.ndarray, ignored: np.ndarray | None = None) -> float:
    """Return how much of its steepest edges uint8 RGB (H, W, 3) loses to a blur, 0 to 1; NaN for one colour.

    ignored: what has no say, bool (H, W): black corners have steep and soft edges of their own.

    A mean over 5 × 5 pixels flattens a sharp edge and leaves a blurred one nearly as it was (the idea of
    Crété et al., 2007). Only the steepest 2 % of pixels count: smooth skin around a lesion says nothing.
    """
    luma = _luma(pixels)
    steepness = _steepness(luma)
    if ignored is not None:
        steepness = np.where(ignored[1:-1, 1:-1], 0, steepness)
    if steepness.size == 0:
        return float("nan")
    place = int((1 - _STEEPEST) * (steepness.size - 1))
    edges = steepness >= max(np.partition(steepness, place, axis=None).flat[place], 1e-6)
    if not edges.any():
        return float("nan")
    before = float(steepness[edges].sum())
    if before / edges.sum() < _LEAST_STEEPNESS:
        return float("nan")
    after = float(_steepness(ndimage.uniform_filter(luma, _BLUR_PX))[edges].sum())
    return max(0.0, 1 - after / before)


def find_corners(pixels: np.ndarray) -> np.ndarray:
    """Return where black corners and borders are in uint8 RGB (h, w, 3), bool (h, w).

    They are dark and hang together with a corner of the picture.
    """
    luma = ndimage.uniform_filter(_luma(pixels), 3)
    height, width = luma.shape
    middle = float(np.median(luma[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None]))
    dark = luma < min(_DARK, max(middle * _DARK_BESIDE_MIDDLE, 12.0))
    parts, _ = ndimage.label(dark)
    touched = {int(parts[row, column]) for row in (0, -1) for column in (0, -1)} - {0}
    return np.isin(parts, list(touched)) if touched else np.zeros(luma.shape, dtype=bool)


def find_hair(pixels: np.ndarray) -> np.ndarray:
    """Return where dark hairs are in uint8 RGB (h, w, 3), bool (h, w).

    As in DullRazor (Lee et al., 1997), a closing along a line fills what is thin and dark across it. What is
    filled in some directions but not in others is a line, and not a dot; a line that is long and thin is a
    hair.
    """
    luma = _luma(pixels)
    side = min(luma.shape)
    reach = max(3, round(side * _HAIR_REACH)) | 1
    slanted = max(3, round(reach / np.sqrt(2))) | 1
    depths = [
        _closed(luma, step, length) - luma
        for step, length in (((0, 1), reach), ((1, 0), reach), ((1, 1), slanted), ((1, -1), slanted))
    ]
    deepest = np.maximum.reduce(depths)
    lines = (deepest > _HAIR_DEPTH) & (np.minimum.reduce(depths) < deepest / 2)
    parts, count = ndimage.label(lines, structure=np.ones((3, 3)))
    if not count:
        return np.zeros(luma.shape, dtype=bool)
    areas = np.bincount(parts.ravel(), minlength=count + 1)
    lengths = np.zeros(count + 1)
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        lengths[number] = np.hypot(box[0].stop - box[0].start, box[1].stop - box[1].start)
    # A tangle of crossing hairs has a large box, and much more line in it than its diagonal.
    hairs = (lengths >= side * _HAIR_LENGTH) & (areas <= 4 * lengths * max(2.0, side * _HAIR_WIDTH))
    hairs[0] = False
    return np.asarray(hairs[parts])


def measure_ita(pixels: np.ndarray, mask: np.ndarray | None, other: np.ndarray) -> float:
    """Return the individual typology angle of the skin, in degrees.

    NaN where too little skin is seen, or where the light is so bluish that the angle says nothing of skin.

    ITA = arctan((L* − 50) / b*) · 180/π, of the medians of CIE L*a*b* (D65) over the skin.

    Args:
        pixels: uint8 RGB, shape (h, w, 3).
        mask: where the lesion is, bool (h, w). When None, skin is the brighter part by Otsu's threshold.
        other: what is neither skin nor lesion (corners, hair), bool (h, w).
    """
    small = _shrunk(pixels, _SKIN_PX)
    shape = small.shape[:2]
    lightness, _, yellow = np.moveaxis(to_lab(small), -1, 0)
    usable = ~_resized(other, shape) & (small.min(axis=2) < _WHITE)
    if mask is not None:
        skin = usable & ~ndimage.binary_dilation(_resized(mask, shape), iterations=3)
    elif usable.any():
        skin = usable & (lightness >= _otsu(lightness[usable]))
    else:
        skin = usable
    if skin.sum() < _LEAST_SKIN_PX:
        return float("nan")
    rise, run = float(np.median(lightness[skin])) - 50, float(np.median(yellow[skin]))
    if run < _LEAST_YELLOW:
        # Skin is yellowish; bluish light sends the angle to 90 degrees and then turns its sign.
        return float("nan")
    return float(np.degrees(np.arctan2(rise, run)))


def ita_band(degrees: pd.Series) -> pd.Series:
    """Return the band of each angle, one of ITA_BANDS; missing where the angle is NaN."""
    edges = [-np.inf, *reversed(ITA_EDGES), np.inf]
    return pd.cut(degrees, edges, labels=list(reversed(ITA_BANDS))).astype("string").rename("ita_band")


def to_lab(pixels: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* (D65) of sRGB uint8 (..., 3), float32 (..., 3)."""
    linear = _LINEAR[pixels]
    scaled = linear @ _TO_XYZ.T
    root = np.where(scaled > (6 / 29) ** 3, np.cbrt(scaled), scaled / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def percentiles(values: pd.Series) -> pd.Series:
    """Return where each value stands among all, 0 to 100 (ties share their middle); NaN stays NaN."""
    return (values.rank(method="average") - 0.5) / values.notna().sum() * 100


_LEVELS: Final = np.arange(256) / 255
_LINEAR: Final = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)
# sRGB to XYZ (IEC 61966-2-1), each row divided by the white point's.
_TO_XYZ: Final = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
) / np.array([[0.95047], [1.0], [1.08883]])


def _luma(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) @ np.array(LUMA, dtype=np.float32)


def _steepness(luma: np.ndarray) -> np.ndarray:
    """Return the size of the gradient inside (h, w), shape (h - 2, w - 2)."""
    across = luma[1:-1, 2:] - luma[1:-1, :-2]
    down = luma[2:, 1:-1] - luma[:-2, 1:-1]
    return np.sqrt(across * across + down * down)


def _shrunk(pixels: np.ndarray, side_px: int) -> np.ndarray:
    """Return uint8 RGB with about this shorter side, by whole factors; never enlarged."""
    factor = min(pixels.shape[:2]) // side_px
    return pixels if factor <= 1 else np.asarray(Image.fromarray(pixels).reduce(factor))


def _resized(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if mask.shape == shape:
        return mask
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BOX)) > 127


def _closed(luma: np.ndarray, step: tuple[int, int], reach: int) -> np.ndarray:
    """Return the closing of (h, w) along a line of `reach` pixels in steps of (rows, columns)."""
    return -_spread(-_spread(luma, step, reach), step, reach)


def _spread(values: np.ndarray, step: tuple[int, int], reach: int) -> np.ndarray:
    """Return the maximum over a centred line of `reach` pixels; the picture ends in copies of its edge."""
    half = reach // 2
    height, width = values.shape
    padded = np.pad(values, half, mode="edge")
    best = values
    for offset in range(-half, half + 1):
        top, left = half + offset * step[0], half + offset * step[1]
        best = np.maximum(best, padded[top : top + height, left : left + width])
    return best


def _grown(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray | None:
    """Return corners with their soft edge, at this shape; None where there are none."""
    if not corners.any():
        return None
    reach = max(1, round(min(corners.shape) * _SOFT_EDGE))
    return _resized(ndimage.maximum_filter(corners, 2 * reach + 1), shape)


def _otsu(values: np.ndarray) -> float:
    """Return the threshold that parts values best into two groups (Otsu, 1979)."""
    if values.min() == values.max():
        return float(values.min())
    counts, edges = np.histogram(values, bins=64)
    centres = (edges[:-1] + edges[1:]) / 2
    # Where to cut: after each bin but the last. The outermost bins are never empty, so both sides have some.
    below = np.cumsum(counts)[:-1]
    sums = np.cumsum(counts * centres)
    above, rest = len(values) - below, sums[-1] - sums[:-1]
    between = below * above * (sums[:-1] / below - rest / above) ** 2
    return float(edges[1 + int(np.argmax(between))])
