"""What a set of rows shows: one function a chart, each with its numbers and one computed plain sentence.

Rows are a metadata table or its `Facets`. Counts are of images or of lesions. A lesion counts once for each
value its photos have, so shares of lesions can add up to more than 1 where photos of one lesion disagree.
Undefined is NaN. Add a summary by adding a function and its entry in SUMMARIES.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import pandas as pd

from core.data.facets import TITLES, UNKNOWN, Facet, Facets, label_of
from core.data.selection import AGES, Selection
from core.labels import CODES, INDEX, MALIGNANT
from core.words import NBSP, proportion

Rows: TypeAlias = pd.DataFrame | Facets
Unit = Literal["images", "lesions"]
UNITS: Final[tuple[Unit, ...]] = ("images", "lesions")

FEW: Final = 30
"""Under so many, a share is a hint: the 95 % interval around one half is wider than 35 points."""

COVERED: Final = 10
"""A combination of facts with fewer than this is called thin."""

HALF_A_YEAR: Final = 0.5

PLURALS: Final[Mapping[str, str]] = {
    "akiec": "actinic keratoses",
    "bcc": "basal cell carcinomas",
    "bkl": "benign keratoses",
    "df": "dermatofibromas",
    "mel": "melanomas",
    "nv": "nevi",
    "vasc": "vascular lesions",
}


@dataclass(frozen=True)
class Finding:
    """What one chart shows.

    table: its numbers.
    sentence: the plainest thing they say, computed from them.
    n: how many images or lesions it stands on.
    """

    table: pd.DataFrame
    sentence: str
    n: int


@dataclass(frozen=True)
class Summary:
    """One chart of the Explore page.

    columns: what it shows of `Selection`'s keys; it does not filter itself by these.
    """

    title: str
    function: Callable[[Rows, Unit], Finding]
    columns: tuple[str, ...]


def size(rows: Rows, unit: Unit) -> int:
    """Return how many images, or how many different lesions, the rows are."""
    facets = Facets.of(rows)
    return _size(facets.lesions, facets.lesion_count, unit)


def count(rows: Rows, by: str, unit: Unit) -> pd.DataFrame:
    """Return one row for each value of a column, also those that no row has.

    Columns: `by` (the value), `label` (as people read it), `count`, `share` (of all that were counted; NaN
    where nothing was).

    Args:
        rows: what to count.
        by: one of `facets.COLUMNS`.
        unit: images or lesions.
    """
    facets = Facets.of(rows)
    return pd.DataFrame(_columns(facets, by, _tally(facets, (by,), unit), size(facets, unit)))


def crosstab(
    rows: Rows, index: str, columns: str, unit: Unit, *, share: Literal["row"] | None = None
) -> pd.DataFrame:
    """Return counts of two crossed columns: a row for each value of one, a column for each of the other.

    share: None gives counts; "row" gives each cell's share of what its row counted, NaN in an empty row.
    """
    facets = Facets.of(rows)
    counts = _tally(facets, (index, columns), unit)
    cells = counts if share is None else _ratio(counts, _tally(facets, (index,), unit)[:, None])
    return pd.DataFrame(
        cells,
        index=pd.Index(facets.columns[index].words, name=index),
        columns=pd.Index(facets.columns[columns].words, name=columns),
    )


def class_balance(rows: Rows, unit: Unit) -> Finding:
    """Count diagnoses, and say how often "nevus" alone would be right.

    table: as `count`, and `malignant`. The share in the row of nv is the always-nevus line.
    """
    facets = Facets.of(rows)
    counts, n = _tally(facets, ("dx",), unit), size(facets, unit)
    table = pd.DataFrame(_columns(facets, "dx", counts, n) | {"malignant": MALIGNANT})
    if not n:
        return _nothing(table, unit)
    most = CODES[int(counts.argmax())]
    found = np.flatnonzero(counts)
    least = CODES[int(found[counts[found].argmin()])]
    sentence = f"{_capital(PLURALS[most])} are {_share(counts.max(), n, unit)}"
    if most == "nv":
        sentence += "; always answering “nevus” would already be right that often."
    else:
        sentence += f"; always answering “nevus” would be right for {_share(counts[INDEX['nv']], n)}."
    if least != most:
        sentence += f" Rarest are {PLURALS[least]}: {_share(counts[INDEX[least]], n)}."
    return _finding(table, sentence, n, unit)


def balance_plan(rows: Rows, *, target: int | None = None, power: float = 1.0) -> Finding:
    """Show two ways to balance the diagnoses: by copies up to a target, and by how often each is drawn.

    table: `dx`, `label`, `images`, `lesions`, then for copies `target`, `extra` (images to add; 0 where there
    are enough) and `repeats` (target / images: how often each image would be seen for once now), and for
    drawing `weight` (of one image, frequency ** -power, 1 on average) and `drawn_share`. NaN where a
    diagnosis has no image.

    Args:
        rows: what training would use; take the training part alone, or copies leak.
        target: images wanted of each diagnosis; as many as the commonest has, when not given.
        power: 0 leaves the frequencies as they are, 1 draws all diagnoses alike.
    """
    facets = Facets.of(rows)
    images = _tally(facets, ("dx",), "images")
    lesions = _tally(facets, ("dx",), "lesions")
    wanted = int(images.max(initial=0)) if target is None else target
    frequency = np.where(images > 0, _ratio(images, images.sum()), np.nan)
    weight = frequency**-power
    weight /= np.nansum(frequency * weight) or np.nan
    table = pd.DataFrame(
        {
            "dx": CODES,
            "label": [label_of("dx", code) for code in CODES],
            "images": images,
            "lesions": lesions,
            "target": wanted,
            "extra": np.maximum(wanted - images, 0) * (images > 0),
            "repeats": _ratio(wanted, images),
            "weight": weight,
            "drawn_share": frequency * weight,
        }
    )
    n = int(images.sum())
    if not n:
        return _nothing(table, "images")
    rarest = table.iloc[int(table["repeats"].argmax())]
    sentence = _plan_sentence(rarest, wanted)
    if absent := [PLURALS[code] for code, number in zip(CODES, images, strict=True) if not number]:
        sentence += f" There is nothing to copy of {_listed(absent)}."
    return _finding(table, sentence, n, "images")


def _plan_sentence(rarest: pd.Series, wanted: int) -> str:
    if rarest["repeats"] <= 1:
        return f"Every diagnosis that is here has at least {wanted:,} images already."
    return (
        f"For {wanted:,} images of each diagnosis, every image of {PLURALS[rarest['dx']]} would be seen "
        f"{rarest['repeats']:.1f} times as often as now: {rarest['images']:,} images of only "
        f"{_counted(rarest['lesions'], 'lesions')}. Copies add views, not lesions."
    )


def age_by_dx(rows: Rows, unit: Unit) -> Finding:
    """Compare ages between diagnoses. A lesion's age is the mean over its photos.

    table: `dx`, `label`, `n` (of known age), `unknown`, `mean`, `low`, `q25`, `median`, `q75`, `high` (all in
    years; low and high are the 5 % and 95 % quantiles; NaN where no age is known).
    """
    facets = Facets.of(rows)
    dx, ages, lesions = ages_of(facets, unit)
    groups = [ages[dx == index] for index in range(len(CODES))]
    counts = np.array([len(group) for group in groups])
    quantiles = [
        np.quantile(group, (0.05, 0.25, 0.5, 0.75, 0.95)) if len(group) else np.full(5, np.nan)
        for group in groups
    ]
    means = np.array([group.mean() if len(group) else np.nan for group in groups])
    table = pd.DataFrame(
        {
            "dx": CODES,
            "label": [label_of("dx", code) for code in CODES],
            "n": counts,
            "unknown": _tally(facets, ("dx",), unit) - counts,
            "mean": means,
            **dict(zip(("low", "q25", "median", "q75", "high"), np.transpose(quantiles), strict=True)),
        }
    )
    n = int(counts.sum())
    if not n:
        return _none_known(table, "age", size(facets, unit), unit)
    return _finding(table, _age_sentence(means, counts, dx, ages, lesions, unit), n, unit)


def ages_of(facets: Facets, unit: Unit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return index of the diagnosis, age and lesion of each image, or lesion, whose age is known."""
    known = ~np.isnan(facets.ages)
    dx, ages, lesions = facets.columns["dx"].codes[known], facets.ages[known], facets.lesions[known]
    if unit == "images":
        return dx, ages, lesions
    photos = np.bincount(lesions, minlength=facets.lesion_count)
    sums = np.bincount(lesions, weights=ages, minlength=facets.lesion_count)
    dx_of = np.zeros(facets.lesion_count, dtype=dx.dtype)
    dx_of[lesions] = dx
    found = np.flatnonzero(photos)
    return dx_of[found], sums[found] / photos[found], found


