"""Pictures decoded once into one uint8 memory map, so that training and galleries never wait for a JPEG.

A store is keyed by what it holds: the names and contents of the pictures, and the size they were brought to.
It lies in the user's cache folder; dataset folders are only read.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from core.data.parallel import in_parallel
from core.data.pictures import read_picture
from core.data.preprocessing import cover
from core.errors import PictureError, StoreError
from core.files import replacing
from core.turns import turn

STORE_SIZE: Final = (225, 300)
"""Height and width of stored pictures, px: HAM10000's own 3:4."""

_CHUNK: Final = 64
_SAMPLE_BYTES: Final = 4096
_RESERVED_AT_ONCE: Final = 2**22

Progress = Callable[[int, int], None]
"""Called with (done, total), while another process builds the same with 0; it may raise to stop."""


@dataclass(frozen=True)
class ImageStore:
    """Decoded pictures: `pixels` is uint8 RGB of shape (N, height, width, 3), row i holding `image_ids[i]`.

    unreadable: image id -> why; their rows are black and they are not in `index`.
    """

    pixels: np.ndarray
    image_ids: tuple[str, ...]
    unreadable: dict[str, str]

    @property
    def index(self) -> dict[str, int]:
        """Row of each readable image id."""
        return {name: row for row, name in enumerate(self.image_ids) if name not in self.unreadable}

    def __reduce__(self) -> tuple[object, ...]:
        """Travel to another process as a folder's name, not as gigabytes of pixels."""
        if not isinstance(self.pixels, np.memmap) or self.pixels.filename is None:
            return ImageStore, (self.pixels, self.image_ids, self.unreadable)
        return _load, (Path(self.pixels.filename).parent, self.pixels.shape[1:3])


