"""Answers for a folder of pictures, in the ISIC 2018 challenge's columns."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from core.data.facts import Facts, encode_facts
from core.data.facts_file import read_facts
from core.data.readers import PICTURE_SUFFIXES
from core.errors import DataError
from core.evaluate.artifact import write_isic_csv
from core.models.checkpoint import Checkpoint
from core.predict.calibration import balanced_prior, softmax
from train.predicting import predict_pictures, processes

PRIORS: Final = ("data", "balanced")


@dataclass(frozen=True)
class Scored:
    """What `score_folder` did: how many pictures it answered, and why it skipped others (name -> reason)."""

    answered: int
    with_facts: int
    unreadable: dict[str, str]


def score_folder(
    checkpoint: Checkpoint,
    images: Path,
    out: Path,
    *,
    metadata: Path | None = None,
    prior: str = "data",
    views: int = 4,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Answer every picture of a folder and write `out`, one row a picture, ordered by name.

    prior: "data" gives probabilities as calibrated on HAM10000's mix of diagnoses; "balanced" divides them by
        the training class frequencies to the power chosen on val, and is right where every diagnosis counts
        the same, as in balanced accuracy.

    Raises:
        DataError: the folder holds no pictures, two of one name, or none that can be read.
    """
    if prior == "balanced" and not checkpoint.manifest.class_frequencies:
        raise DataError(
            f"{checkpoint.manifest.name} does not say which mix of diagnoses it learned from, so its answers "
            "cannot be brought to a balanced one. Use --prior data."
        )
    paths = pictures_in(images)
    known = {} if metadata is None else read_facts(metadata)
    facts = [known.get(path.stem, Facts()) for path in paths]
    predicted = predict_pictures(
        checkpoint, paths, encode_facts(facts), views=views, workers=workers, progress=progress
    )
    readable = [position for position in range(len(paths)) if position not in predicted.unreadable]
    unreadable = {paths[position].name: reason for position, reason in sorted(predicted.unreadable.items())}
    if not readable:
        raise DataError(
            f"None of the {len(paths)} pictures in {images} can be read; the first: "
            f"{next(iter(unreadable.values()))}"
        )
    probabilities = softmax(predicted.logits[readable], checkpoint.manifest.temperature)
    if prior == "balanced":
        frequencies = np.array(checkpoint.manifest.class_frequencies)
        probabilities = balanced_prior(probabilities, frequencies, checkpoint.manifest.balanced_power)
    if processes().is_main_process:
        write_isic_csv(out, [paths[position].stem for position in readable], probabilities)
    return Scored(len(readable), sum(facts[position] != Facts() for position in readable), unreadable)


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures below a folder, by name; refuses a folder with none, or two of one name."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.")
    found = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
    )
    if not found:
        raise DataError(
            f"{folder} holds no pictures; expected files ending in {', '.join(sorted(PICTURE_SUFFIXES))}."
        )
    names: dict[str, Path] = {}
    for path in found:
        if path.stem in names:
            raise DataError(
                f"{names[path.stem]} and {path} have one name; the answers could not be told apart."
            )
        names[path.stem] = path
    return found
