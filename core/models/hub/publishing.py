"""A checkpoint goes to the Hub: what has changed, in one commit on top of what was there, with a version tag.

Files are sent through the Hub client as open files. So it uploads them by HTTP, which shows progress and can
be left, and never by Xet. Each request is bounded in time; an upload by the silence within it.
"""

import fnmatch
import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoSibling

from core import net
from core.errors import HubError
from core.files import sha256
from core.models.hub.access import Access
from core.models.hub.problems import RAISED, Subject, explain
from core.models.hub.publication import OURS, Item, Publication
from core.models.hub.pulling import git_sha, look_up
from core.models.kept import MAIN

Change = Literal["new", "changed", "unchanged", "removed"]
Report = Callable[[int, int], None]
T = TypeVar("T")
_Operation = CommitOperationAdd | CommitOperationDelete

_GRACE_S: Final = 1.0
# A commit that names large files may take the Hub a while.
_UPLOAD_SILENCE_S: Final = 60.0
_VERSION: Final = re.compile(r"v(\d+)")
_TAG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UNSIGNED: Final = (
    "Publishing needs an access token with write access. Set HF_TOKEN to one; tokens are made at "
    "{address}/settings/tokens."
)
_READ_ONLY: Final = (
    "The access token of {user} may only read. Set HF_TOKEN to one with write access; tokens are made at "
    "{address}/settings/tokens."
)


@dataclass(frozen=True)
class Comparison:
    """A publication beside what the repository holds.

    changes: each path with what happens to it, in the order sent. exists: whether the repository is there.
    parent: the commit that was compared with, on top of which the next one goes. notice: why nothing could be
    compared, so that everything counts as new.
    """

    publication: Publication
    changes: dict[str, Change]
    exists: bool
    parent: str | None
    notice: str | None = None

    @property
    def sent(self) -> tuple[Item, ...]:
        """The files that would be sent."""
        return tuple(item for item in self.publication.items if self.changes[item.path] in ("new", "changed"))

    @property
    def removed(self) -> tuple[str, ...]:
        """What an earlier version left there, and goes."""
        return tuple(path for path, change in self.changes.items() if change == "removed")


@dataclass(frozen=True)
class Published:
    """What a publication came to: its commit and tag, None when nothing had changed; and its page."""

    page: str
    commit: str | None
    tag: str | None
    n_sent: int
    n_bytes: int


def compare(publication: Publication, access: Access) -> Comparison:
    """Return what publishing would do; sends nothing, and needs no token for what is public.

    Raises:
        HubError: the Hub is there and does not tell.
    """
    try:
        info = look_up(publication.repo, MAIN, access)
    except RepositoryNotFoundError:
        # Private ones look the same to strangers; who may write sees them.
        return Comparison(publication, _changes(publication, []), exists=False, parent=None)
    except RAISED as problem:
        reason = explain(problem, Subject(publication.repo, MAIN, access))
        return Comparison(publication, _changes(publication, []), exists=False, parent=None, notice=reason)
    return Comparison(publication, _changes(publication, info.siblings or []), exists=True, parent=info.sha)


def publish(
    publication: Publication,
    access: Access,
    *,
    private: bool = False,
    tag: str | None = None,
    report: Report | None = None,
) -> Published:
    """Send what has changed as one commit, and tag it; a repository that is not there is made.

    Args:
        publication: what is published.
        access: with a token that may write.
        private: whether a repository that is made now is private; one that is there stays as it is.
        tag: the version's name; None is v1, v2 and so on.
        report: called with the bytes sent and the bytes in all, in the caller's thread; may raise to stop.

    Raises:
        HubError: why it was not published, and what to do. Then the repository is as it was, or newly made
            and empty; or it has the files without a tag, and the next try gives it one.
    """
    if tag is not None and not _TAG.fullmatch(tag):
        raise HubError(f"{tag!r} cannot be a version's name; use letters, digits, '.', '-' and '_'.")
    desk = _Desk(publication, access)
    try:
        desk.check_token()
        before = compare(publication, access)
        if before.notice is not None:
            raise HubError(before.notice)
        parent = before.parent if before.exists else desk.create(private=private)
        changed = bool(before.sent or before.removed)
        tags = desk.tags()
        if not changed and parent in tags.values():
            return Published(desk.subject.page, None, None, 0, 0)
        version = tag or _next_version(tags)
        if version in tags:
            raise HubError(f"{publication.repo} has a version {version} already; choose another name.")
        # Unchanged and without a tag: an earlier try ended between the two.
        commit = desk.send(before, parent, report) if changed else str(parent)
        desk.ask(lambda: desk.api.create_tag(publication.repo, tag=version, revision=commit))
    except (*RAISED, RuntimeError) as problem:
        raise HubError(explain(_cause(problem), desk.subject)) from problem
    n_bytes = sum(item.size for item in before.sent)
    return Published(desk.subject.page, commit, version, len(before.sent), n_bytes)


