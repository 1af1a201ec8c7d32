"""A dataset at another size: every picture brought to it once, in colour or gray, in one ordered folder.

Levels stay 0 to 255: they are divided by 255 once, where a network is fed (`Preprocessing.normalise`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from core.data.preprocessing import cover, to_gray
from core.data.readers import read_dataset
from core.data.writing import (
    OutputFolder,
    Progress,
    Task,
    fingerprint,
    picture_names,
    without_broken,
)
from core.errors import DataError

MIN_SIDE_PX: Final = 16
MAX_SIDE_PX: Final = 8192


@dataclass(frozen=True)
class Size:
    """A target size in pixels: of the shorter side, the picture whole; or exact, cut evenly to fill it.

    Raises:
        DataError: a side is outside 16 to 8192 px.
    """

    height: int
    width: int | None = None

    def __post_init__(self) -> None:
        for side in (self.height, self.width or self.height):
            if not MIN_SIDE_PX <= side <= MAX_SIDE_PX:
                raise DataError(
                    f"The size {self} is out of reach; expected {MIN_SIDE_PX} to {MAX_SIDE_PX} px."
                )

    def __str__(self) -> str:
        return str(self.height) if self.width is None else f"{self.height}x{self.width}"

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Read "224" (shorter side) or "225x300" (height, width); raises DataError for anything else."""
        parts = text.lower().replace("×", "x").split("x")
        if len(parts) > 2 or not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
            raise DataError(
                f"The size is {text!r}; expected one number, or height x width, for instance 225x300."
            )
        return cls(*(int(part) for part in parts))

    def of(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) that a picture of this height and width gets."""
        if self.width is not None:
            return self.height, self.width
        scale = self.height / min(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))


def resized(pixels: np.ndarray, size: Size, *, gray: bool) -> np.ndarray:
    """Return uint8 pixels at the size: RGB (h, w, 3), or gray (h, w) as 0.299 R + 0.587 G + 0.114 B."""
    shape = size.of(*pixels.shape[:2])
    # The longer side of a picture that stays whole is rounded to a pixel: no need to cut a part of one.
    seen = cover(pixels, shape) if size.width is not None else _whole(pixels, shape)
    return to_gray(seen)[..., 0] if gray else seen


def _whole(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.array(Image.fromarray(pixels).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


@dataclass(frozen=True)
class Resized:
    """What became of the pictures.

    unreadable: one sentence for each that cannot be read; its row stays, without a picture.
    """

    images: int
    without_picture: int
    unreadable: tuple[str, ...]
    left_out: Mapping[str, int]

    def lines(self) -> list[str]:
        """Return what is to be said, one sentence a line."""
        return [
            f"{self.images:,} images, {self.without_picture:,} of them without a picture.",
            *(f"Left out, {reason}: {count:,}." for reason, count in self.left_out.items()),
            *(f"Unreadable: {reason}" for reason in self.unreadable),
        ]


def resize_dataset(
    source: Path,
    out: Path,
    *,
    size: Size,
    gray: bool = False,
    layout: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Resized:
    """Write a dataset whose pictures have the size, as JPEG, in the order of their ids, beside its table.

    Raises:
        DataError: the dataset cannot be read, or the folder cannot be written.
    """
    table = read_dataset(source, layout).sort_values("image_id", ignore_index=True)
    work = {
        "command": "resize",
        "source": str(source.resolve()),
        "data": fingerprint(table),
        "size": str(size),
        "gray": gray,
    }
    with OutputFolder(out, work=work, inputs=[source]) as folder:
        if (done := folder.finished) is not None:
            return Resized(**(done | {"unreadable": tuple(done["unreadable"])}))
        names = picture_names(table, suffix=".jpg").where(table["image_path"].notna())
        has = names.notna()
        change = partial(resized, size=size, gray=gray)
        tasks = [
            Task(Path(path), name, change)
            for path, name in zip(table.loc[has, "image_path"], names[has], strict=True)
        ]
        failures = folder.write_pictures(tasks, workers=workers, progress=progress)
        kept, unreadable = without_broken(table, names, failures)
        result = Resized(
            images=len(kept),
            without_picture=int(kept["image_path"].isna().sum()),
            unreadable=unreadable,
            left_out=table.attrs.get("left_out", {}),
        )
        folder.finish(kept, result=asdict(result))
        return result
