"""What a person must know of a dataset before using it: source, licence, how labels were made, known issues.

Add one by adding a table to `core/bundled/cards.toml`, and its licence to LICENCES.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Final

from core.data.getting.sources import HAM10000_LICENCE, Licence
from core.settings import REPOSITORY

CARDS_FILE: Final = REPOSITORY / "core" / "bundled" / "cards.toml"

LICENCES: Final = {
    "ham10000": HAM10000_LICENCE,
    "pad_ufes_20": Licence(
        "CC BY 4.0",
        "https://creativecommons.org/licenses/by/4.0/",
        "You may use and share it for any purpose, naming its authors.",
        "PAD-UFES-20, Federal University of Espírito Santo, Brazil.",
        "Pacheco, A. G. C. et al. PAD-UFES-20: a skin lesion dataset composed of patient data and clinical "
        "images collected from smartphones. Data in Brief 32, 106221 (2020).",
    ),
}


@dataclass(frozen=True)
class DatasetCard:
    """One dataset.

    Attributes:
        title, about: what people call it, and what it is.
        home: where it is deposited; empty where it is nowhere.
        labels: how its diagnoses were made, as a Markdown list.
        issues: what is known to be wrong with it, or to mislead, as a Markdown list.
        licence: what may be done with it, whom to name and what to cite; None where there is not one for all.
    """

    title: str
    about: str
    home: str
    labels: str
    issues: str
    licence: Licence | None


@cache
def cards() -> dict[str, DatasetCard]:
    """Return the cards by what a metadata table's column `source` says."""
    tables = tomllib.loads(CARDS_FILE.read_text(encoding="utf-8"))
    return {name: DatasetCard(**table, licence=LICENCES.get(name)) for name, table in tables.items()}
