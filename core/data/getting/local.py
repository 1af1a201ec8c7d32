"""A dataset that is on this machine already: a zip, or a folder (a stick, a network share)."""

import filecmp
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.data.getting.order import Order
from core.data.getting.unpacking import is_wanted
from core.data.getting.workplace import Workplace, left_out_words
from core.data.readers import PICTURE_SUFFIXES
from core.errors import GettingError


def fetch_zip(order: Order, place: Workplace) -> None:
    """Unpack a zip of this machine; it stays where it is."""
    archive = _path(order.where, "the path of a zip")
    if not archive.is_file():
        raise GettingError(f"There is no file {archive} on the machine that runs LesionLens. Check the path.")
    place.unpack(archive, into="")


def fetch_folder(order: Order, place: Workplace) -> None:
    """Copy the pictures and tables of a folder of this machine; it stays as it is."""
    folder = _path(order.where, "the path of a folder")
    if not folder.is_dir():
        raise GettingError(
            f"There is no folder {folder} on the machine that runs LesionLens. Check the path."
        )
    if place.folder.parent.resolve().is_relative_to(folder.resolve()):
        raise GettingError(
            f"{folder} holds the place that it would be copied to. Give the dataset's own folder."
        )
    gather(folder, place, origin=folder.name)


def _path(text: str, expected: str) -> Path:
    text = text.strip().strip("\"'")
    if not text or "\0" in text:
        raise GettingError(
            f"Nothing to read was named; expected {expected} on the machine that runs LesionLens."
        )
    return Path(text).expanduser().absolute()


def gather(folder: Path, place: Workplace, *, origin: str, link: bool = False) -> None:
    """Take the pictures and tables below a folder into the dataset; twins by case come once, links never.

    Args:
        origin: what the folder is called in messages.
        link: give the files a second name instead of copying them: they are ours, and go when all is done.

    Raises:
        GettingError: nothing to take, two files that differ but not in name, or an unreadable folder.
    """
    found = sorted(_files(folder))
    wanted = [path for path in found if is_wanted(path.name) and not path.is_symlink()]
    if not any(path.suffix.lower() in PICTURE_SUFFIXES for path in wanted):
        raise GettingError(
            f"{origin} holds no pictures ({len(found):,} files in all). Give the folder or zip with the "
            "dataset's .jpg or .png files and its table."
        )
    if not link:
        place.check_room(sum(path.stat().st_size for path in wanted))
    taken, twins = _by_name(wanted, folder)
    for done, (first, twin) in enumerate(twins):
        place.report(done, len(twins), unit="twins", note=f"Comparing files of one name in {origin}")
        _refuse_unless_equal(first, twin, origin)
    place.take_over([(path, name) for name, path in taken.items()], origin=origin, link=link)
    for reason, names in (
        ("twins of other files", [str(twin.relative_to(folder)) for _, twin in twins]),
        ("links", [path.name for path in found if path.is_symlink()]),
        ("neither picture nor table", [path.name for path in found if not is_wanted(path.name)]),
    ):
        if names:
            place.notes.append(left_out_words(origin, reason, names))


def _by_name(files: Sequence[Path], folder: Path) -> tuple[dict[str, Path], list[tuple[Path, Path]]]:
    """Return the files by their path in the folder, and (first, twin) for those alike but for case."""
    first: dict[str, Path] = {}
    twins = []
    for path in files:
        name = str(path.relative_to(folder))
        if first.setdefault(name.casefold(), path) is not path:
            twins.append((first[name.casefold()], path))
    return {str(path.relative_to(folder)): path for path in first.values()}, twins


def _refuse_unless_equal(first: Path, second: Path, origin: str) -> None:
    if not filecmp.cmp(first, second, shallow=False):
        raise GettingError(
            f"{origin} holds two files {second.name!r} that differ, but not in name unless by case "
            f"({second}). Keep the right one in a folder, and give that."
        )


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; what is hidden and links to folders are passed by."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith((".", "__MACOSX")):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(Path(entry.path))
                elif entry.is_symlink() or entry.is_file():
                    yield Path(entry.path)
    except OSError as problem:
        raise GettingError(
            f"{folder} cannot be read: {problem.strerror}. Check its permissions."
        ) from problem
