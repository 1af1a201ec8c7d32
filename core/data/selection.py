"""The one filter of the Explore page: which rows of a metadata table are meant, and how an address says it.

In an address, a column's values stand one after the other with commas between: `dx=mel,nv&ages=20-60`. Images
picked one by one are named; many are packed, or a lasso around a thousand points would not fit.
"""

import base64
import re
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self
from urllib.parse import unquote

import numpy as np
import pandas as pd

from core.data.facets import COLUMNS, TITLES, UNKNOWN, Facets, label_of
from core.data.facts import MAX_AGE_YEARS

AGES: Final = "ages"
IMAGES: Final = "images"
KEYS: Final = (*COLUMNS, AGES, IMAGES)
"""The names a selection uses in an address, and what `mask` can leave aside."""

_NAMED_CHARACTERS: Final = 200
_PACKED: Final = "~"
# An address is written by anyone: a short one must not unpack to what fills the memory.
_MAX_UNPACKED_BYTES: Final = 8 * 2**20
_MAX_IMAGES: Final = 200_000
_MAX_STEM: Final = 100
_MAX_DIGITS: Final = 15
_NUMBERED: Final = re.compile(rf"(.{{0,{_MAX_STEM}}}?)([0-9]{{1,{_MAX_DIGITS}}})", re.DOTALL)


@dataclass(frozen=True)
class Chip:
    """One part of a selection that a person can take off: `selection.without(chip.column, chip.value)`.

    column: one of KEYS. value: one of the column's, or what the address says of ages and images.
    """

    column: str
    value: str
    label: str


