"""The body of `prepare report`: test-data quality assurance of a dataset's split, as Markdown."""

from pathlib import Path

import numpy as np
import pandas as pd

from core.data.coverage import assure
from core.data.inspection import inspect_pictures
from core.data.masks import find_masks
from core.data.quality import MEASURES
from core.data.readers import count_missing, read_dataset
from core.data.splits import SPLITS, Split
from core.data.twins import describe_pairs, find_twins
from core.settings import settings
from train.display import Counter


def report(folder: Path, *, layout: str | None, seed: int, progress: Counter) -> str:
    """Return the report of a dataset, Markdown: what was checked of each part, who is in it, its quality.

    Raises:
        DataError: the dataset cannot be read, or its copies were made for another split.
    """
    table = read_dataset(folder, layout)
    parts = Split.of(table, seed=seed).of_images(table["image_id"])
    pictured = table["image_path"].notna().any()
    inspection = _inspected(folder, table, progress) if pictured else None
    pairs = None if inspection is None else describe_pairs(find_twins(inspection), table, parts)
    assurance = assure(table, parts, inspection=inspection, pairs=pairs)
    lesions = table["lesion_id"].nunique()
    text = assurance.to_markdown(
        title=f"{folder.resolve().name}: {len(table):,} images of {lesions:,} lesions, split with seed {seed}"
    )
    return "\n".join(
        [text, *_reading(table), *([] if inspection is None else _quality(inspection, table, parts))]
    )


def _inspected(folder: Path, table: pd.DataFrame, progress: Counter) -> pd.DataFrame:
    def tell(done: float, total: float | None = None, *, unit: str = "", note: str = "") -> None:  # noqa: ARG001
        progress(int(done), int(total or 0))

    masks = find_masks(folder, table["image_id"])
    return inspect_pictures(table, cache_dir=settings().cache_dir, masks=masks, report=tell)


def _reading(table: pd.DataFrame) -> list[str]:
    """Return what the reader found and did not take."""
    found = [f"- images without a picture here: {count_missing(table):,}"]
    for name, words in (("left_out", "left out"), ("unmapped", "became unknown")):
        found += [f"- {words}, {what}: {count:,}" for what, count in table.attrs.get(name, {}).items()]
    return ["## Reading", "", *found, ""]


def _quality(inspection: pd.DataFrame, table: pd.DataFrame, parts: pd.Series) -> list[str]:
    """Return each measure's 5th, 50th and 95th percentile in each part."""
    part_of = pd.Series(parts.to_numpy(), index=table["image_id"]).reindex(inspection.index).to_numpy()
    lines = ["## Quality: 5th percentile, median, 95th percentile", "", f"| | {' | '.join(SPLITS)} |"]
    lines.append("|---|" + "---|" * len(SPLITS))
    for name, measure in MEASURES.items():
        cells = []
        for part in SPLITS:
            values = inspection.loc[part_of == part, name].dropna()
            said = [measure.say(float(np.percentile(values, at))) for at in (5, 50, 95) if len(values)]
            cells.append(f"{', '.join(said) or 'n/a'} (n = {len(values):,})")
        lines.append(f"| {measure.title} | {' | '.join(cells)} |")
    return [*lines, ""]
