"""Many datasets into one table: different layouts, different words for diagnoses, names used twice.

Nothing disappears unsaid. A diagnosis that no map knows is refused by the reader, with all such words. A
picture that two datasets hold is taken once. A name that two datasets use for different things is changed in
the later one. All of it is in the report.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from core.data.copies import copy_id, original_id
from core.data.metadata import validate_metadata
from core.data.readers import Labels, read_dataset
from core.data.writing import (
    OutputFolder,
    Progress,
    Task,
    fingerprint,
    picture_names,
    without_broken,
)
from core.errors import MetadataError
from core.files import same_content, same_files

# Names that their givers use once in the world: the archive's pictures, HAM10000's and the archive's lesions.
_WORLD_IMAGE: Final = re.compile(r"ISIC_\d{7}(_aug\d{2,})?", re.IGNORECASE)
_WORLD_LESION: Final = re.compile(r"(HAM|IL)_\d{7}", re.IGNORECASE)

SamePicture = Callable[[Path, Path], bool]
"""Whether two files hold the same picture."""


@dataclass(frozen=True)
class Part:
    """One dataset of a merge: what it shall be called there, and its validated metadata table."""

    name: str
    table: pd.DataFrame


@dataclass(frozen=True)
class Report:
    """What a merge did, as plain data.

    labels: dataset -> word -> (code, images). left_out, unmapped: dataset -> reason or word -> rows.
    images: dataset -> images taken. duplicates: (dataset, image, dataset that had it first).
    renamed: (dataset, image, its new id). renamed_lesions: (dataset, lesion, its new id).
    joined_lesions: (dataset, lesion, the lesion it is one with, by a picture they share).
    conflicts: (dataset, image, its diagnosis, the diagnosis its lesion has already); not taken.
    twins: (dataset, image, dataset, image) of two ids with the same file. Both are taken, and their lesions
        become one unless their diagnoses differ: then `disputed` has the two diagnoses too.
    """

    labels: dict[str, dict[str, tuple[str, int]]] = field(default_factory=dict)
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    unmapped: dict[str, dict[str, int]] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    duplicates: list[tuple[str, str, str]] = field(default_factory=list)
    renamed: list[tuple[str, str, str]] = field(default_factory=list)
    renamed_lesions: list[tuple[str, str, str]] = field(default_factory=list)
    joined_lesions: list[tuple[str, str, str]] = field(default_factory=list)
    conflicts: list[tuple[str, str, str, str]] = field(default_factory=list)
    twins: list[tuple[str, str, str, str]] = field(default_factory=list)
    disputed: list[tuple[str, str, str, str, str, str]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return what is to be said, one sentence a line."""
        said = []
        for name, images in self.images.items():
            said.append(f"{name}: {images:,} images taken.")
            said += [
                f"  {word!r} is {code}: {count:,} images."
                for word, (code, count) in self.labels.get(name, {}).items()
            ]
            said += [
                f"  Left out, {reason}: {count:,}." for reason, count in self.left_out.get(name, {}).items()
            ]
            said += [
                f"  Became unknown, {word}: {count:,} images."
                for word, count in self.unmapped.get(name, {}).items()
            ]
        said += _some(
            "had already", [f"{one} of {name} (in {first})" for name, one, first in self.duplicates]
        )
        said += _some("renamed", [f"{one} of {name} to {new}" for name, one, new in self.renamed])
        said += _some(
            "lesions renamed", [f"{one} of {name} to {new}" for name, one, new in self.renamed_lesions]
        )
        said += _some(
            "lesions joined by a shared picture",
            [f"{one} of {name} with {other}" for name, one, other in self.joined_lesions],
        )
        said += _some(
            "not taken, since their lesion has another diagnosis already",
            [f"{one} of {name} ({dx}, not {kept})" for name, one, dx, kept in self.conflicts],
        )
        said += _some(
            "taken though another id has the very same file",
            [f"{one} of {name} (as {other} of {first})" for name, one, first, other in self.twins],
        )
        said += _some(
            "with the very same file as another id and another diagnosis: look at them, one is wrong",
            [
                f"{one} of {name} ({dx}; {other} of {first}: {kept})"
                for name, one, first, other, dx, kept in self.disputed
            ],
        )
        return said + [f"Unreadable: {reason}" for reason in self.unreadable]

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Report":
        """Read what `asdict` and JSON made of a report."""
        labels = {
            name: {word: tuple(one) for word, one in words.items()}
            for name, words in stored["labels"].items()
        }
        lists = {key: [tuple(one) for one in stored[key]] for key in _LISTS}
        return cls(**{**stored, "labels": labels, **lists})


_LISTS: Final = (
    "duplicates", "renamed", "renamed_lesions", "joined_lesions", "conflicts", "twins", "disputed",
)  # fmt: skip


def _some(what: str, cases: Sequence[str], shown: int = 5) -> list[str]:
    if not cases:
        return []
    more = f" and {len(cases) - shown:,} more (provenance.json)" if len(cases) > shown else ""
    return [f"{len(cases):,} {what}: {', '.join(cases[:shown])}{more}."]