@dataclass(frozen=True)
class Selection:
    """The rows that are meant: those that fit every part. The empty selection means all.

    choices: for a column of `facets.COLUMNS` the values that fit; UNKNOWN stands for a missing one.
    ages: lowest and highest age in years, both included; an unknown age does not fit. None is any.
    images: the image ids that fit; None (or none) is any.

    Raises:
        ValueError: a column that is not one of COLUMNS, an empty value, or ages that are no range.
    """

    choices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ages: tuple[float, float] | None = None
    images: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.choices) - set(COLUMNS)):
            raise ValueError(f"A selection has no column {', '.join(unknown)}; it has {', '.join(COLUMNS)}.")
        if any("" in values for values in self.choices.values()):
            raise ValueError(f'A value to choose is empty; a missing one is called "{UNKNOWN}".')
        if self.ages is not None and not 0 <= self.ages[0] <= self.ages[1] <= MAX_AGE_YEARS:
            raise ValueError(f"The ages {self.ages} are no range within 0 to {MAX_AGE_YEARS:.0f} years.")
        # In one order and without empty choices, so that selections that mean the same are the same.
        kept = {name: frozenset(self.choices[name]) for name in COLUMNS if self.choices.get(name)}
        object.__setattr__(self, "choices", kept)
        object.__setattr__(self, "images", frozenset(self.images) if self.images else None)

    def __hash__(self) -> int:
        return hash((tuple(self.choices.items()), self.ages, self.images))

    def __bool__(self) -> bool:
        return bool(self.choices) or self.ages is not None or self.images is not None

    @property
    def keys(self) -> frozenset[str]:
        """Those of KEYS that are set."""
        ages, images = self.ages is not None, self.images is not None
        return frozenset(self.choices) | ({AGES} if ages else set()) | ({IMAGES} if images else set())

    def mask(self, table: pd.DataFrame, *, but: str | Collection[str] = ()) -> np.ndarray:
        """Return which rows fit, bool, shape (N,).

        but: the keys to leave aside. A chart shows its own column unfiltered, or nothing else of it could be
            clicked.

        Raises:
            ValueError: `but` names something that is not in KEYS.
        """
        aside = {but} if isinstance(but, str) else set(but)
        if strange := sorted(aside.difference(KEYS)):
            raise ValueError(
                f"A selection has no {', '.join(strange)} to leave aside; it has {', '.join(KEYS)}."
            )
        facets = Facets.of(table)
        fits = np.ones(len(table), dtype=bool)
        for column, chosen in self.choices.items():
            if column not in aside:
                facet = facets.columns[column]
                fits &= np.array([value in chosen for value in facet.words], dtype=bool)[facet.codes]
        if self.ages is not None and AGES not in aside:
            fits &= (facets.ages >= self.ages[0]) & (facets.ages <= self.ages[1])
        if self.images is not None and IMAGES not in aside:
            picked = np.zeros(len(table), dtype=bool)
            picked[[facets.row_of[name] for name in self.images if name in facets.row_of]] = True
            fits &= picked
        return fits

    def choose(self, table: pd.DataFrame, *, but: str | Collection[str] = ()) -> pd.DataFrame:
        """Return the rows that fit, with their index; the table itself where all do. Not to be changed.

        The result knows its facets, `images_per_lesion` as in the whole table among them.
        """
        fits = self.mask(table, but=but)
        if fits.all():
            return table
        chosen = table[fits]
        Facets.of(table).take(fits).belong_to(chosen)
        return chosen

    def facets(self, table: pd.DataFrame, *, but: str | Collection[str] = ()) -> Facets:
        """Return what summaries need of the rows that fit; much cheaper than the rows themselves."""
        return Facets.of(table).take(self.mask(table, but=but))

    def toggle(self, column: str, value: str) -> Self:
        """Return the selection with a value added to its column's choice, or taken out of it."""
        return self.only(column, self.choices.get(column, frozenset()) ^ {value})

    def only(self, column: str, values: Iterable[str]) -> Self:
        """Return the selection with these values as its column's choice; none of them means any."""
        return replace(self, choices={**self.choices, column: frozenset(values)})

    def without(self, column: str, value: str | None = None) -> Self:
        """Return the selection without one value of a column, or without any part named `column`."""
        if column == AGES:
            return replace(self, ages=None)
        if column == IMAGES:
            return replace(self, images=None)
        left = () if value is None else self.choices.get(column, frozenset()) - {value}
        return self.only(column, left)

    def with_ages(self, low: float, high: float) -> Self:
        """Return the selection of ages from low to high years, both included."""
        return replace(self, ages=(float(low), float(high)))

    def with_images(self, ids: Iterable[str]) -> Self:
        """Return the selection of these images; none of them means any."""
        return replace(self, images=frozenset(ids))

    def chips(self) -> tuple[Chip, ...]:
        """Return a chip for each value, in the order of KEYS."""
        chips = [
            Chip(column, value, f"{TITLES[column]}: {label_of(column, value)}")
            for column, values in self.choices.items()
            for value in sorted(values)
        ]
        if self.ages is not None:
            low, high = self.ages
            chips.append(Chip(AGES, _written_ages(self.ages), f"Age: {low:g} to {high:g} years"))
        if self.images is not None:
            number = len(self.images)
            chips.append(Chip(IMAGES, "", f"{number:,} picked image{'s' * (number != 1)}"))
        return tuple(chips)

    def describe(self) -> str:
        """Return the selection in one line, for the head of an exported table."""
        parts = [
            f"{TITLES[column]}: {' or '.join(label_of(column, value) for value in sorted(values))}"
            for column, values in self.choices.items()
        ]
        parts += [chip.label for chip in self.chips() if chip.column in (AGES, IMAGES)]
        # A source may be called anything; it must not end the line.
        return " ".join("; ".join(parts).split()) or "everything"

    def to_query(self) -> dict[str, str]:
        """Return the parts that are set as parameters of an address; `parse` gives the selection back."""
        query = {column: _listed(values) for column, values in self.choices.items()}
        if self.ages is not None:
            query[AGES] = _written_ages(self.ages)
        if self.images is not None:
            named = _listed(self.images)
            query[IMAGES] = named if len(named) <= _NAMED_CHARACTERS else _packed(self.images)
        return query

    @classmethod
    def parse(
        cls, query: Mapping[str, str], table: pd.DataFrame | None = None
    ) -> tuple["Selection", tuple[str, ...]]:
        """Return the selection an address means, and a sentence for each part that means nothing.

        query: parameters; those that are not in KEYS are somebody else's.
        table: with it, values and images that it does not have are left out and named.
        """
        problems: list[str] = []
        choices = {}
        for column in COLUMNS:
            values = _unlisted(query.get(column, ""))
            known = values if table is None else values & set(Facets.of(table).columns[column].words)
            if strange := sorted(values - known):
                problems.append(f"{TITLES[column]} {_named(strange)} is not in this dataset; left out.")
            choices[column] = known
        ages = _read_ages(query.get(AGES, ""), problems)
        images = _read_images(query, table, problems)
        return cls(choices, ages, images), tuple(problems)