def open_store(
    image_ids: Sequence[str],
    paths: Sequence[Path],
    *,
    cache_dir: Path,
    size: tuple[int, int] = STORE_SIZE,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ImageStore:
    """Open the store of these pictures, building what is missing of it first.

    A build that was interrupted goes on where it stopped. The finished store appears in one rename, so a
    reader sees a whole store or none.

    Raises:
        StoreError: there are no pictures, one is gone, the cache folder cannot be written, the disk is full,
            or a decoding process was killed.
    """
    if not paths:
        raise StoreError("There are no pictures to store: the dataset has facts only. Add its image folders.")
    folder = cache_dir / "stores" / _key(image_ids, paths, size)
    try:
        if not (folder / "store.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            # Two trainers on one dataset: the second waits, and finds the store built.
            with turn(folder, partial(_say_waiting, progress, len(paths))):
                if not (folder / "store.json").exists():
                    _build(folder, image_ids, paths, size, workers, progress)
    except OSError as problem:
        raise StoreError(
            f"The image store at {folder} could not be written ({problem.strerror or problem}). "
            "Free some disk space or set LESIONLENS_CACHE to another folder, then run it again."
        ) from problem
    except BrokenProcessPool as problem:
        raise StoreError(
            "A process that decodes pictures was killed, perhaps for its memory. Run it again: "
            "what was decoded is kept."
        ) from problem
    return _load(folder, size)


def is_stored(
    image_ids: Sequence[str], paths: Sequence[Path], *, cache_dir: Path, size: tuple[int, int] = STORE_SIZE
) -> bool:
    """Return whether `open_store` has nothing left to decode; raises StoreError when a picture is gone."""
    return (cache_dir / "stores" / _key(image_ids, paths, size) / "store.json").exists()


def _say_waiting(progress: Progress | None, total: int, *_: object, **__: object) -> None:
    if progress is not None:
        progress(0, total)


def stored_size(*sides: int) -> tuple[int, int]:
    """Return the stored height and width, px, that crops of these sides can be cut from without enlarging.

    A crop of less than the whole picture is enlarged all the same; that is zooming in.
    """
    height = max(STORE_SIZE[0], *sides)
    return height, height * STORE_SIZE[1] // STORE_SIZE[0]


def _key(image_ids: Sequence[str], paths: Sequence[Path], size: tuple[int, int]) -> str:
    digest = hashlib.sha256(repr(size).encode())
    for name, path in zip(image_ids, paths, strict=True):
        digest.update(f"{name}\0".encode())
        digest.update(_content_of(path))
    return digest.hexdigest()[:24]


def _content_of(path: Path) -> bytes:
    """Return what tells a file's content: its length, and its beginning, middle and end.

    To read all of it would cost gigabytes at every start, and two compressed pictures that differ do not
    agree in all of these. Dates do not count: the copy of a dataset is the same dataset.
    """
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            parts = [str(length).encode()]
            for start in (0, length // 2, max(length - _SAMPLE_BYTES, 0)):
                file.seek(start)
                parts.append(file.read(_SAMPLE_BYTES))
    except OSError as problem:
        raise StoreError(
            f"The picture {path} cannot be read ({problem.strerror}). Was the dataset moved meanwhile?"
        ) from problem
    return hashlib.sha256(b"\0".join(parts)).digest()


def _build(
    folder: Path,
    image_ids: Sequence[str],
    paths: Sequence[Path],
    size: tuple[int, int],
    workers: int | None,
    progress: Progress | None,
) -> None:
    partial = folder / "pixels.partial"
    shape = (len(paths), *size, 3)
    done_log = folder / "done.jsonl"
    if not partial.exists() or partial.stat().st_size != math.prod(shape):
        done_log.unlink(missing_ok=True)
        with partial.open("wb") as file:
            _reserve(file, math.prod(shape))
    done, unreadable = _read_log(done_log)
    starts = [start for start in range(0, len(paths), _CHUNK) if start not in done]
    jobs = [
        (start, [str(path) for path in paths[start : start + _CHUNK]], str(partial), shape)
        for start in starts
    ]
    finished = len(paths) - sum(len(job[1]) for job in jobs)
    with done_log.open("a", encoding="utf-8") as log:
        for start, failures in in_parallel(_decode_chunk, jobs, workers):
            named = {image_ids[start + offset]: reason for offset, reason in failures.items()}
            unreadable |= named
            # The line break first: it ends a line that a killed build left torn.
            log.write("\n" + json.dumps({"start": start, "unreadable": named}))
            log.flush()
            finished += min(_CHUNK, len(paths) - start)
            if progress is not None:
                progress(finished, len(paths))
    partial.replace(folder / "pixels.u8")
    summary = {"image_ids": list(image_ids), "size": list(size), "unreadable": unreadable}
    with replacing(folder / "store.json") as part:
        part.write_text(json.dumps(summary), encoding="utf-8")
    done_log.unlink(missing_ok=True)


def _reserve(file: BinaryIO, size: int) -> None:
    """Take the disk space now: a disk that fills up under a memory map kills the process without a word."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, _RESERVED_AT_ONCE):
        file.write(bytes(min(_RESERVED_AT_ONCE, size - start)))


def _read_log(path: Path) -> tuple[set[int], dict[str, str]]:
    done: set[int] = set()
    unreadable: dict[str, str] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in filter(None, lines):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # The build was killed in the middle of this line: its chunk is decoded again.
        done.add(entry["start"])
        unreadable |= entry["unreadable"]
    return done, unreadable


_Job = tuple[int, list[str], str, tuple[int, ...]]


def _decode_chunk(job: _Job) -> tuple[int, dict[int, str]]:
    start, paths, partial, shape = job
    pixels = np.memmap(partial, dtype=np.uint8, mode="r+", shape=shape)
    failures = {}
    for offset, path in enumerate(paths):
        try:
            picture = read_picture(Path(path), name=Path(path).name)
        except PictureError as problem:
            failures[offset] = str(problem)
            continue
        pixels[start + offset] = cover(picture.pixels, (shape[1], shape[2]))
    pixels.flush()
    return start, failures


def _load(folder: Path, size: tuple[int, int]) -> ImageStore:
    try:
        summary = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        names = tuple(summary["image_ids"])
        shape = (len(names), *size, 3)
        pixels = np.memmap(folder / "pixels.u8", dtype=np.uint8, mode="r", shape=shape)
        return ImageStore(pixels, names, summary["unreadable"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise StoreError(
            f"The image store at {folder} is damaged ({problem}). Delete that folder: it is rebuilt."
        ) from problem