@dataclass
class _Desk:
    """One publication on its way."""

    publication: Publication
    access: Access
    api: HfApi = field(init=False)
    subject: Subject = field(init=False)

    def __post_init__(self) -> None:
        self.api = HfApi(endpoint=self.access.endpoint, token=self.access.token)
        self.subject = Subject(self.publication.repo, MAIN, self.access, publishing=True)

    def ask(self, request: Callable[[], T]) -> T:
        return net.bounded(request, silence_s=self.access.timeout_s + _GRACE_S)

    def check_token(self) -> None:
        """Refuse before anything is sent: no token, a wrong one, one that may only read."""
        if not (self.access.token or get_token()):
            raise HubError(_UNSIGNED.format(address=self.access.address))
        user = self.ask(self.api.whoami)
        role = user.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise HubError(_READ_ONLY.format(user=user.get("name", "this user"), address=self.access.address))

    def create(self, *, private: bool) -> str:
        """Make the repository and return its first commit."""
        repo = self.publication.repo
        self.ask(lambda: self.api.create_repo(repo, private=private, exist_ok=True))
        return str(look_up(repo, MAIN, self.access).sha)

    def send(self, comparison: Comparison, parent: str | None, report: Report | None) -> str:
        """Upload and commit what has changed, and return the commit."""
        total = sum(item.size for item in comparison.sent)
        life = net.Life()

        def work() -> str:
            operations: list[_Operation] = [CommitOperationDelete(path) for path in comparison.removed]
            for item in comparison.sent:
                content = _Counted(item.read(), life)
                addition = CommitOperationAdd(item.path, content)
                content.sending = True
                # One by one: several at once would not tell how far they are.
                self.api.preupload_lfs_files(self.publication.repo, [addition], free_memory=False)
                content.sending = False
                operations.append(addition)
            return self._commit(operations, parent)

        tell = None if report is None else lambda: report(min(life.done, total), total)
        return net.bounded(work, silence_s=_UPLOAD_SILENCE_S, life=life, report=tell)

    def _commit(self, operations: Sequence[_Operation], parent: str | None) -> str:
        manifest = self.publication.manifest
        with warnings.catch_warnings():
            # A table of answers is part of the model here, not a dataset.
            warnings.filterwarnings("ignore", message="It seems that you are about to commit a data file")
            info = self.api.create_commit(
                self.publication.repo,
                operations,
                commit_message=f"Publish {manifest.name}",
                parent_commit=parent,
            )
        return str(info.oid)

    def tags(self) -> dict[str, str]:
        """Return the commit of each tag."""
        refs = self.ask(lambda: self.api.list_repo_refs(self.publication.repo))
        return {one.name: one.target_commit for one in refs.tags}


def _next_version(tags: Iterable[str]) -> str:
    """Return the next of v1, v2, ..."""
    numbers = [int(match[1]) for one in tags if (match := _VERSION.fullmatch(one))]
    return f"v{max(numbers, default=0) + 1}"


class _Counted(io.BytesIO):
    """A file's bytes that count what is read of them while they are sent."""

    def __init__(self, content: bytes, life: net.Life) -> None:
        super().__init__(content)
        self._life = life
        self.sending = False

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._life.count(len(found) if self.sending else 0)
        return found


def _changes(publication: Publication, siblings: Sequence[RepoSibling]) -> dict[str, Change]:
    there = {file.rfilename: file for file in siblings}
    changes: dict[str, Change] = {
        item.path: _change(item, there.get(item.path)) for item in publication.items
    }
    for path in there:
        if path not in changes and any(fnmatch.fnmatchcase(path, pattern) for pattern in OURS):
            changes[path] = "removed"
    return changes


def _change(item: Item, there: RepoSibling | None) -> Change:
    if there is None:
        return "new"
    if there.lfs is not None:
        digest = sha256(item.content) if isinstance(item.content, Path) else _sha256(item.content)
        return "unchanged" if digest == there.lfs.sha256 else "changed"
    return "unchanged" if git_sha(item.read()) == there.blob_id else "changed"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _cause(problem: Exception) -> Exception:
    """Return what really happened: the client wraps what an upload ended with."""
    if isinstance(problem, RuntimeError) and isinstance(problem.__cause__, RAISED):
        return problem.__cause__
    if isinstance(problem, RuntimeError):
        raise problem
    return problem
