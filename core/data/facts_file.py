"""Patients' facts from any table that names pictures: what batch scoring takes beside a folder of images."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from core.data.facts import MAX_AGE_YEARS, Facts
from core.data.readers import PICTURE_SUFFIXES, read_table
from core.data.vocabulary import SITE_OF, normal, read_age, sex_of, site_of
from core.errors import MetadataError

ID_COLUMNS: Final = ("image_id", "image", "isic_id", "img_id")
AGE_COLUMNS: Final = ("age", "age_approx", "age_years")
SEX_COLUMNS: Final = ("sex", "gender")
SITE_COLUMNS: Final = ("localization", "anatom_site_special", "anatom_site_general", "site", "region")


def read_facts(path: Path) -> dict[str, Facts]:
    """Return the facts of each picture a CSV or TSV names, by image id without its file ending.

    Columns are found by their names in HAM10000, the ISIC archive and PAD-UFES-20; any of age, sex and site
    may be absent, and words outside the vocabularies count as unknown.

    Raises:
        MetadataError: the table names no pictures, or an age that cannot be.
    """
    table = read_table(path, columns=())
    id_column = _first(ID_COLUMNS, table.columns)
    if id_column is None:
        raise MetadataError(
            f"{path.name} has no column of picture names; expected one of {', '.join(ID_COLUMNS)}."
        )
    facts = {}
    for number, row in table.rows:
        age = _age(path, number, _value(row, AGE_COLUMNS))
        facts[_image_id(row[id_column])] = Facts(age, sex_of(_value(row, SEX_COLUMNS)), _site(row))
    return facts


def _image_id(name: str) -> str:
    return Path(name).stem if Path(name).suffix.lower() in PICTURE_SUFFIXES else name


def _first(wanted: Iterable[str], present: Iterable[str]) -> str | None:
    here = set(present)
    return next((name for name in wanted if name in here), None)


def _value(row: dict[str, str], columns: tuple[str, ...]) -> str:
    return next((row[name] for name in columns if row.get(name, "").strip()), "")


def _age(path: Path, number: int, text: str) -> float | None:
    try:
        age = read_age(text)
    except ValueError as problem:
        raise MetadataError(
            f"{path.name}, row {number}: age {text!r}; expected 0 to {MAX_AGE_YEARS:.0f}."
        ) from problem
    return None if age != age else age  # noqa: PLR0124 - NaN is the one value that is not itself


def _site(row: dict[str, str]) -> str | None:
    for column in SITE_COLUMNS:
        for vocabulary in SITE_OF:
            if row.get(column) and (site := site_of(normal(row[column]), vocabulary)):
                return site
    return None
