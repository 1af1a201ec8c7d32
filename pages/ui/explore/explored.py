"""What a view is given: a dataset, the filter, the rows that pass it, and how to count them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import pandas as pd

from core.words import Reader
from pages.ui.explore.datasets import Dataset

if TYPE_CHECKING:
    from core.data.selection import Selection

Unit = Literal["images", "lesions"]
UNITS: Final[tuple[Unit, ...]] = ("images", "lesions")


@dataclass(frozen=True)
class Explored:
    """What is explored right now.

    Attributes:
        dataset: the whole dataset; its table is shared and never changed.
        selection: the filter.
        chosen: the rows that pass it, with the index of the dataset's table.
        unit: what is counted.
        reader: who reads.
    """

    dataset: Dataset
    selection: "Selection"
    chosen: pd.DataFrame
    unit: Unit
    reader: Reader
