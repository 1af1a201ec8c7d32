"""How a model bears poor pictures: one row a condition, as a small CSV beside the evaluation artifacts.

    model, pictures, kind, condition, severity, remedy, metric, value, low, high, n, n_lesions

pictures is "all", or "histology": those alone whose diagnosis histology confirmed. kind is "clean",
"corruption" (see `core.data.corruptions`) or "shortcut" (part of the picture hidden).
Severity 0 is the picture as it is; remedy is a step of `core.data.steps` that was applied before the model,
or empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from core.data.corruptions import CORRUPTIONS, SHORTCUTS, Corruption, Shortcut
from core.data.steps import STEPS
from core.evaluate.intervals import RESAMPLES, lesion_bootstrap
from core.evaluate.metrics import METRICS
from core.evaluate.rows import last_of_each_model, read_rows
from core.evaluate.subgroups import ALL, HISTOLOGY, pictures_that_count

COLUMNS: Final = (
    "model", "pictures", "kind", "condition", "severity", "remedy", "metric", "value", "low", "high", "n",
    "n_lesions",
)  # fmt: skip
MEASURED: Final = ("balanced_accuracy", "malignancy_auc", "ece", "accuracy")
KINDS: Final = ("clean", "corruption", "shortcut")


@dataclass(frozen=True)
class Condition:
    """What is done to every picture before a model sees it."""

    kind: str
    condition: str
    severity: int
    remedy: str = ""

    @property
    def name(self) -> str:
        """A file's name for it."""
        return f"{self.kind}-{self.condition}-{self.severity}" + (f"-{self.remedy}" if self.remedy else "")

    @property
    def words(self) -> str:
        """What people read."""
        words = {
            "clean": "As it is",
            "corruption": f"{self._title(CORRUPTIONS)}, severity {self.severity}",
            "shortcut": self._title(SHORTCUTS),
        }[self.kind]
        return words + (f", with {remedy_words(self.remedy)}" if self.remedy else "")

    @property
    def needs_mask(self) -> bool:
        """Whether it can be measured only where the lesion's mask is here."""
        return self.kind == "shortcut" and SHORTCUTS[self.condition].needs_mask

    def _title(self, entries: Mapping[str, Corruption] | Mapping[str, Shortcut]) -> str:
        return entries[self.condition].title if self.condition in entries else self.condition


def remedy_words(name: str) -> str:
    """Return a remedy as part of a sentence: "local contrast (CLAHE)"."""
    title = STEPS[name].title
    return title[:1].lower() + title[1:]


CLEAN: Final = Condition("clean", "clean", 0)


def rows_of(
    model: str,
    condition: Condition,
    truth: np.ndarray,
    probabilities: np.ndarray,
    facts: pd.DataFrame,
    *,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Return a condition's rows: each of MEASURED with its interval over lesions, of all and of histology.

    truth: class indices, shape (N,). probabilities: shape (N, 7). facts: lesion_id and dx_type, shape (N, …).
    """
    metrics = {name: METRICS[name] for name in MEASURED}
    return pd.DataFrame(
        [
            {"model": model, "pictures": pictures} | vars(condition) | {"metric": name} | vars(interval)
            for pictures, mine in pictures_that_count(facts).items()
            for name, interval in lesion_bootstrap(
                truth[mine], probabilities[mine], facts["lesion_id"][mine], metrics, resamples=resamples
            ).items()
        ]
    )[list(COLUMNS)]


def not_measured(rows: pd.DataFrame) -> list[str]:
    """Return what the rows of one model lack of what is measured today, in words; [] where nothing."""
    poor = set(rows.loc[rows["kind"] == "corruption", "condition"])
    lacking = [one.title for one in CORRUPTIONS.values() if one.name not in poor]
    return lacking + ["histology alone"] * (HISTOLOGY not in set(rows["pictures"]))


def read_robustness(files: Sequence[Path]) -> pd.DataFrame:
    """Return the rows of several files as one table; of a model that several measured, the last file's.

    Raises:
        EvaluationError: a file that cannot be read, or lacks a column, by name.
    """
    return last_of_each_model(files, _read, COLUMNS)


def _read(path: Path) -> pd.DataFrame:
    return read_rows(
        path,
        COLUMNS,
        texts=("model", "pictures", "kind", "condition", "remedy", "metric"),
        again="measure robustness again",
        one_of=("kind", KINDS),
        before={"pictures": ALL},
    )


def sample_lesions(table: pd.DataFrame, lesions: int, *, seed: int = 0) -> pd.DataFrame:
    """Return the pictures of some lesions, the mix of diagnoses kept close and none lost; shape (n, …).

    lesions: how many; all of them if there are no more.
    """
    firsts = table.drop_duplicates("lesion_id")
    if lesions >= len(firsts):
        return table
    generator = np.random.default_rng(seed)
    chosen: list[str] = []
    for _, mine in firsts.groupby("dx", sort=True):
        # A rare diagnosis keeps what makes its recall worth a number.
        count = min(len(mine), max(5, round(lesions * len(mine) / len(firsts))))
        chosen += generator.permutation(mine["lesion_id"].to_numpy())[:count].tolist()
    return table[table["lesion_id"].isin(chosen)].reset_index(drop=True)
