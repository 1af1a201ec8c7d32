"""Checkpoints from the Hugging Face Hub: pulled whole or not at all, kept, and never waited for in vain.

A pull lands in a cache of the Hub client's own layout (`core.models.kept`), under its commit. What makes a
commit whole comes last; a branch points at a commit only after that commit is whole. Nothing that could be a
pickle is ever fetched.

The client's session, addresses, errors and cache layout are used, but not its downloader: that one retries
for 23 s to 6 minutes on a dead network, shows no progress within 10 MiB (a whole small checkpoint), and
compares sizes where the Hub lists checksums.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final
from uuid import uuid4

import httpx2
from huggingface_hub import HfApi, get_session, hf_hub_url
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, but not marked as exported
    build_hf_headers,
    hf_raise_for_status,
)

from core import net
from core.data.getting.workplace import RESERVE_BYTES, free_bytes, in_words
from core.errors import HubError
from core.files import replacing, sha256
from core.models import kept
from core.models.catalog import MANIFEST_FILE
from core.models.hub.access import Access
from core.models.hub.problems import RAISED, DamagedError, NoHubError, Subject, explain, is_refusal
from core.models.kept import CONFIG_FILE, EVALUATION_EXTRAS, EVALUATION_FILES, MAIN, SPLIT_FILE, WEIGHTS_FILE
from core.models.reference import Reference, check_repository, check_revision, is_commit
from core.models.timm_config import read_timm_config

NEEDED: Final = (CONFIG_FILE, WEIGHTS_FILE)
"""What every checkpoint has; one of LesionLens also has its manifest."""
ALLOWED: Final = (CONFIG_FILE, "*.safetensors", MANIFEST_FILE, "README.md")
PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.h5", "*.msgpack")
MOST_EVALUATION_BYTES: Final = 200 * 1000**2
"""A table of answers is kilobytes; what is larger is something else, and would fill the memory."""

# The client's own timeout says what was going on, so it gets the chance to speak first.
_GRACE_S: Final = 1.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Pulled:
    """Files of one commit on this machine.

    Attributes:
        folder: holds the files; not to be written to.
        commit: what it is pinned to, 40 hexadecimal digits.
        notice: a sentence for the reader when the Hub was out of reach and an earlier copy serves.
    """

    folder: Path
    commit: str
    notice: str | None = None


def pull(
    repo: str,
    revision: str | None = None,
    access: Access = Access(),  # noqa: B008 -- frozen
    *,
    progress: Progress | None = None,
    room: Callable[[Path], int] = free_bytes,
) -> Pulled:
    """Return a checkpoint of the Hub, downloading what is not here yet.

    A commit that is here makes no request; a branch or tag makes one, to learn its commit. When the Hub is
    out of reach, the commit that the branch had at the last pull serves, with a notice.

    Args:
        repo: owner/name.
        revision: branch, tag or commit; None is the main branch.
        access: how the Hub is asked, and where pulled files are kept.
        progress: called with the bytes that are here and the bytes in all, in the caller's thread.
        room: how much a disk has left.

    Raises:
        UnknownReference: what cannot be a repository or a revision.
        HubError: why the Hub did not give it, and what to do.
        BrokenCheckpoint: a foreign classifier that answers with other diagnoses.
    """
    return _get(_Source(repo, revision or MAIN, access, _CHECKPOINT, progress, room))


def pull_evaluation(
    repo: str,
    revision: str | None = None,
    access: Access = Access(),  # noqa: B008 -- frozen
    *,
    progress: Progress | None = None,
) -> Pulled:
    """Return the evaluation that was published with a checkpoint, and its split, without the weights.

    As `pull`; the files lie in `evaluation/` of the folder, and in split.csv where it was published.
    """
    return _get(_Source(repo, revision or MAIN, access, _EVALUATION, progress, free_bytes))


@dataclass(frozen=True)
class _Part:
    """What is wanted of a repository.

    wanted: chooses files from a listing, in the order in which they are fetched, or refuses.
    kept: whether a commit's folder holds all of it.
    """

    wanted: Callable[[Sequence[RepoSibling], "_Source"], list[RepoSibling]]
    kept: Callable[[str, str | None, Path], Path | None]


@dataclass(frozen=True)
class _Source:
    """What is pulled, and the means."""

    repo: str
    revision: str
    access: Access
    part: _Part
    progress: Progress | None
    room: Callable[[Path], int]

    @property
    def storage(self) -> Path:
        return self.access.storage(self.repo)

    @property
    def subject(self) -> Subject:
        return Subject(self.repo, self.revision, self.access)

    def kept(self) -> Path | None:
        """Return the folder of the revision as it was last pulled; None when it is not here whole."""
        return self.part.kept(self.repo, self.revision, self.storage.parent)


def _get(source: _Source) -> Pulled:
    check_repository(source.repo)
    check_revision(source.revision)
    kept_folder = source.kept()
    if kept_folder is not None and is_commit(source.revision):
        return Pulled(kept_folder, kept_folder.name)
    try:
        return _fetch(source)
    except RAISED as problem:
        reason = explain(problem, source.subject)
        if kept_folder is None:
            raise HubError(reason) from problem
        if is_refusal(problem):
            pinned = Reference("hf", source.repo, kept_folder.name)
            raise HubError(f"{reason} The copy pulled earlier still answers to {pinned}.") from problem
        notice = f"{reason} The copy pulled earlier serves, commit {kept_folder.name[:12]}."
        return Pulled(kept_folder, kept_folder.name, notice)


def _fetch(source: _Source) -> Pulled:
    info = look_up(source.repo, source.revision, source.access)
    commit = str(info.sha)
    files = source.part.wanted(info.siblings or [], source)
    folder = source.storage / "snapshots" / commit
    _check_room(source, folder, files)
    _download(source, commit, files, folder)
    if MANIFEST_FILE not in {file.rfilename for file in info.siblings or []}:
        _touch(kept.foreign_mark(folder))
    _remember(source, commit)
    return Pulled(folder, commit)


def look_up(repo: str, revision: str, access: Access) -> ModelInfo:
    """Return what the Hub lists of a repository at a revision, in bounded time.

    It is asked again when the connection is cut, as by a publication beside it whose own was refused: the
    client then closes everybody's.

    Raises:
        problems.RAISED: whatever the request ended with; `problems.explain` turns it into words.
    """
    api = HfApi(endpoint=access.endpoint, token=access.token)
    life = net.Life()

    def ask() -> ModelInfo:
        return api.model_info(repo, revision=revision, timeout=access.timeout_s, files_metadata=True)

    def work() -> ModelInfo:
        # Once a day the client asks for more here than it was asked for.
        build_hf_headers(token=access.token)
        return net.insist(ask, life)

    info = net.bounded(work, silence_s=access.timeout_s + _GRACE_S, life=life)
    if info.sha is None or not is_commit(info.sha):
        raise NoHubError("no commit in its answer")
    return info


def _wanted_checkpoint(siblings: Sequence[RepoSibling], source: _Source) -> list[RepoSibling]:
    """Return a checkpoint's files: the configuration first, since it may be refused, the manifest last.

    Raises:
        HubError: the repository lacks one that every checkpoint has.
    """
    files = [
        file
        for file in siblings
        if PurePosixPath(file.rfilename).name == file.rfilename
        and "\\" not in file.rfilename
        # In no folder, on any system.
        and _fits(file.rfilename, ALLOWED)
    ]
    names = {file.rfilename for file in files}
    if missing := [name for name in NEEDED if name not in names]:
        raise HubError(_why_no_checkpoint(missing, [file.rfilename for file in siblings], source))
    return sorted(files, key=lambda file: (file.rfilename == MANIFEST_FILE, file.rfilename != CONFIG_FILE))


def _why_no_checkpoint(missing: Sequence[str], names: Sequence[str], source: _Source) -> str:
    what = f"{source.repo} at {source.revision} is no checkpoint that LesionLens can read"
    pickles = [name for name in names if _fits(name, PICKLES)]
    if pickles and list(missing) == [WEIGHTS_FILE]:
        return (
            f"{what}: it has its weights only as {pickles[0]}, a format that can run code when it is opened, "
            f"so it is never fetched. Ask its owner for {WEIGHTS_FILE}."
        )
    return (
        f"{what}: it lacks {', '.join(missing)}. Choose a repository that was published by LesionLens, or an "
        "image classifier that was published by timm."
    )


def _wanted_evaluation(siblings: Sequence[RepoSibling], source: _Source) -> list[RepoSibling]:
    """Return the evaluation's files, the metrics last.

    Raises:
        HubError: there is none, or it is no evaluation by its size.
    """
    listed = {file.rfilename: file for file in siblings}
    if missing := [name for name in EVALUATION_FILES if name not in listed]:
        raise HubError(
            f"{source.repo} at {source.revision} holds no evaluation: it lacks {', '.join(missing)}. Pull "
            "the checkpoint and measure it: python -m train evaluate."
        )
    files = [listed[name] for name in (SPLIT_FILE, *EVALUATION_EXTRAS, *EVALUATION_FILES) if name in listed]
    if (size := _total(files)) > MOST_EVALUATION_BYTES:
        raise HubError(
            f"The evaluation of {source.repo} is {in_words(size)} large; an evaluation is at most "
            f"{in_words(MOST_EVALUATION_BYTES)}. It was not fetched."
        )
    return files


_CHECKPOINT: Final = _Part(_wanted_checkpoint, kept.checkpoint_folder)
_EVALUATION: Final = _Part(_wanted_evaluation, kept.evaluation_folder)


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _total(files: Iterable[RepoSibling]) -> int:
    return sum(file.size or 0 for file in files)


def _check_room(source: _Source, folder: Path, files: Sequence[RepoSibling]) -> None:
    """Refuse what the disk has no room for, before anything is written."""
    coming = _total(file for file in files if not (folder / file.rfilename).is_file())
    free = source.room(source.storage.parent)
    if coming and coming + RESERVE_BYTES > free:
        raise HubError(
            f"{source.storage.parent} has {in_words(free)} free; {source.repo} needs {in_words(coming)}, and "
            f"{in_words(RESERVE_BYTES)} shall stay free. Free some space, or set LESIONLENS_CACHE to a "
            "larger disk."
        )


def _download(source: _Source, commit: str, files: Sequence[RepoSibling], folder: Path) -> None:
    life = net.Life()
    is_native = any(file.rfilename == MANIFEST_FILE for file in files)

    def work() -> None:
        for file in files:
            if (folder / file.rfilename).is_file():
                life.count(file.size or 0)
            else:
                _download_file(source, commit, file, folder, life)
            if file.rfilename == CONFIG_FILE and not is_native:
                # Before its weights: most repositories of the Hub classify something else.
                read_timm_config(folder / CONFIG_FILE, name=source.repo)

    total = _total(files)
    progress = source.progress
    report = None if progress is None else lambda: progress(min(life.done, total), total)
    net.bounded(work, silence_s=source.access.timeout_s + _GRACE_S, life=life, report=report)


def _download_file(source: _Source, commit: str, file: RepoSibling, folder: Path, life: net.Life) -> None:
    """Put one file into the folder, complete and with the checksum the Hub lists, or raise."""
    url = hf_hub_url(source.repo, file.rfilename, revision=commit, endpoint=source.access.endpoint)
    target = folder / file.rfilename
    target.parent.mkdir(parents=True, exist_ok=True)
    path = source.storage / f"{uuid4().hex}.part"
    try:
        with path.open("wb") as part:
            _fill(part, url, source, life)
        _verify(path, file)
        path.replace(target)
    finally:
        path.unlink(missing_ok=True)


def _fill(part: BinaryIO, url: str, source: _Source, life: net.Life) -> None:
    """Write a whole file, asking again for the rest when the connection is cut."""
    headers = build_hf_headers(token=source.access.token)

    def ask(more: dict[str, str]) -> AbstractContextManager[httpx2.Response]:
        return get_session().stream("GET", url, headers=headers | more, timeout=source.access.timeout_s)

    net.fill(part, ask, hf_raise_for_status, life)


def _verify(path: Path, file: RepoSibling) -> None:
    """Compare a file with the checksum the Hub lists: SHA-256 for large files, git's own for small ones."""
    if file.lfs is not None:
        expected: str | None = file.lfs.sha256
        actual = sha256(path)
    else:
        expected = file.blob_id
        actual = git_sha(path.read_bytes())
    if actual != expected:
        raise DamagedError(file.rfilename)


def git_sha(content: bytes) -> str:
    """Return git's id of a file's content, which the Hub lists for small files."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _remember(source: _Source, commit: str) -> None:
    """Note which commit a branch had, as the client does: refs/<branch> beside snapshots/<commit>."""
    if source.revision == commit:
        return
    if source.part is _EVALUATION and kept.checkpoint_folder(
        source.repo, source.revision, source.storage.parent
    ):
        return  # The branch goes on naming the checkpoint that serves when the Hub is away.
    ref = source.storage / "refs" / source.revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    with replacing(ref) as part:
        part.write_text(commit, encoding="utf-8")


def _touch(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
