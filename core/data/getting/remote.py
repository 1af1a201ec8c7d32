"""One file from a server to a folder: resumed where it broke, checked when it is whole.

What a broken download brought stays beside it as `<name>.part`, with a note of the server's words about the
file. The next attempt asks for the rest (Range), on condition that the file is still the same (If-Range).
"""

import base64
import binascii
import errno
import hashlib
import itertools
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx2

from core import net
from core.errors import GettingError
from core.jobs import Report

Result = TypeVar("Result")

SILENCE_S: Final = 30.0
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Some hosts turn away clients that do not say what they are.
USER_AGENT: Final = "LesionLens dataset downloader"
_PART: Final = ".part"
_BUFFER_BYTES: Final = 1024 * 1024
_ATTEMPTS: Final = 3
_LONGEST_PAUSE_S: Final = 60.0
# The client's own timeout says what was going on, so it gets the chance to speak first.
_GRACE_S: Final = 1.0
# Another address may have what this one has not, or may not give.
_ELSEWHERE: Final = (401, 403, 404, 410)
_PASSING: Final = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Checksum:
    """What a file's bytes add up to.

    algorithm: "md5", "sha256", or "git" (git's id of a file's content). digest: hexadecimal, lower case.
    """

    algorithm: str
    digest: str

    def of(self, file: Path, life: net.Life) -> str:
        """Return what a file adds up to by this algorithm."""
        if self.algorithm == "git":
            sums = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
        else:
            sums = hashlib.new(self.algorithm, usedforsecurity=False)
        with file.open("rb") as opened:
            while block := opened.read(_BUFFER_BYTES):
                sums.update(block)
                life.count()
        return sums.hexdigest()


