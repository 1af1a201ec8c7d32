"""The checkpoints on offer, and where one lies. Add one by adding an entry to core/bundled/catalog.toml."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from core.errors import UnknownReference
from core.models.reference import Reference, parse_reference

BUNDLED_FOLDER: Final = Path(__file__).resolve().parents[1] / "bundled"
CATALOG_FILE: Final = BUNDLED_FOLDER / "catalog.toml"
CHECKPOINTS_FOLDER: Final = BUNDLED_FOLDER / "checkpoints"
# A checkpoint writes its manifest last, so its presence means that the folder is whole.
MANIFEST_FILE: Final = "lesionlens.json"


@dataclass(frozen=True)
class CatalogEntry:
    """A checkpoint that pages offer."""

    reference: Reference
    title: str
    about: str


@cache
def catalog() -> tuple[CatalogEntry, ...]:
    """Return the checkpoints on offer, the default one first."""
    document = tomllib.loads(CATALOG_FILE.read_text(encoding="utf-8"))
    return tuple(
        CatalogEntry(parse_reference(entry["reference"]), entry["title"], entry["about"])
        for entry in document["checkpoint"]
    )


def folder_of(
    reference: Reference,
    *,
    token: str | None = None,
    timeout_s: float = 5.0,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Return the folder that holds a checkpoint, pulling it from the Hub when it lies there.

    A page that should show the Hub's notices, or remember which commit it got, calls `hub.pull` first and
    keeps the reference with that commit; for such a reference this makes no request.

    Args:
        reference: which checkpoint.
        token, timeout_s, cache_dir, progress: for the Hub; see `hub.pull`.

    Raises:
        UnknownReference: nothing lies there.
        HubError: the Hub did not give it.
    """
    if reference.kind == "bundled":
        return _bundled(reference.name)
    if reference.kind == "local":
        return _local(reference.name)
    from core.models.hub import pull  # half a second of imports that only the Hub needs

    return pull(
        reference.name,
        reference.revision,
        token=token,
        timeout_s=timeout_s,
        cache_dir=cache_dir,
        progress=progress,
    ).folder


def bundled_names() -> tuple[str, ...]:
    """Return the names of the checkpoints that came with the app, sorted."""
    return tuple(sorted(path.parent.name for path in CHECKPOINTS_FOLDER.glob(f"*/{MANIFEST_FILE}")))


def _bundled(name: str) -> Path:
    if name not in bundled_names():
        there = ", ".join(bundled_names()) or "none"
        raise UnknownReference(f"No checkpoint named {name!r} came with this app; bundled are: {there}.")
    return CHECKPOINTS_FOLDER / name


def _local(name: str) -> Path:
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        raise UnknownReference(f"There is no folder {folder}; expected one that holds {MANIFEST_FILE}.")
    if not (folder / MANIFEST_FILE).is_file():
        raise UnknownReference(f"{folder} holds no checkpoint: {MANIFEST_FILE} is missing.")
    return folder
