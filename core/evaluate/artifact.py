"""The evaluation artifact: what a checkpoint answered on a named split, and what that is worth.

A folder with two files or three:

    predictions.parquet    one row a picture: ids, facts, truth and the seven calibrated probabilities
    val.parquet            the same of the validation pictures, on which thresholds are chosen; may be absent
    metrics.json           where they come from, and the metrics with intervals; written last

Models are compared from artifacts alone, so one whose weights are not here still has its row.
"""

import codecs
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from core.errors import EvaluationError
from core.evaluate.intervals import Interval
from core.files import replacing, sha256
from core.labels import CODE_OF_ISIC_COLUMN, CODES, INDEX, ISIC_2018_COLUMNS
from core.spreadsheet import to_csv

PREDICTIONS_FILE: Final = "predictions.parquet"
VAL_FILE: Final = "val.parquet"
METRICS_FILE: Final = "metrics.json"
FACT_COLUMNS: Final = ("image_id", "lesion_id", "dx", "dx_type", "age_years", "sex", "site")
PROBABILITY_COLUMNS: Final = tuple(f"p_{code}" for code in CODES)
MOST_ROWS: Final = 50_000
MOST_COLUMNS: Final = 100
# float32 softmax rows sum to 1 within 1e-6; half-precision ones within 1e-3.
SUM_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What one checkpoint answered on one split.

    Attributes:
        name: how tables and plots call it.
        checkpoint: the checkpoint's reference.
        split: "val" or "test", or the name of an outside set.
        split_hash: of the split manifest, so that only answers to the same question are compared.
        table: FACT_COLUMNS and PROBABILITY_COLUMNS, one row a picture; further columns are kept.
        metrics: each metric with its interval, from `intervals.lesion_bootstrap`.
        views: test-time views averaged per picture.
        app_version: the version of this code that measured it.
        date: when, ISO 8601 in UTC; now by default.
        model: what is known of the model itself, by the keys of `core.evaluate.sheet.FIELDS`.
        val: like `table`, of the validation pictures; None where the artifact has none.
    """

    name: str
    checkpoint: str
    split: str
    split_hash: str
    table: pd.DataFrame
    metrics: dict[str, Interval]
    views: int
    app_version: str
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    model: dict[str, object] = field(default_factory=dict)
    val: pd.DataFrame | None = None

    @property
    def truth(self) -> np.ndarray:
        """The true class indices, shape (N,)."""
        return truth_of(self.table)

    @property
    def probabilities(self) -> np.ndarray:
        """The calibrated probabilities, shape (N, 7)."""
        return probabilities_of(self.table)

    @property
    def n_images(self) -> int:
        """Pictures answered."""
        return len(self.table)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all that it holds; two that share it are the same in every number and word."""
        text = json.dumps(self._as_json(), sort_keys=True, default=str)
        found = hashlib.sha256(text.encode())
        for table in (self.table, self.val):
            content = b"" if table is None else table.to_parquet(None, index=False)
            found.update(hashlib.sha256(content).digest())
        return found.hexdigest()

    def save(self, folder: Path) -> None:
        """Write the artifact into a folder, making it; an artifact already there is replaced.

        Raises:
            EvaluationError: the table is not what an artifact holds, or the folder cannot be written.
        """
        tables = {PREDICTIONS_FILE: self.table} | ({} if self.val is None else {VAL_FILE: self.val})
        for name, table in tables.items():
            check_table(table, source_name=name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sums = {}
            for name, table in tables.items():
                with replacing(folder / name) as part:
                    table.to_parquet(part, index=False)
                sums[_SUM_OF[name]] = sha256(folder / name)
            if self.val is None:
                (folder / VAL_FILE).unlink(missing_ok=True)
            text = json.dumps(self._as_json() | sums, indent=2, allow_nan=False)
            with replacing(folder / METRICS_FILE) as part:
                part.write_text(text + "\n", encoding="utf-8")
        except OSError as problem:
            raise EvaluationError(f"Cannot write the evaluation to {folder}: {problem}.") from problem

    @classmethod
    def load(cls, folder: Path) -> "Evaluation":
        """Read an artifact back.

        Raises:
            EvaluationError: a file is missing, unreadable, of another save, or holds what it must not.
        """
        names = [METRICS_FILE, PREDICTIONS_FILE]
        if (folder / VAL_FILE).is_file():
            names.append(VAL_FILE)
        return cls.from_files({name: _read(folder / name) for name in names}, place=f"{folder}/")

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, place: str = "") -> "Evaluation":
        """Read an artifact from the contents of its files, by name; place: where they lie, for messages.

        Raises:
            EvaluationError: as `load`.
        """
        if missing := [name for name in (METRICS_FILE, PREDICTIONS_FILE) if name not in files]:
            raise EvaluationError(
                f"{' and '.join(missing)} lacking: an evaluation is {METRICS_FILE} together with "
                f"{PREDICTIONS_FILE}, and {VAL_FILE} where it has one."
            )
        document = _parse_json(files[METRICS_FILE], place + METRICS_FILE)
        tables = {
            name: _parse_table(files.get(name), place + name, document.get(_SUM_OF[name]))
            for name in (PREDICTIONS_FILE, VAL_FILE)
            if name == PREDICTIONS_FILE or _SUM_OF[name] in document
        }
        try:
            return _from_json(document, tables[PREDICTIONS_FILE], tables.get(VAL_FILE))
        except (KeyError, TypeError, ValueError) as problem:
            raise EvaluationError(
                f"{place}{METRICS_FILE} lacks or misstates {problem}; evaluate the checkpoint again."
            ) from problem

    def _as_json(self) -> dict[str, object]:
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _TABLES}
        return plain | {
            "n_images": self.n_images,
            "metrics": {name: _without_nan(asdict(interval)) for name, interval in self.metrics.items()},
        }


