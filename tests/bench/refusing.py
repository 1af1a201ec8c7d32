"""How well unknown input is told from dermoscopic pictures: false alarms, and what is let through.

Beside what the gate refuses stands where the mask network finds no lesion, which only warns.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.no_lesions import NO_LESIONS, draw_no_lesion
from core.data.pictures import read_picture
from core.data.readers import read_dataset
from core.evaluate.intervals import wilson
from core.evaluate.metrics import area_under_curve
from core.explain.lesion_mask import bundled_masks
from core.models.checkpoint import Checkpoint
from core.predict.placing import split_of_checkpoint
from core.predict.predictor import look
from core.predict.unknown import colours_of

DRAWN_EACH = 20


@dataclass(frozen=True)
class Judged:
    """What came of pictures of one kind, each array (N,).

    strange: how strange each is. refused: by the gate. lost: no lesion was found in it.
    """

    strange: np.ndarray
    refused: np.ndarray
    lost: np.ndarray


def report(checkpoint: Checkpoint, ham10000: Path, pad: Path | None, *, count: int) -> None:
    """Print of test pictures and of other kinds what is refused, what is warned of, and the AUROC."""
    table = read_dataset(ham10000)
    parts = split_of_checkpoint(table, checkpoint.folder)
    test = [] if parts is None else table.loc[(parts == "test") & table["image_path"].notna(), "image_path"]
    kinds: dict[str, Iterable[np.ndarray]] = {
        f"{one.title}, drawn": (draw_no_lesion(kind, seed) for seed in range(DRAWN_EACH))
        for kind, one in NO_LESIONS.items()
    }
    if pad is not None:
        kinds = {"PAD-UFES-20 photos": _read(_spread(_photos(pad), count))} | kinds
    print("Shares with Wilson's 95 % interval over pictures. At most 5 % of test pictures may be refused.")
    print("“No lesion” only warns; “either” is what would be refused if it were a reason too.\n")
    print(f"  {'':24}{'n':>5}{'refused':>26}{'no lesion found':>26}{'either':>26}{'AUROC':>8}")
    known = _judged(checkpoint, _read(_spread(list(test), count)))
    _print_row("HAM10000 test pictures", known, "")
    for name, pictures in kinds.items():
        others = _judged(checkpoint, pictures)
        both = np.concatenate([known.strange, others.strange])
        strange = np.arange(len(both)) >= len(known.strange)
        _print_row(name, others, f"{area_under_curve(strange, both, np.ones(len(both))):.3f}")


def _print_row(name: str, found: Judged, area: str) -> None:
    columns = (found.refused, found.lost, found.refused | found.lost)
    cells = "".join(f"{_with_interval(column):>26}" for column in columns)
    print(f"  {name:24}{len(found.refused):5}{cells}{area:>8}")


def _with_interval(happened: np.ndarray) -> str:
    low, high = wilson(float(happened.sum()), len(happened))
    return f"{happened.mean():.1%} ({low:.1%} to {high:.1%})"


def _judged(checkpoint: Checkpoint, pictures: Iterable[np.ndarray]) -> Judged:
    limits, masks = checkpoint.manifest.limits, bundled_masks()
    strange, refused, lost = [], [], []
    for pixels in pictures:
        found = look(checkpoint, pixels)
        distance = found.unknown.distance
        strange.append(
            distance
            if limits is None
            else float(limits.strangeness(np.array(distance), colours_of(found.seen)))
        )
        refused.append(not found.unknown.known)
        lost.append(not masks.find(pixels).found)
    return Judged(np.array(strange), np.array(refused), np.array(lost))


def _photos(folder: Path) -> list[str]:
    return read_dataset(folder)["image_path"].dropna().tolist()


def _spread(paths: list[str], count: int) -> list[str]:
    return [paths[place] for place in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)]


def _read(paths: Iterable[str]) -> Iterable[np.ndarray]:
    return (read_picture(Path(path), name="a picture").pixels for path in paths)
