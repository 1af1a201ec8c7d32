"""Many pictures, one table: what the Predict page answers for one, for a folder or a zip of them.

Everything stays in memory. What cannot be read or answered has its row and its reason.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import numpy as np
import pandas as pd

from core.data.facts import Facts
from core.data.pictures import read_picture
from core.data.readers import PICTURE_SUFFIXES
from core.errors import DataError, PictureError
from core.jobs import Report
from core.labels import BY_CODE, CODE_OF_ISIC_COLUMN, CODES, ISIC_2018_COLUMNS
from core.models.checkpoint import Checkpoint
from core.predict.predictor import Prediction, answer, look_at_all
from core.spreadsheet import to_csv

MOST_PICTURES: Final = 500
BATCH: Final = 8
_MOST_BYTES: Final = 2**29


@dataclass(frozen=True)
class NamedPicture:
    """One file that somebody brought: its name, and its bytes."""

    name: str
    data: bytes


def unpack(files: Sequence[NamedPicture], *, max_bytes: int) -> tuple[NamedPicture, ...]:
    """Return the pictures among files and inside zips, in their order; what is no picture by name is not.

    max_bytes: of one picture.

    Raises:
        DataError: there are too many, a zip is damaged or too large, or nothing is left.
    """
    found: list[NamedPicture] = []
    for file in files:
        found.extend(_inside(file, max_bytes) if file.name.lower().endswith(".zip") else [file])
        if sum(len(one.data) for one in found) > _MOST_BYTES:
            raise DataError(f"More than {_MOST_BYTES // 2**20} MB of pictures: bring fewer at once.")
        if len(found) > MOST_PICTURES:
            raise DataError(
                f"More than {MOST_PICTURES} pictures: bring fewer, or use `python -m train score`."
            )
    if not found:
        raise DataError(f"There is no picture in it; expected {', '.join(sorted(PICTURE_SUFFIXES))}.")
    return tuple(found)


def score_pictures(
    checkpoint: Checkpoint,
    pictures: Sequence[NamedPicture],
    facts: Facts,
    *,
    threshold: float | None,
    report: Report,
) -> pd.DataFrame:
    """Return one row a picture, in their order.

    threshold: on the malignancy probability, from which on a picture is suspicious; None without one.

    Columns: image, the seven probabilities by code, malignancy, above_threshold, diagnosis (a name), problem
    (why there is no answer; empty where there is one). Numbers are NaN where there is no answer.
    """
    rows: list[dict[str, object]] = []
    for start in range(0, len(pictures), BATCH):
        report(start, len(pictures), unit="pictures")
        rows += _score_batch(checkpoint, pictures[start : start + BATCH], facts, threshold)
    report(len(pictures), len(pictures), unit="pictures")
    return pd.DataFrame(rows, columns=[*_COLUMNS])


def isic_csv(scores: pd.DataFrame) -> bytes:
    """Return the answered rows in the ISIC 2018 challenge's columns: image,MEL,NV,BCC,AKIEC,BKL,DF,VASC."""
    answered = scores[scores["problem"] == ""]
    table = pd.DataFrame({"image": [PurePosixPath(name).stem for name in answered["image"]]})
    for column in ISIC_2018_COLUMNS:
        table[column] = answered[CODE_OF_ISIC_COLUMN[column]].to_numpy()
    return to_csv(table, float_format="%.7g")


_COLUMNS: Final = ("image", *CODES, "malignancy", "above_threshold", "diagnosis", "problem")


def _score_batch(
    checkpoint: Checkpoint, batch: Sequence[NamedPicture], facts: Facts, threshold: float | None
) -> list[dict[str, object]]:
    pixels: dict[int, np.ndarray] = {}
    problems: dict[int, str] = {}
    for place, one in enumerate(batch):
        try:
            pixels[place] = read_picture(one.data, name=one.name).pixels
        except PictureError as problem:
            problems[place] = str(problem)
    looks = dict(zip(pixels, look_at_all(checkpoint, list(pixels.values())), strict=True))
    rows = []
    for place, one in enumerate(batch):
        if place in problems:
            rows.append(_without_answer(one.name, problems[place]))
            continue
        found = answer(checkpoint, looks[place], facts)
        rows.append(_row(one.name, found, threshold))
    return rows


def _row(name: str, found: Prediction, threshold: float | None) -> dict[str, object]:
    if not found.unknown.known:
        return _without_answer(name, " ".join(found.unknown.reasons))
    return {
        "image": name,
        **dict(zip(CODES, found.probabilities.tolist(), strict=True)),
        "malignancy": found.malignancy,
        "above_threshold": None if threshold is None else found.malignancy >= threshold,
        "diagnosis": BY_CODE[found.top_code].name,
        "problem": "",
    }


def _without_answer(name: str, problem: str) -> dict[str, object]:
    empty = dict.fromkeys([*CODES, "malignancy"], float("nan"))
    return {"image": name, **empty, "above_threshold": None, "diagnosis": "", "problem": problem}


def _inside(file: NamedPicture, max_bytes: int) -> Iterator[NamedPicture]:
    try:
        with zipfile.ZipFile(io.BytesIO(file.data)) as archive:
            members = [member for member in archive.infolist() if _is_picture(member)]
            if len(members) > MOST_PICTURES or sum(one.file_size for one in members) > _MOST_BYTES:
                raise DataError(
                    f"{file.name} holds more than {MOST_PICTURES} pictures or {_MOST_BYTES // 2**20} MB; "
                    "bring a smaller part."
                )
            for member in members:
                with archive.open(member) as opened:
                    # The size that a zip states is not to be trusted.
                    data = opened.read(max_bytes + 1)
                if len(data) > max_bytes:
                    raise DataError(f"{member.filename} in {file.name} is over {max_bytes // 2**20} MB.")
                yield NamedPicture(PurePosixPath(member.filename).name, data)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as problem:
        raise DataError(
            f"{file.name} cannot be unpacked ({problem}). Zip it again, unencrypted."
        ) from problem


def _is_picture(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return not member.is_dir() and not hidden and path.suffix.lower() in PICTURE_SUFFIXES
