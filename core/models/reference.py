"""How a checkpoint is named: `bundled:name`, `run:name`, `local:folder` or `hf:owner/name@revision`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Literal

from core.errors import UnknownReference

Kind = Literal["bundled", "run", "local", "hf"]
FORMS: Final = "bundled:name, run:name, local:folder or hf:owner/name@revision"
RUN_NAME: Final = re.compile(r"\w[\w.-]{0,99}")
"""What a run may be called: one plain folder, never hidden."""
# A name becomes part of a path and must not climb out of its folder: no separator, no leading dot, no "..".
_NAME: Final = r"(?!.*\.\.)[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY: Final = re.compile(rf"{_NAME}/{_NAME}")
_BUNDLED: Final = re.compile(_NAME)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REVISION: Final = re.compile(r"(?!.*(?:\.\.|//))[A-Za-z0-9_](?:[A-Za-z0-9._/+-]{0,250}[A-Za-z0-9_+-])?")


@dataclass(frozen=True)
class Reference:
    """Where a checkpoint lies; `str()` gives what `parse_reference` takes.

    Attributes:
        kind: "bundled" with the app, made by a "run" on this machine, a "local" folder, or a repository of
            the Hugging Face Hub ("hf").
        name: the bundled name, the run's, the folder as it was given, or owner/name.
        revision: branch, tag or commit of a Hub repository; None is its main branch.

    Raises:
        UnknownReference: a name or revision that cannot be one.
    """

    kind: Kind
    name: str
    revision: str | None = None

    def __post_init__(self) -> None:
        _CHECKS[self.kind](self.name)
        if self.revision is None:
            return
        if self.kind != "hf":
            raise UnknownReference(
                f"{self.kind}:{self.name} takes no revision; only hf:owner/name@revision does."
            )
        check_revision(self.revision)

    def __str__(self) -> str:
        suffix = "" if self.revision is None else f"@{self.revision}"
        return f"{self.kind}:{self.name}{suffix}"


def shown(reference: str) -> str:
    """Return a reference as visitors see it: where a folder lies is the server's own business."""
    kind, _, name = reference.partition(":")
    return f"local:{PurePath(name).name}" if kind == "local" else reference


def parse_reference(text: str) -> Reference:
    """Return the reference that a text spells.

    Raises:
        UnknownReference: it spells none; the message says which forms there are.
    """
    kind, colon, name = text.strip().partition(":")
    known = _KINDS.get(kind)
    if not colon or known is None:
        raise UnknownReference(f"{text!r} names no checkpoint; expected {FORMS}.")
    if known != "hf":
        return Reference(known, name)
    repository, at, revision = name.partition("@")
    return Reference("hf", repository, revision if at else None)


def is_commit(revision: str) -> bool:
    """Return whether a revision is a whole commit, which never moves."""
    return _COMMIT.fullmatch(revision) is not None


def check_repository(name: str) -> None:
    """Refuse what cannot be owner/name of a Hub repository.

    Raises:
        UnknownReference: it cannot.
    """
    if not _REPOSITORY.fullmatch(name) or "--" in name or name.endswith(".git"):
        raise UnknownReference(
            f"{name!r} is no repository of the Hub; expected owner/name, for example hf:owner/name@main."
        )


def check_revision(revision: str) -> None:
    """Refuse what cannot be a branch, tag or commit.

    Raises:
        UnknownReference: it cannot.
    """
    if not _REVISION.fullmatch(revision):
        raise UnknownReference(f"{revision!r} is no revision; expected a branch, a tag or a commit.")


def _check_bundled(name: str) -> None:
    if not _BUNDLED.fullmatch(name):
        raise UnknownReference(
            f"{name!r} is no name of a bundled checkpoint; expected letters, digits, dots and dashes."
        )


def _check_run(name: str) -> None:
    if not RUN_NAME.fullmatch(name):
        raise UnknownReference(f"{name!r} is no name of a run; expected letters, digits, dots and dashes.")


def _check_local(name: str) -> None:
    if not name.strip() or "\0" in name:
        raise UnknownReference("local: needs a folder, for example local:runs/first/checkpoints/best.")


_CHECKS: Final[Mapping[Kind, Callable[[str], None]]] = {
    "bundled": _check_bundled,
    "run": _check_run,
    "local": _check_local,
    "hf": check_repository,
}
_KINDS: Final[Mapping[str, Kind]] = {kind: kind for kind in _CHECKS}
