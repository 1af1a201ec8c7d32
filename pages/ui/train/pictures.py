"""The pictures behind a run, where its dataset is on this machine."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from core.errors import DataError
from core.runs.library import Summary
from core.settings import settings
from pages.ui import cache


def rows(run: Summary, image_ids: Iterable[str]) -> pd.DataFrame | None:
    """Return the metadata rows of these images that are here with a picture; None without their dataset.

    The dataset is the folder that the run names, else the configured one when it has these images.
    """
    wanted = list(image_ids)
    for folder in _folders(run):
        try:
            table = cache.dataset(folder)
        except DataError:
            continue
        found = table[table["image_id"].isin(wanted) & table["image_path"].notna()]
        if len(found):
            return found
    return None


def _folders(run: Summary) -> list[Path]:
    named = Path(str(run.config.get("data_dir") or "."))
    folders = [named] if named.is_absolute() and named.is_dir() else []
    configured = settings().data_dir
    return [*folders, *([configured] if configured is not None and configured not in folders else [])]


def paths(run: Summary, image_ids: Iterable[str]) -> dict[str, Path]:
    """Return image id -> file of these images, as far as they are here."""
    found = rows(run, image_ids)
    if found is None:
        return {}
    return {
        str(name): Path(str(file)) for name, file in zip(found["image_id"], found["image_path"], strict=True)
    }
