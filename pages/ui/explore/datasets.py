"""Which dataset is explored: bundled facts, a folder, a synthetic set, or one that was fetched here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

Kind = Literal["bundled", "folder", "synthetic", "got"]


@dataclass(frozen=True)
class Dataset:
    """One dataset.

    Attributes:
        name: what people call it.
        kind: where it is from.
        table: its metadata table (`core.data.metadata`), shared, never to be changed.
        folder: where its files lie; None for facts alone.
    """

    name: str
    kind: Kind
    table: pd.DataFrame
    folder: Path | None

    @property
    def key(self) -> str:
        """A string that stays the same for the same dataset; caches are keyed by it."""
        return self.kind if self.folder is None else f"{self.kind}:{self.folder}"

    @property
    def has_pictures(self) -> bool:
        """Whether any of its pictures are here."""
        return bool(self.table["image_path"].notna().any())
