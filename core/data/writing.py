"""Dataset folders that we write: what every `train prepare` command leaves, and how it stays whole.

    metadata.csv       the metadata table without paths, and where each row came from; written last
    images/            one picture a row, named by its id, in the order of the table
    provenance.json    what was asked for, from what, and what became of it
    unfinished.json    only while it is being written: what was asked for
    .lock              only while a command is at work: no second one may write here

Each picture appears in one rename, so whatever is there is whole: a command that was stopped goes on where it
was when it is given again. Source folders are only read.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from PIL import Image

from core.data.metadata import COLUMNS
from core.data.parallel import in_parallel
from core.data.pictures import read_picture
from core.errors import DataError, PictureError
from core.files import replacing

TABLE_NAME: Final = "metadata.csv"
IMAGES_NAME: Final = "images"
PROVENANCE_NAME: Final = "provenance.json"
UNFINISHED_NAME: Final = "unfinished.json"
LOCK_NAME: Final = ".lock"
WRITTEN_COLUMNS: Final = tuple(column for column in COLUMNS if column != "image_path")

JPEG_QUALITY: Final = 95
"""High enough that a copy of a copy shows no blocks; the colour channels keep their full resolution."""

_CHUNK: Final = 24
_SPARE_BYTES: Final = 64 * 1024**2

Progress = Callable[[int, int], None]
"""Called with (done, total); it may raise to stop the work, which can then be taken up again."""


@dataclass(frozen=True)
class Task:
    """One picture to write.

    source: the picture it is made from. name: of the new file, without folder.
    change: what is done to its pixels, uint8 (H, W, 3); None copies the file as it is. It travels to other
        processes, so it is a function of a module or a partial of one.
    """

    source: Path
    name: str
    change: Callable[[np.ndarray], np.ndarray] | None = None


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Be the only one that writes to a folder, which is there.

    Raises:
        DataError: another command is writing to it.
    """
    lock = FileLock(folder / LOCK_NAME, timeout=0)
    try:
        lock.acquire()
    except Timeout as problem:
        raise DataError(
            f"{folder} is being written already, by another command. Wait until it is done, or choose "
            "another folder."
        ) from problem
    try:
        yield
    finally:
        with suppress(OSError):  # some systems keep a file that is open
            (folder / LOCK_NAME).unlink()
        lock.release()


def was_begun(path: Path, work: Mapping[str, Any]) -> bool:
    """Return whether this very work was begun in a folder before.

    Raises:
        DataError: the folder is a file, holds something else, or other work.
    """
    if path.exists() and not path.is_dir():
        raise DataError(f"{path} is a file; choose a new or an empty folder.")
    entries = path.iterdir() if path.exists() else ()
    here = sorted(entry.name for entry in entries if entry.name != LOCK_NAME)
    before = _read_json(path / PROVENANCE_NAME) or _read_json(path / UNFINISHED_NAME)
    if before is None and here:
        raise DataError(
            f"{path} holds {here[0]!r} already ({len(here)} entries); choose a new or an empty folder."
        )
    if before is not None and before.get("work") != work:
        raise DataError(
            f"{path} was begun with other options ({_difference(before.get('work'), work)}); give the same "
            "options to go on, or choose another folder."
        )
    return before is not None


def note_begun(path: Path, work: Mapping[str, Any]) -> None:
    """Write down what a folder will hold."""
    _replace(path / UNFINISHED_NAME, _json({"work": work}).encode())


