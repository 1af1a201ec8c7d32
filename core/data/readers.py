"""Dataset folders as they are found in the wild, read into the one metadata table. Add a layout to READERS.

A reader looks at a listing of the folder, made once, and never opens a picture. What a table holds but cannot
be used is counted, not hidden, in the `attrs` of the result:

- `left_out`: reason -> rows or pictures not in the table;
- `unmapped`: words of the source that became unknown because no vocabulary has them -> rows;
- `labels`: diagnosis as the source writes it -> (its code, rows).

A dataset whose diagnoses are none of ours is read through a label map, which comes before the reader's own.
"""

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from core.data import vocabulary
from core.data.metadata import COLUMNS, FIRST_ROW, ROW_INDEX, validate_metadata
from core.errors import MetadataError
from core.labels import CODE_OF_ISIC_COLUMN, CODES, ISIC_2018_COLUMNS

PICTURE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})
TABLE_SUFFIXES: Final = frozenset({".csv", ".tsv", ".tab", ".txt"})
DATAVERSE_NAME: Final = "ham10000_metadata"
KAGGLE_NAME: Final = "ham10000_metadata.csv"
SEPARATORS: Final = (",", "\t", ";")
MASK_SUFFIX: Final = "_segmentation"
MAX_TABLE_BYTES: Final = 256 * 1024 * 1024

Labels = Mapping[str, str | None]
"""A label map: diagnosis as a dataset writes it -> one of CODES, or None to leave its rows out."""

HAM10000_COLUMNS: Final = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
ISIC_ARCHIVE_SIGNATURE: Final = ("isic_id", "diagnosis_1")
PAD_UFES_COLUMNS: Final = ("img_id", "patient_id", "lesion_id", "age", "gender", "region", "diagnostic")
ISIC_2018_NAMES: Final = ("image", *(column.lower() for column in ISIC_2018_COLUMNS))
GROUPING_COLUMNS: Final = ("image", "lesion_id")
WRITTEN_COLUMNS: Final = tuple(column for column in COLUMNS if column != "image_path")
"""What `core.data.writing` writes."""


@dataclass(frozen=True)
class Listing:
    """What lies in a dataset folder: its tables, and its pictures by stem in lower case.

    same_stem: pictures that lost to another one of the same stem.
    links_outside: links not followed because they lead out of the folder.
    locked: folders in it that cannot be looked into.
    """

    root: Path
    tables: tuple[Path, ...]
    pictures: Mapping[str, Path]
    same_stem: tuple[Path, ...]
    links_outside: int
    locked: tuple[Path, ...] = ()

    def tables_named(self, name: str) -> list[Path]:
        """Return the tables of this file name, whatever its case."""
        return [path for path in self.tables if path.name.lower() == name]

    def tables_with(self, columns: Sequence[str]) -> list[Path]:
        """Return the tables whose header has all these columns, whatever their case."""
        return [path for path in self.tables if set(columns) <= set(_header(path))]


def list_folder(folder: Path) -> Listing:
    """Look through a dataset folder once.

    Of two pictures with one stem (the lower-case twin folders of Kaggle's zip) the first by path is taken.

    Raises:
        MetadataError: the folder is not there or cannot be read.
    """
    root = folder.resolve()
    if not _is_folder(root):
        raise MetadataError(f"{folder} is not a folder; expected the folder of a dataset.")
    tables: list[Path] = []
    found: list[Path] = []
    locked: list[Path] = []
    links_outside = 0
    for path, is_link in _walk(root, locked):
        suffix = path.suffix.lower()
        is_table = suffix in TABLE_SUFFIXES or path.name.lower() == DATAVERSE_NAME
        if not is_table and suffix not in PICTURE_SUFFIXES:
            continue
        # A shared dataset must not be a way to read other files of this machine.
        if is_link and not path.resolve().is_relative_to(root):
            links_outside += 1
        elif not is_link or path.is_file():
            (tables if is_table else found).append(path)
    pictures: dict[str, Path] = {}
    for path in sorted(found):
        pictures.setdefault(path.stem.casefold(), path)
    same_stem = tuple(path for path in sorted(found) if pictures[path.stem.casefold()] is not path)
    if root in locked:
        raise _unreadable(root, "Permission denied")
    return Listing(root, tuple(sorted(tables)), pictures, same_stem, links_outside, tuple(locked))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError as problem:
        raise _unreadable(path, str(problem.strerror)) from problem


