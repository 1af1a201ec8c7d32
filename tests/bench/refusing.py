"""How well unknown input is told from dermoscopic pictures: false alarms, and what is let through."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from core.data.no_lesions import NO_LESIONS, draw_no_lesion
from core.data.pictures import read_picture
from core.data.readers import read_dataset
from core.evaluate.metrics import area_under_curve
from core.models.checkpoint import Checkpoint
from core.predict.placing import split_of_checkpoint
from core.predict.predictor import look
from core.predict.unknown import colours_of

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
        f"{one.title}, drawn": (draw_no_lesion(kind, seed) for seed in range(DRAWN_EACH))
        for kind, one in NO_LESIONS.items()
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
