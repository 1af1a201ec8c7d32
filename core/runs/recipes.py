"""The recipes as a person chooses them: read from their TOML files as data, without the trainer."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from core.data.recipes import RECIPES_FOLDER
from core.errors import RecipeError

# What the trainer takes where a recipe says nothing; tests hold them against `train.recipe.Recipe`.
DEFAULTS: Final[Mapping[str, Any]] = {"epochs": 10, "batch_size": 32, "size": 224, "mode": "finetune"}
DEFAULT_LEARNING_RATE: Final = 1e-3


@dataclass(frozen=True)
class RecipeCard:
    """One recipe.

    Attributes:
        name: what the command line calls it.
        model: of the registry.
        about: its own sentence.
        remarks: the head of the file by title, such as "Time" and "Result".
        values: what the file sets, nested tables as they stand.
    """

    name: str
    model: str
    about: str
    remarks: Mapping[str, str]
    values: Mapping[str, Any] = field(repr=False)

    def get(self, name: str) -> Any:  # noqa: ANN401 -- a value of TOML
        """Return a value of the recipe, or the trainer's default."""
        return self.values.get(name, DEFAULTS[name])

    @property
    def learning_rate(self) -> float:
        """The highest learning rate of the head."""
        return float(self.values.get("optimizer", {}).get("learning_rate", DEFAULT_LEARNING_RATE))


@cache
def recipe_cards(folder: Path = RECIPES_FOLDER) -> dict[str, RecipeCard]:
    """Return the recipes of a folder by name: the quick one first, for who tries it out.

    Raises:
        RecipeError: one of them cannot be read.
    """
    files = sorted(folder.glob("*.toml"), key=lambda path: (path.stem != "quick", path.stem))
    return {path.stem: _read(path) for path in files}


def _read(path: Path) -> RecipeCard:
    try:
        text = path.read_text(encoding="utf-8")
        values: dict[str, Any] = tomllib.loads(text)
        return RecipeCard(
            path.stem, str(values["model"]), str(values.get("about", "")), _remarks(text), values
        )
    except (OSError, ValueError, KeyError) as problem:
        raise RecipeError(
            f"The recipe {path.name} cannot be shown ({problem}). Mend it or remove it."
        ) from problem


def _remarks(text: str) -> dict[str, str]:
    """Return the comments at the head of a recipe by title; a line without one goes on with the last."""
    remarks: dict[str, str] = {}
    title = ""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.removeprefix("#").strip()
        head, colon, rest = words.partition(":")
        if colon and head.isalpha():
            title = head
            remarks[title] = rest.strip()
        elif title:
            remarks[title] = f"{remarks[title]} {words}"
    return remarks
