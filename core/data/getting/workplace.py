"""Where a dataset comes together before it appears: `<name>.partial`, with its downloads and its files."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core.data.getting.remote import Line, Remote, fetch_all, present_bytes
from core.data.getting.unpacking import BadZip, unpack, unpacked_bytes
from core.errors import GettingError
from core.jobs import Report

RESERVE_BYTES: Final = 500 * 1000**2
"""What stays free: a disk filled to its brim breaks other programs."""
_NAMED: Final = 3


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

    def copy(self, path: Path, to: str) -> None:
        """Put one file into the dataset, by a path in its folder."""
        target = self.files / to
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def left_out_words(origin: str, reason: str, names: Sequence[str]) -> str:
    """Return what was left out of a dataset, and why, in one sentence."""
    some = ", ".join(names[:_NAMED]) + (" and others" if len(names) > _NAMED else "")
    return f"Left out of {origin}, {reason}: {len(names):,} ({some})."


def in_words(n_bytes: float) -> str:
    """Return an amount of bytes as people say it, in powers of 1,000 as disks are sold."""
    return f"{n_bytes / 1000**3:,.1f} GB" if n_bytes >= 1000**3 else f"{n_bytes / 1000**2:,.1f} MB"
