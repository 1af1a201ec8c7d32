"""Small pictures for galleries and maps, decoded when they are first shown and kept in a bounded memory.

No store has to be built before the first page of a gallery: thirty pictures take a tenth of a second.
"""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from core.data.masks import draw_outline, read_mask
from core.data.pictures import downscaled, read_picture
from core.errors import PictureError

KEPT: Final = 4096
"""Thumbnails in memory: 4,096 of 7 KB are under 30 MB."""

OUTLINE: Final = (51, 240, 226)
_QUALITY: Final = 80
_THREADS: Final = 4


@dataclass(frozen=True)
class Thumbnail:
    """One small picture: `data` is a JPEG, or empty with the reason in `problem`."""

    data: bytes
    problem: str | None = None

    @property
    def uri(self) -> str:
        """The picture as a data URI, which calls nobody; empty where there is none."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.data).decode()}" if self.data else ""


def thumbnail(path: Path, *, side_px: int, mask: Path | None = None) -> Thumbnail:
    """Return a picture with no side over `side_px`, with the lesion's outline where a mask is given.

    A picture that cannot be read, or a mask, is said by the thumbnail itself: one bad file must not take a
    gallery away.
    """
    return _thumbnail(str(path), _changed(path), side_px, None if mask is None else str(mask))


def thumbnails(
    paths: Mapping[str, Path], *, side_px: int, masks: Mapping[str, Path] | None = None
) -> dict[str, Thumbnail]:
    """Return image id -> thumbnail, decoded side by side. masks: of the image ids that have one."""
    masks = masks or {}
    names: Sequence[str] = list(paths)
    with ThreadPoolExecutor(_THREADS) as pool:
        made = pool.map(lambda name: thumbnail(paths[name], side_px=side_px, mask=masks.get(name)), names)
        return dict(zip(names, made, strict=True))


def montage(pictures: Sequence[Thumbnail], *, columns: int, cell_px: tuple[int, int]) -> np.ndarray:
    """Return pictures side by side, uint8 (H, W, 3); what cannot be read is left out. cell_px: height, width.

    Raises:
        PictureError: none of them can be read.
    """
    readable = [picture for picture in pictures if picture.data]
    if not readable:
        raise PictureError("None of these pictures can be read; look for them under Quality.")
    height, width = cell_px
    rows = -(-len(readable) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), (127, 127, 127))
    for position, picture in enumerate(readable):
        tile = Image.open(io.BytesIO(picture.data)).resize((width, height), Image.Resampling.BILINEAR)
        sheet.paste(tile, (position % columns * width, position // columns * height))
    return np.asarray(sheet)


def _changed(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 -- asked for every thumbnail of every rerun
    except OSError:
        return 0


@lru_cache(maxsize=KEPT)
def _thumbnail(path: str, changed: int, side_px: int, mask: str | None) -> Thumbnail:  # noqa: ARG001 -- the key
    try:
        pixels = downscaled(read_picture(Path(path), name=Path(path).name).pixels, max_side_px=side_px)
    except PictureError as problem:
        return Thumbnail(b"", str(problem))
    if mask is not None:
        try:
            pixels = draw_outline(pixels, read_mask(Path(mask), pixels.shape[:2]), colour=OUTLINE)
        except PictureError as problem:
            return Thumbnail(_jpeg(pixels), str(problem))
    return Thumbnail(_jpeg(pixels))


def _jpeg(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