def _age_sentence(
    means: np.ndarray, counts: np.ndarray, dx: np.ndarray, ages: np.ndarray, lesions: np.ndarray, unit: Unit
) -> str:
    found = np.flatnonzero(counts)
    if len(found) == 1:
        only = found[0]
        return (
            f"People with {PLURALS[CODES[only]]} are {means[only]:.0f} years old on average "
            f"(n = {_counted(counts[only], unit)} of known age)."
        )
    pair = {INDEX["mel"], INDEX["nv"]}
    compared = (
        sorted(pair) if pair <= set(found) else [found[means[found].argmax()], found[means[found].argmin()]]
    )
    older, younger = sorted(compared, key=lambda index: -means[index])
    gap = means[older] - means[younger]
    comparison = f"{gap:.0f} years older on average than" if gap >= HALF_A_YEAR else "as old on average as"
    n = f"n = {counts[older]:,} and {counts[younger]:,} {unit} of known age"
    if interval := _interval(gap, [(ages[dx == index], lesions[dx == index]) for index in (older, younger)]):
        n = f"{interval}; {n}"
    return (
        f"People with {PLURALS[CODES[older]]} are {comparison} people with {PLURALS[CODES[younger]]}: "
        f"{means[older]:.0f} against {means[younger]:.0f} years ({n})."
    )


