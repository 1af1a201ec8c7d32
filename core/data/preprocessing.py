"""From any picture to what a network sees: one way, for training, evaluation, pages and the command line.

A convolutional network takes any shape, so a picture is shown whole: its shorter side is brought to `size`
and its longer side follows, up to `max_aspect`. Only what is longer than that is cut, evenly at both ends.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from PIL import Image

GRID_PX: Final = 32
"""Sides are whole multiples of the networks' stride, so every position of a map covers the same square."""

# ITU-R BT.601, as in the client's document.
LUMA: Final = (0.299, 0.587, 0.114)
"""What red, green and blue each add to a gray level."""


def cover(pixels: np.ndarray, shape: tuple[int, int], *, share: float = 1.0) -> np.ndarray:
    """Resize uint8 RGB (H, W, 3) to fill `shape` (height, width) and cut what sticks out, evenly.

    share: how much of the sides that fit is kept, from the middle; 1 is all.
    """
    height, width = pixels.shape[:2]
    scale = max(shape[0] / height, shape[1] / width) / share
    # Never more than there is, by the last bit of a division: Pillow refuses such a box.
    kept_h, kept_w = min(shape[0] / scale, height), min(shape[1] / scale, width)
    left, top = (width - kept_w) / 2, (height - kept_h) / 2
    box = (left, top, left + kept_w, top + kept_h)
    resized = Image.fromarray(pixels).resize((shape[1], shape[0]), Image.Resampling.BICUBIC, box=box)
    return np.array(resized)  # a copy: torch wants it writable


@dataclass(frozen=True)
class Preprocessing:
    """How pictures become input, as stored in every checkpoint.

    size: shorter side of the input, px. max_aspect: longer over shorter side at most; 1 is always square.
    mean, std: per RGB channel, of pixels scaled to [0, 1]. gray: three equal luma channels instead of colour.
    crop_pct: the share of the sides that the network sees, cut from the middle, as timm means it. Stored
        below 1 only in foreign checkpoints; `closer` lowers it for a view.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    max_aspect: float = 4 / 3
    gray: bool = False
    crop_pct: float = 1.0

    def input_shape(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) of the input for a picture of this height and width."""
        aspect = min(max(height, width) / min(height, width), self.max_aspect)
        longer = max(self.size, GRID_PX * int(self.size * aspect / GRID_PX + 1e-6))
        return (self.size, longer) if width >= height else (longer, self.size)

    def fit(self, pixels: np.ndarray) -> np.ndarray:
        """Return the picture as the network sees it, uint8 (h, w, 3), before normalisation."""
        seen = cover(pixels, self.input_shape(*pixels.shape[:2]), share=self.crop_pct)
        return to_gray(seen) if self.gray else seen

    def closer(self, share: float) -> "Preprocessing":
        """Return the same for a share of the sides, from the middle: as large to the network, but nearer."""
        return replace(self, crop_pct=self.crop_pct * share)

    def normalise(self, seen: np.ndarray) -> np.ndarray:
        """Turn uint8 (..., h, w, 3) into float32 network input (..., 3, h, w)."""
        mean, std = np.array(self.mean, dtype=np.float32), np.array(self.std, dtype=np.float32)
        scaled = seen.astype(np.float32) * (1 / (255 * std)) - mean / std
        return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))

    def to_json(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Preprocessing":
        """Read what `to_json` wrote."""
        return cls(**stored | {"mean": tuple(stored["mean"]), "std": tuple(stored["std"])})


def to_gray(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 pixels (..., 3) with their luma in all three channels."""
    luma = np.rint(pixels.astype(np.float32) @ np.array(LUMA, dtype=np.float32)).astype(np.uint8)
    return np.repeat(luma[..., None], 3, axis=-1)