_TABLES: Final = ("table", "val")
_SUM_OF: Final = {PREDICTIONS_FILE: "predictions_sha256", VAL_FILE: "val_sha256"}


def truth_of(table: pd.DataFrame) -> np.ndarray:
    """Return the true class indices of a checked table, shape (N,)."""
    return table["dx"].map(INDEX).to_numpy(dtype=np.int64)


def probabilities_of(table: pd.DataFrame) -> np.ndarray:
    """Return the probabilities of a checked table, shape (N, 7)."""
    return table[list(PROBABILITY_COLUMNS)].to_numpy(dtype=np.float64)


def check_shape(n_rows: int, n_columns: int, *, source_name: str) -> None:
    """Refuse a table of answers that is too large to be compared.

    Raises:
        EvaluationError: more than MOST_ROWS rows or MOST_COLUMNS columns.
    """
    if n_rows > MOST_ROWS:
        raise EvaluationError(
            f"{source_name} has {n_rows:,} rows, and {MOST_ROWS:,} pictures can be compared at most; "
            "leave some out."
        )
    if n_columns > MOST_COLUMNS:
        raise EvaluationError(
            f"{source_name} has {n_columns:,} columns, and {MOST_COLUMNS} can be read at most; leave "
            "some out."
        )


def check_table(table: pd.DataFrame, *, source_name: str) -> None:
    """Refuse a table of answers that is not what an artifact holds.

    Raises:
        EvaluationError: missing columns, no rows, a missing or repeated image_id, an unknown dx, or
            probabilities that are outside 0 to 1 or do not sum to 1; the message names the first offender.
    """
    if missing := [name for name in FACT_COLUMNS + PROBABILITY_COLUMNS if name not in table]:
        raise EvaluationError(f"{source_name} lacks the columns {missing}.")
    if table.empty:
        raise EvaluationError(f"{source_name} has no rows; expected one a picture.")
    image_ids = table["image_id"]
    if (unnamed := image_ids.isna()).any():
        raise EvaluationError(f"{source_name} has no image_id in row {_first(unnamed)}.")
    if (repeated := image_ids.duplicated()).any():
        raise EvaluationError(f"{source_name} has image_id {_offender(table, repeated)!r} more than once.")
    if (unknown := ~table["dx"].isin(CODES)).any():
        found = table["dx"].iloc[_first(unknown)]
        raise EvaluationError(
            f"{source_name} has dx {found!r} for image {_offender(table, unknown)!r}; expected {list(CODES)}."
        )
    _check_probabilities(table, source_name)


