"""A zip to a folder, safely: nothing lands outside it, nothing swells beyond measure, nothing overwrites.

All members are judged before the first is written. What is neither a picture nor a table is not written at
all, and named; what could do harm refuses the whole zip, by name.
"""

import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from core.data.readers import DATAVERSE_NAME, PICTURE_SUFFIXES, TABLE_SUFFIXES
from core.errors import GettingError
from core.jobs import Report

MAX_MEMBERS: Final = 500_000
MAX_BYTES: Final = 100 * 1000**3
"""Unpacked, all together; the largest public sets of dermoscopy stay below it."""
MAX_PICTURE_BYTES: Final = 500 * 1000**2
MAX_RATIO: Final = 200
"""How many times larger than in the zip. Photos hardly shrink, tables some 10 times; a bomb, 1,000 times."""
_SMALL_BYTES: Final = 1000**2

PAPER_NAMES: Final = ("readme", "license", "licence", "attribution", "copying", "citation")
_MAGIC: Final = {".jpg": (b"\xff\xd8\xff",), ".jpeg": (b"\xff\xd8\xff",), ".png": (b"\x89PNG\r\n\x1a\n",)}
_BUFFER_BYTES: Final = 1024 * 1024
_ENCRYPTED: Final = 0x1


class BadZip(GettingError):
    """A zip is damaged, or not safe to unpack; the message names the zip, its member, and the cure."""


@dataclass(frozen=True)
class Unpacked:
    """What came out of a zip.

    Attributes:
        files: how many were written.
        left_out: reason -> names of the members that were not written.
    """

    files: int
    left_out: dict[str, tuple[str, ...]]


def is_wanted(name: str) -> bool:
    """Return whether a file belongs to a dataset by its name: a picture, a table, or its papers."""
    path = PurePosixPath(name.lower())
    return (
        path.suffix in PICTURE_SUFFIXES | TABLE_SUFFIXES
        or path.name == DATAVERSE_NAME
        or path.stem in PAPER_NAMES
    )


def unpacked_bytes(archive: Path) -> int:
    """Return how much room a zip needs when unpacked; BadZip when it is damaged or not safe."""
    with _open(archive) as opened:
        return sum(member.file_size for member in _judge(archive, opened).wanted)


def unpack(archive: Path, folder: Path, *, report: Report) -> Unpacked:
    """Write the pictures and tables of a zip below a folder, in the zip's own folders.

    Raises:
        BadZip: names the zip, the member that is at fault, and the cure.
        Cancelled: by `report`.
    """
    with _open(archive) as opened:
        judged = _judge(archive, opened)
        total = sum(member.file_size for member in judged.wanted)
        done, no_pictures = 0, []
        for member in judged.wanted:
            # No total: the time left would be told from the download's pace.
            report(done, unit="bytes", note=f"Unpacking {archive.name}, {100 * done / max(total, 1):.0f} %")
            if not _write(archive, opened, member, folder / _path_of(archive, member)):
                no_pictures.append(member.filename)
            done += member.file_size
    left_out = dict(judged.left_out)
    if no_pictures:
        left_out["named like a picture, but none"] = tuple(no_pictures)
    return Unpacked(len(judged.wanted) - len(no_pictures), left_out)


@dataclass(frozen=True)
class _Judged:
    wanted: tuple[zipfile.ZipInfo, ...]
    left_out: dict[str, tuple[str, ...]]


