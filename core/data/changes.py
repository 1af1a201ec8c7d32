"""What may happen to a picture between skin and model, a change at a time. Add one to CHANGES.

A change is a pure function of uint8 RGB pixels, shape (H, W, 3), and an amount; the same amount gives the
same picture again. Predict asks "what if" with them. Steps of preparation, with all their parameters, are in
`core.data.steps`; what makes a picture poor, by severity, is in `core.data.corruptions`.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from core.data.corruptions import CORRUPTIONS
from core.data.preprocessing import to_gray
from core.data.steps import STEPS, Flip, Light, Rotation, Zoom

_INK: Final = (54, 38, 120)
_SEED: Final = 5
_CORNERS_OF_A_SHAPE: Final = 3
MOST_POINTS: Final = 24
"""A shape that a person marks has no more corners."""

Points = tuple[tuple[float, float], ...]
"""Corners (x, y) as shares of a picture's width and height."""


@dataclass(frozen=True)
class Change:
    """One change and how people speak of it.

    about: what it does or stands for, one sentence.
    low, high, step: of the amount; low and high are equal where the change has none.
    usual: an amount that is often met.
    unit: said behind the amount.
    """

    name: str
    title: str
    about: str
    apply: Callable[[np.ndarray, float], np.ndarray]
    low: float = 1.0
    high: float = 1.0
    step: float = 1.0
    usual: float = 1.0
    unit: str = ""

    @property
    def has_amount(self) -> bool:
        """Whether there is anything to choose."""
        return self.low < self.high


@dataclass(frozen=True)
class Applied:
    """A change with its amount, or a shape that is hidden or kept: points (x, y) as shares of the picture."""

    name: str
    amount: float = 1.0
    points: Points = ()

    @property
    def title(self) -> str:
        """What people call it, with its amount."""
        if self.name in SHAPES:
            return SHAPES[self.name]
        change = CHANGES[self.name]
        return f"{change.title} {self.amount:g}{change.unit}" if change.has_amount else change.title

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Return the changed picture."""
        if self.name in SHAPES:
            return cover_shape(pixels, self.points, keep=self.name == "keep")
        return CHANGES[self.name].apply(pixels, self.amount)


def apply_all(pixels: np.ndarray, applied: Sequence[Applied]) -> np.ndarray:
    """Return the picture after changes in their order."""
    return reduce(lambda changed, one: one(changed), applied, pixels)


def write_changes(applied: Sequence[Applied]) -> str:
    """Return changes as a short text that an address can hold; `read_changes` reads it back."""
    return "~".join(one.name + ":" + (write_points(one.points) or f"{one.amount:g}") for one in applied)


def read_changes(text: str, *, most: int = 12) -> tuple[Applied, ...]:
    """Return the changes that a text names; what is not one of ours, or out of its range, is left out."""
    found = (_read_one(part) for part in text.split("~")[:most])
    return tuple(one for one in found if one is not None)


def write_points(points: Points) -> str:
    """Return the corners of a shape as a short text; `read_points` reads it back."""
    return "/".join(f"{x:.3f}/{y:.3f}" for x, y in points)


def read_points(text: str) -> Points | None:
    """Return the corners that a text names, three to MOST_POINTS of them; None for what is no shape."""
    try:
        numbers = [float(number) for number in text.split("/")]
    except ValueError:
        return None
    points = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    # Nothing that is no number lies between 0 and 1.
    inside = all(0 <= number <= 1 for number in numbers)
    if not inside or len(numbers) % 2 or not _CORNERS_OF_A_SHAPE <= len(points) <= MOST_POINTS:
        return None
    return points


def cover_shape(
    pixels: np.ndarray, points: Sequence[tuple[float, float]], *, keep: bool = False
) -> np.ndarray:
    """Return the picture with a polygon, or with keep all but the polygon, in its own median colour.

    points: (x, y) as shares of width and height, three or more.
    """
    mask = fill_shape(points, pixels.shape[:2])
    hidden = ~mask if keep else mask
    changed = pixels.copy()
    # A colour of the picture itself, so that no bright shape appears.
    changed[hidden] = np.median(pixels[::4, ::4].reshape(-1, 3), axis=0).astype(np.uint8)
    return changed


def fill_shape(points: Sequence[tuple[float, float]], shape: tuple[int, int]) -> np.ndarray:
    """Return a polygon with its border as bool (height, width) of `shape`; what is wound twice is outside."""
    height, width = shape
    mask = Image.new("1", (width, height))
    ImageDraw.Draw(mask).polygon([(x * width, y * height) for x, y in points], fill=1)
    return np.asarray(mask)


def cut(pixels: np.ndarray, share: float) -> np.ndarray:
    """Keep the middle of a picture: `share` of its width and of its height."""
    height, width = pixels.shape[:2]
    kept_h, kept_w = max(16, round(height * share)), max(16, round(width * share))
    top, left = (height - kept_h) // 2, (width - kept_w) // 2
    return np.ascontiguousarray(
        pixels[max(0, top) : max(0, top) + kept_h, max(0, left) : max(0, left) + kept_w]
    )


def cast(pixels: np.ndarray, amount: float) -> np.ndarray:
    """Multiply red by 1 + amount and blue by 1 - amount: a warmer lamp, or below zero a colder one."""
    gains = np.array([1 + amount, 1, 1 - amount], dtype=np.float32)
    return np.clip(pixels * gains + 0.5, 0, 255).astype(np.uint8)


def blur(pixels: np.ndarray, amount: float) -> np.ndarray:
    """Gaussian blur whose radius (standard deviation) is `amount` percent of the shorter side."""
    radius_px = amount / 100 * min(pixels.shape[:2])
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius_px)))


def compress(pixels: np.ndarray, quality: float) -> np.ndarray:
    """Store as JPEG of this quality (1 to 95) and read back."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(quality))
    return np.array(Image.open(buffer).convert("RGB"))


