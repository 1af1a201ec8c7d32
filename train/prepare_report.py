"""What `prepare report` says of a dataset: each part's labels, people, picture quality, and copies."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from core.data.inspection import inspect_pictures
from core.data.masks import find_masks
from core.data.quality import ITA_BANDS, ITA_LIMITS, MEASURES, ita_band
from core.data.readers import count_missing, read_dataset
from core.data.splits import SPLITS, Split
from core.data.twins import describe_pairs, find_twins
from core.labels import CODES
from core.settings import settings
from train.display import Counter

_AGES = (0, 20, 40, 60, 80, 121)


def report_lines(folder: Path, *, layout: str | None, seed: int, progress: Counter) -> Iterator[str]:
    """Yield the report of a dataset, line by line, as Markdown.

    Raises:
        DataError: the dataset cannot be read, or its copies were made for another split.
    """
    table = read_dataset(folder, layout)
    parts = Split.of(table, seed=seed).of_images(table["image_id"])
    lesions = table["lesion_id"].nunique()
    yield f"# {folder.name}: {len(table):,} images of {lesions:,} lesions, split with seed {seed}"
    for name in ("left_out", "unmapped"):
        yield from (f"- {what}: {count:,}" for what, count in table.attrs.get(name, {}).items())
    yield f"- images without a picture here: {count_missing(table):,}"
    yield from _counts("Diagnoses", table["dx"], parts, CODES)
    yield from _counts("Sex", table["sex"].fillna("unknown"), parts)
    bands = pd.cut(table["age_years"], _AGES, right=False, labels=[f"{a} to {b - 1}" for a, b in _bounds()])
    yield from _counts("Age in years", bands.astype("str").fillna("unknown"), parts)
    yield from _counts("Site", table["site"].fillna("unknown"), parts)
    if table["image_path"].notna().any():
        yield from _pictures(folder, table, parts, progress)


def _bounds() -> list[tuple[int, int]]:
    return list(pairwise(_AGES))


def _counts(
    title: str, values: pd.Series, parts: pd.Series, order: tuple[str, ...] | None = None
) -> Iterator[str]:
    counted = pd.crosstab(values, parts).reindex(columns=list(SPLITS), fill_value=0)
    if order is not None:
        counted = counted.reindex(list(order), fill_value=0)
    totals = counted.sum()
    yield f"\n## {title}\n\n| | {' | '.join(f'{name} (n = {totals[name]:,})' for name in SPLITS)} |"
    yield "|---|" + "---:|" * len(SPLITS)
    for value, row in counted.iterrows():
        yield f"| {value} | {' | '.join(_share(int(row[name]), int(totals[name])) for name in SPLITS)} |"


def _share(count: int, total: int) -> str:
    return f"{count:,} ({count / total:.1%})" if total else "0"


def _pictures(folder: Path, table: pd.DataFrame, parts: pd.Series, progress: Counter) -> Iterator[str]:
    def report(done: float, total: float | None = None, *, unit: str = "", note: str = "") -> None:  # noqa: ARG001
        progress(int(done), int(total or 0))

    found = inspect_pictures(
        table, cache_dir=settings().cache_dir, masks=find_masks(folder, table["image_id"]), report=report
    )
    part_of = pd.Series(parts.to_numpy(), index=table["image_id"]).reindex(found.index)
    broken = found["problem"].dropna()
    yield f"\n## Pictures\n\n- unreadable: {len(broken):,}"
    yield from (f"  - {reason}" for reason in broken)
    yield from _measures(found, part_of)
    bands = ita_band(found["ita_degrees"]).fillna("not measurable")
    yield from _counts("Skin tone (ITA)", bands.astype("str"), part_of, (*ITA_BANDS, "not measurable"))
    yield f"\n{ITA_LIMITS}"
    pairs = describe_pairs(find_twins(found), table, parts)
    yield f"\n## Copies\n\n- pairs of like pictures: {len(pairs):,}"
    yield f"- under two lesion ids: {int((pairs['apart'] != '').sum()):,}"
    yield f"- with two diagnoses: {int((pairs['apart'] == 'diagnoses').sum()):,}"
    crossing = pairs[pairs["splits"]]
    yield f"- on two sides of the split: {len(crossing):,}"
    for pair in crossing.itertuples():
        yield f"  - {pair.first} ({pair.part_first}) and {pair.second} ({pair.part_second}): {pair.kind}"


def _measures(found: pd.DataFrame, part_of: pd.Series) -> Iterator[str]:
    yield "\n## Quality: 5th percentile, median, 95th percentile\n"
    yield f"| | {' | '.join(SPLITS)} |\n|---|" + "---|" * len(SPLITS)
    for name, measure in MEASURES.items():
        cells = []
        for part in SPLITS:
            values = found.loc[(part_of == part).to_numpy(), name].dropna()
            low, middle, high = np.percentile(values, (5, 50, 95)) if len(values) else [np.nan] * 3
            cells.append(
                f"{measure.say(low)}, {measure.say(middle)}, {measure.say(high)} (n = {len(values):,})"
            )
        yield f"| {measure.title} | {' | '.join(cells)} |"
