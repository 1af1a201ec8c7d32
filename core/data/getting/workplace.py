"""Where a dataset comes together before it appears: `<name>.partial`, with its downloads and its files."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from core.data.getting.remote import Line, Remote, fetch_all, present_bytes
from core.data.getting.unpacking import BadZip, unpack, unpacked_bytes
from core.errors import GettingError
from core.jobs import Report

RESERVE_BYTES: Final = 500 * 1000**2
"""What stays free: a disk filled to its brim breaks other programs."""
_NAMED: Final = 3
_BLOCK_BYTES: Final = 1024 * 1024


def free_bytes(folder: Path) -> int:
    """Return how much a disk has left, asking the nearest folder that is there."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass
class Workplace:
    """The folder in which one dataset comes together, and the means to do it.

    Attributes:
        folder: the partial folder; what is in `downloads` survives a failure, what is in `files` does not.
        line: how servers are asked.
        report: progress, and the way to be cancelled.
        room: how much a disk has left.
        notes: sentences for the reader about what was left out.
    """

    folder: Path
    line: Line
    report: Report
    room: Callable[[Path], int] = free_bytes
    notes: list[str] = field(default_factory=list)

    @property
    def downloads(self) -> Path:
        """Where files from servers come to."""
        return self.folder / "downloads"

    @property
    def files(self) -> Path:
        """What the dataset's folder becomes."""
        return self.folder / "files"

    def download(self, remotes: Sequence[Remote], *, unpacked: int) -> list[Path]:
        """Bring files to `downloads`, after a look whether the disk has room for them.

        unpacked: bytes that they will need beside themselves.
        """
        coming = sum(remote.size or 0 for remote in remotes) - present_bytes(remotes, self.downloads)
        self.check_room(max(coming, 0) + unpacked)
        return fetch_all(remotes, self.downloads, line=self.line, report=self.report)

    def check_room(self, needed_bytes: int) -> None:
        """Refuse what the disk has no room for, before anything is written."""
        free = self.room(self.folder)
        if needed_bytes + RESERVE_BYTES > free:
            raise GettingError(
                f"{self.folder.parent} has {in_words(free)} free; this needs {in_words(needed_bytes)}, and "
                f"{in_words(RESERVE_BYTES)} shall stay free. Free some space, or set LESIONLENS_CACHE to a "
                "larger disk."
            )

    def unpack(self, archive: Path, *, into: str) -> None:
        """Unpack a zip into a folder of the dataset."""
        try:
            self.check_room(unpacked_bytes(archive))
            unpacked = unpack(archive, self.files / into, report=self.report)
        except BadZip:
            # The next attempt shall not go on with what cannot be unpacked; a zip of the person's own stays.
            if archive.is_relative_to(self.downloads):
                archive.unlink()
            raise
        for reason, names in unpacked.left_out.items():
            self.notes.append(left_out_words(archive.name, reason, names))

    def take_over(self, files: Sequence[tuple[Path, str]], *, origin: str, link: bool = False) -> None:
        """Put files into the dataset, each by a path in its folder; it tells the bytes, and can be stopped.

        Args:
            files: what to take, and where to.
            origin: what they come from, in words.
            link: give them a second name where the disk knows such, instead of copying them: for files of
                ours, which go when all is done.

        Raises:
            GettingError: one of them cannot be read.
        """
        done, total, note = 0, sum(path.stat().st_size for path, _ in files), f"Taking over {origin}"
        self.report(done, total, unit="bytes", note=note)
        for path, to in files:
            target = self.files / to
            target.parent.mkdir(parents=True, exist_ok=True)
            for n_bytes in _taken(path, target, link=link):
                done += n_bytes
                self.report(done, total, unit="bytes", note=note)


def _taken(path: Path, target: Path, *, link: bool) -> Iterator[int]:
    """Yield how many bytes were taken, piece by piece."""
    if link:
        with suppress(OSError):  # some disks know no second names
            target.hardlink_to(path)
            yield path.stat().st_size
            return
    with _readable(path) as opened, target.open("wb") as copy:
        while block := opened.read(_BLOCK_BYTES):
            copy.write(block)
            yield len(block)


def _readable(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as problem:
        # Not to be taken for a disk that cannot be written.
        raise GettingError(f"{path} cannot be read: {problem.strerror}. Check its permissions.") from problem


def left_out_words(origin: str, reason: str, names: Sequence[str]) -> str:
    """Return what was left out of a dataset, and why, in one sentence."""
    some = ", ".join(names[:_NAMED]) + (" and others" if len(names) > _NAMED else "")
    return f"Left out of {origin}, {reason}: {len(names):,} ({some})."


def in_words(n_bytes: float) -> str:
    """Return an amount of bytes as people say it, in powers of 1,000 as disks are sold."""
    return f"{n_bytes / 1000**3:,.1f} GB" if n_bytes >= 1000**3 else f"{n_bytes / 1000**2:,.1f} MB"