def add_noise(pixels: np.ndarray, deviation: float) -> np.ndarray:
    """Add Gaussian noise of this standard deviation, in levels of 255, to each channel of each pixel."""
    noise = np.random.default_rng(_SEED).standard_normal(pixels.shape, dtype=np.float32)
    return np.clip(pixels + deviation * noise + 0.5, 0, 255).astype(np.uint8)


def draw_ink(pixels: np.ndarray) -> np.ndarray:
    """Draw a surgeon's ink: a ring of violet strokes around the middle."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    width, height = image.size
    thick = max(2, round(0.02 * min(width, height)))
    box = (0.08 * width, 0.08 * height, 0.92 * width, 0.92 * height)
    for start in (20, 110, 200, 290):
        draw.arc(box, start, start + 50, fill=_INK, width=thick)
    return np.array(image.filter(ImageFilter.GaussianBlur(0.002 * min(width, height))))


def _corruption(name: str) -> Callable[[np.ndarray, float], np.ndarray]:
    return lambda pixels, severity: CORRUPTIONS[name](pixels, int(severity), seed=_SEED)


def _step(name: str, parameters: Callable[[float], object]) -> Callable[[np.ndarray, float], np.ndarray]:
    return lambda pixels, amount: STEPS[name](pixels, parameters(amount))


SHAPES: Final = {"hide": "A part hidden", "keep": "All but a part hidden"}
CHANGES: Final[dict[str, Change]] = {
    change.name: change
    for change in (
        Change(
            "rotate",
            "Rotated",
            "Dermoscopy has no up and no down; beyond the edge the picture is mirrored.",
            _step("rotation", Rotation),
            -180,
            180,
            5,
            45,
            "°",
        ),
        Change(
            "mirror",
            "Mirrored",
            "Left and right exchanged.",
            _step("flip", lambda _: Flip(horizontal=True)),
        ),
        Change(
            "upside-down",
            "Upside down",
            "Turned by 180 degrees, without resampling.",
            _step("flip", lambda _: Flip(horizontal=False, quarter_turns=2)),
        ),
        Change(
            "crop",
            "Cropped to the middle,",
            "The rim is cut away: what share of width and height stays.",
            lambda pixels, amount: cut(pixels, amount / 100),
            40,
            95,
            5,
            75,
            " %",
        ),
        Change(
            "zoom",
            "Zoomed ×",
            "Closer above 1, farther away below; the size stays.",
            _step("zoom", Zoom),
            0.6,
            2.5,
            0.1,
            1.4,
        ),
        Change(
            "brightness",
            "Brightness ×",
            "All levels multiplied.",
            _step("light", lambda amount: Light(brightness=amount, contrast=1)),
            0.4,
            1.8,
            0.05,
            0.75,
        ),
        Change(
            "contrast",
            "Contrast ×",
            "Spread around the mean gray.",
            _step("light", lambda amount: Light(brightness=1, contrast=amount)),
            0.3,
            2.0,
            0.05,
            0.7,
        ),
        Change(
            "cast",
            "Colour cast",
            "Warmer above zero, colder below: another lamp or white balance.",
            cast,
            -0.3,
            0.3,
            0.02,
            0.1,
        ),
        Change(
            "blur",
            "Blurred",
            "Out of focus: radius in percent of the shorter side.",
            blur,
            0.1,
            4,
            0.1,
            0.8,
            " %",
        ),
        Change("jpeg", "JPEG quality", "Stored with loss, as messengers do.", compress, 5, 95, 5, 20),
        Change("noise", "Noise ±", "Grain of a dark picture, in levels of 255.", add_noise, 2, 60, 2, 14),
        Change(
            "hair", "Hairs drawn, severity", "Dark hairs across the picture.", _corruption("hair"), 1, 5, 1, 3
        ),
        Change(
            "no-hair",
            "Hair removed",
            "Thin dark lines filled from beside them, after DullRazor.",
            lambda pixels, _: STEPS["hair_removal"](pixels),
        ),
        Change(
            "ruler",
            "Ruler added",
            "A paper ruler at the lower edge.",
            lambda pixels, _: CORRUPTIONS["ruler"](pixels, 2),
        ),
        Change("ink", "Ink added", "Surgical ink around the middle.", lambda pixels, _: draw_ink(pixels)),
        Change("gray", "Gray", "Three equal channels: what colour adds.", lambda pixels, _: to_gray(pixels)),
    )
}

STANDARD: Final = (
    Applied("mirror"),
    Applied("upside-down"),
    Applied("rotate", 45),
    Applied("crop", 75),
    Applied("zoom", 1.4),
    Applied("brightness", 0.75),
    Applied("brightness", 1.25),
    Applied("contrast", 0.7),
    Applied("cast", 0.1),
    Applied("blur", 0.8),
    Applied("jpeg", 20),
    Applied("hair", 3),
)
"""Twelve ways in which the same lesion could have been photographed; none changes the diagnosis."""


def _read_one(text: str) -> Applied | None:
    name, _, rest = text.partition(":")
    if name in SHAPES:
        points = read_points(rest)
        return None if points is None else Applied(name, points=points)
    try:
        amount = float(rest.split("/")[0])
    except ValueError:
        return None
    change = CHANGES.get(name)
    # What is no number is between no two of them.
    return Applied(name, amount) if change is not None and change.low <= amount <= change.high else None
