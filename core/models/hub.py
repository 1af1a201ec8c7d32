"""Checkpoints from the Hugging Face Hub: pulled whole or not at all, kept, and never waited for in vain.

A pull lands in the Hub client's own cache, under its commit. The manifest comes last, so a cached commit that
has one is whole; a branch points at a commit only after that commit is whole. Nothing that could be a pickle
is ever fetched.

The client's session, addresses, errors and cache layout are used, but not its downloader: that one retries
for 23 s to 6 minutes on a dead network, shows no progress within 10 MiB (a whole small checkpoint), and
compares sizes where the Hub lists checksums.
"""

import errno
import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

import httpx2
from huggingface_hub import HfApi, constants, get_session, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import REGEX_COMMIT_HASH, repo_folder_name
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, but not marked as exported
    build_hf_headers,
    hf_raise_for_status,
)

from core import net
from core.errors import HubError
from core.models.catalog import MANIFEST_FILE
from core.models.reference import Reference, check_repository, check_revision

NEEDED: Final = ("config.json", "model.safetensors", MANIFEST_FILE)
ALLOWED: Final = ("config.json", "*.safetensors", MANIFEST_FILE, "README.md")
MAIN: Final = "main"

# The client's own timeout says what was going on, so it gets the chance to speak first.
_GRACE_S: Final = 1.0
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Pulled:
    """A checkpoint on this machine.

    Attributes:
        folder: holds the checkpoint's files; not to be written to.
        commit: what it is pinned to, 40 hexadecimal digits.
        notice: a sentence for the reader when the Hub was out of reach and an earlier copy serves.
    """

    folder: Path
    commit: str
    notice: str | None = None


def pull(
    repo: str,
    revision: str | None = None,
    *,
    token: str | None = None,
    timeout_s: float = 5.0,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    endpoint: str | None = None,
) -> Pulled:
    """Return a checkpoint of the Hub, downloading what is not here yet.

    A commit that is here makes no request; a branch or tag makes one, to learn its commit. When the Hub is
    out of reach, the commit that the branch had at the last pull serves, with a notice.

    Args:
        repo: owner/name.
        revision: branch, tag or commit; None is the main branch.
        token: for private and gated repositories; None is the token that the Hub's login keeps, if any.
        timeout_s: how long the Hub may be silent, also within a download.
        cache_dir: where pulled files are kept; None is the Hub client's own cache, shared with timm.
        progress: called with the bytes that are here and the bytes in all, in the caller's thread.
        endpoint: the Hub's address; None is the client's, huggingface.co or HF_ENDPOINT.

    Raises:
        UnknownReference: what cannot be a repository or a revision.
        HubError: why the Hub did not give it, and what to do.
    """
    check_repository(repo)
    check_revision(revision or MAIN)
    source = _Source(repo, revision or MAIN, token, timeout_s, cache_dir, endpoint)
    kept = source.kept()
    if kept is not None and REGEX_COMMIT_HASH.fullmatch(source.revision):
        return Pulled(kept, kept.name)
    try:
        return _fetch(source, progress)
    except (OSError, httpx2.HTTPError, json.JSONDecodeError) as problem:
        reason = _explain(problem, source)
        if kept is None:
            raise HubError(reason) from problem
        if _is_refusal(problem):
            pinned = Reference("hf", repo, kept.name)
            raise HubError(f"{reason} The copy pulled earlier still answers to {pinned}.") from problem
        return Pulled(kept, kept.name, f"{reason} The copy pulled earlier serves, commit {kept.name[:12]}.")


@dataclass(frozen=True)
class _Source:
    """What is pulled, and the means."""

    repo: str
    revision: str
    token: str | None = field(repr=False)
    timeout_s: float
    cache_dir: Path | None
    endpoint: str | None

    @property
    def address(self) -> str:
        return (self.endpoint or constants.ENDPOINT).rstrip("/")

    @property
    def page(self) -> str:
        return f"{self.address}/{self.repo}"

    @property
    def storage(self) -> Path:
        """The repository's folder in the client's cache."""
        name = repo_folder_name(repo_id=self.repo, repo_type="model")
        return Path(self.cache_dir or constants.HF_HUB_CACHE) / name

    def kept(self) -> Path | None:
        """Return the folder of the revision as it was last pulled; None when it is not here whole."""
        found = [
            try_to_load_from_cache(self.repo, name, cache_dir=self.cache_dir, revision=self.revision)
            for name in NEEDED
        ]
        paths = [Path(path) for path in found if isinstance(path, str)]
        return paths[0].parent if len(paths) == len(NEEDED) else None