class _Lesions:
    """Which lesions of which datasets are one: a union of sets, led by the one that came first."""

    def __init__(self) -> None:
        self._leader: dict[tuple[int, str], tuple[int, str]] = {}

    def find(self, lesion: tuple[int, str]) -> tuple[int, str]:
        while (leader := self._leader.get(lesion, lesion)) != lesion:
            lesion = leader
        return lesion

    def join(self, one: tuple[int, str], other: tuple[int, str]) -> bool:
        """Make two lesions one; return whether they were two before."""
        first, second = sorted((self.find(one), self.find(other)))
        if first == second:
            return False
        self._leader[second] = first
        return True


def merge_tables(
    parts: Sequence[Part], *, same_picture: SamePicture | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, Report]:
    """Return the merged metadata table, where each of its rows came from, and the report.

    The second table has the columns dataset, original_image_id and original_lesion_id, row by row.

    - Images of one id are one picture when it is the archive's own id (ISIC_0024306) or their files are the
      same; the first is kept and their lesions become one. Else the later image is renamed.
    - Lesions of one id are one when it is an id used once in the world (HAM_0000118, IL_1234567) or both come
      from the same source. Else the later lesion is renamed.
    - Images of different ids with the same file are both taken and reported; their lesions become one where
      their diagnoses agree.
    - A lesion that would have two diagnoses keeps the one that came first; the other rows are not taken.

    Raises:
        MetadataError: there is nothing to merge, or two datasets have one name.
    """
    if not parts:
        raise MetadataError("There is nothing to merge; expected at least one dataset.")
    names = [part.name for part in parts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MetadataError(f"Two datasets are called {twice[0]!r}; give each its own name.")
    report = Report()
    for part in parts:
        for key in ("labels", "left_out", "unmapped"):
            getattr(report, key)[part.name] = dict(part.table.attrs.get(key, {}))
    lesions = _Lesions()
    _join_by_name(parts, lesions)
    rows = _distinct_pictures(parts, lesions, same_picture or same_content, report)
    _find_twins(rows, names, lesions, report)
    rows = _name_lesions(rows, names, lesions, report)
    rows = _one_diagnosis(rows, report)
    for name in names:
        report.images[name] = int((rows["dataset"] == name).sum())
    table = validate_metadata(rows.reset_index(drop=True), source_name="The merged table")
    origin = rows[["dataset", "original_image_id", "original_lesion_id"]].reset_index(drop=True)
    return table, origin, report


def _join_by_name(parts: Sequence[Part], lesions: _Lesions) -> None:
    """Make lesions of one name one where the name means the same lesion."""
    first: dict[tuple[str, str], tuple[int, str]] = {}
    for index, part in enumerate(parts):
        named = part.table[["lesion_id", "source"]].drop_duplicates("lesion_id")
        for lesion, source in zip(named["lesion_id"], named["source"], strict=True):
            if _WORLD_LESION.fullmatch(lesion):
                namespace = ""
            elif isinstance(source, str):
                namespace = source
            else:
                continue
            lesions.join(first.setdefault((namespace, lesion), (index, lesion)), (index, lesion))


@dataclass
class _Bearer:
    """A row that bore an image id: where it is from, the file it has or was given, and its name now."""

    part: int
    lesion: str
    path: Any
    name: str


def _distinct_pictures(
    parts: Sequence[Part], lesions: _Lesions, same_picture: SamePicture, report: Report
) -> pd.DataFrame:
    """Return the rows of all parts, each picture and each image id once; lesions are joined on the way."""
    names = [part.name for part in parts]
    everything = pd.concat(
        [
            part.table.assign(
                part=index, dataset=part.name, original_image_id=part.table["image_id"],
                original_lesion_id=part.table["lesion_id"],
            )
            for index, part in enumerate(parts)
        ],
        ignore_index=True,
    )  # fmt: skip
    everything.attrs = {}
    # Every row that bore an id, whatever it is called now: the third may hold what the second held.
    bearers: dict[str, list[_Bearer]] = {}
    taken: dict[str, object] = {}
    called: dict[tuple[int, str], str] = {}
    kept: dict[int, _Bearer] = {}
    columns = (everything[column] for column in ("part", "image_id", "lesion_id", "image_path"))
    rows = list(zip(everything.index, *columns, strict=True))
    # Copies come after the originals whose name they bear.
    for row, index, image, lesion, path in sorted(rows, key=lambda one: original_id(one[2]) != one[2]):
        known = bearers.setdefault(image.casefold(), [])
        same = next((one for one in known if _is_same(image, path, one.path, same_picture)), None)
        if same is not None:
            report.duplicates.append((names[index], image, names[same.part]))
            lesions.join((same.part, same.lesion), (index, lesion))
            if not isinstance(same.path, str):
                same.path = path  # the facts came before their picture
            called[index, image] = same.name
            continue
        new = _name_picture(names[index], index, image, taken, called)
        if new != image:
            report.renamed.append((names[index], image, new))
        known.append(_Bearer(index, lesion, path, new))
        taken[new.casefold()] = called[index, image] = new
        kept[row] = known[-1]
    result = everything.loc[sorted(kept)]
    return result.assign(
        image_id=[kept[row].name for row in result.index], image_path=[kept[row].path for row in result.index]
    )


def _find_twins(rows: pd.DataFrame, names: Sequence[str], lesions: _Lesions, report: Report) -> None:
    """Note pictures of two ids with the same file; one lesion on two sides of a split would leak."""
    here = rows[rows["image_path"].notna()]
    columns = (here[name] for name in ("part", "original_image_id", "original_lesion_id", "dx"))
    row_of = dict(zip(map(Path, here["image_path"]), zip(*columns, strict=True), strict=True))
    for files in same_files(row_of):
        first_part, first_image, first_lesion, first_dx = row_of[files[0]]
        for file in files[1:]:
            part, image, lesion, dx = row_of[file]
            told = (names[part], image, names[first_part], first_image)
            if dx == first_dx:
                report.twins.append(told)
                lesions.join((first_part, first_lesion), (part, lesion))
            else:
                report.disputed.append((*told, dx, first_dx))


def _name_picture(
    dataset: str, part: int, image: str, taken: Mapping[str, object], called: Mapping[tuple[int, str], str]
) -> str:
    """Return a free name; a copy goes with its original, or it would pass for a photo of its own."""
    original = original_id(image)
    if original != image and (part, original) in called:
        name, number = called[part, original] + image[len(original) :], 1
        while name.casefold() in taken:
            name, number = copy_id(called[part, original], number), number + 1
        return name
    return image if image.casefold() not in taken else _free(f"{dataset}_{image}", taken)


def _is_same(image: str, path: object, other: object, same_picture: SamePicture) -> bool:
    if _WORLD_IMAGE.fullmatch(image):
        return True
    return isinstance(path, str) and isinstance(other, str) and same_picture(Path(path), Path(other))


def _free(name: str, taken: Mapping[str, object]) -> str:
    number, free = 2, name
    while free.casefold() in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def _name_lesions(
    rows: pd.DataFrame, names: Sequence[str], lesions: _Lesions, report: Report
) -> pd.DataFrame:
    """Return the rows with one name a lesion: its first bearer's, or a new one where that is taken."""
    called: dict[tuple[int, str], str] = {}
    taken: dict[str, object] = {}
    said: set[tuple[int, str]] = set()
    result = []
    for index, lesion in zip(rows["part"], rows["lesion_id"], strict=True):
        here = (index, lesion)
        leader = lesions.find(here)
        if leader not in called:
            name = leader[1]
            if name.casefold() in taken:
                name = _free(f"{names[leader[0]]}_{name}", taken)
            taken[name.casefold()] = True
            called[leader] = name
        name = called[leader]
        result.append(name)
        if name != lesion and here not in said:
            said.add(here)
            story = report.renamed_lesions if leader == here else report.joined_lesions
            story.append((names[index], lesion, name))
    return rows.assign(lesion_id=result)


def _one_diagnosis(rows: pd.DataFrame, report: Report) -> pd.DataFrame:
    first = rows.groupby("lesion_id", sort=False)["dx"].transform("first")
    torn = rows["dx"] != first
    columns = (rows.loc[torn, column] for column in ("dataset", "original_image_id", "dx"))
    report.conflicts.extend(zip(*columns, first[torn], strict=True))
    return rows[~torn]


def merge_datasets(
    sources: Sequence[tuple[str, Path]],
    out: Path,
    *,
    labels: Mapping[str, Labels] | None = None,
    layouts: Mapping[str, str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write many datasets as one folder: pictures as they are, one table, the report in provenance.json.

    sources: (name, folder), in order of precedence. labels: dataset -> label map. layouts: dataset -> layout.

    Raises:
        DataError: a dataset cannot be read, a map or layout is for none of them, or the folder cannot be
            written.
    """
    names = [name for name, _ in sources]
    for given in (labels or {}, layouts or {}):
        if strangers := sorted(set(given) - set(names)):
            raise MetadataError(
                f"There is no dataset called {strangers[0]!r} to map; the datasets are {', '.join(names)}."
            )
    parts = [
        Part(name, read_dataset(folder, (layouts or {}).get(name), labels=(labels or {}).get(name)))
        for name, folder in sources
    ]
    work = {
        "command": "merge",
        "sources": {name: str(folder.resolve()) for name, folder in sources},
        "data": {part.name: fingerprint(part.table) for part in parts},
        "labels": {name: dict(one) for name, one in (labels or {}).items()},
    }
    with OutputFolder(out, work=work, inputs=[path for _, path in sources]) as folder:
        if (done := folder.finished) is not None:
            return Report.from_json(done)
        table, origin, report = merge_tables(parts)
        files = picture_names(table)
        has = files.notna()
        tasks = [
            Task(Path(path), name)
            for path, name in zip(table.loc[has, "image_path"], files[has], strict=True)
        ]
        failures = folder.write_pictures(tasks, workers=workers, progress=progress)
        kept, unreadable = without_broken(table, files, failures)
        report.unreadable.extend(unreadable)
        folder.finish(kept, extra=origin, result=asdict(report))
        return report
