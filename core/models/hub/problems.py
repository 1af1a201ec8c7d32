"""What can go wrong with the Hub, each in one or two sentences that name the cause and the cure.

Every error of the client, of httpx2 and of the disk that a request can end with is turned into words here and
nowhere else. Add one by adding an entry to _WORDS or to one of the status tables.
"""

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx2
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from core import net
from core.models.hub.access import Access

RAISED: Final = (OSError, httpx2.HTTPError, json.JSONDecodeError)
"""What a request can end with: catch it where the Hub is asked, and let `explain` speak."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DamagedError(OSError):
    """A file arrived with another checksum than the Hub lists."""


class NoHubError(OSError):
    """Something answers, but not as a Hub does."""


@dataclass(frozen=True)
class Subject:
    """What was asked for, as messages name it.

    publishing: whether something was to be written there.
    """

    repo: str
    revision: str
    access: Access
    publishing: bool = False

    @property
    def page(self) -> str:
        """The repository's page."""
        return f"{self.access.address}/{self.repo}"


def _status(problem: Exception) -> int | None:
    return problem.response.status_code if isinstance(problem, HfHubHTTPError) else None


def is_refusal(problem: Exception) -> bool:
    """Return whether the Hub was there and said no, so that asking again would not help."""
    status = _status(problem)
    return status is not None and 400 <= status < 500 and status not in _PASSING


def explain(problem: Exception, subject: Subject) -> str:
    """Return what happened and what to do about it, one or two sentences."""
    status = _status(problem)
    values = {
        "repo": subject.repo,
        "revision": subject.revision,
        "page": subject.page,
        "address": subject.access.address,
        "timeout": f"{subject.access.timeout_s:g}",
        "cause": str(problem).strip().partition("\n")[0] or type(problem).__name__,
        "status": status,
        "moving": "sent" if subject.publishing else "coming",
        "again": "Publish" if subject.publishing else "Pull",
        "wait": _wait_of(problem),
    }
    words = _PUBLISHING_WORDS.get(status or 0) if subject.publishing else None
    if words is None:
        words = next((words for kind, words in _WORDS if isinstance(problem, kind)), None)
    if words is None and status is not None:
        words = _STATUS_WORDS.get(status, _FAULT_WORDS if status >= 500 else _REFUSED_WORDS)
    if words is None:
        words = _NO_ROOM_WORDS if getattr(problem, "errno", None) in _NO_ROOM else _DISK_WORDS
    return words.format(**values)


def _wait_of(problem: Exception) -> str:
    seconds = problem.response.headers.get("Retry-After", "") if isinstance(problem, HfHubHTTPError) else ""
    return f"{seconds} s" if seconds.isdigit() else "a few minutes"


_PASSING: Final = (408, 429)
_CUT_WORDS: Final = "The connection to {address} was cut while {repo} was {moving} ({cause}). {again} again."
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
    "{repo} could not be stored ({cause}). Make the cache folder writable, or set LESIONLENS_CACHE or "
    "HF_HOME to one that is."
)
_STATUS_WORDS: Final[Mapping[int, str]] = {
    401: "The Hub refused the access token (status 401) for {repo}. Set HF_TOKEN to a valid one, or to none.",
    403: "The access token may not read {repo} (status 403). Set HF_TOKEN to one that may; see {page}.",
    404: "There is no model {repo} at {address} (status 404). Check the owner and the name.",
    429: "The Hub asks for a pause (status 429: too many requests). Wait {wait}, or set HF_TOKEN for more.",
}
_PUBLISHING_WORDS: Final[Mapping[int, str]] = {
    401: "The Hub refused the access token (status 401). Set HF_TOKEN to a valid one with write access.",
    403: (
        "The access token may not write to {repo} (status 403). Set HF_TOKEN to one with write access to it; "
        "tokens are made at {address}/settings/tokens."
    ),
    404: (
        "{repo} is not there, or the access token may not see it (status 404). Check the owner and the name, "
        "and that HF_TOKEN belongs to the owner."
    ),
    412: (
        "Somebody else has published to {repo} meanwhile (status 412), so nothing was changed. Look at "
        "{page}/commits/main, and publish again to put yours on top."
    ),
    413: "The Hub finds what was sent to {repo} too large (status 413): {cause}",
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
        "Offline mode is on (HF_HUB_OFFLINE), so {repo} at {revision} was not looked up. Unset it first.",
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
    (NoHubError, _NO_HUB_WORDS),
    (json.JSONDecodeError, _NO_HUB_WORDS),
    (
        DamagedError,
        (
            "{cause} of {repo} arrived damaged: its checksum is not the one the Hub lists. It was thrown "
            "away; pull again."
        ),
    ),
)