def _interval(gap: float, samples: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """Return the 95 % interval of a difference of two means in words, nothing where lesions are FEW.

    samples: the values and the lesions they are of. Photos of one lesion count as one observation: residuals
    are added up by lesion (Liang and Zeger, Biometrika 73:13, 1986).
    """
    variance = 0.0
    for values, lesions in samples:
        _, groups = np.unique(lesions, return_inverse=True)
        residuals = np.bincount(groups, weights=values - values.mean())
        # The normal approximation claims too much for few.
        if len(residuals) < FEW:
            return ""
        variance += (residuals**2).sum() / len(values) ** 2
    half = 1.96 * variance**0.5
    return f"95{NBSP}% interval of the difference {gap - half:.1f} to {gap + half:.1f}"


def by_sex(rows: Rows, unit: Unit) -> Finding:
    """Count sexes, and what is malignant of each. table: as `count`, `malignant`, `malignant_share`."""
    groups, n = _groups(rows, "sex", unit), size(rows, unit)
    table, known = _group_table("sex", groups, n), _known(groups)
    if not known:
        return _none_known(table, "sex", n, unit)
    shares = ", ".join(f"{group.label} {_share(group.count, n)}" for group in known)
    malignant = " and ".join(
        f"{_share(group.malignant, group.count)} of {group.label} {unit}" for group in known
    )
    return _finding(table, f"{_capital(shares)}. Malignant are {malignant}.", n, unit)


def by_site(rows: Rows, unit: Unit) -> Finding:
    """Count sites, and what is malignant of each. table: as `count`, `malignant`, `malignant_share`."""
    groups, n = _groups(rows, "site", unit), size(rows, unit)
    table, known = _group_table("site", groups, n), _known(groups)
    if not known:
        return _none_known(table, "site", n, unit)
    most = max(known, key=lambda group: group.count)
    sentence = f"Most {unit} are from the {most.label}: {_share(most.count, n)}."
    enough = [group for group in known if group.count >= FEW]
    if len(enough) > 1 and any(group.malignant for group in enough):
        worst = max(enough, key=lambda group: group.malignant / group.count)
        sentence += (
            f" Of sites with at least {FEW} {unit}, the {worst.label} has the largest malignant share: "
            f"{_share(worst.malignant, worst.count)}."
        )
    return _finding(table, sentence, n, unit)


def by_dx_type(rows: Rows, unit: Unit) -> Finding:
    """Show how diagnoses were established, and that this alone gives them away.

    table: as `count`, `malignant`, `malignant_share`, and `only_dx`: the code where a way has one diagnosis,
    else missing.
    """
    groups, n = _groups(rows, "dx_type", unit), size(rows, unit)
    only_dx = [CODES[group.dx.argmax()] if np.count_nonzero(group.dx) == 1 else None for group in groups]
    table, known = _group_table("dx_type", groups, n), _known(groups)
    table["only_dx"] = np.array(only_dx, dtype=object)
    if not known:
        return _none_known(table, "way of diagnosis", n, unit)
    return _finding(table, _dx_type_sentence(known, unit), n, unit)


def _dx_type_sentence(known: list["_Group"], unit: Unit) -> str:
    told = [
        f"all {group.count:,} {unit} by {group.label} are {PLURALS[CODES[group.dx.argmax()]]}"
        for group in known
        if np.count_nonzero(group.dx) == 1
    ]
    malignant = np.array([group.malignant for group in known])
    benign = np.array([group.count for group in known]) - malignant
    if np.count_nonzero(malignant) == 1:
        way = known[int(malignant.argmax())]
        told.append(f"all {way.malignant:,} malignant {unit} are by {way.label}")
    n, auc = malignant.sum() + benign.sum(), _auc(malignant, benign)
    sentence = f"{_capital(_listed(told))}." if told else ""
    if np.isnan(auc):
        return sentence or f"All {n:,} {unit} are {'malignant' if malignant.any() else 'benign'}."
    return (
        f"{sentence} Who knows nothing but how a diagnosis was established can rank malignant above benign "
        f"with an AUC of {auc:.2f} (n = {n:,}); so this is never an input of a model."
    ).lstrip()


def _auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the ROC AUC of the best ranking of groups: chance of a positive above a negative, ties half."""
    if not positive.sum() or not negative.sum():
        return float("nan")
    order = np.argsort(positive / np.maximum(positive + negative, 1))
    positive, negative = positive[order], negative[order]
    below = negative.cumsum() - negative / 2
    return float((positive * below).sum() / (positive.sum() * negative.sum()))


def images_per_lesion(rows: Rows, unit: Unit) -> Finding:
    """Count lesions by how many photos the whole dataset has of them.

    table: `images_per_lesion` (text), `label`, `count` and `share` as `count`, and `images`, `lesions`.
    """
    facets = Facets.of(rows)
    column = "images_per_lesion"
    images, lesions = (_tally(facets, (column,), each) for each in UNITS)
    n = size(facets, unit)
    counts = images if unit == "images" else lesions
    table = pd.DataFrame(_columns(facets, column, counts, n) | {"images": images, "lesions": lesions})
    if not n:
        return _nothing(table, unit)
    photos = np.array([int(value) for value in facets.columns[column].words])
    several = photos > 1
    if not lesions[several].sum():
        return _finding(table, f"Each of {_counted(int(lesions.sum()), 'lesions')} has one image.", n, unit)
    leaked = (images * (1 - _TEST_SHARE ** (photos - 1))).sum()
    sentence = (
        f"{_capital(_share(lesions[several].sum(), lesions.sum(), 'lesions'))} have several images. Dealt "
        f"out image by image, 80 to 20, about {_percent(leaked, images.sum())} of test images "
        f"(n = {images.sum():,}) would have a photo of the same lesion in training: split by lesion."
    )
    return _finding(table, sentence, n, unit)


def missing(rows: Rows, unit: Unit) -> Finding:
    """Count what is not known, the most often missing first.

    table: `column` (a key of `Selection`, or "image_path"), `title`, `count` (of units with a gap), `share`.
    """
    facets = Facets.of(rows)
    n = size(facets, unit)
    gaps = {column: _unknown(facets.columns[column]) for column in _MAY_MISS}
    gaps["image_path"] = ~facets.pictured

    def counted(rows: np.ndarray) -> int:
        return _size(facets.lesions[rows], facets.lesion_count, unit)

    counts = {column: counted(gap) for column, gap in gaps.items()}
    order = sorted(counts, key=lambda column: -counts[column])
    found = np.array([counts[column] for column in order])
    table = pd.DataFrame(
        {
            "column": order,
            "title": [TITLES.get(column, "Picture") for column in order],
            "count": found,
            "share": _ratio(found, n),
        }
    )
    if not n:
        return _nothing(table, unit)
    pictures = counts.pop("image_path")
    named = ", ".join(
        f"{TITLES[column].lower()} {_percent(counts[column], n)} ({counts[column]:,})"
        for column in order
        if counts.get(column)
    )
    sentence = (
        f"Of {_counted(n, unit)}, unknown are: {named}."
        if named
        else f"Every fact of {_counted(n, unit)} is known."
    )
    if newborn := counted(facets.ages == 0):
        sentence += f" {_capital(_counted(newborn, unit))} with age 0 may be infants, or gaps written as 0."
    if 0 < pictures < n:
        sentence += f" Pictures are missing for {_share(pictures, n)}."
    return _finding(table, sentence, n, unit)


def _unknown(facet: Facet) -> np.ndarray:
    return facet.codes == (facet.words.index(UNKNOWN) if UNKNOWN in facet.words else -1)


def coverage(rows: Rows, unit: Unit) -> Finding:
    """Cross diagnosis, sex and age band: which combinations are too thin to say anything about.

    table: a row for each diagnosis and sex, a column for each age band, counts as cells; unknown left out.
    """
    facets = Facets.of(rows)
    axes = ("dx", "sex", "age_band")
    cells = _tally(facets, axes, unit)
    values = [facets.columns[axis].words for axis in axes]
    for axis, known in enumerate(values):
        if UNKNOWN in known:
            cells = np.delete(cells, known.index(UNKNOWN), axis=axis)
            values[axis] = tuple(value for value in known if value != UNKNOWN)
    table = pd.DataFrame(
        cells.reshape(len(values[0]) * len(values[1]), len(values[2])),
        index=pd.MultiIndex.from_product(values[:2], names=axes[:2]),
        columns=pd.Index(values[2], name="age_band"),
    )
    known = ~_unknown(facets.columns["sex"]) & ~_unknown(facets.columns["age_band"])
    n = _size(facets.lesions[known], facets.lesion_count, unit)
    if not n:
        return _none_known(table, "age together with the sex", size(facets, unit), unit)
    thin, empty = int((cells < COVERED).sum()), int((cells == 0).sum())
    sentence = (
        f"Of {cells.size} combinations of diagnosis, sex and age band, {thin} have fewer than {COVERED} "
        f"{unit} and {empty} of these none (n = {n:,}); what a model does there cannot be measured "
        "here."
    )
    return _finding(table, sentence, n, unit)


SUMMARIES: Final[Mapping[str, Summary]] = {
    "missing": Summary("Missing values", missing, ()),
    "class_balance": Summary("Class balance", class_balance, ("dx",)),
    "age": Summary("Age by diagnosis", age_by_dx, ("dx", "age_band", AGES)),
    "sex": Summary("Sex", by_sex, ("sex",)),
    "site": Summary("Site", by_site, ("site",)),
    "dx_type": Summary("How diagnoses were established", by_dx_type, ("dx_type",)),
    "images_per_lesion": Summary("Images per lesion", images_per_lesion, ("images_per_lesion",)),
    "coverage": Summary("Coverage", coverage, ()),
}


def summarise(table: pd.DataFrame, selection: Selection, unit: Unit) -> dict[str, Finding]:
    """Return every summary of the rows that a selection leaves, in the order of SUMMARIES.

    Each is taken with its own columns unfiltered, so that a chart that was clicked keeps what else it had.
    """
    taken: dict[frozenset[str], Facets] = {}
    findings = {}
    for name, summary in SUMMARIES.items():
        # Most charts have no filter of their own: they share the rows.
        used = selection.keys.difference(summary.columns)
        if used not in taken:
            taken[used] = selection.facets(table, but=summary.columns)
        findings[name] = summary.function(taken[used], unit)
    return findings


_TEST_SHARE: Final = 0.2
_MAY_MISS: Final = ("dx_type", "age_band", "sex", "site", "source")


def _tally(facets: Facets, by: tuple[str, ...], unit: Unit) -> np.ndarray:
    """Return counts, shape (values of the first column, values of the second, ...)."""
    shape = tuple(len(facets.columns[name].words) for name in by)
    cells = np.ravel_multi_index(tuple(facets.columns[name].codes for name in by), shape)
    if unit == "lesions":
        # A lesion counts once a cell: different pairs of cell and lesion.
        cells = pd.unique(cells * facets.lesion_count + facets.lesions) // max(facets.lesion_count, 1)
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)


def _size(lesions: np.ndarray, lesion_count: int, unit: Unit) -> int:
    if unit == "lesions":
        present = np.zeros(lesion_count, dtype=bool)
        present[lesions] = True
        return int(np.count_nonzero(present))
    return len(lesions)


def _ratio(part: np.ndarray | int, whole: np.ndarray | int) -> np.ndarray:
    """Return part / whole as float64, NaN where the whole is 0."""
    divisor = np.where(np.equal(whole, 0), np.nan, whole)
    return np.asarray(part / divisor, dtype=np.float64)


def _columns(facets: Facets, by: str, counts: np.ndarray, n: int) -> dict[str, Sequence[object] | np.ndarray]:
    """Return the columns of `count`."""
    words = facets.columns[by].words
    labels = [label_of(by, word) for word in words]
    return {by: words, "label": labels, "count": counts, "share": _ratio(counts, n)}


@dataclass(frozen=True)
class _Group:
    """The images, or lesions, with one value of a column. dx: how many of each diagnosis, shape (7,)."""

    word: str
    label: str
    count: int
    dx: np.ndarray

    @property
    def malignant(self) -> int:
        return int(self.dx[MALIGNANT].sum())


def _groups(rows: Rows, by: str, unit: Unit) -> list[_Group]:
    facets = Facets.of(rows)
    # A lesion has one diagnosis, so a value's lesions are those of its diagnoses added up.
    return [
        _Group(word, label_of(by, word), int(dx.sum()), dx)
        for word, dx in zip(facets.columns[by].words, _tally(facets, (by, "dx"), unit), strict=True)
    ]


def _group_table(by: str, groups: list[_Group], n: int) -> pd.DataFrame:
    counts = np.array([group.count for group in groups])
    malignant = np.array([group.malignant for group in groups])
    return pd.DataFrame(
        {
            by: [group.word for group in groups],
            "label": [group.label for group in groups],
            "count": counts,
            "share": _ratio(counts, n),
            "malignant": malignant,
            "malignant_share": _ratio(malignant, counts),
        }
    )


def _known(groups: list[_Group]) -> list[_Group]:
    return [group for group in groups if group.word != UNKNOWN and group.count]


def _nothing(table: pd.DataFrame, unit: Unit) -> Finding:
    return Finding(table, f"No {unit} are chosen.", 0)


def _none_known(table: pd.DataFrame, what: str, total: int, unit: Unit) -> Finding:
    return (
        Finding(table, f"Of {_counted(total, unit)}, no {what} is known.", 0)
        if total
        else _nothing(table, unit)
    )


def _finding(table: pd.DataFrame, sentence: str, n: int, unit: Unit) -> Finding:
    if n < FEW:
        sentence += f" Few to go by: n = {_counted(n, unit)}."
    return Finding(table, sentence, n)


def _percent(part: float, whole: float) -> str:
    return proportion(part / whole if whole else float("nan"))


def _share(part: float, whole: float, unit: Unit | None = None) -> str:
    return f"{_percent(part, whole)} ({part:,} of {whole:,}{f' {unit}' if unit else ''})"


def _counted(number: int, unit: Unit) -> str:
    return f"{number:,} {unit if number != 1 else unit.removesuffix('s')}"


def _listed(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
