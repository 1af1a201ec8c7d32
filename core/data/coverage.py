"""Is a test set good enough to trust? Who is in each part of a split, who is missing, and what may be wrong.

This is the project's "test data quality assurance": labels, diversity over diagnoses, ages, sexes, sites and
skin tone, duplicates and siblings across the split, pictures that cannot be read or are unlike the others.
Each check is a sentence with its numbers. None is a verdict: "look" says that somebody should look.

Add a check by adding a function to CHECKS.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from core.data.facets import AGE_BANDS, UNKNOWN, Facets, label_of
from core.data.facts import SEXES, SITES
from core.data.quality import ITA_BANDS, ITA_LIMITS, MEASURES, ita_band
from core.data.splits import SPLITS, lesion_groups
from core.evaluate.intervals import wilson
from core.labels import CODES, MALIGNANT
from core.spreadsheet import to_csv
from core.words import proportion

State = Literal["fine", "look", "unknown"]

FEW_LESIONS: Final = 10
"""Groups with fewer lesions are named: a share measured on them says next to nothing."""

ENOUGH_LESIONS: Final = 30
"""Diagnoses with fewer lesions are named: the 95 % interval of a recall of 0.80 is wider than 0.29."""

LEGEND: Final = "Each cell: images (lesions)."

_MUCH_UNKNOWN: Final = 0.1
_TAIL: Final = 5.0

COLUMNS: Final[Mapping[str, str]] = {
    "dx": "Diagnosis",
    "dx_type": "Established by",
    "age_band": "Age",
    "sex": "Sex",
    "site": "Site",
    "ita_band": "Skin tone (ITA)",
}
# What a diverse test set would have some of; the other words may be absent without a sentence.
_WANTED: Final[Mapping[str, tuple[str, ...]]] = {
    "age_band": AGE_BANDS[:9],
    "sex": SEXES,
    "site": SITES,
    "ita_band": ITA_BANDS,
}
_MALIGNANT: Final = tuple(code for code, malignant in zip(CODES, MALIGNANT, strict=True) if malignant)


@dataclass(frozen=True)
class Check:
    """One thing that was checked of one part.

    part: one of SPLITS. topic: what it is about. state: "fine", "look", or "unknown" when it could not be
    checked. sentence: what was found, with its numbers.
    """

    part: str
    topic: str
    state: State
    sentence: str


@dataclass(frozen=True)
class Assurance:
    """What is known of the parts of a split.

    Attributes:
        checks: in the order of the parts asked for, then of CHECKS.
        counts: columns column, value, part, images, lesions, share (of the part's images).
        parts: the parts that were checked.
    """

    checks: tuple[Check, ...]
    counts: pd.DataFrame
    parts: tuple[str, ...]

    def of(self, part: str) -> tuple[Check, ...]:
        """Return the checks of one part."""
        return tuple(check for check in self.checks if check.part == part)

    def to_csv(self) -> bytes:
        """Return all counts as CSV, the checks before them as lines that begin with #."""
        notes = (f"{check.part}, {check.topic}, {check.state}: {check.sentence}" for check in self.checks)
        return to_csv(self.counts, notes=notes)

    def to_markdown(self, *, title: str) -> str:
        """Return the report as Markdown: what was checked, then who is in each part."""
        parts = [f"# {_cell(title)}", "", "None of this is a verdict; *look* says that somebody should look."]
        for part in self.parts:
            parts += ["", f"## {label_of('split', part).capitalize()}", "", "| | checked | found |"]
            parts += ["|---|---|---|"]
            parts += [
                f"| {check.state} | {check.topic} | {_cell(check.sentence)} |" for check in self.of(part)
            ]
        for column, name in COLUMNS.items():
            table = self.table(column)
            if table.empty:
                continue
            parts += ["", f"## {name}", "", LEGEND, "", "| | " + " | ".join(table.columns) + " |"]
            parts += ["|---" * (1 + len(table.columns)) + "|"]
            parts += [
                f"| {_cell(str(value))} | " + " | ".join(str(cell) for cell in row) + " |"
                for value, row in zip(table.index, table.to_numpy(), strict=True)
            ]
        parts += ["", ITA_LIMITS, ""]
        return "\n".join(parts)

    def table(self, column: str) -> pd.DataFrame:
        """Return a column's counts, one row a value, "images (lesions)" of each part; empty without any."""
        counts = self.counts[self.counts["column"] == column]
        values = list(dict.fromkeys(counts["value"]))
        table = pd.DataFrame(
            "0 (0)", index=[label_of(column, value) for value in values], columns=list(self.parts)
        )
        for value, part, images, lesions in counts[["value", "part", "images", "lesions"]].itertuples(
            index=False
        ):
            table.loc[label_of(column, value), part] = f"{images:,} ({lesions:,})"
        return table


@dataclass(frozen=True)
class Evidence:
    """What the checks look at.

    rows: metadata with `part`, `group` (lesion, duplicates merged), `age_band` and `ita_band`.
    inspection: from `core.data.inspection`, None when the pictures were not looked at.
    pairs: from `core.data.twins.describe_pairs` with parts; None when twins were not looked for.
    """

    rows: pd.DataFrame
    inspection: pd.DataFrame | None
    pairs: pd.DataFrame | None


def assure(
    metadata: pd.DataFrame,
    parts: pd.Series,
    *,
    inspection: pd.DataFrame | None = None,
    pairs: pd.DataFrame | None = None,
    of: tuple[str, ...] = SPLITS,
) -> Assurance:
    """Check the parts of a split.

    Args:
        metadata: a metadata table.
        parts: train, val or test of each row, with the table's index.
        inspection, pairs: see Evidence; what is not there is "unknown" and never "fine".
        of: the parts to check.
    """
    facets = Facets.of(metadata)
    ages = facets.columns["age_band"]
    rows = metadata.assign(
        part=parts,
        group=lesion_groups(metadata),
        age_band=[ages.words[code] for code in ages.codes],
        ita_band=UNKNOWN,
    )
    if inspection is not None:
        bands = ita_band(inspection["ita_degrees"])
        rows["ita_band"] = rows["image_id"].map(bands).fillna(UNKNOWN).astype("string")
    evidence = Evidence(rows, inspection, pairs)
    present = tuple(part for part in of if (rows["part"] == part).any())
    checks = tuple(found for part in present for check in CHECKS for found in check(evidence, part))
    return Assurance(checks, _count(evidence, present), present)


def _count(evidence: Evidence, parts: tuple[str, ...]) -> pd.DataFrame:
    found = []
    for column in COLUMNS:
        if column == "ita_band" and evidence.inspection is None:
            continue
        values = evidence.rows[column].astype("string").fillna(UNKNOWN)
        order = [*_order(column), *sorted(set(values) - {*_order(column), UNKNOWN}), UNKNOWN]
        for value in order:
            for part in parts:
                inside = evidence.rows["part"] == part
                here = evidence.rows[inside & (values == value)]
                if len(here) or (values == value).any():
                    share = len(here) / int(inside.sum())
                    found.append((column, value, part, len(here), here["group"].nunique(), share))
    return pd.DataFrame(found, columns=["column", "value", "part", "images", "lesions", "share"])


def _order(column: str) -> tuple[str, ...]:
    return CODES if column == "dx" else _WANTED.get(column, ())


def _check_labels(evidence: Evidence, part: str) -> Iterator[Check]:
    lesions = _lesions(evidence, part, "dx")
    missing = [code for code in CODES if not lesions.get(code)]
    if missing:
        names = _listed("dx", missing)
        yield Check(part, "labels", "look", f"No lesion of {names}: nothing can be said about it.")
    thin = [code for code in CODES if 0 < lesions.get(code, 0) < ENOUGH_LESIONS]
    for code in thin:
        count = lesions[code]
        low, high = wilson(0.8 * count, count)
        yield Check(
            part,
            "labels",
            "look",
            f"{label_of('dx', code)}: {_counted(count, 'lesion')}. A recall of 0.80 measured on them would "
            f"have a 95 % interval of about {low:.2f} to {high:.2f}.",
        )
    if not missing and not thin:
        least = min(CODES, key=lambda code: lesions[code])
        yield Check(
            part,
            "labels",
            "fine",
            f"All seven diagnoses; the rarest, {label_of('dx', least)}, has {lesions[least]} lesions.",
        )


def _check_truth(evidence: Evidence, part: str) -> Iterator[Check]:
    rows = _rows(evidence, part)
    malignant = rows[rows["dx"].isin(_MALIGNANT)]
    for name, of in (("malignant", malignant), ("benign", rows[~rows["dx"].isin(_MALIGNANT)])):
        if of.empty:
            continue
        proven = int((of["dx_type"] == "histo").sum())
        state: State = "look" if name == "malignant" and proven < len(of) else "fine"
        yield Check(
            part,
            "truth",
            state,
            f"{_share(proven, len(of))} of the {len(of):,} {name} images are proven by histopathology.",
        )


def _check_diversity(evidence: Evidence, part: str) -> Iterator[Check]:
    for column, wanted in _WANTED.items():
        topic = "skin tone (ITA)" if column == "ita_band" else COLUMNS[column].lower()
        if column == "ita_band" and evidence.inspection is None:
            yield Check(part, topic, "unknown", "Not measured: the pictures were not looked at.")
            continue
        lesions = _lesions(evidence, part, column)
        few = [value for value in wanted if lesions.get(value, 0) < FEW_LESIONS]
        rows = _rows(evidence, part)
        unknown = int(rows[column].isna().sum() + (rows[column] == UNKNOWN).sum())
        told = f"Unknown for {_share(unknown, len(rows))} of {len(rows):,} images."
        if few:
            named = ", ".join(f"{label_of(column, value)} ({lesions.get(value, 0)})" for value in few)
            told = f"Fewer than {FEW_LESIONS} lesions of: {named}. {told}"
        state: State = "look" if few or unknown > _MUCH_UNKNOWN * len(rows) else "fine"
        yield Check(
            part, topic, state, told if few else f"Every group has at least {FEW_LESIONS} lesions. {told}"
        )


def _check_siblings(evidence: Evidence, part: str) -> Iterator[Check]:
    rows = _rows(evidence, part)
    others = evidence.rows[(evidence.rows["part"] != part) & evidence.rows["part"].notna()]
    torn = rows["group"].isin(others["group"])
    if torn.any():
        sentence = (
            f"{_share(int(torn.sum()), len(rows))} of {len(rows):,} images show a lesion that another part "
            "has too: its answer is known there. Split by lesion."
        )
        yield Check(part, "siblings", "look", sentence)
    else:
        yield Check(
            part,
            "siblings",
            "fine",
            f"None of its {rows['group'].nunique():,} lesions (duplicates count once) is in another part.",
        )


def _check_twins(evidence: Evidence, part: str) -> Iterator[Check]:
    pairs = evidence.pairs
    if pairs is None:
        yield Check(part, "duplicates", "unknown", "Not looked for.")
        return
    one_side = (pairs["part_first"] == part) | (pairs["part_second"] == part)
    across = pairs[pairs["splits"] & one_side & (pairs["apart"] != "")]
    if across.empty:
        yield Check(part, "duplicates", "fine", "No look-alike under another lesion id is in another part.")
        return
    kinds = across["kind"].value_counts()
    said = ", ".join(f"{count} × {kind}" for kind, count in kinds.items())
    example = across.iloc[0]
    yield Check(
        part,
        "duplicates",
        "look",
        f"{_counted(len(across), 'pair')} with a picture in another part ({said}), such as "
        f"{example['first']} and {example['second']}.",
    )


def _check_readable(evidence: Evidence, part: str) -> Iterator[Check]:
    rows = _rows(evidence, part)
    absent = int(rows["image_path"].isna().sum())
    if absent:
        sentence = f"{absent:,} of {len(rows):,} images have no picture file here."
        yield Check(part, "pictures", "look" if absent < len(rows) else "unknown", sentence)
    if evidence.inspection is None:
        if not absent:
            yield Check(part, "pictures", "unknown", "The pictures were not looked at.")
        return
    looked = evidence.inspection.reindex(rows["image_id"]).dropna(how="all")
    broken = looked[looked["problem"].notna()]
    if len(broken):
        sentence = f"{_counted(len(broken), 'picture')} cannot be read: {broken['problem'].iloc[0]}"
        yield Check(part, "pictures", "look", sentence)
    elif len(looked):
        yield Check(part, "pictures", "fine", f"All {len(looked):,} pictures can be read.")


def _check_measures(evidence: Evidence, part: str) -> Iterator[Check]:
    if evidence.inspection is None:
        return
    inside = evidence.inspection.index.isin(_rows(evidence, part)["image_id"])
    for name, measure in MEASURES.items():
        if name == "ita_degrees" or measure.doubtful == "both":
            continue
        values = evidence.inspection[name]
        low = measure.doubtful == "low"
        known = values[inside].dropna()
        limit = float(np.nanpercentile(values, _TAIL if low else 100 - _TAIL)) if len(known) else np.nan
        beyond = int((known < limit).sum() if low else (known > limit).sum())
        least, _ = wilson(beyond, len(known))
        if least > _TAIL / 100:
            end = measure.low if low else measure.high
            yield Check(
                part,
                "picture quality",
                "look",
                f"{measure.title}: {_share(beyond, len(known))} of {len(known):,} pictures lie in the "
                f"outermost {_TAIL:.0f} % of the dataset ({end}), more than chance would bring.",
            )


CHECKS: Final[tuple[Callable[[Evidence, str], Iterator[Check]], ...]] = (
    _check_siblings,
    _check_twins,
    _check_labels,
    _check_truth,
    _check_diversity,
    _check_readable,
    _check_measures,
)


def _rows(evidence: Evidence, part: str) -> pd.DataFrame:
    return evidence.rows[evidence.rows["part"] == part]


def _lesions(evidence: Evidence, part: str, column: str) -> dict[str, int]:
    counts = _rows(evidence, part).groupby(column, observed=True)["group"].nunique()
    return {str(value): int(count) for value, count in counts.items()}


def _listed(column: str, values: list[str]) -> str:
    return ", ".join(label_of(column, value).lower() for value in values)


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _share(part: int, whole: int) -> str:
    return proportion(part / whole if whole else float("nan"))


def _cell(text: str) -> str:
    """Return a text that cannot end a cell of a Markdown table or become markup."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