@dataclass(frozen=True)
class Remote:
    """A file that lies on a server.

    Attributes:
        name: what it is called here.
        addresses: where it lies; the later ones are asked when an earlier one does not have it.
        size: its bytes, for the progress and the room it needs; None when nobody knows before.
        checksum: what it must add up to; None leaves that to what the server says.
        headers: sent with every request, such as an access token.
    """

    name: str
    addresses: tuple[str, ...]
    size: int | None = None
    checksum: Checksum | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Line:
    """How servers are asked.

    Attributes:
        silence_s: how long one may be silent before it is asked anew, and in the end given up.
        mirror: address under which files are asked for, as <mirror>/<host>/<path>; None asks their own hosts.
        pause_s: how long to wait before the second attempt when a server is overloaded; doubles each time.
    """

    silence_s: float = SILENCE_S
    mirror: str | None = None
    pause_s: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a mirror that is no address, before anything is asked."""
        if self.mirror is not None and not re.fullmatch(r"https?://[\w.:-]+(/[^\s?#]*)?", self.mirror):
            raise GettingError(
                f"{self.mirror!r} is no address of a mirror; expected one such as https://mirror.example.org/data."
            )

    def through(self, address: str) -> str:
        """Return where an address is really asked."""
        if self.mirror is None:
            return address
        parts = urlsplit(address)
        query = f"?{parts.query}" if parts.query else ""
        return f"{self.mirror.rstrip('/')}/{parts.netloc}{parts.path}{query}"

    def client(self) -> httpx2.Client:
        """Return a client that follows redirects and does not wait for ever."""
        return httpx2.Client(
            follow_redirects=True, timeout=self.silence_s, headers={"User-Agent": USER_AGENT}, trust_env=True
        )


class _DamagedError(OSError):
    """A file arrived with another checksum than it should have."""


class _WebPageError(OSError):
    """A web page came instead of the file."""


class _UnsafeError(OSError):
    """An answer came unprotected to a question that was protected."""


class _RefusedError(OSError):
    """A server answered with an error."""

    def __init__(self, status: int, retry_after: str | None = None) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.retry_after = retry_after


class _OverloadedError(_RefusedError):
    """A server answered with an error that may pass."""


_PASSING_PROBLEMS: Final = (*net.CUT, httpx2.TimeoutException, _OverloadedError)
"""What is worth another attempt."""


def persistently(ask: Callable[[], Result], *, line: Line, report: Callable[[], None]) -> Result:
    """Return what `ask` returns, asking again after what may pass, as often as for a file.

    ask: one short question. report: told while it is waited for; by raising, it stops the waiting.

    Raises:
        OSError, httpx2.HTTPError: why there was no answer; `explain` says it in words.
    """
    for failures in itertools.count(1):
        try:
            return net.bounded(ask, silence_s=line.silence_s + _GRACE_S, report=report)
        except _PASSING_PROBLEMS as problem:
            if failures == _ATTEMPTS:
                raise
            _wait(_pause_of(problem, failures, line), report)
    raise AssertionError


def _wait(seconds: float, report: Callable[[], None]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
        report()


def fetch_all(remotes: Sequence[Remote], folder: Path, *, line: Line, report: Report) -> list[Path]:
    """Bring files to a folder, one after the other; what is there whole already is not asked for.

    Returns:
        The files, in the order of `remotes`.

    Raises:
        GettingError: why one could not be had, and what to do; what came of it stays for the next attempt.
        Cancelled: by `report`, likewise.
    """
    life = net.Life()
    total = sum(remote.size or 0 for remote in remotes)
    now = [remotes[0].name if remotes else ""]

    def work() -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        with line.client() as client:
            files = []
            for remote in remotes:
                now[0] = remote.name
                files.append(_fetch(remote, folder, client, line, life))
        return files

    here = present_bytes(remotes, folder)

    def tell() -> None:
        # What an earlier attempt brought is not counted again: the time left is told from this one's pace.
        came = max(0, life.done - here)
        report(came, max(total - here, came) or None, unit="bytes", note=now[0])

    try:
        return net.bounded(work, silence_s=line.silence_s + _GRACE_S, life=life, report=tell)
    except (OSError, httpx2.HTTPError, httpx2.InvalidURL) as problem:
        remote = next(remote for remote in remotes if remote.name == now[0])
        raise GettingError(
            explain(problem, remote.name, line.through(remote.addresses[0]), line)
        ) from problem


def present_bytes(remotes: Sequence[Remote], folder: Path) -> int:
    """Return how much of some files is in a folder already, from earlier attempts."""
    paths = [folder / f"{remote.name}{ending}" for remote in remotes for ending in ("", _PART)]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _fetch(remote: Remote, folder: Path, client: httpx2.Client, line: Line, life: net.Life) -> Path:
    """Return one file, asking its addresses in turn."""
    whole = folder / remote.name
    if whole.is_file():
        life.count(whole.stat().st_size)
        return whole
    for address in remote.addresses[:-1]:
        try:
            return _fetch_from(address, remote, whole, client, line, life)
        except _RefusedError as problem:
            if problem.status not in _ELSEWHERE:
                raise
    return _fetch_from(remote.addresses[-1], remote, whole, client, line, life)


def _fetch_from(
    address: str, remote: Remote, whole: Path, client: httpx2.Client, line: Line, life: net.Life
) -> Path:
    asked = line.through(address)
    part, note = whole.with_name(f"{whole.name}{_PART}"), whole.with_name(f"{whole.name}{_PART}.json")
    known = _read_note(note, asked) or _Known(asked)
    if known.size is None:
        part.unlink(missing_ok=True)
    answered = [known]

    def ask(headers: dict[str, str]) -> AbstractContextManager[httpx2.Response]:
        return client.stream("GET", asked, headers={**remote.headers, **headers})

    def check(response: httpx2.Response) -> None:
        raise_for(response, asked, remote.name)
        answered[0] = _Known.said_by(response, asked)
        note.write_text(json.dumps(vars(answered[0])), encoding="utf-8")

    def pause(problem: Exception, failures: int) -> None:
        _wait(_pause_of(problem, failures, line), life.count)

    with part.open("ab") as opened:
        life.count(opened.tell())
        if not opened.tell() or opened.tell() != known.size:
            net.fill(
                opened,
                ask,
                check,
                life,
                # Of what the last answer said: the first one may have been cut too.
                validator=lambda: answered[0].validator,
                attempts=_ATTEMPTS,
                passing=_PASSING_PROBLEMS,
                pause=pause,
            )
    try:
        _verify(part, remote, answered[0], life)
    except _DamagedError:
        part.unlink()
        note.unlink()
        raise
    part.replace(whole)
    note.unlink()
    return whole


@dataclass(frozen=True)
class _Known:
    """What a server said about a file: kept beside a part of it."""

    address: str
    size: int | None = None
    validator: str | None = None
    checksum: tuple[str, str] | None = None

    @classmethod
    def said_by(cls, response: httpx2.Response, address: str) -> "_Known":
        """Return what the headers of an answer say about the whole file."""
        headers = response.headers
        size = re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("Content-Range", ""))
        length = size[1] if size else headers.get("Content-Length", "")
        validator = headers.get("ETag", "")
        if not validator.startswith('"'):  # a weak one does not stand for the very bytes
            validator = headers.get("Last-Modified", "")
        return cls(
            address, int(length) if length.isdigit() else None, validator or None, _checksum_in(headers)
        )


def _read_note(note: Path, address: str) -> _Known | None:
    """Return what this address said when the part came; None when nobody can say what the part is of."""
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        checksum = known["checksum"] and (str(known["checksum"][0]), str(known["checksum"][1]))
        if known["address"] == address and isinstance(known["size"], int | None):
            return _Known(address, known["size"], known["validator"], checksum)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        pass
    return None


def _checksum_in(headers: httpx2.Headers) -> tuple[str, str] | None:
    """Return algorithm and hexadecimal digest of the whole file that a server states; None without one."""
    google = re.search(r"md5=([\w+/=]+)", headers.get("x-goog-hash", ""))
    stated = (
        ("sha256", headers.get("x-amz-checksum-sha256", "")),
        ("md5", google[1] if google else ""),
        ("md5", headers.get("Content-MD5", "")),
    )
    for algorithm, text in stated:
        with suppress(ValueError, binascii.Error):
            digest = base64.b64decode(text, validate=True).hex()
            if len(digest) == 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size:
                return algorithm, digest
    # S3 marks a file by its MD5, unless it came there in parts or is kept encrypted with a key of its own.
    tag = re.fullmatch(r'"([0-9a-f]{32})"', headers.get("ETag", ""))
    plain = headers.get("x-amz-server-side-encryption", "AES256") == "AES256"
    if tag and plain and headers.get("Server") == "AmazonS3":
        return "md5", tag[1]
    return None


def raise_for(response: httpx2.Response, asked: str, name: str) -> None:
    """Raise for an answer that is not the file: an error, a web page, or one that lost its encryption."""
    status = response.status_code
    if status in _PASSING:
        raise _OverloadedError(status, response.headers.get("Retry-After"))
    if not response.is_success:
        raise _RefusedError(status)
    if asked.startswith("https://") and response.url.scheme != "https":
        raise _UnsafeError(f"led to {response.url.host} without encryption")
    if response.headers.get("Content-Type", "").startswith("text/html") and not name.endswith(".html"):
        raise _WebPageError(f"from {response.url.host}")


def _pause_of(problem: Exception, failures: int, line: Line) -> float:
    if not isinstance(problem, _OverloadedError):
        return 0.0
    asked_for = problem.retry_after or ""
    seconds = float(asked_for) if asked_for.isdigit() else line.pause_s * 2 ** (failures - 1)
    return min(seconds, _LONGEST_PAUSE_S)


def _verify(part: Path, remote: Remote, known: _Known, life: net.Life) -> None:
    """Compare a file with the size and checksum it should have; our own table's word goes first."""
    size = part.stat().st_size
    if known.size is not None and size != known.size:
        raise _DamagedError(f"{size:,} bytes instead of {known.size:,}")
    checksum = remote.checksum or (Checksum(*known.checksum) if known.checksum else None)
    if checksum is not None and (found := checksum.of(part, life)) != checksum.digest:
        raise _DamagedError(f"its {checksum.algorithm} is {found}, not {checksum.digest}")