class _DamagedError(OSError):
    """A file arrived with another checksum than the Hub lists."""


class _NoHubError(OSError):
    """Something answers, but not as a Hub does."""


def _fetch(source: _Source, progress: Progress | None) -> Pulled:
    api = HfApi(endpoint=source.endpoint, token=source.token)
    info = net.bounded(
        lambda: api.model_info(
            source.repo, revision=source.revision, timeout=source.timeout_s, files_metadata=True
        ),
        silence_s=source.timeout_s + _GRACE_S,
    )
    if info.sha is None or not REGEX_COMMIT_HASH.fullmatch(info.sha):
        raise _NoHubError("no commit in its answer")
    files = _wanted(info.siblings or [], source)
    folder = _download(source, info.sha, files, progress)
    _remember(source, info.sha)
    return Pulled(folder, info.sha)


def _wanted(siblings: Iterable[RepoSibling], source: _Source) -> list[RepoSibling]:
    """Return the files to fetch, the manifest last.

    Raises:
        HubError: the repository lacks one that every checkpoint has.
    """
    files = [
        file
        for file in siblings
        if Path(file.rfilename).name == file.rfilename  # in no folder, on any system
        and any(fnmatchcase(file.rfilename, pattern) for pattern in ALLOWED)
    ]
    if missing := [name for name in NEEDED if name not in {file.rfilename for file in files}]:
        raise HubError(
            f"{source.repo} at {source.revision} is no LesionLens checkpoint: it lacks {', '.join(missing)}. "
            "Choose a repository that was published by LesionLens."
        )
    return sorted(files, key=lambda file: file.rfilename == MANIFEST_FILE)


def _download(source: _Source, commit: str, files: list[RepoSibling], progress: Progress | None) -> Path:
    life = net.Life()
    folder = source.storage / "snapshots" / commit

    def work() -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            if (folder / file.rfilename).is_file():
                life.count(file.size or 0)
            else:
                _download_file(source, commit, file, folder, life)
        return folder

    total = sum(file.size or 0 for file in files)
    report = None if progress is None else lambda: progress(min(life.done, total), total)
    return net.bounded(work, silence_s=source.timeout_s + _GRACE_S, life=life, report=report)


def _download_file(source: _Source, commit: str, file: RepoSibling, folder: Path, life: net.Life) -> None:
    """Put one file into the folder, complete and with the checksum the Hub lists, or raise."""
    url = hf_hub_url(source.repo, file.rfilename, revision=commit, endpoint=source.endpoint)
    path = source.storage / f"{uuid4().hex}.part"
    try:
        with path.open("wb") as part:
            _fill(part, url, source, life)
        _verify(path, file)
        path.replace(folder / file.rfilename)
    finally:
        path.unlink(missing_ok=True)


def _fill(part: BinaryIO, url: str, source: _Source, life: net.Life) -> None:
    """Write a whole file, asking again for the rest when the connection is cut."""
    headers = build_hf_headers(token=source.token)

    def ask(more: dict[str, str]) -> AbstractContextManager[httpx2.Response]:
        return get_session().stream("GET", url, headers=headers | more, timeout=source.timeout_s)

    net.fill(part, ask, hf_raise_for_status, life)


def _verify(path: Path, file: RepoSibling) -> None:
    """Compare a file with the checksum the Hub lists: SHA-256 for large files, git's own for small ones."""
    content = path.read_bytes()
    if file.lfs is not None:
        expected: str | None = file.lfs.sha256
        actual = hashlib.sha256(content).hexdigest()
    else:
        expected = file.blob_id
        actual = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if actual != expected:
        raise _DamagedError(file.rfilename)


def _remember(source: _Source, commit: str) -> None:
    """Note which commit a branch had, as the client does: refs/<branch> beside snapshots/<commit>."""
    if source.revision == commit:
        return
    ref = source.storage / "refs" / source.revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    part = ref.with_name(f"{ref.name}.{threading.get_ident()}.part")
    part.write_text(commit, encoding="utf-8")
    part.replace(ref)


def _status(problem: Exception) -> int | None:
    return problem.response.status_code if isinstance(problem, HfHubHTTPError) else None


def _is_refusal(problem: Exception) -> bool:
    """Return whether the Hub was there and said no, so that asking again would not help."""
    status = _status(problem)
    return status is not None and 400 <= status < 500 and status not in _PASSING


