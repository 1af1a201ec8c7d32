"""How good a model's evidence maps are over many test pictures: one row a measure, as a small CSV.

    model, pictures, group, measure, value, low, high, n, n_lesions

pictures is "all", or "histology": those alone whose diagnosis histology confirmed.
A map is of the diagnosis that the model answers with. Shares are of its positive evidence; areas are the
mean logit under the deletion and insertion curves of `core.explain.trust`. What a blob in the middle, a flat
map or a random order gets stands beside each. `group` tells all pictures from those answered rightly and
wrongly. Intervals are over lesions, and gains are differences on the same pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from core.evaluate.intervals import RESAMPLES, Interval, interval_over_lesions, weighted_mean
from core.evaluate.rows import last_of_each_model, read_rows
from core.evaluate.subgroups import ALL, pictures_that_count

COLUMNS: Final = ("model", "pictures", "group", "measure", "value", "low", "high", "n", "n_lesions")
GROUPS: Final = ("all", "right", "wrong")
PICTURE_COLUMNS: Final = (
    "image_id", "lesion_id", "dx_type", "right", "inside", "inside_blob", "inside_flat", "rim", "rim_blob",
    "corners", "corners_blob", "deletion", "deletion_random", "insertion", "insertion_random",
)  # fmt: skip
"""What is measured of one picture."""

FEWEST_LESIONS: Final = 20
"""Of fewer lesions no verdict is given: an interval over so few is itself too narrow."""

FLAT: Final = "flat map"


@dataclass(frozen=True)
class Comparison:
    """A measure of maps against what knows nothing.

    title, about: for people. own: the map's measure. baselines: what stands beside it, with words.
    gain: the measure that is the difference to the first baseline; above zero the map is better.
    unit: "share" or "logit".
    flat: what a flat map has wherever it is looked at, and is judged by then: the area, which geometry gives.
        A blob in the middle has next to nothing at the edge by design, which is no merit.
    """

    title: str
    about: str
    own: str
    baselines: Mapping[str, str]
    gain: str
    unit: str
    flat: float | None = None

    def judged(self, own: Interval, gain: Interval) -> tuple[str, Interval]:
        """Return what the maps must beat, in words, and how much better they are; above zero is better.

        own, gain: what was measured of these two.
        """
        if self.flat is None:
            return next(iter(self.baselines.values())), gain
        flat = self.flat
        return FLAT, Interval(flat - own.value, flat - own.high, flat - own.low, own.n, own.n_lesions)


COMPARISONS: Final = (
    Comparison(
        "Evidence inside the lesion",
        "Share of what speaks for the answer that lies inside the dataset's own lesion mask: more is better.",
        "inside",
        {"inside_blob": "blob in the middle", "inside_flat": FLAT},
        "inside_gain",
        "share",
    ),
    Comparison(
        "Evidence in the border",
        "Share of what speaks for the answer in the outer tenth of the picture: less is better. A flat map, "
        "the same everywhere, has 0.36.",
        "rim",
        {"rim_blob": "blob in the middle"},
        "rim_gain",
        "share",
        flat=0.36,
    ),
    Comparison(
        "Evidence in the corners",
        "Share of what speaks for the answer in the four corners: less is better. A flat map has 0.16.",
        "corners",
        {"corners_blob": "blob in the middle"},
        "corners_gain",
        "share",
        flat=0.16,
    ),
    Comparison(
        "Deletion",
        "The mean score of the answer (its logit) while the map's strongest places are "
        "painted over first. Less is better: what the map points at was needed.",
        "deletion",
        {"deletion_random": "random order"},
        "deletion_gain",
        "logit",
    ),
    Comparison(
        "Insertion",
        "The mean score of the answer while the map's strongest places come first onto a plain picture. More "
        "is better: what the map points at is enough.",
        "insertion",
        {"insertion_random": "random order"},
        "insertion_gain",
        "logit",
    ),
)
_LESS_IS_BETTER: Final = ("rim", "corners", "deletion")


def summarise(model: str, pictures: pd.DataFrame, *, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Return a model's rows, columns COLUMNS, from one row a picture, columns PICTURE_COLUMNS.

    A map without positive evidence has no shares (NaN), and is left out of their means and of their n.
    """
    table = pictures.copy()
    for one in COMPARISONS:
        gain = table[one.own] - table[next(iter(one.baselines))]
        table[one.gain] = -gain if one.own in _LESS_IS_BETTER else gain
    measures = [name for one in COMPARISONS for name in (one.own, *one.baselines, one.gain)]
    right = table["right"].to_numpy(dtype=bool)
    of_group = dict(zip(GROUPS, (np.ones_like(right), right, ~right), strict=True))
    rows = []
    for (scope, counts), (group, chosen) in product(pictures_that_count(table).items(), of_group.items()):
        mine = table[counts & chosen]
        for measure in measures:
            found = interval_over_lesions(
                mine[measure].to_numpy(dtype=float), mine["lesion_id"], weighted_mean, resamples=resamples
            )
            rows.append({"model": model, "pictures": scope, "group": group, "measure": measure} | vars(found))
    return pd.DataFrame(rows)[list(COLUMNS)]


def read_map_quality(files: Sequence[Path]) -> pd.DataFrame:
    """Return the rows of several files as one table; of a model that several measured, the last file's.

    Raises:
        EvaluationError: a file that cannot be read, or lacks a column, by name.
    """
    return last_of_each_model(files, _read, COLUMNS)


def _read(path: Path) -> pd.DataFrame:
    return read_rows(
        path,
        COLUMNS,
        texts=("model", "pictures", "group", "measure"),
        again="measure the maps again",
        one_of=("group", GROUPS),
        before={"pictures": ALL},
    )