def explain(problem: Exception, name: str, address: str, line: Line) -> str:
    """Return what happened to a file and what to do about it, in one or two sentences."""
    parts = urlsplit(address)
    values = {
        "name": name,
        "host": parts.netloc or address,
        "silence": f"{line.silence_s:g}",
        "cause": str(problem).strip().partition("\n")[0] or type(problem).__name__,
        "status": getattr(problem, "status", None),
        "wait": _wait_of(problem),
    }
    words = next((words for kind, words in _WORDS if isinstance(problem, kind)), None)
    if words is None and isinstance(problem, _RefusedError):
        words = _STATUS_WORDS.get(problem.status, _FAULT_WORDS if problem.status >= 500 else _REFUSED_WORDS)
    if words is None:
        words = _NO_ROOM_WORDS if getattr(problem, "errno", None) in NO_ROOM else _DISK_WORDS
    return words.format(**values)


def _wait_of(problem: Exception) -> str:
    seconds = getattr(problem, "retry_after", None) or ""
    return f"{seconds} s" if seconds.isdigit() else "a few minutes"


_KEPT: Final = "What has come is kept: get it again, and it goes on from there."
_FAULT_WORDS: Final = (
    "{host} has a fault (status {status}) and did not give {name}, also when asked again. Try again later. "
    + _KEPT
)
_REFUSED_WORDS: Final = (
    "{host} refused {name} (status {status}). Get the dataset from another source of this page."
)
_NO_ROOM_WORDS: Final = (
    "The disk is full: {name} could not be stored ({cause}). Free some space, or set LESIONLENS_CACHE to a "
    "larger disk. " + _KEPT
)
_DISK_WORDS: Final = (
    "{name} could not be stored ({cause}). Make the cache folder writable, or set LESIONLENS_CACHE to one "
    "that is."
)
_STATUS_WORDS: Final = {
    401: "{host} wants to know who asks for {name} (status 401). Give a valid key or token for it.",
    403: (
        "{host} does not give {name} to us (status 403). A key or token may lack the right, the licence may "
        "have to be accepted on its site first, or a proxy of this network forbids it."
    ),
    404: (
        "{host} has no {name} (status 404). Check the name that was given; if none was, the source has moved "
        "the file: get the dataset from another source of this page."
    ),
    429: "{host} asks for a pause before {name} (status 429: too many requests). Wait {wait}. " + _KEPT,
    503: "{host} is overloaded or under repair (status 503) and did not give {name}. Wait {wait}. " + _KEPT,
}
_SILENT_WORDS: Final = (
    "{host} gave no sign of life for {silence} s while {name} was asked for. Check the network. " + _KEPT
)
# From the special to the general: the first kind that fits speaks.
_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (net.SilenceError, _SILENT_WORDS),
    (httpx2.TimeoutException, _SILENT_WORDS),
    (
        httpx2.ConnectError,
        "{host} cannot be reached for {name} ({cause}). Check the network, its proxy and name server. "
        + _KEPT,
    ),
    (httpx2.ProxyError, "The proxy on the way to {host} refused ({cause}). Check HTTPS_PROXY."),
    (
        httpx2.TooManyRedirects,
        "{host} sends requests for {name} in a circle. Get the dataset from another source of this page.",
    ),
    (
        httpx2.InvalidURL,
        "{host} is no address ({cause}). Check the mirror; it begins with http:// or https://.",
    ),
    (
        httpx2.UnsupportedProtocol,
        "{host} is no address ({cause}). Check the mirror; it begins with http:// or https://.",
    ),
    (
        httpx2.TransportError,
        "The connection to {host} was cut while {name} was coming, also when asked again. " + _KEPT,
    ),
    (
        _DamagedError,
        (
            "{name} arrived damaged from {host}: {cause}. It was thrown away; get it again, or from another "
            "source."
        ),
    ),
    (
        _WebPageError,
        (
            "A web page came instead of {name} ({cause}). The network may ask for a login first: open {host} "
            "in a browser on this machine, then get it again."
        ),
    ),
    (
        _UnsafeError,
        "{host} {cause} when asked for {name}; that is not followed. Get the dataset from another source.",
    ),
)
