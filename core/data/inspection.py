"""One look at every picture of a dataset: its measures, its digests, and whether it can be read at all.

Each picture is decoded once, in threads: processes would run the page's script again, since Streamlit puts it
in the place of the main module. What was looked at is written down at once, so that a look that was cancelled
or killed goes on where it stopped.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from PIL import Image

from core.data.masks import read_mask
from core.data.parallel import as_they_come
from core.data.pictures import read_picture
from core.data.quality import Measures, measure
from core.data.twins import fingerprints
from core.errors import PictureError, StoreError
from core.files import replacing
from core.jobs import Report, silent
from core.turns import turn

VERSION: Final = 3
"""Raise it when a measure changes: what was measured before is then measured anew."""

_CHUNK: Final = 32
MEASURED: Final = tuple(field.name for field in fields(Measures))
TEXTS: Final = ("file_digest", "pixel_digest", "fingerprints", "problem")


def inspect_pictures(
    table: pd.DataFrame,
    *,
    cache_dir: Path,
    masks: Mapping[str, Path] | None = None,
    report: Report | None = None,
    workers: int | None = None,
) -> pd.DataFrame:
    """Look at every picture of a metadata table, or return what an earlier look has found.

    Args:
        table: a metadata table; rows without a picture are left out.
        cache_dir: where the result is kept.
        masks: image id -> lesion mask, where there are any; they make the skin tone surer.
        report: told the progress; what it raises stops the look, and what was found so far is kept.
        workers: how many pictures at once; all cores when None.

    Returns:
        One row a picture in the order of the table, index image_id, columns MEASURED (NaN where the picture
        cannot be read), `masked` (whether a mask was used) and TEXTS; `problem` says why it cannot be read.

    Raises:
        StoreError: there are no pictures, or the cache folder cannot be written.
    """
    pictures = _pictures(table)
    if pictures.empty:
        raise StoreError("There are no pictures to look at: the dataset has facts only. Get its pictures.")
    masks = masks or {}
    folder = _folder(pictures, masks, cache_dir)
    result = folder / "inspection.parquet"
    try:
        if not result.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with turn(folder, report or silent):
                if not result.exists():
                    _inspect(folder, pictures, masks, report, workers or os.cpu_count() or 1)
        return pd.read_parquet(result)
    except OSError as problem:
        raise StoreError(
            f"What was measured could not be written to {folder} ({problem.strerror or problem}). Free some "
            "disk space or set LESIONLENS_CACHE to another folder, then start it again: it goes on."
        ) from problem


def stored_inspection(
    table: pd.DataFrame, *, cache_dir: Path, masks: Mapping[str, Path] | None = None
) -> pd.DataFrame | None:
    """Return what an earlier look has found; None when there was none, or it was not finished."""
    pictures = _pictures(table)
    if pictures.empty:
        return None
    result = _folder(pictures, masks or {}, cache_dir) / "inspection.parquet"
    return pd.read_parquet(result) if result.exists() else None


def _pictures(table: pd.DataFrame) -> pd.Series:
    here = table[table["image_path"].notna()]
    return pd.Series(here["image_path"].to_numpy(dtype=object), index=here["image_id"].to_numpy(dtype=object))


def _folder(pictures: pd.Series, masks: Mapping[str, Path], cache_dir: Path) -> Path:
    digest = hashlib.sha256(f"{VERSION} {len(masks)}\n".encode())
    for name, path in pictures.items():
        try:
            stat = os.stat(path)  # noqa: PTH116 -- ten thousand Path objects would take longer than the asking
            digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        except OSError:
            # A picture that is gone is one of the findings, not the end of the look.
            digest.update(f"{name}\0gone\n".encode())
    return cache_dir / "quality" / digest.hexdigest()[:24]


def _inspect(
    folder: Path, pictures: pd.Series, masks: Mapping[str, Path], report: Report | None, workers: int
) -> None:
    log = folder / "rows.jsonl"
    rows = _read_log(log)
    names = [name for name in pictures.index if name not in rows]
    chunks = [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]
    tell = report or silent
    tell(len(rows), len(pictures), unit="pictures")
    with log.open("a", encoding="utf-8") as file:
        for found in _look(chunks, pictures, masks, workers):
            # The line break first: it ends a line that a killed look left torn.
            file.write("".join(f"\n{json.dumps(row)}" for row in found))
            file.flush()
            rows |= {str(row["image_id"]): row for row in found}
            tell(len(rows), len(pictures), unit="pictures")
    table = pd.DataFrame([rows[name] for name in pictures.index]).set_index("image_id")
    table = table.reindex(columns=[*MEASURED, "masked", *TEXTS])
    table = table.astype(dict.fromkeys(MEASURED, "float64") | dict.fromkeys(TEXTS, "string"))
    with replacing(folder / "inspection.parquet") as part:
        table.to_parquet(part)
    log.unlink(missing_ok=True)


_Row = dict[str, object]


def _read_log(log: Path) -> dict[str, _Row]:
    rows: dict[str, _Row] = {}
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    for line in filter(None, lines):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue  # Killed in the middle of this line: its picture is looked at again.
        rows[row["image_id"]] = row
    return rows


def _look(
    chunks: list[list[str]], pictures: pd.Series, masks: Mapping[str, Path], workers: int
) -> Iterator[list[_Row]]:
    """Yield the rows of each chunk as it is done."""
    work = partial(_look_at_all, pictures=pictures, masks=masks)
    with ThreadPoolExecutor(workers, thread_name_prefix="inspect") as pool:
        yield from as_they_come(pool, work, chunks, workers)


def _look_at_all(chunk: list[str], pictures: pd.Series, masks: Mapping[str, Path]) -> list[_Row]:
    return [look_at(name, Path(pictures[name]), masks.get(name)) for name in chunk]


def look_at(name: str, path: Path, mask_path: Path | None = None) -> _Row:
    """Return what is found on one picture: image_id, MEASURED, masked and TEXTS; None where undefined.

    A mask that cannot be read is left out.
    """
    row: _Row = {"image_id": name, "masked": False}
    try:
        content = path.read_bytes() if path.is_file() else path
        picture = read_picture(content, name=path.name)
    except PictureError as problem:
        return row | {"problem": str(problem)}
    except OSError as problem:
        return row | {"problem": f"{path.name} cannot be read: {problem.strerror}."}
    pixels = picture.pixels
    mask = _mask(mask_path, (pixels.shape[0], pixels.shape[1]))
    measures = measure(pixels, mask, size_px=(picture.width_px, picture.height_px))
    return row | {
        **{key: value if np.isfinite(value) else None for key, value in asdict(measures).items()},
        "masked": mask is not None,
        "file_digest": hashlib.sha256(content if isinstance(content, bytes) else b"").hexdigest(),
        "pixel_digest": hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest(),
        "fingerprints": fingerprints(Image.fromarray(pixels)),
    }


def _mask(path: Path | None, shape: tuple[int, int]) -> np.ndarray | None:
    if path is None:
        return None
    try:
        return read_mask(path, shape)
    except PictureError:
        return None
