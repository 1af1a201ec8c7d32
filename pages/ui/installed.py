"""What this machine has: the local dataset and the default checkpoint. Asked on every page, so cheap."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import CheckpointError, DataError
from core.models import kept
from core.models.catalog import catalog, folder_of
from core.models.reference import parse_reference
from core.settings import settings
from pages.ui import cache


@dataclass(frozen=True)
class Line:
    """One thing and whether it is ready, as a phrase."""

    ready: bool
    words: str


@dataclass(frozen=True)
class Installed:
    """What is here of the two things that the pages need."""

    data: Line
    checkpoint: Line


def state() -> Installed:
    """Return what is installed.

    Raises:
        SettingsError: a setting is wrong.
    """
    return Installed(_data(settings().data_dir), _checkpoint(settings().default_checkpoint))


def _data(folder: Path | None) -> Line:
    if folder is None:
        return Line(False, "No local dataset; LESIONLENS_DATA names one")
    try:
        table = cache.dataset(folder)
    except DataError as problem:
        return Line(False, str(problem))
    pictures = int(table["image_path"].notna().sum())
    return Line(True, f"{folder.name}: {len(table):,} images, {pictures:,} with a picture")


def _checkpoint(name: str) -> Line:
    try:
        reference = parse_reference(name)
        if reference.kind == "hf":
            here = kept.pin(reference, kept.hub_folder())
            if here is None:
                return Line(False, f"{reference.name}, fetched from the Hub when Predict is first opened")
            return Line(True, f"{reference.name} of the Hub, commit {str(here.revision)[:12]}")
        folder_of(reference)
    except CheckpointError as problem:
        return Line(False, str(problem))
    titles = {entry.reference: entry.title for entry in catalog()}
    # A local folder's full path is the server's business.
    return Line(True, titles.get(reference, f"{Path(reference.name).name} ({reference.kind})"))
