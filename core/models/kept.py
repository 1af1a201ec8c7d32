"""What was pulled from the Hub and lies on this machine. Asks nobody, so every page may look here.

A cache folder has the Hub client's own layout, so that the client and timm read it too, and so that a copy of
the folder is all that a machine without a network needs:

    models--owner--name/refs/<branch>               the commit that the branch had at the last pull
    models--owner--name/snapshots/<commit>/         the files
    models--owner--name/.no_exist/<commit>/<file>   the commit has no such file
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import HubError
from core.models.catalog import MANIFEST_FILE
from core.models.reference import Reference, is_commit
from core.settings import settings

CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
EVALUATION_FOLDER: Final = "evaluation"
EVALUATION_FILES: Final = (f"{EVALUATION_FOLDER}/predictions.parquet", f"{EVALUATION_FOLDER}/metrics.json")
"""What every evaluation has; the metrics come last, so they mean that it is whole."""
EVALUATION_EXTRAS: Final = (f"{EVALUATION_FOLDER}/val.parquet",)
SPLIT_FILE: Final = "split.csv"
MAIN: Final = "main"
_PREFIX: Final = "models--"


@dataclass(frozen=True)
class Kept:
    """One commit of a repository that lies here.

    Attributes:
        repo, commit: what it is.
        branches: the branches and tags that pointed at it at their last pull.
        folder: its files; not to be written to.
        is_checkpoint: whether a whole checkpoint lies here, and not only its evaluation.
        has_evaluation: whether its evaluation lies here.
        n_bytes: what it takes on the disk.
    """

    repo: str
    commit: str
    branches: tuple[str, ...]
    folder: Path
    is_checkpoint: bool
    has_evaluation: bool
    n_bytes: int

    @property
    def reference(self) -> Reference:
        """Names exactly this commit, so that using it asks nobody."""
        return Reference("hf", self.repo, self.commit)


def hub_folder() -> Path:
    """Return where this app keeps what it pulls."""
    return settings().cache_dir / "hub"


def storage_of(repo: str, cache_dir: Path) -> Path:
    """Return a repository's folder in a cache."""
    return cache_dir / f"{_PREFIX}{repo.replace('/', '--')}"


def commit_of(repo: str, revision: str | None, cache_dir: Path) -> str | None:
    """Return the commit that a branch or tag had at its last pull; a commit is itself, None is unknown."""
    name = revision or MAIN
    if is_commit(name):
        return name
    try:
        commit = (storage_of(repo, cache_dir) / "refs" / name).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return commit if is_commit(commit) else None


def checkpoint_folder(repo: str, revision: str | None, cache_dir: Path) -> Path | None:
    """Return the folder of a whole checkpoint that lies here; None when it does not."""
    return _folder(repo, revision, cache_dir, is_checkpoint)


def evaluation_folder(repo: str, revision: str | None, cache_dir: Path) -> Path | None:
    """Return the commit's folder that holds its evaluation; None when that does not lie here.

    A branch names the commit of its checkpoint; where only evaluations were pulled, the newest is meant.
    """
    found = _folder(repo, revision, cache_dir, has_evaluation)
    if found is not None or is_commit(revision or MAIN):
        return found
    return next((one.folder for one in all_kept(cache_dir) if one.repo == repo and one.has_evaluation), None)


def pin(reference: Reference, cache_dir: Path) -> Reference | None:
    """Return a Hub reference with the commit of the checkpoint that lies here; None when none does."""
    folder = checkpoint_folder(reference.name, reference.revision, cache_dir)
    return None if folder is None else Reference("hf", reference.name, folder.name)


def reference_of(snapshot: Path, cache_dir: Path) -> Reference | None:
    """Return what a commit's folder in a cache is called; None when it is none."""
    storage = snapshot.parent.parent
    if storage.parent != cache_dir or not storage.name.startswith(_PREFIX) or not is_commit(snapshot.name):
        return None
    return Reference("hf", storage.name.removeprefix(_PREFIX).replace("--", "/", 1), snapshot.name)


