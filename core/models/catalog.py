"""The checkpoints on offer, and where one lies. Add one by adding an entry to core/bundled/catalog.toml."""

import json
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.errors import HubError, UnknownReference
from core.files import replacing
from core.models.reference import Reference, check_repository, parse_reference
from core.settings import settings

if TYPE_CHECKING:
    from core.models.hub.access import Access

BUNDLED_FOLDER: Final = Path(__file__).resolve().parents[1] / "bundled"
CATALOG_FILE: Final = BUNDLED_FOLDER / "catalog.toml"
CHECKPOINTS_FOLDER: Final = BUNDLED_FOLDER / "checkpoints"
# A checkpoint writes its manifest last, so its presence means that the folder is whole.
MANIFEST_FILE: Final = "lesionlens.json"
OF_RUN: Final = "checkpoint"
"""The folder of a run's folder in which it leaves its checkpoint."""


@dataclass(frozen=True)
class CatalogEntry:
    """A checkpoint that pages offer."""

    reference: Reference
    title: str
    about: str


@cache
def catalog() -> tuple[CatalogEntry, ...]:
    """Return the checkpoints on offer, the default one first."""
    return _read(CATALOG_FILE)


def owner_file(owner: str, cache_dir: Path) -> Path:
    """Return where the list of what an owner offers on the Hub is kept, in the form of the catalog.

    Raises:
        UnknownReference: the owner's name cannot be one.
    """
    check_repository(f"{owner}/name")
    return cache_dir / f"catalog-{owner}.toml"


def owner_catalog(owner: str, cache_dir: Path) -> tuple[CatalogEntry, ...]:
    """Return what an owner offered when they were last asked (`core.models.hub.owner`); asks nobody.

    Raises:
        UnknownReference: the owner's name cannot be one.
        HubError: the kept list cannot be read.
    """
    file = owner_file(owner, cache_dir)
    try:
        return _read(file)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, UnknownReference) as problem:
        raise HubError(
            f"The list of {owner}'s checkpoints cannot be read ({problem}). Delete {file} and ask for "
            "it again."
        ) from problem


def write_owner_catalog(owner: str, cache_dir: Path, entries: Iterable[CatalogEntry]) -> None:
    """Keep what an owner offers; raises OSError when it cannot be written."""
    file = owner_file(owner, cache_dir)
    lines = [f"# What {owner} offers on the Hub, as it was last listed. Made by a program.\n"]
    for entry in entries:
        lines.append("\n[[checkpoint]]\n")
        # A JSON string is a TOML string, but for a sign that no name has.
        lines += [
            f"{key} = {json.dumps(text.replace(chr(127), ''))}\n"
            for key, text in (
                ("reference", str(entry.reference)),
                ("title", entry.title),
                ("about", entry.about),
            )
        ]
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as part:
        part.write_text("".join(lines), encoding="utf-8")


def _read(file: Path) -> tuple[CatalogEntry, ...]:
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(
        CatalogEntry(parse_reference(entry["reference"]), entry["title"], entry["about"])
        for entry in document.get("checkpoint", [])
    )


def folder_of(
    reference: Reference,
    access: "Access | None" = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Return the folder that holds a checkpoint, pulling it from the Hub when it lies there.

    A page that should show the Hub's notices, or remember which commit it got, calls `fetch` of
    `core.models.fetching` and keeps the reference with that commit, for which this makes no request.

    Args:
        reference: which checkpoint.
        access: how the Hub is asked; None is as the settings say.
        progress: called with the bytes that are here and the bytes in all, while a download runs.

    Raises:
        UnknownReference: nothing lies there.
        HubError: the Hub did not give it.
    """
    if reference.kind == "bundled":
        return _bundled(reference.name)
    if reference.kind == "run":
        return _of_run(reference.name)
    if reference.kind == "local":
        return _local(reference.name)
    from core.models.hub.access import Access  # half a second of imports that only the Hub needs
    from core.models.hub.pulling import pull

    access = access or Access.of_settings()
    return pull(reference.name, reference.revision, access, progress=progress).folder


def bundled_names() -> tuple[str, ...]:
    """Return the names of the checkpoints that came with the app, sorted."""
    return tuple(sorted(path.parent.name for path in CHECKPOINTS_FOLDER.glob(f"*/{MANIFEST_FILE}")))


def _bundled(name: str) -> Path:
    if name not in bundled_names():
        there = ", ".join(bundled_names()) or "none"
        raise UnknownReference(f"No checkpoint named {name!r} came with this app; bundled are: {there}.")
    return CHECKPOINTS_FOLDER / name


def _of_run(name: str) -> Path:
    folder = settings().runs_dir / name / OF_RUN
    if not (folder / MANIFEST_FILE).is_file():
        # Where the runs lie is the server's business, so the message does not say it.
        raise UnknownReference(f"Run {name!r} has left no checkpoint on this machine.")
    return folder


def _local(name: str) -> Path:
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        raise UnknownReference(f"There is no folder {folder}; expected one that holds {MANIFEST_FILE}.")
    if not (folder / MANIFEST_FILE).is_file():
        raise UnknownReference(f"{folder} holds no checkpoint: {MANIFEST_FILE} is missing.")
    return folder