def _open(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as problem:
        raise BadZip(
            f"{archive.name} is no whole zip ({problem}). Download it again; if it is another kind of "
            "archive, unpack it yourself and give the folder."
        ) from problem
    except OSError as problem:
        raise GettingError(f"{archive} cannot be read: {problem.strerror}.") from problem


def _judge(archive: Path, opened: zipfile.ZipFile) -> _Judged:
    """Sort the members of a zip into what to write and what to leave out; refuse what could do harm."""
    # Not is_dir(), which breaks on a member without a name.
    members = [member for member in opened.infolist() if not member.filename.endswith("/")]
    if len(members) > MAX_MEMBERS:
        raise BadZip(f"{archive.name} holds {len(members):,} files; at most {MAX_MEMBERS:,} are unpacked.")
    for member in members:
        _refuse_danger(archive, member)
    others = tuple(member.filename for member in members if not _is_hidden(member) and not _wanted(member))
    wanted, twins = _without_twins(archive, [member for member in members if _wanted(member)])
    if not wanted:
        raise BadZip(
            f"{archive.name} holds no picture and no table ({len(members):,} files of other kinds). "
            "Check that it is the dataset's zip."
        )
    _refuse_bombs(archive, members)
    left_out = {"neither picture nor table": others, "a twin of another member": twins}
    return _Judged(tuple(wanted), {reason: names for reason, names in left_out.items() if names})


def _wanted(member: zipfile.ZipInfo) -> bool:
    return not _is_hidden(member) and is_wanted(member.filename)


def _is_hidden(member: zipfile.ZipInfo) -> bool:
    """Return whether a member is something a system left there, such as __MACOSX/._a.jpg."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(member.filename).parts)


def _refuse_danger(archive: Path, member: zipfile.ZipInfo) -> None:
    """Refuse a member that would be written elsewhere, or is no plain file."""
    cure = "This zip is not what a dataset's publisher makes: delete it, and get it from its source."
    _path_of(archive, member)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise BadZip(f"{archive.name} holds the link {member.filename!r}; links are not followed. {cure}")
    if kind not in (0, stat.S_IFREG):
        raise BadZip(f"{archive.name} holds {member.filename!r}, which is no plain file. {cure}")
    if member.flag_bits & _ENCRYPTED:
        raise BadZip(
            f"{archive.name} is protected with a password ({member.filename!r}). Unpack it yourself and give "
            "the folder."
        )


def _path_of(archive: Path, member: zipfile.ZipInfo) -> Path:
    """Return where a member goes below the folder; refuse one that would leave it."""
    name = member.filename
    parts = PurePosixPath(name).parts
    # orig_filename shows what zipfile itself may have changed: a NUL ends the name, "\" becomes "/".
    if "\0" in member.orig_filename or "\\" in member.orig_filename or re.search(r"[\x00-\x1f\x7f]", name):
        raise BadZip(
            f"{archive.name} holds {member.orig_filename!r}, whose name has characters that no file name "
            "should have. Pack it again with / between folders."
        )
    if name.startswith("/") or ".." in parts or any(":" in part for part in parts) or not parts:
        raise BadZip(
            f"{archive.name} holds {name!r}, which would be written outside the dataset's folder. This zip "
            "is not what a dataset's publisher makes: delete it, and get it from its source."
        )
    return Path(*parts)


def _without_twins(
    archive: Path, members: Iterable[zipfile.ZipInfo]
) -> tuple[list[zipfile.ZipInfo], tuple[str, ...]]:
    """Keep one of the members whose names differ by case only; refuse them if their contents differ.

    Kaggle's zip holds each picture twice, in HAM10000_images_part_1 and ham10000_images_part_1. On a disk
    that does not tell case, one would overwrite the other.
    """
    kept: dict[str, zipfile.ZipInfo] = {}
    twins = []
    for member in members:
        first = kept.setdefault(member.filename.casefold(), member)
        if first is member:
            continue
        if (first.CRC, first.file_size) != (member.CRC, member.file_size):
            raise BadZip(
                f"{archive.name} holds {first.filename!r} and {member.filename!r}, which differ in content "
                "but not in name, unless by case. Keep the right one: unpack it yourself and give the folder."
            )
        twins.append(member.filename)
    return list(kept.values()), tuple(twins)


def _refuse_bombs(archive: Path, members: Iterable[zipfile.ZipInfo]) -> None:
    total = 0
    for member in members:
        total += member.file_size
        swollen = member.file_size > _SMALL_BYTES and member.file_size > MAX_RATIO * member.compress_size
        is_picture = PurePosixPath(member.filename.lower()).suffix in PICTURE_SUFFIXES
        if swollen or (is_picture and member.file_size > MAX_PICTURE_BYTES):
            raise BadZip(
                f"{archive.name} holds {member.filename!r}, which would swell from {member.compress_size:,} "
                f"to {member.file_size:,} bytes: a zip bomb. Delete it, and get the dataset from its source."
            )
    packed = archive.stat().st_size
    if total > MAX_BYTES or total > max(_SMALL_BYTES, MAX_RATIO * packed):
        raise BadZip(
            f"{archive.name} would swell from {packed:,} to {total:,} bytes, more than a dataset does. If it "
            "is one all the same, unpack it yourself and give the folder."
        )


def _write(archive: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bool:
    """Write one member; False, and nothing written, if it is named like a picture and is none."""
    magic = _MAGIC.get(path.suffix.lower())
    try:
        with opened.open(member) as source:
            head = source.read(16)
            if magic is not None and not head.startswith(magic):
                return False
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as target:
                target.write(head)
                shutil.copyfileobj(source, target, _BUFFER_BYTES)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as problem:
        raise BadZip(
            f"{archive.name} is damaged at {member.filename!r} ({problem}). Download it again."
        ) from problem
    return True