def is_checkpoint(snapshot: Path) -> bool:
    """Return whether a commit's folder holds a whole checkpoint.

    Each file appears in one step. A checkpoint of LesionLens has its manifest, which comes last. A foreign
    one is whole when it is noted that its commit has no manifest.
    """
    if not all((snapshot / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE)):
        return False
    return (snapshot / MANIFEST_FILE).is_file() or foreign_mark(snapshot).is_file()


def foreign_mark(snapshot: Path) -> Path:
    """Return where it is noted that a commit has no manifest, as the Hub's client notes it."""
    return snapshot.parents[1] / ".no_exist" / snapshot.name / MANIFEST_FILE


def has_evaluation(snapshot: Path) -> bool:
    """Return whether a commit's folder holds a whole evaluation."""
    return all((snapshot / name).is_file() for name in EVALUATION_FILES)


def all_kept(cache_dir: Path) -> list[Kept]:
    """Return every commit that lies in a cache, by repository, the newest pull first."""
    found = []
    for storage in sorted(cache_dir.glob(f"{_PREFIX}*--*")):
        owner, _, name = storage.name.removeprefix(_PREFIX).partition("--")
        branches = dict(_branches(storage))
        snapshots = [path for path in (storage / "snapshots").glob("*") if is_commit(path.name)]
        for snapshot in sorted(snapshots, key=lambda path: path.stat().st_mtime, reverse=True):
            pointing = tuple(branch for branch, commit in branches.items() if commit == snapshot.name)
            found.append(
                Kept(
                    f"{owner}/{name}",
                    snapshot.name,
                    pointing,
                    snapshot,
                    is_checkpoint(snapshot),
                    has_evaluation(snapshot),
                    sum(path.stat().st_size for path in snapshot.rglob("*") if path.is_file()),
                )
            )
    return found


def pulled_evaluations(cache_dir: Path) -> list[Path]:
    """Return the folders of pulled evaluations, one a repository: the one that was pulled last.

    Each is what `Evaluation.load` reads, so a model is compared though its weights were never downloaded.
    """
    chosen: dict[str, Path] = {}
    for one in all_kept(cache_dir):
        if one.has_evaluation:
            chosen.setdefault(one.repo, one.folder / EVALUATION_FOLDER)
    return list(chosen.values())


def remove(one: Kept) -> None:
    """Delete a commit from the cache, and what points at it.

    Raises:
        HubError: the files cannot be deleted.
    """
    storage = one.folder.parents[1]
    # Out of sight in one step: who looks meanwhile sees it whole or not at all.
    leaving = storage / f"removed-{one.commit}-{time.monotonic_ns()}"
    try:
        for branch in one.branches:
            (storage / "refs" / branch).unlink(missing_ok=True)
        foreign_mark(one.folder).unlink(missing_ok=True)
        one.folder.replace(leaving)
        # The client keeps files as links to blobs; what only this commit linked to goes as well.
        blobs = {path.resolve() for path in leaving.rglob("*") if path.is_symlink()}
        shutil.rmtree(leaving)
        linked = {path.resolve() for path in (storage / "snapshots").rglob("*") if path.is_symlink()}
        for blob in blobs - linked:
            blob.unlink(missing_ok=True)
        if not any((storage / "snapshots").iterdir()):
            shutil.rmtree(storage)
    except OSError as problem:
        raise HubError(
            f"{one.repo} could not be removed from {storage.parent} ({problem.strerror or problem}). "
            "Make the folder writable, or delete it by hand."
        ) from problem


def _folder(
    repo: str, revision: str | None, cache_dir: Path, is_whole: Callable[[Path], bool]
) -> Path | None:
    commit = commit_of(repo, revision, cache_dir)
    if commit is None:
        return None
    snapshot = storage_of(repo, cache_dir) / "snapshots" / commit
    return snapshot if is_whole(snapshot) else None


def _branches(storage: Path) -> Iterator[tuple[str, str]]:
    for ref in sorted((storage / "refs").rglob("*")):
        if ref.is_file() and ref.suffix != ".partial":
            yield str(ref.relative_to(storage / "refs")), ref.read_text(encoding="utf-8").strip()
