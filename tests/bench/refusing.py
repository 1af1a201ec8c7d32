"""How well unknown input is told from dermoscopic pictures: false alarms, and what is let through."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from core.data.pictures import read_picture
from core.data.readers import read_dataset
from core.evaluate.metrics import area_under_curve
from core.models.checkpoint import Checkpoint
from core.predict.placing import split_of_checkpoint
from core.predict.predictor import look
from core.predict.unknown import colours_of

SHAPE = (450, 600, 3)
DRAWN_EACH = 20


def report(checkpoint: Checkpoint, ham10000: Path, pad: Path | None, *, count: int) -> None:
    """Print the false-alarm rate on test pictures, and the refused share and the AUROC of other kinds."""
    table = read_dataset(ham10000)
    parts = split_of_checkpoint(table, checkpoint.folder)
    test = [] if parts is None else table.loc[(parts == "test") & table["image_path"].notna(), "image_path"]
    known, refused = _judged(checkpoint, _read(_spread(list(test), count)))
    print(
        f"HAM10000 test pictures: {refused.mean():.1%} refused (n = {len(known)}); at most 5 % are wanted\n"
    )
    kinds: dict[str, Iterable[np.ndarray]] = {
        name: (draw(np.random.default_rng(seed)) for seed in range(DRAWN_EACH))
        for name, draw in DRAWN.items()
    }
    if pad is not None:
        kinds = {"PAD-UFES-20 photos": _read(_spread(_photos(pad), count))} | kinds
    print(f"  {'':22}{'refused':>10}{'AUROC':>8}{'n':>6}")
    for name, pictures in kinds.items():
        scores, others = _judged(checkpoint, pictures)
        both = np.concatenate([known, scores])
        strange = np.arange(len(both)) >= len(known)
        area = area_under_curve(strange, both, np.ones(len(both)))
        print(f"  {name:22}{others.mean():10.1%}{area:8.3f}{len(scores):6}")


def _judged(checkpoint: Checkpoint, pictures: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return how strange each picture is, and whether it was refused."""
    limits = checkpoint.manifest.limits
    scores, refused = [], []
    for pixels in pictures:
        found = look(checkpoint, pixels)
        distance = found.unknown.distance
        scores.append(
            distance
            if limits is None
            else float(limits.strangeness(np.array(distance), colours_of(found.seen)))
        )
        refused.append(not found.unknown.known)
    return np.array(scores), np.array(refused)


def _photos(folder: Path) -> list[str]:
    return read_dataset(folder)["image_path"].dropna().tolist()


def _spread(paths: list[str], count: int) -> list[str]:
    return [paths[place] for place in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)]


def _read(paths: Iterable[str]) -> Iterable[np.ndarray]:
    return (read_picture(Path(path), name="a picture").pixels for path in paths)


def _noise(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, SHAPE, dtype=np.uint8)


def _flat(rng: np.random.Generator) -> np.ndarray:
    return np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), SHAPE).copy()


def _text(rng: np.random.Generator) -> np.ndarray:
    image = Image.new("RGB", (SHAPE[1], SHAPE[0]), (250, 250, 248))
    draw = ImageDraw.Draw(image)
    letters = "abcdefghijklmnopqrstuvwxyz      "
    for line in range(12, SHAPE[0], 18):
        draw.text((12, line), "".join(rng.choice(list(letters), 90)), fill=(20, 20, 20))
    return np.asarray(image)


def _xray(rng: np.random.Generator) -> np.ndarray:
    """Draw a dark chest with pale ribs."""
    image = Image.new("L", (SHAPE[1], SHAPE[0]), 18)
    draw = ImageDraw.Draw(image)
    for rib in range(7):
        top = 40 + 55 * rib + int(rng.integers(-6, 6))
        draw.arc((80, top, 290, top + 120), 190, 350, fill=150, width=14)
        draw.arc((310, top, 520, top + 120), 190, 350, fill=150, width=14)
    draw.rectangle((288, 20, 312, 430), fill=190)
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(6)))
    return np.repeat(blurred[..., None], 3, axis=-1)


def _face(rng: np.random.Generator) -> np.ndarray:
    skin = tuple(int(level) for level in np.array([224, 178, 150]) + rng.integers(-30, 20, 3))
    image = Image.new("RGB", (SHAPE[1], SHAPE[0]), tuple(rng.integers(40, 220, 3).tolist()))
    draw = ImageDraw.Draw(image)
    draw.ellipse((170, 30, 430, 430), fill=skin)
    for x in (240, 330):
        draw.ellipse((x, 170, x + 34, 194), fill=(250, 250, 250))
        draw.ellipse((x + 11, 174, x + 25, 190), fill=(50, 40, 30))
    draw.arc((240, 250, 360, 350), 20, 160, fill=(150, 60, 60), width=8)
    draw.pieslice((165, 10, 435, 240), 180, 360, fill=(60, 40, 25))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(2)))


DRAWN: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "noise": _noise,
    "flat colours": _flat,
    "text": _text,
    "X-rays, drawn": _xray,
    "faces, drawn": _face,
}