def note_done(path: Path, work: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Write down what a folder holds, and what became of the work."""
    _replace(path / PROVENANCE_NAME, _json({"work": work, "result": dict(result)}).encode())
    (path / UNFINISHED_NAME).unlink(missing_ok=True)


class OutputFolder:
    """A dataset folder on its way; within `with`, it is ours alone.

    Args:
        path: new, empty, or left unfinished by the same work.
        work: what is asked for, as plain data; the same work goes on, other work is refused.
        inputs: dataset folders that are read and must not be written to.

    Raises:
        DataError: the folder lies within an input, holds something else, cannot be written, or another
            command writes to it.
    """

    def __init__(self, path: Path, *, work: Mapping[str, Any], inputs: Sequence[Path] = ()) -> None:
        self.path = path.absolute()
        self.images = self.path / IMAGES_NAME
        self._work = json.loads(json.dumps(work, sort_keys=True))
        for source in inputs:
            if self.path.resolve().is_relative_to(source.resolve()):
                raise DataError(
                    f"{path} lies in the dataset {source}, which is only read; choose a folder outside it."
                )
        self._held = ExitStack()

    def __enter__(self) -> Self:
        try:
            was_begun(self.path, self._work)
            if self.finished is None:
                self.path.mkdir(parents=True, exist_ok=True)
                self._held.enter_context(only_writer(self.path))
                self._begin()
        except OSError as problem:
            self._held.close()
            raise _unwritable(self.path, problem) from problem
        except DataError:
            self._held.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def finished(self) -> dict[str, Any] | None:
        """What became of this very work if it was done before, else None."""
        stored = _read_json(self.path / PROVENANCE_NAME)
        return stored.get("result") if stored is not None else None

    def _begin(self) -> None:
        # Looked at again: until it was ours, another command may have begun here.
        begun = was_begun(self.path, self._work)
        self.images.mkdir(exist_ok=True)
        if not begun:
            note_begun(self.path, self._work)

    def write(self, name: str, text: str) -> None:
        """Write a small file of the folder in one rename."""
        try:
            _replace(self.path / name, text.encode())
        except OSError as problem:
            raise _unwritable(self.path, problem) from problem

    def write_pictures(
        self, tasks: Sequence[Task], *, workers: int | None = None, progress: Progress | None = None
    ) -> dict[str, str]:
        """Write the pictures that are not there yet; return name -> why for those that cannot be read.

        Raises:
            DataError: the disk is too full, the folder cannot be written, or a process was killed.
        """
        there = {entry.name for entry in self.images.iterdir() if not entry.name.endswith(".partial")}
        lacking = [task for task in tasks if task.name not in there]
        self._check_space(lacking)
        done = len(tasks) - len(lacking)
        failures: dict[str, str] = {}
        if progress is not None:
            progress(done, len(tasks))
        chunks = [lacking[start : start + _CHUNK] for start in range(0, len(lacking), _CHUNK)]
        try:
            for count, failed in in_parallel(
                _write_chunk, [(self.images, chunk) for chunk in chunks], workers
            ):
                done += count
                failures |= failed
                if progress is not None:
                    progress(done, len(tasks))
        except OSError as problem:
            raise _unwritable(self.path, problem) from problem
        except BrokenProcessPool as problem:
            raise DataError(
                "A process that writes pictures was killed, perhaps for its memory. Give the same command "
                "again: it goes on where it was."
            ) from problem
        return failures

    def _check_space(self, tasks: Iterable[Task]) -> None:
        needed = sum(_size(task.source) for task in tasks)
        free = shutil.disk_usage(self.path).free
        if needed + _SPARE_BYTES > free:
            raise DataError(
                f"{self.path} needs about {needed / 1e6:,.0f} MB and its disk has {free / 1e6:,.0f} MB free; "
                "free some space, or choose a folder on another disk."
            )

    def finish(
        self, table: pd.DataFrame, *, extra: pd.DataFrame | None = None, result: Mapping[str, Any]
    ) -> None:
        """Write the table, and what became of the work: from now on the folder is a dataset.

        extra: more columns, of the same index. result: plain data for provenance.json.
        """
        columns = table[list(WRITTEN_COLUMNS)]
        if extra is not None:
            columns = pd.concat([columns, extra], axis="columns")
        self.write(TABLE_NAME, columns.to_csv(index=False, lineterminator="\n"))
        for torn in self.images.glob("*.partial"):
            torn.unlink(missing_ok=True)  # of a process that was killed in the middle of a picture
        try:
            note_done(self.path, self._work, result)
        except OSError as problem:
            raise _unwritable(self.path, problem) from problem


def picture_names(table: pd.DataFrame, *, suffix: str | None = None) -> pd.Series:
    """Return the file name of each row's picture: its id, and its own suffix or the given one."""
    if suffix is not None:
        return table["image_id"] + suffix
    own = table["image_path"].map(lambda path: Path(path).suffix.lower(), na_action="ignore")
    # Where no row has a picture, the missing suffixes would be numbers.
    return table["image_id"] + own.astype(table["image_id"].dtype)


def without_broken(
    table: pd.DataFrame, names: pd.Series, failures: Mapping[str, str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the table with the paths of unreadable pictures missing, and one sentence for each of them.

    The rows stay, as facts without a picture: with fewer rows the same seed would give another split.
    """
    broken = names.isin(list(failures))
    told = [
        f"{row}: {failures[name]}"
        for row, name in zip(table.loc[broken, "image_id"], names[broken], strict=True)
    ]
    return table.assign(image_path=table["image_path"].mask(broken)), tuple(told)


def fingerprint(table: pd.DataFrame) -> str:
    """Return what tells one metadata table from another, pictures included: a hash of its rows and files."""
    rows = table[list(WRITTEN_COLUMNS)].to_csv(index=False)
    sizes = "\n".join(str(_size(Path(path))) for path in table["image_path"].dropna())
    return sha256(f"{rows}\n{sizes}".encode()).hexdigest()[:24]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # It is gone: reading it will say so by name.


def _write_chunk(job: tuple[Path, list[Task]]) -> tuple[int, dict[str, str]]:
    folder, tasks = job
    failures = {}
    for task in tasks:
        try:
            _write_picture(folder / task.name, task)
        except PictureError as problem:
            failures[task.name] = str(problem)
    return len(tasks), failures


def _write_picture(path: Path, task: Task) -> None:
    picture = read_picture(task.source, name=task.source.name)
    if task.change is None:
        # Read above all the same: a broken file is found now, by name, and not in the middle of a training.
        with replacing(path) as part:
            shutil.copyfile(task.source, part)
        return
    save_picture(path, task.change(picture.pixels))


def save_picture(path: Path, pixels: np.ndarray, *, quality: int = JPEG_QUALITY) -> None:
    """Write uint8 pixels, (H, W, 3) or gray (H, W), in one rename; the format follows the suffix."""
    form = "PNG" if path.suffix.lower() == ".png" else "JPEG"
    options: dict[str, Any] = {"quality": quality, "subsampling": 0} if form == "JPEG" else {}
    with replacing(path) as part:
        Image.fromarray(pixels).save(part, format=form, **options)


def _replace(path: Path, data: bytes) -> None:
    with replacing(path) as part:
        part.write_bytes(data)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as problem:
        raise DataError(f"{path} cannot be read ({problem}); choose another folder.") from problem
    return stored if isinstance(stored, dict) else {}


def _difference(before: object, now: Mapping[str, Any]) -> str:
    if not isinstance(before, dict):
        return "which cannot be read"
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    return "; ".join(f"{key} was {before.get(key)!r}, now {now.get(key)!r}" for key in changed)


def _unwritable(path: Path, problem: OSError) -> DataError:
    return DataError(
        f"{path} could not be written ({problem.strerror or problem}). Free some disk space or choose "
        "another folder; given again, the command goes on where it was."
    )
