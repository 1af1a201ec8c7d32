"""Lesion masks that lie beside a dataset's pictures, found by name and read when asked for.

HAM10000's masks (Tschandl et al., Nature Medicine 2020) are named `ISIC_0024306_segmentation.png`; a mask is
white where the lesion is, and may be smaller or larger than its picture.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from core.data.pictures import read_picture
from core.data.preprocessing import cover

SUFFIX: Final = "_segmentation"
_TYPES: Final = (".png", ".jpg", ".jpeg")
_INSIDE: Final = 128


def find_masks(folder: Path, image_ids: Collection[str]) -> dict[str, Path]:
    """Return image id -> mask file, for the images that have one anywhere below the folder.

    A folder that cannot be listed has no masks.
    """
    wanted = {image_id.casefold(): image_id for image_id in image_ids}
    found: dict[str, Path] = {}
    for place, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            stem, kind = os.path.splitext(file)  # noqa: PTH122 -- twenty thousand names
            if kind.lower() not in _TYPES or not stem.casefold().endswith(SUFFIX):
                continue
            image_id = wanted.get(stem.casefold().removesuffix(SUFFIX))
            if image_id is not None:
                found.setdefault(image_id, Path(place) / file)
    return found


def read_mask(file: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return a mask as bool (height, width) of `shape`; True inside the lesion.

    Raises:
        PictureError: the file cannot be read.
    """
    gray = read_picture(file, name=file.name).pixels[..., 0]
    if gray.shape != shape:
        height, width = shape
        gray = np.asarray(Image.fromarray(gray).resize((width, height), Image.Resampling.BILINEAR))
    return gray >= _INSIDE


def read_mask_as_seen(file: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return a mask as bool (h, w), cut and resized as `cover` does it to the picture.

    Raises:
        PictureError: the file cannot be read.
    """
    return as_seen(read_picture(file, name=file.name).pixels[..., 0] >= _INSIDE, shape)


def as_seen(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a mask, bool (H, W), cut and resized to bool (h, w) as `cover` does it to its picture."""
    painted = np.repeat((mask * np.uint8(255))[..., None], 3, axis=-1)
    fitted: np.ndarray = cover(painted, shape)[..., 0] >= _INSIDE
    return fitted


def outline(mask: np.ndarray, *, thickness_px: int = 1) -> np.ndarray:
    """Return the rim of a mask, bool (height, width): inside, at most `thickness_px` from the outside.

    The picture's own edge is no rim: a lesion that is cut off by it has no border there.
    """
    inner = mask
    for _ in range(thickness_px):
        padded = np.pad(inner, 1, mode="edge")
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def draw_outline(
    pixels: np.ndarray, mask: np.ndarray, *, colour: tuple[int, int, int], thickness_px: int = 2
) -> np.ndarray:
    """Return the pixels, uint8 (H, W, 3), with the rim of a mask (H, W) drawn in a colour, edged in black.

    The black edge keeps the line visible on any skin.
    """
    drawn = pixels.copy()
    drawn[outline(mask, thickness_px=thickness_px + 1)] = (0, 0, 0)
    drawn[outline(mask, thickness_px=thickness_px)] = colour
    return drawn


def share_inside(mask: np.ndarray) -> float:
    """Return the part of the picture that the lesion covers, 0 to 1."""
    return float(mask.mean())