def _named(values: list[str], most: int = 3) -> str:
    more = f" and {len(values) - most:,} more" if len(values) > most else ""
    return ", ".join(repr(value[:60]) for value in values[:most]) + more


def _listed(values: Iterable[str]) -> str:
    written = (
        value.replace("%", "%25").replace(",", "%2C").replace(_PACKED, "%7E").replace("\n", "%0A")
        for value in sorted(values)
    )
    return ",".join(written)


def _unlisted(text: str) -> frozenset[str]:
    return frozenset(unquote(value) for value in text.split(",")) - {""}


def _written_ages(ages: tuple[float, float]) -> str:
    low, high = (np.format_float_positional(age, trim="-") for age in ages)
    return f"{low}-{high}"


def _read_ages(text: str, problems: list[str]) -> tuple[float, float] | None:
    if not text:
        return None
    low, _, high = text.partition("-")
    try:
        return Selection().with_ages(float(low), float(high)).ages
    except ValueError:
        problems.append(f"Ages {text[:60]!r} are not understood; expected for example 20-60. Left out.")
        return None


def _read_images(query: Mapping[str, str], table: pd.DataFrame | None, problems: list[str]) -> frozenset[str]:
    text = query.get(IMAGES, "")
    try:
        images = _unpacked(text) if text.startswith(_PACKED) else _unlisted(text)
    except (ValueError, zlib.error):
        problems.append("The list of picked images in the address is damaged or too long; left out.")
        return frozenset()
    row_of = None if table is None else Facets.of(table).row_of
    known = images if row_of is None else frozenset(name for name in images if name in row_of)
    if strange := sorted(images - known):
        problems.append(f"Image {_named(strange)} is not in this dataset; left out.")
    return known


def _packed(images: Iterable[str]) -> str:
    """Return many ids in few characters: sorted, numbers as the step from the last one, compressed."""
    lines = []
    last_stem, last_width, last_number = None, 0, 0
    for name in sorted(images):
        numbered = _NUMBERED.fullmatch(name)
        if numbered is None:
            lines.append(f"={_listed([name])}")
            last_stem = None
            continue
        stem, digits = numbered.groups()
        if (stem, len(digits)) != (last_stem, last_width):
            lines.append(f"#{_listed([stem])},{len(digits)}")
            last_stem, last_width, last_number = stem, len(digits), 0
        lines.append(str(int(digits) - last_number))
        last_number = int(digits)
    packed = base64.urlsafe_b64encode(zlib.compress("\n".join(lines).encode(), level=9))
    return _PACKED + packed.decode().rstrip("=")


def _unpacked(text: str) -> frozenset[str]:
    body = text.removeprefix(_PACKED)
    packed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    unpacking = zlib.decompressobj()
    lines = unpacking.decompress(packed, _MAX_UNPACKED_BYTES).decode().split("\n")
    if not unpacking.eof:
        raise ValueError("the list is cut or too long")
    if len(lines) > _MAX_IMAGES:
        raise ValueError("the list is too long")
    names = set()
    stem, width, number = "", 0, 0
    for line in filter(None, lines):
        if line.startswith("="):
            names.add(unquote(line[1:]))
        elif line.startswith("#"):
            written, _, digits = line[1:].rpartition(",")
            stem, width, number = unquote(written), int(digits), 0
            if len(stem) > _MAX_STEM or not 1 <= width <= _MAX_DIGITS:
                raise ValueError("no list that was packed here")
        elif width and line.isdecimal() and len(line) <= _MAX_DIGITS and number < 10**width:
            number += int(line)
            names.add(f"{stem}{number:0{width}d}")
        else:
            raise ValueError("no list that was packed here")
    return frozenset(names)
