"""How fast pictures come to a training step: decoded into the store, then augmented."""

import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from core.data.store import open_store
from core.data.synthetic import draw_lesion
from core.data.transforms import AugmentConfig, augmentation
from core.labels import CODES

_DRAWN = 40


def rates(folder: Path | None, *, count: int, size: int) -> None:
    """Print pictures per second of the store and of the default augmentation."""
    with tempfile.TemporaryDirectory() as temporary:
        paths = pictures_in(folder, count) if folder else drawn(Path(temporary), count)
        names = [f"{position}_{path.stem}" for position, path in enumerate(paths)]
        started = time.perf_counter()
        store = open_store(names, paths, cache_dir=Path(temporary) / "cache")
        elapsed_s = time.perf_counter() - started
        width, height = Image.open(paths[0]).size
        print(
            f"store: {len(paths) / elapsed_s:.0f} pictures/s ({len(paths)} of {width} × {height} px in "
            f"{elapsed_s:.1f} s, starting the workers included)"
        )
        augment = augmentation(AugmentConfig(), size)
        pictures = [torch.from_numpy(pixels.copy()).permute(2, 0, 1) for pixels in store.pixels[:100]]
        started = time.perf_counter()
        for picture in pictures:
            augment(picture)
        elapsed_s = time.perf_counter() - started
        print(f"augmentation: {len(pictures) / elapsed_s:.0f} pictures/s to {size} px, one process")


def pictures_in(folder: Path, count: int) -> list[Path]:
    """Return the first `count` pictures of a folder."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return found[:count]


def drawn(folder: Path, count: int) -> list[Path]:
    """Draw few pictures and take them again and again: drawing is slower than what is measured."""
    paths = []
    for seed in range(min(_DRAWN, count)):
        paths.append(folder / f"{seed}.jpg")
        Image.fromarray(draw_lesion(seed, kind=CODES[seed % 7])).save(paths[-1], quality=95)
    return [paths[position % len(paths)] for position in range(count)]
