"""Answers for a folder of pictures, in the ISIC 2018 challenge's columns."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from accelerate.utils import gather_object

from core.data.facts import Facts
from core.data.facts_file import read_facts
from core.data.readers import PICTURE_SUFFIXES
from core.errors import DataError
from core.evaluate.artifact import write_isic_csv
from core.labels import CODES
from core.models.checkpoint import Checkpoint
from core.predict.scoring import AS_THE_PAGE, PictureFile, Way, score_pictures
from train.data import available_cpus
from train.predicting import processes, reporting, share_of


@dataclass(frozen=True)
class Scored:
    """What `score_folder` did: how many it answered, and why others have no answer (name -> reason)."""

    answered: int
    with_facts: int
    unanswered: dict[str, str]


def score_folder(
    checkpoint: Checkpoint,
    images: Path,
    out: Path,
    *,
    metadata: Path | None = None,
    way: Way = AS_THE_PAGE,
    progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Answer the pictures of a folder and write `out`, one row a picture that has an answer, by name.

    way: `gated` leaves out what the checkpoint does not know; a challenge wants an answer to everything.

    Raises:
        DataError: the folder holds no pictures, two of one name, or none that can be answered.
    """
    paths = pictures_in(images)
    known = {} if metadata is None else read_facts(metadata)
    facts = [known.get(path.stem, Facts()) for path in paths]
    mine = share_of(paths)
    checkpoint.network.to(processes().device)
    table = score_pictures(
        checkpoint,
        [PictureFile(paths[position]) for position in mine],
        [facts[position] for position in mine],
        way=replace(way, workers=min(way.workers, available_cpus())),
        report=reporting(progress, len(paths)),
    ).set_axis(pd.Index(mine))
    if processes().num_processes > 1:
        table = pd.concat(gather_object([table])).sort_index()
    answered = table["problem"] == ""
    unanswered = dict(table.loc[~answered, ["image", "problem"]].itertuples(index=False, name=None))
    if not answered.any():
        raise DataError(
            f"None of the {len(paths)} pictures in {images} can be answered; the first: "
            f"{next(iter(unanswered.values()))}"
        )
    if processes().is_main_process:
        stems = [paths[position].stem for position in table.index[answered]]
        write_isic_csv(out, stems, table.loc[answered, list(CODES)].to_numpy(dtype=float))
    with_facts = sum(facts[position] != Facts() for position in table.index[answered])
    return Scored(int(answered.sum()), with_facts, unanswered)


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