def _explain(problem: Exception, source: _Source) -> str:
    """Return what happened and what to do about it, one or two sentences."""
    values = {
        "repo": source.repo,
        "revision": source.revision,
        "page": source.page,
        "address": source.address,
        "timeout": f"{source.timeout_s:g}",
        "cause": str(problem).strip().partition("\n")[0] or type(problem).__name__,
        "status": _status(problem),
        "wait": _wait_of(problem),
    }
    words = next((words for kind, words in _WORDS if isinstance(problem, kind)), None)
    if words is None and (status := _status(problem)) is not None:
        words = _STATUS_WORDS.get(status, _FAULT_WORDS if status >= 500 else _REFUSED_WORDS)
    if words is None:
        words = _NO_ROOM_WORDS if getattr(problem, "errno", None) in _NO_ROOM else _DISK_WORDS
    return words.format(**values)


def _wait_of(problem: Exception) -> str:
    seconds = problem.response.headers.get("Retry-After", "") if isinstance(problem, HfHubHTTPError) else ""
    return f"{seconds} s" if seconds.isdigit() else "a few minutes"


_PASSING: Final = (408, 429)
_CUT_WORDS: Final = "The connection to {address} was cut while {repo} was coming ({cause}). Pull again."
_NO_HUB_WORDS: Final = (
    "What answers at {address} is not a Hub ({cause}). Check HF_ENDPOINT, and whether the network asks for a "
    "login first."
)
_FAULT_WORDS: Final = "The Hub at {address} has a fault (status {status}). Try again later."
_REFUSED_WORDS: Final = "The Hub at {address} refused {repo} (status {status}): {cause}"
_NO_ROOM_WORDS: Final = (
    "The disk is full: {repo} could not be stored ({cause}). Free some space, or set LESIONLENS_CACHE or "
    "HF_HOME to a larger disk, and pull again."
)
_DISK_WORDS: Final = (
    "{repo} could not be stored ({cause}). Make the cache folder writable, or set HF_HOME to one that is."
)
_STATUS_WORDS: Final = {
    401: "The Hub refused the access token (status 401) for {repo}. Set HF_TOKEN to a valid one, or to none.",
    403: "The access token may not read {repo} (status 403). Set HF_TOKEN to one that may; see {page}.",
    404: "There is no model {repo} at {address} (status 404). Check the owner and the name.",
    429: "The Hub asks for a pause (status 429: too many requests). Wait {wait}, or set HF_TOKEN for more.",
}
# From the special to the general: the first kind that fits speaks.
_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (
        GatedRepoError,
        (
            "{repo} is gated (status {status}). Accept its terms at {page} and set HF_TOKEN to a token "
            "of that account."
        ),
    ),
    (
        RepositoryNotFoundError,
        (
            "There is no model {repo} at {address}, or it is private (status {status}). Check the owner "
            "and the name; for a private one set HF_TOKEN to a token that may read it."
        ),
    ),
    (
        RevisionNotFoundError,
        (
            "{repo} has no revision {revision!r} (status {status}). Its branches and commits are at "
            "{page}/commits/main."
        ),
    ),
    (RemoteEntryNotFoundError, "{repo} lists a file that it does not have ({cause}). Pull again."),
    (DisabledRepoError, "The Hub has disabled {repo} (status {status}). Choose another checkpoint."),
    (
        OfflineModeIsEnabled,
        "Offline mode is on (HF_HUB_OFFLINE), so {repo} at {revision} was not looked up. Unset it to pull.",
    ),
    (
        net.SilenceError,
        "The Hub at {address} gave {cause}. Try again later, or raise LESIONLENS_HUB_TIMEOUT.",
    ),
    (
        httpx2.TimeoutException,
        (
            "The Hub at {address} gave no answer within {timeout} s. Try again later, or raise "
            "LESIONLENS_HUB_TIMEOUT."
        ),
    ),
    (
        httpx2.ConnectError,
        "The Hub at {address} cannot be reached ({cause}). Check the network, its proxy and name server.",
    ),
    (httpx2.ProxyError, "The proxy on the way to {address} refused ({cause}). Check HTTPS_PROXY."),
    (httpx2.TransportError, _CUT_WORDS),
    (_NoHubError, _NO_HUB_WORDS),
    (json.JSONDecodeError, _NO_HUB_WORDS),
    (
        _DamagedError,
        (
            "{cause} of {repo} arrived damaged: its checksum is not the one the Hub lists. It was thrown "
            "away; pull again."
        ),
    ),
)