def write_isic_csv(path: Path, image_ids: Sequence[str], probabilities: np.ndarray) -> None:
    """Write answers as the ISIC 2018 challenge takes them, with ids as they are.

    A file already there is replaced, whole or not at all.

    Raises:
        EvaluationError: repeated image ids, or a file that cannot be written.
        ValueError: probabilities that are not of shape (N, 7).
    """
    written = isic_csv(image_ids, probabilities, name=path.name, guarded=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_bytes(written)
    except OSError as problem:
        raise EvaluationError(f"Cannot write {path}: {problem}.") from problem


def isic_csv(
    image_ids: Sequence[str], probabilities: np.ndarray, *, name: str = "The table", guarded: bool = True
) -> bytes:
    """Return answers as the ISIC 2018 challenge takes them: image,MEL,NV,BCC,AKIEC,BKL,DF,VASC.

    Args:
        image_ids: one a picture, in the order of the rows.
        probabilities: columns in the order of CODES, shape (N, 7).
        name: of the table, for messages.
        guarded: whether a spreadsheet may open it: ids that it would run as formulas are then marked, and no
            longer what the challenge calls the picture.

    Raises:
        EvaluationError: repeated image ids.
        ValueError: probabilities that are not of shape (N, 7).
    """
    if np.shape(probabilities) != (len(image_ids), len(CODES)):
        raise ValueError(
            f"probabilities have shape {np.shape(probabilities)}; expected ({len(image_ids)}, {len(CODES)})."
        )
    table = pd.DataFrame({"image": list(image_ids)}, dtype=object)
    if (repeated := table["image"].duplicated()).any():
        raise EvaluationError(
            f"{name} would hold image {table['image'].iloc[_first(repeated)]!r} more than once."
        )
    for column in ISIC_2018_COLUMNS:
        table[column] = np.asarray(probabilities)[:, INDEX[CODE_OF_ISIC_COLUMN[column]]]
    # A program reads this: many take the mark at the beginning for a part of the first column's name.
    return to_csv(table, float_format="%.7g", guarded=guarded).removeprefix(codecs.BOM_UTF8)


def _check_probabilities(table: pd.DataFrame, source_name: str) -> None:
    try:
        probabilities = probabilities_of(table)
    except (TypeError, ValueError) as problem:
        raise EvaluationError(f"{source_name} has probabilities that are no numbers: {problem}.") from problem
    # Written so that NaN fails it as well.
    outside = ~np.all((probabilities >= 0) & (probabilities <= 1), axis=1)
    if outside.any():
        raise EvaluationError(
            f"{source_name} has a probability outside 0 to 1 for image {_offender(table, outside)!r}."
        )
    sums = probabilities.sum(axis=1)
    if (astray := np.abs(sums - 1) > SUM_TOLERANCE).any():
        raise EvaluationError(
            f"{source_name} has probabilities that sum to {sums[_first(astray)]:.4f} for image "
            f"{_offender(table, astray)!r}; expected 1."
        )


def _first(mask: np.ndarray | pd.Series) -> int:
    return int(np.flatnonzero(np.asarray(mask))[0])


def _offender(table: pd.DataFrame, mask: np.ndarray | pd.Series) -> str:
    return str(table["image_id"].iloc[_first(mask)])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise EvaluationError(f"Cannot read {path}: {problem}.") from problem


def _parse_json(content: bytes, name: str) -> dict[str, object]:
    try:
        document = json.loads(content)
    except ValueError as problem:
        raise EvaluationError(f"Cannot read {name}: {problem}.") from problem
    if not isinstance(document, dict):
        raise EvaluationError(f"{name} holds no JSON object; evaluate the checkpoint again.")
    return document


def _parse_table(content: bytes | None, name: str, expected_sum: object) -> pd.DataFrame:
    if content is None:
        raise EvaluationError(
            f"{name} is missing, though {METRICS_FILE} names it; evaluate the checkpoint again."
        )
    if expected_sum != hashlib.sha256(content).hexdigest():
        raise EvaluationError(
            f"{name} is not the file that {METRICS_FILE} was measured on; evaluate the checkpoint again."
        )
    try:
        # A small file can unfold to more than the memory holds: what it would be is read first.
        shape = pq.read_metadata(io.BytesIO(content))
        check_shape(shape.num_rows, shape.num_columns, source_name=name)
        table = pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError) as problem:  # pyarrow's own errors are both kinds
        raise EvaluationError(f"Cannot read {name}: {problem}.") from problem
    check_table(table, source_name=name)
    return table


def _from_json(document: Mapping[str, object], table: pd.DataFrame, val: pd.DataFrame | None) -> Evaluation:
    plain = {
        one.name: document[one.name] for one in fields(Evaluation) if one.name not in (*_TABLES, "model")
    }
    # Artifacts of earlier versions say nothing of the model.
    plain["model"] = document.get("model", {})
    entries = plain.pop("metrics")
    if not isinstance(entries, dict):
        raise TypeError("'metrics'")
    for name, kind in _PLAIN_KINDS.items():
        if not isinstance(plain[name], kind):
            raise TypeError(f"{name!r} ({plain[name]!r})")
    metrics = {name: _interval(entry) for name, entry in entries.items()}
    return Evaluation(table=table, metrics=metrics, val=val, **plain)  # type: ignore[arg-type]  # checked above


_PLAIN_KINDS: Final[dict[str, type]] = {
    "name": str, "checkpoint": str, "split": str, "split_hash": str, "views": int, "app_version": str,
    "date": str, "model": dict,
}  # fmt: skip


def _without_nan(entry: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: null stands for undefined."""
    return {key: None if math.isnan(value) else value for key, value in entry.items()}


def _interval(entry: Mapping[str, float | None]) -> Interval:
    value, low, high = (_or_nan(entry[key]) for key in ("value", "low", "high"))
    return Interval(value, low, high, n=int(entry["n"] or 0), n_lesions=int(entry["n_lesions"] or 0))


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
