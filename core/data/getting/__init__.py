"""Bringing a dataset to this machine: from a server, a zip or a folder, whole or not at all.

A dataset comes together in `.<name>.partial` and appears under its name at once, when it is whole and its
table could be read. What a download brought survives a failure, so that the next attempt goes on from there.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pandas as pd
from filelock import FileLock, Timeout

from core.data.getting.order import Order
from core.data.getting.remote import NO_ROOM, Line
from core.data.getting.sources import SOURCES, Source
from core.data.getting.workplace import Workplace, free_bytes
from core.data.readers import READERS, read_dataset
from core.errors import GettingError, MetadataError
from core.jobs import Report

__all__ = [
    "ORIGIN_FILE",
    "SOURCES",
    "Got",
    "Line",
    "Means",
    "Order",
    "Source",
    "find",
    "find_all",
    "get",
    "kept_bytes",
    "partial_folder",
]

ORIGIN_FILE: Final = "origin.json"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Got:
    """A dataset that was brought here.

    Attributes:
        folder: where it lies; `core.data.readers.read_dataset` reads it.
        source: the name of its source.
        on: when it came, ISO 8601.
        n_images, n_pictures: rows of its table, and how many of them have their picture.
        licence: the licence that was accepted; empty where only the giver knows it.
        notes: sentences on what was left out, and why.
    """

    folder: Path
    source: str
    on: str
    n_images: int
    n_pictures: int
    licence: str
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The dataset's name: its folder's."""
        return self.folder.name


def partial_folder(root: Path, name: str) -> Path:
    """Return where a dataset comes together; the dot in front keeps it out of lists of datasets."""
    return root / f".{name}.partial"


def find(root: Path, name: str) -> Got | None:
    """Return a dataset that was brought here before; None when there is none of this name."""
    folder = root / name
    try:
        origin = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
        return Got(
            folder,
            str(origin["source"]),
            str(origin["on"]),
            int(origin["n_images"]),
            int(origin["n_pictures"]),
            str(origin["licence"]),
            tuple(map(str, origin["notes"])),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_all(root: Path) -> tuple[Got, ...]:
    """Return the datasets that were brought here, by name."""
    names = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    return tuple(got for name in names if (got := find(root, name)) is not None)


def kept_bytes(root: Path, name: str) -> int:
    """Return how much an attempt that did not come to its end has left to go on from."""
    files = (partial_folder(root, name) / "downloads").rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file())


@dataclass(frozen=True)
class Means:
    """What a dataset is brought with.

    Attributes:
        root: the folder of all datasets, `settings().cache_dir / "datasets"`.
        report: progress; by raising, it stops the work, and what has come is kept for the next attempt.
        line: how servers are asked.
        room: how much a disk has left.
    """

    root: Path
    report: Report
    line: Line = field(default_factory=Line)
    room: Callable[[Path], int] = free_bytes


def get(
    source: Source,
    order: Order,
    means: Means,
    *,
    accepted: bool,
    name: str | None = None,
    again: bool = False,
) -> Got:
    """Return a dataset of a source, bringing it to `root/<name>` if it is not there yet.

    Args:
        source: one of SOURCES.
        order: what it is asked for.
        means: where to, and how.
        accepted: whether its licence was read and accepted.
        name: the dataset's folder; None is the source's own choice.
        again: bring it anew even if it is there; the old one stays until the new one is whole.

    Raises:
        GettingError: why it could not be had, what is kept, and what to do.
        Cancelled: by `means.report`.
    """
    name = name or source.folder(order)
    if not _NAME.fullmatch(name):
        raise GettingError(
            f"{name!r} is no name for a dataset; expected letters, digits, - and _, at most 64."
        )
    folder = means.root / name
    if not again and (found := find(means.root, name)) is not None:
        return found
    if not again and folder.exists():
        raise GettingError(f"{folder} is there, but was not brought by LesionLens. Choose another name.")
    if not accepted:
        raise GettingError(
            f"The licence of what comes ({source.title}) was not accepted. Read it, and say that you do."
        )
    partial = partial_folder(means.root, name)
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with FileLock(partial / "lock", timeout=0):
            place = Workplace(partial, means.line, means.report, means.room)
            got = _bring(source, order, place, folder)
            _appear(got, place)
    except Timeout as problem:
        raise GettingError(f"{name} is being brought already, by another process. Wait for it.") from problem
    except OSError as problem:
        cause = problem.strerror or type(problem).__name__
        cure = "Free some space" if problem.errno in NO_ROOM else "Make the folder writable"
        raise GettingError(
            f"{name} could not be stored in {means.root} ({cause}). {cure}, or set LESIONLENS_CACHE to "
            "another disk."
        ) from problem
    return got


def _bring(source: Source, order: Order, place: Workplace, folder: Path) -> Got:
    """Fill the workplace's files, and return what they will be as a dataset."""
    with ExitStack() as failure:
        failure.callback(shutil.rmtree, place.files, ignore_errors=True)
        shutil.rmtree(place.files, ignore_errors=True)
        place.files.mkdir()
        source.fetch(order, place)
        _lift(place.files)
        place.report(0, note="Reading its table")
        table = _read(source, place)
        failure.pop_all()
    return Got(
        folder,
        source.name,
        datetime.now(UTC).isoformat(timespec="seconds"),
        len(table),
        int(table["image_path"].notna().sum()),
        licence.names if (licence := source.licence_of(order)) else "",
        (*place.notes, *_lost(table)),
    )


def _lift(folder: Path) -> None:
    """Take a dataset out of the one folder that it was packed in, where a reader would not look into it."""
    while not any(reader.matches(folder) for reader in READERS.values()):
        match list(folder.iterdir()):
            case [inner] if inner.is_dir():
                outer = inner.rename(folder.with_name(f"{folder.name}.inner"))
                folder.rmdir()
                outer.rename(folder)
            case _:
                return


def _read(source: Source, place: Workplace) -> pd.DataFrame:
    try:
        return read_dataset(place.files)
    except MetadataError as problem:
        # The next attempt shall not go on with what cannot be read.
        shutil.rmtree(place.downloads, ignore_errors=True)
        raise GettingError(
            f"What was brought ({source.title}) is no dataset that can be read here, and was thrown away: "
            f"{str(problem).replace(str(place.files), 'it')}"
        ) from problem


def _lost(table: pd.DataFrame) -> Iterator[str]:
    """Yield what the reader left out or could not understand, a sentence each."""
    for reason, count in table.attrs.get("left_out", {}).items():
        yield f"Not in its table: {count:,} ({reason})."
    for word, count in table.attrs.get("unmapped", {}).items():
        yield f"Unknown here, so left open: {word}, {count:,} times."


def _appear(got: Got, place: Workplace) -> None:
    """Put the dataset in its place at once; an older one of its name goes only then."""
    origin = {
        "source": got.source,
        "on": got.on,
        "n_images": got.n_images,
        "n_pictures": got.n_pictures,
        "licence": got.licence,
        "notes": got.notes,
    }
    (place.files / ORIGIN_FILE).write_text(json.dumps(origin, indent=2), encoding="utf-8")
    old = place.folder / "old"
    shutil.rmtree(old, ignore_errors=True)
    if got.folder.exists():
        got.folder.rename(old)
    place.files.rename(got.folder)
    shutil.rmtree(place.folder, ignore_errors=True)