def _unreadable(path: Path, reason: str) -> MetadataError:
    return MetadataError(
        f"{path} cannot be read: {reason}. Let the account that runs LesionLens read it and all folders "
        "above it, or copy the dataset to where it can."
    )


def _walk(root: Path, locked: list[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield each file and whether it is a link; what is hidden and links to folders are passed by.

    locked: gets the folders that may not be looked into.
    """
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.name.startswith((".", "__MACOSX")):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(Path(entry.path), locked)
                elif entry.is_symlink() or entry.is_file():
                    yield Path(entry.path), entry.is_symlink()
    except PermissionError:
        # The other folders may hold all that is needed.
        locked.append(root)
    except OSError as problem:
        raise _unreadable(root, problem.strerror or str(problem)) from problem


@dataclass(frozen=True)
class Table:
    """The rows of one text table; `rows` pairs the row number of a spreadsheet with fields by column name."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_table(path: Path, *, columns: Sequence[str]) -> Table:
    """Read a table separated by commas, tabs or semicolons, with or without BOM, quotes and CRLF.

    columns: those it must have. Names are compared, and given back, in lower case.

    Raises:
        MetadataError: not UTF-8 text, broken quotes, a column missing or named twice, a row too long or too
            short, or no rows at all.
    """
    text = _text(path)
    # newline="" keeps the line ends for csv, which alone knows which of them lie inside quotes.
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    names: tuple[str, ...] = ()
    number = 1
    try:
        names = _names(next(lines, []))
        _check_header(path, names, columns)
        for number, values in enumerate(lines, FIRST_ROW):
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(names):
                raise _odd_row(path, number, values, names, _separator(text))
            rows.append((number, {name: value.strip() for name, value in zip(names, values, strict=True)}))
    except csv.Error as problem:
        raise MetadataError(
            f"{path.name}, after row {number}: {problem}; expected a table whose quotes are closed."
        ) from problem
    if not rows:
        raise MetadataError(f"{path.name} has a header and no rows; expected one row an image.")
    return Table(path, names, tuple(rows))


def _odd_row(
    path: Path, number: int, values: Sequence[str], names: Sequence[str], separator: str
) -> MetadataError:
    other = next((one for one in SEPARATORS if values and values[0].count(one) == len(names) - 1 > 0), None)
    if len(values) == 1 and other is not None:
        return MetadataError(
            f"{path.name}, row {number} is separated by {other!r}, the header by {separator!r}; "
            "save the table again with one separator."
        )
    return MetadataError(
        f"{path.name}, row {number} has {len(values)} fields; expected {len(names)} as in the header. Values "
        "that hold the separator itself need quotes around them."
    )


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise MetadataError(
                f"{path.name} is over {MAX_TABLE_BYTES // 1024**2} MB; expected a table, one row an image."
            )
        # utf-8-sig drops the mark that spreadsheets put first, which would become part of a column's name.
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise MetadataError(f"{path.name} is not UTF-8 text; save it as CSV (UTF-8).") from problem
    except OSError as problem:
        raise _unreadable(path, problem.strerror or str(problem)) from problem


def _separator(text: str) -> str:
    head = text.partition("\n")[0]
    return max(SEPARATORS, key=head.count)


def _names(fields: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in fields)


def _check_header(path: Path, names: tuple[str, ...], columns: Sequence[str]) -> None:
    if not any(names):
        raise MetadataError(f"{path.name} is empty; expected a header with {', '.join(columns)}.")
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise MetadataError(f"{path.name} has the column {twice[0]!r} twice; expected each once.")
    if absent := [column for column in columns if column not in names]:
        raise MetadataError(
            f"{path.name} lacks the column{'s' * (len(absent) > 1)} {', '.join(absent)}; "
            f"expected {', '.join(columns)}."
        )


def _header(path: Path) -> tuple[str, ...]:
    """Return the column names of a table; none of a file that cannot be read, which is no layout of ours."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline(64 * 1024)
        return _names(next(csv.reader([head], delimiter=_separator(head)), []))
    except (OSError, UnicodeDecodeError, csv.Error):
        return ()


@dataclass
class _Collector:
    """Rows on their way into the metadata table, with the counts that go into its attrs."""

    listing: Listing
    source: str
    name: str
    labels: Labels | None = None
    rows: list[dict[str, object]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    unmapped: Counter[str] = field(default_factory=Counter)
    codes: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    strangers: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._map = label_map(self.labels or {})

    def diagnosis(self, number: int, word: str, known: Labels) -> str | None:
        """Return the code of a row's diagnosis, "" if it has none; None: the row is left out.

        The label map comes first, then what the reader itself knows. A word that neither has is remembered:
        `finish` refuses with all of them.
        """
        key = vocabulary.normal(word)
        if not key:
            return ""
        table = self._map if key in self._map else known
        if key not in table:
            self.strangers.setdefault(word, []).append(number)
            return None
        code = table[key]
        if code is None:
            self.left_out[f"diagnosis {word!r} is left out by the label map"] += 1
            return None
        self.codes[word] = code
        self.counts[word] += 1
        return code

    def add(  # noqa: PLR0913 -- one argument a column
        self,
        number: int,
        *,
        image_id: str,
        lesion_id: str,
        dx: str,
        dx_type: str | None = None,
        age: str = "",
        sex: str | None = None,
        site: str | None = None,
        source: str | None = None,
    ) -> None:
        """Take one image; "" is a missing value. Its picture is the one whose stem is the image's id."""
        picture = self.listing.pictures.get(image_id.casefold())
        self.numbers.append(number)
        self.rows.append(
            {
                "image_id": image_id or None,
                "lesion_id": lesion_id or None,
                "dx": dx or None,
                "dx_type": dx_type,
                "age_years": self._age(number, age),
                "sex": sex,
                "site": site,
                "source": source or self.source,
                "image_path": str(picture) if picture else None,
            }
        )

    def word(self, column: str, text: str, table: Mapping[str, str | None]) -> str | None:
        """Return what a word means, and count it where its vocabulary does not know it."""
        meaning, known = vocabulary.translate(text, table)
        if not known:
            self.unmapped[f"{column} {text!r}"] += 1
        return meaning

    def _age(self, number: int, text: str) -> float:
        try:
            return vocabulary.read_age(text)
        except ValueError as problem:
            raise MetadataError(
                f"{self.name}, row {number}: age is {text!r}; expected 0 to 120 years, or nothing."
            ) from problem

    def finish(self) -> pd.DataFrame:
        """Return the validated table with its attrs."""
        self._refuse_strangers()
        if not self.rows:
            reasons = "; ".join(f"{reason}: {count}" for reason, count in self.left_out.items())
            raise MetadataError(f"{self.name} has no image that can be used ({reasons or 'no rows'}).")
        table = pd.DataFrame(self.rows, index=pd.Index(self.numbers, name=ROW_INDEX))
        table = validate_metadata(table, source_name=self.name)
        if self.listing.links_outside:
            self.left_out["files that are links out of the dataset's folder"] = self.listing.links_outside
        if self.listing.locked:
            self.left_out["folders that may not be read"] = len(self.listing.locked)
        if nameless := self._nameless_pictures(table):
            self.left_out["pictures that bear no image's name (were they renamed?)"] = nameless
        table.attrs["left_out"] = dict(self.left_out)
        table.attrs["unmapped"] = dict(self.unmapped)
        table.attrs["labels"] = {word: (code, self.counts[word]) for word, code in self.codes.items()}
        return table

    def _nameless_pictures(self, table: pd.DataFrame) -> int:
        """Return how many pictures belong to no row; 0 where every row has one, since more do no harm."""
        if table["image_path"].notna().all():
            return 0
        named = set(table["image_id"].str.casefold())
        return sum(stem not in named and not stem.endswith(MASK_SUFFIX) for stem in self.listing.pictures)

    def _refuse_strangers(self) -> None:
        if not self.strangers:
            return
        word, numbers = next(iter(self.strangers.items()))
        others = [f"{other!r} in {len(rows)}" for other, rows in self.strangers.items() if other != word]
        more = f", {', '.join(others)}" if others else ""
        raise MetadataError(
            f"{self.name}, row {numbers[0]}: dx is {word!r} (in {len(numbers)} row{'s' * (len(numbers) > 1)}"
            f"{more}); expected one of {', '.join(CODES)}, or a label map that says what each of them is."
        )


def label_map(labels: Labels) -> dict[str, str | None]:
    """Return a label map with its words in normal form.

    Raises:
        MetadataError: a word stands for a code that is none of CODES, or two words are one and disagree.
    """
    found: dict[str, str | None] = {}
    for word, code in labels.items():
        if code is not None and code not in CODES:
            raise MetadataError(
                f"The label map says {word!r} = {code!r}; expected one of {', '.join(CODES)}, or nothing to "
                "leave its rows out."
            )
        key = vocabulary.normal(word)
        if found.setdefault(key, code) != code:
            raise MetadataError(f"The label map says {found[key]!r} and {code!r} for {word!r}; expected one.")
    return found


def _only(paths: Sequence[Path], listing: Listing, what: str) -> Path:
    """Return the one table of a layout.

    Two copies of the same bytes (the twins of Kaggle's zip) are one. Different tables are never merged here:
    the official test set beside the training set would quietly become training data.
    """
    if not paths:
        raise MetadataError(f"{listing.root} has no {what}.")
    if len({path.read_bytes() for path in paths}) > 1:
        names = ", ".join(str(path.relative_to(listing.root)) for path in paths)
        raise MetadataError(f"{listing.root} has {len(paths)} tables that are {what}: {names}; expected one.")
    return paths[0]


def _read_ham10000(path: Path, listing: Listing, labels: Labels | None) -> pd.DataFrame:
    collector = _Collector(listing, "ham10000", path.name, labels)
    for number, row in read_table(path, columns=HAM10000_COLUMNS).rows:
        dx = collector.diagnosis(number, row["dx"], vocabulary.DX_OF_HAM10000)
        if dx is None:
            continue
        collector.add(
            number,
            image_id=row["image_id"],
            lesion_id=row["lesion_id"],
            dx=dx,
            dx_type=row["dx_type"].lower() or None,
            age=row["age"],
            sex=collector.word("sex", row["sex"], vocabulary.SEX_OF),
            site=collector.word("localization", row["localization"], vocabulary.HAM10000_SITE),
        )
    return collector.finish()


def _kaggle_tables(listing: Listing) -> list[Path]:
    return listing.tables_named(KAGGLE_NAME)


def _read_kaggle(listing: Listing, labels: Labels | None) -> pd.DataFrame:
    return _read_ham10000(_only(_kaggle_tables(listing), listing, "a HAM10000_metadata.csv"), listing, labels)


def _dataverse_tables(listing: Listing) -> list[Path]:
    # Dataverse gives each table as it was deposited or as .tab; the official test set has these columns too.
    strange = [path for path in listing.tables if path.name.lower() != KAGGLE_NAME]
    known = [path for path in strange if path.stem.lower() == DATAVERSE_NAME]
    return known or [path for path in strange if set(HAM10000_COLUMNS) <= set(_header(path))]


def _read_dataverse(listing: Listing, labels: Labels | None) -> pd.DataFrame:
    what = "a HAM10000_metadata without extension, or a table with HAM10000's columns"
    return _read_ham10000(_only(_dataverse_tables(listing), listing, what), listing, labels)


def _isic_2018_tables(listing: Listing) -> list[Path]:
    return listing.tables_with(ISIC_2018_NAMES)


def _read_isic_2018(listing: Listing, labels: Labels | None) -> pd.DataFrame:
    path = _only(_isic_2018_tables(listing), listing, "an ISIC 2018 ground truth")
    lesions = _read_groupings(listing)
    collector = _Collector(listing, "isic_2018", path.name, labels)
    known = {column.lower(): code for column, code in CODE_OF_ISIC_COLUMN.items()}
    for number, row in read_table(path, columns=ISIC_2018_NAMES).rows:
        dx = collector.diagnosis(number, _one_hot(path, number, row), known)
        if dx is None:
            continue
        lesion_id, dx_type = lesions.get(row["image"], (row["image"], ""))
        collector.add(
            number,
            image_id=row["image"],
            lesion_id=lesion_id,
            dx=dx,
            dx_type=collector.word("diagnosis confirm type", dx_type, vocabulary.DX_TYPE_OF),
        )
    return collector.finish()


def _one_hot(path: Path, number: int, row: Mapping[str, str]) -> str:
    """Return the one column that is 1."""
    given = [row[column.lower()] for column in ISIC_2018_COLUMNS]
    try:
        values = [float(value) for value in given]
    except ValueError:
        values = []
    if sorted(values) != [0.0] * (len(ISIC_2018_COLUMNS) - 1) + [1.0]:
        raise MetadataError(
            f"{path.name}, row {number}: {row['image']} has {','.join(given)} "
            f"under {','.join(ISIC_2018_COLUMNS)}; expected one 1 and six 0."
        )
    return ISIC_2018_COLUMNS[values.index(1.0)]


def _read_groupings(listing: Listing) -> dict[str, tuple[str, str]]:
    """Return image -> (lesion, how it was confirmed) from the LesionGroupings tables, if there are any."""
    paths = [path for path in listing.tables if "lesiongroupings" in path.name.lower()]
    return {
        row["image"]: (row["lesion_id"] or row["image"], row.get("diagnosis confirm type", ""))
        for path in paths
        for _, row in read_table(path, columns=GROUPING_COLUMNS).rows
    }


def _isic_archive_tables(listing: Listing) -> list[Path]:
    return listing.tables_with(ISIC_ARCHIVE_SIGNATURE)


def _read_isic_archive(listing: Listing, labels: Labels | None) -> pd.DataFrame:
    path = _only(_isic_archive_tables(listing), listing, "an ISIC archive export")
    collector = _Collector(listing, "isic_archive", path.name, labels)
    mapped = label_map(labels or {})
    for number, row in read_table(path, columns=ISIC_ARCHIVE_SIGNATURE).rows:
        # diagnosis_3 decides: it names the disease. Where it is blank diagnosis_2 may do: it names a family.
        word = row.get("diagnosis_3", "") or row.get("diagnosis_2", "")
        # The archive holds hundreds of other diseases: what is none of the seven is counted, not refused.
        if vocabulary.normal(word) not in vocabulary.DX_OF_ISIC_ARCHIVE.keys() | mapped.keys():
            collector.left_out[f"diagnosis {_finest(row)!r} is none of the seven"] += 1
            continue
        dx = collector.diagnosis(number, word, vocabulary.DX_OF_ISIC_ARCHIVE)
        if dx is None:
            continue
        collector.add(
            number,
            image_id=row["isic_id"],
            lesion_id=row.get("lesion_id", "") or row["isic_id"],
            dx=dx,
            dx_type=collector.word(
                "diagnosis_confirm_type", row.get("diagnosis_confirm_type", ""), vocabulary.DX_TYPE_OF
            ),
            age=row.get("age_approx", ""),
            sex=collector.word("sex", row.get("sex", ""), vocabulary.SEX_OF),
            site=_isic_archive_site(collector, row),
        )
    return collector.finish()


def _finest(row: Mapping[str, str]) -> str:
    """Return the most exact diagnosis a row has; the archive goes from diagnosis_1, broad, to diagnosis_5."""
    words = [row.get(f"diagnosis_{level}", "") for level in range(5, 0, -1)]
    return next((word for word in words if word), "none given")


def _isic_archive_site(collector: _Collector, row: Mapping[str, str]) -> str | None:
    general = collector.word("anatom_site_general", row.get("anatom_site_general", ""), vocabulary.ISIC_SITE)
    special = collector.word("anatom_site_special", row.get("anatom_site_special", ""), vocabulary.ISIC_SITE)
    return special or general


def _pad_ufes_tables(listing: Listing) -> list[Path]:
    return listing.tables_with(("img_id", "diagnostic"))


def _read_pad_ufes(listing: Listing, labels: Labels | None) -> pd.DataFrame:
    path = _only(_pad_ufes_tables(listing), listing, "a PAD-UFES-20 metadata.csv")
    collector = _Collector(listing, "pad_ufes_20", path.name, labels)
    for number, row in read_table(path, columns=PAD_UFES_COLUMNS).rows:
        dx = collector.diagnosis(number, row["diagnostic"], vocabulary.DX_OF_PAD_UFES)
        if dx is None:
            continue
        # Published names end in .png whatever the copies at hand are: only the stem counts.
        stem = row["img_id"].rpartition(".")[0] or row["img_id"]
        collector.add(
            number,
            image_id=stem,
            # Lesion numbers are used again for other patients (226 of 1,641), with other diagnoses.
            lesion_id=f"{row['patient_id']}_{row['lesion_id']}" if row["lesion_id"] else stem,
            dx=dx,
            dx_type=_pad_ufes_dx_type(row.get("biopsed", "")),
            age=row["age"],
            sex=collector.word("gender", row["gender"], vocabulary.SEX_OF),
            site=collector.word("region", row["region"], vocabulary.PAD_UFES_SITE),
        )
    return collector.finish()


def _pad_ufes_dx_type(biopsied: str) -> str | None:
    # What was not biopsied was agreed on by a group of dermatologists, says the dataset's paper.
    return {"true": "histo", "false": "consensus"}.get(biopsied.lower())


def _class_folders(listing: Listing) -> dict[str, str]:
    """Return the name of each folder directly under the root that holds pictures -> its code, "" if none."""
    names = {path.relative_to(listing.root).parts[0] for path in listing.pictures.values()}
    names -= {path.name for path in listing.pictures.values() if path.parent == listing.root}
    return {name: vocabulary.DX_OF_FOLDER.get(vocabulary.folder_word(name), "") for name in sorted(names)}


def _has_class_folders(listing: Listing) -> bool:
    return any(_class_folders(listing).values())


def _read_folder_per_class(listing: Listing, labels: Labels | None) -> pd.DataFrame:
    mapped = label_map(labels or {})
    code_of = _class_folders(listing)
    known: dict[str, str | None] = {vocabulary.normal(name): code for name, code in code_of.items() if code}
    if strangers := [name for name in code_of if vocabulary.normal(name) not in known.keys() | mapped.keys()]:
        raise MetadataError(
            f"{listing.root} has the folder {strangers[0]!r}; expected folders named after a diagnosis, "
            f"by code, full name or ISIC column: {', '.join(CODES)}. A label map can say what it is."
        )
    collector = _Collector(listing, listing.root.name, listing.root.name, labels)
    for path in listing.same_stem:
        _refuse_two_classes(listing, code_of, path)
        collector.left_out["pictures whose name another one in its class has"] += 1
    for number, path in enumerate(sorted(listing.pictures.values()), FIRST_ROW):
        folder, *deeper = path.relative_to(listing.root).parts
        if not deeper:
            collector.left_out["pictures in no class folder"] += 1
            continue
        dx = collector.diagnosis(number, folder, known)
        if dx is not None:
            collector.add(number, image_id=path.stem, lesion_id=path.stem, dx=dx)
    return collector.finish()


def _refuse_two_classes(listing: Listing, code_of: Mapping[str, str], path: Path) -> None:
    here = path.relative_to(listing.root)
    there = listing.pictures[path.stem.casefold()].relative_to(listing.root)
    if code_of.get(here.parts[0]) != code_of.get(there.parts[0]):
        raise MetadataError(f"{here} and {there} share a name but not a diagnosis; expected each image once.")


def _written_tables(listing: Listing) -> list[Path]:
    return listing.tables_with(WRITTEN_COLUMNS)


def _read_written(listing: Listing, labels: Labels | None) -> pd.DataFrame:
    path = _only(_written_tables(listing), listing, "a metadata.csv of `train prepare`")
    collector = _Collector(listing, listing.root.name, path.name, labels)
    for number, row in read_table(path, columns=WRITTEN_COLUMNS).rows:
        dx = collector.diagnosis(number, row["dx"], vocabulary.DX_OF_HAM10000)
        if dx is None:
            continue
        collector.add(
            number,
            image_id=row["image_id"],
            lesion_id=row["lesion_id"],
            dx=dx,
            dx_type=row["dx_type"] or None,
            age=row["age_years"],
            sex=collector.word("sex", row["sex"], vocabulary.SEX_OF),
            site=collector.word("site", row["site"], vocabulary.HAM10000_SITE),
            source=row["source"] or None,
        )
    return collector.finish()


@dataclass(frozen=True)
class Reader:
    """One layout of a dataset folder.

    accepts: whether a listing looks like this layout. parse: the metadata table of such a listing, through a
    label map if there is one.
    """

    name: str
    about: str
    accepts: Callable[[Listing], bool]
    parse: Callable[[Listing, Labels | None], pd.DataFrame]

    def matches(self, folder: Path) -> bool:
        """Return whether a folder looks like this layout."""
        return self.accepts(list_folder(folder))

    def read(self, folder: Path) -> pd.DataFrame:
        """Return the metadata table of a folder; MetadataError where it is not what this layout says."""
        return self.parse(list_folder(folder), None)


READERS: Final = {
    reader.name: reader
    for reader in (
        Reader(
            "kaggle",
            "HAM10000 from Kaggle: HAM10000_metadata.csv beside two folders of pictures",
            lambda listing: bool(_kaggle_tables(listing)),
            _read_kaggle,
        ),
        Reader(
            "dataverse",
            "HAM10000 from Harvard Dataverse: HAM10000_metadata, comma or tab, beside its pictures",
            lambda listing: bool(_dataverse_tables(listing)),
            _read_dataverse,
        ),
        Reader(
            "isic_2018",
            "ISIC 2018 Task 3: a ground truth of one-hot columns, LesionGroupings if there are any",
            lambda listing: bool(_isic_2018_tables(listing)),
            _read_isic_2018,
        ),
        Reader(
            "isic_archive",
            "An export of the ISIC archive: a table with isic_id and diagnosis_1 to diagnosis_3",
            lambda listing: bool(_isic_archive_tables(listing)),
            _read_isic_archive,
        ),
        Reader(
            "pad_ufes_20",
            "PAD-UFES-20: clinical photos from smartphones, metadata.csv with img_id and diagnostic",
            lambda listing: bool(_pad_ufes_tables(listing)),
            _read_pad_ufes,
        ),
        Reader(
            "folder_per_class",
            "One folder of pictures a diagnosis, named by code, full name or ISIC column",
            _has_class_folders,
            _read_folder_per_class,
        ),
        Reader(
            "lesionlens",
            "What `train prepare` writes: metadata.csv with our own columns beside images/",
            lambda listing: bool(_written_tables(listing)),
            _read_written,
        ),
    )
}


def read_dataset(folder: Path, layout: str | None = None, *, labels: Labels | None = None) -> pd.DataFrame:
    """Return the metadata table of a dataset folder; see `core.data.metadata` for its columns.

    layout: one of READERS; found out from the files when None.
    labels: what diagnoses mean that the reader does not know, or that it shall take otherwise.

    Raises:
        MetadataError: no layout fits, more than one does, or the table of the one that fits is wrong.
    """
    if layout is not None and layout not in READERS:
        raise MetadataError(f"There is no layout {layout!r}; expected one of {', '.join(READERS)}.")
    listing = list_folder(folder)
    if layout is not None:
        return READERS[layout].parse(listing, labels)
    fitting = [reader for reader in READERS.values() if reader.accepts(listing)]
    if not fitting:
        raise _no_layout(folder, listing)
    if len(fitting) > 1:
        names = ", ".join(reader.name for reader in fitting)
        raise MetadataError(f"{folder} fits more than one layout ({names}); say which one is meant.")
    return fitting[0].parse(listing, labels)


def _no_layout(folder: Path, listing: Listing) -> MetadataError:
    """Return the refusal of a folder that no reader takes, with the table that comes closest if one does."""
    for path in listing.tables:
        _text(path)  # refuses by name what may not be read, or is no text
    # Most columns of a layout present first; a table with one of them alone says nothing.
    close = sorted(
        (
            (len(set(columns) & set(_header(path))), path.name, layout, columns)
            for path in listing.tables
            for layout, columns in SIGNATURES.items()
        ),
        key=lambda one: (-one[0] / len(one[3]), one[1]),
    )
    if close and close[0][0] >= 2:
        _, name, layout, columns = close[0]
        here = next(_header(path) for path in listing.tables if path.name == name)
        absent = ", ".join(column for column in columns if column not in here)
        return MetadataError(
            f"{folder} is no dataset layout known here. {name} comes closest to {layout}, but lacks the "
            f"columns {absent}. Add them, or name the layout that is meant."
        )
    known = "; ".join(f"{reader.name} ({reader.about})" for reader in READERS.values())
    return MetadataError(f"{folder} is no dataset layout known here: {known}.")


SIGNATURES: Final = {
    "dataverse": HAM10000_COLUMNS,
    "isic_2018": ISIC_2018_NAMES,
    "isic_archive": ISIC_ARCHIVE_SIGNATURE,
    "pad_ufes_20": PAD_UFES_COLUMNS,
    "lesionlens": WRITTEN_COLUMNS,
}
"""The columns by which a table is known for a layout's."""


def count_missing(table: pd.DataFrame) -> int:
    """Return how many images of a metadata table have no picture here."""
    return int(table["image_path"].isna().sum())
