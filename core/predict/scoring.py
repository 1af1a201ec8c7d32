"""Many pictures, one table: what the Predict page answers for one, for a folder or a zip of them.

The page and `python -m train score` both ask `score_pictures`. What is brought stays in memory. What cannot
be read or answered has its row and its reason.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import pandas as pd

from core.data.facts import Facts, encode_facts
from core.data.pictures import read_picture
from core.data.readers import PICTURE_SUFFIXES
from core.errors import DataError
from core.evaluate import artifact
from core.jobs import Report, silent
from core.labels import BY_CODE, CODES
from core.models.checkpoint import Checkpoint
from core.predict.calibration import balanced_prior, malignancy, softmax
from core.predict.many import predict_many

MOST_PICTURES: Final = 500
BATCH: Final = 4
"""Pictures in one pass: few, since progress and cancel come between passes; more are hardly faster."""
_MOST_BYTES: Final = 2**29


@dataclass(frozen=True)
class NamedPicture:
    """One file that somebody brought: its name, and its bytes."""

    name: str
    data: bytes

    def read(self) -> np.ndarray:
        """Return its pixels, uint8 RGB (H, W, 3)."""
        return read_picture(self.data, name=self.name).pixels


@dataclass(frozen=True)
class PictureFile:
    """One file that lies here; it is opened when its turn comes."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def read(self) -> np.ndarray:
        """Return its pixels, uint8 RGB (H, W, 3)."""
        return read_picture(self.path, name=self.name).pixels


@dataclass(frozen=True)
class Way:
    """How many pictures are answered.

    prior: "data" gives probabilities as calibrated on HAM10000's mix of diagnoses; "balanced" divides them by
        the training class frequencies to the power chosen on val, and is right where every diagnosis counts
        the same, as in balanced accuracy.
    views: views to average, a key of `core.predict.many.VIEWS`.
    gated: whether pictures that the checkpoint does not know stay without an answer.
    batch: pictures in one pass. workers: threads that decode.
    """

    prior: str = "data"
    views: int = 1
    gated: bool = True
    batch: int = BATCH
    workers: int = 1


AS_THE_PAGE: Final = Way()
"""One look, the gate, the data's prior: what the Predict page answers for one picture."""


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
    return _told_apart(found)


def score_pictures(
    checkpoint: Checkpoint,
    pictures: Sequence[NamedPicture | PictureFile],
    facts: Sequence[Facts],
    *,
    threshold: float | None = None,
    way: Way = AS_THE_PAGE,
    report: Report = silent,
) -> pd.DataFrame:
    """Return one row a picture, in their order.

    facts: of each picture.
    threshold: on the malignancy probability, from which on a picture is suspicious; None without one.

    Columns: image, the seven probabilities by code, malignancy, above_threshold, diagnosis (a name), problem
    (why there is no answer; empty where there is one). Numbers are NaN where there is no answer.

    Raises:
        DataError: a balanced prior is asked of a checkpoint that does not know its training mix.
    """
    manifest = checkpoint.manifest
    if way.prior == "balanced" and not manifest.class_frequencies:
        raise DataError(
            f"{manifest.name} does not say which mix of diagnoses it learned from, so its answers cannot be "
            "brought to a balanced one. Use the prior of the data."
        )
    predicted = predict_many(
        checkpoint,
        [one.read for one in pictures],
        encode_facts(facts),
        views=way.views,
        gated=way.gated,
        batch=way.batch,
        workers=way.workers,
        report=report,
    )
    probabilities = softmax(predicted.logits, manifest.temperature)
    if way.prior == "balanced":
        probabilities = balanced_prior(
            probabilities, np.array(manifest.class_frequencies), manifest.balanced_power
        )
    problems = predicted.unreadable | {place: " ".join(why) for place, why in predicted.unknown.items()}
    rows = [
        _without_answer(one.name, problems[place])
        if place in problems
        else _row(one.name, probabilities[place], threshold)
        for place, one in enumerate(pictures)
    ]
    return pd.DataFrame(rows, columns=[*_COLUMNS])


def isic_csv(scores: pd.DataFrame) -> bytes:
    """Return the answered rows of `score_pictures` in the ISIC 2018 challenge's columns.

    Raises:
        EvaluationError: two answered pictures have one name.
    """
    answered = scores[scores["problem"] == ""]
    stems = [PurePosixPath(name).stem for name in answered["image"]]
    return artifact.isic_csv(stems, answered[list(CODES)].to_numpy(dtype=np.float64))


_COLUMNS: Final = ("image", *CODES, "malignancy", "above_threshold", "diagnosis", "problem")


def _row(name: str, probabilities: np.ndarray, threshold: float | None) -> dict[str, object]:
    score = float(malignancy(probabilities))
    return {
        "image": name,
        **dict(zip(CODES, probabilities.tolist(), strict=True)),
        "malignancy": score,
        "above_threshold": None if threshold is None else score >= threshold,
        "diagnosis": BY_CODE[CODES[int(probabilities.argmax())]].name,
        "problem": "",
    }


def _without_answer(name: str, problem: str) -> dict[str, object]:
    empty = dict.fromkeys([*CODES, "malignancy"], float("nan"))
    return {"image": name, **empty, "above_threshold": None, "diagnosis": "", "problem": problem}


def _told_apart(pictures: Sequence[NamedPicture]) -> tuple[NamedPicture, ...]:
    """Number the names that come again: their rows could not be told apart."""
    taken: set[str] = set()
    named = []
    for one in pictures:
        path = PurePosixPath(one.name)
        stems = chain([path.stem], (f"{path.stem} ({number})" for number in count(2)))
        stem = next(stem for stem in stems if stem not in taken)
        taken.add(stem)
        named.append(one if stem == path.stem else replace(one, name=f"{stem}{path.suffix}"))
    return tuple(named)


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
