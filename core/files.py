"""Files as such."""

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a file beside `path` to be filled; then it takes the place of `path` in one step.

    A reader sees the old file or the new one, whole. What goes wrong leaves the old one, and no other; only a
    process that is killed leaves its part behind. Two that write at once do not mix: the name is of this
    process and thread, and ends in `.partial`.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        yield part
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def sha256(file: Path) -> str:
    """Return a file's SHA-256 in hexadecimal; raises OSError when it cannot be read."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def same_content(first: Path, second: Path) -> bool:
    """Return whether two files have the same bytes; False where one cannot be read."""
    try:
        return first.stat().st_size == second.stat().st_size and sha256(first) == sha256(second)
    except OSError:
        return False


def same_files(files: Iterable[Path]) -> list[list[Path]]:
    """Return groups of files with the same bytes, each in the order given.

    Only files of one size are read; what cannot be read is in no group.
    """
    by_size: dict[int, list[Path]] = {}
    for file in files:
        with suppress(OSError):
            by_size.setdefault(file.stat().st_size, []).append(file)
    by_content: dict[str, list[Path]] = {}
    for group in by_size.values():
        for file in group if len(group) > 1 else ():
            with suppress(OSError):
                by_content.setdefault(sha256(file), []).append(file)
    return [group for group in by_content.values() if len(group) > 1]
