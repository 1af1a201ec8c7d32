"""A dataset from Kaggle, through kagglehub in a process that can be ended.

kagglehub resumes by itself, checks the MD5 that Kaggle gives, and unpacks; what it unpacked is looked through
here as a folder is, before it becomes the dataset.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, cast

from core.data.getting.local import gather
from core.data.getting.order import Order
from core.data.getting.remote import NO_ROOM
from core.data.getting.unpacking import MAX_BYTES
from core.data.getting.workplace import RESERVE_BYTES, Workplace, in_words
from core.errors import GettingError

HANDLE: Final = "kmader/skin-cancer-mnist-ham10000/versions/2"
_HANDLE_BYTES: Final = 5_583_000_000
"""About what the archive of HANDLE has; unpacked, it needs as much again."""
_WORKER: Final = Path(__file__).with_name("kaggle_worker.py")
_LOOK_S: Final = 0.5
# The libraries of the process take seconds to import; only then can Kaggle be silent.
_STARTING_S: Final = 120.0
_READY_FILE: Final = "ready"


def fetch_kaggle(order: Order, place: Workplace) -> None:
    """Bring a dataset of Kaggle; `order.where` is its handle, HANDLE when empty.

    Raises:
        GettingError: why Kaggle did not give it, and what to do.
        Cancelled: by the workplace's report; the archive stays for the next attempt.
    """
    handle = order.where.strip() or HANDLE
    if not re.fullmatch(r"[\w-]+/[\w-]+(/versions/\d+)?", handle, re.ASCII):
        raise GettingError(
            f"{handle!r} is no dataset of Kaggle; expected owner/name or owner/name/versions/2."
        )
    if order.key is None and not order.stored_key:
        raise GettingError("Kaggle gives this dataset to its members only. Type a key of your own.")
    credentials = read_key(order.key)
    cache = place.downloads / "kaggle"
    cache.mkdir(parents=True, exist_ok=True)
    size = _HANDLE_BYTES if handle == HANDLE else 0
    place.check_room(max(0, 2 * size - _tree_bytes(cache)))
    answer = _run({"handle": handle, **credentials}, cache, place, size)
    if "path" not in answer:
        raise GettingError(_explain(answer, handle))
    gather(Path(str(answer["path"])), place, origin=handle, link=True)


def read_key(text: str | None) -> dict[str, str]:
    """Return the credentials in what a person typed: a token, user:key, or the content of kaggle.json.

    Raises:
        GettingError: it is none of these; the message does not repeat it.
    """
    text = (text or "").strip()
    if not text:
        return {}
    if text.startswith("{"):
        with suppress(ValueError, KeyError, TypeError):
            content = json.loads(text)
            return {"username": str(content["username"]), "key": str(content["key"])}
    elif re.fullmatch(r"[^\s:]+:[^\s:]+", text):
        username, _, key = text.partition(":")
        return {"username": username, "key": key}
    elif re.fullmatch(r"[^\s:]+", text):
        return {"key": text}
    raise GettingError(
        "What was given is no key of Kaggle; expected a token, username:key, or the content of kaggle.json. "
        "Kaggle makes one at https://www.kaggle.com/settings."
    )


def key_is_here(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether kagglehub will find a key by itself, in the environment or a file of this user."""
    home = Path.home() / ".kaggle"
    folder = Path(environment.get("KAGGLE_CONFIG_DIR", home))
    tokens = [home / name for name in ("access_token", "access_token.txt")]
    return bool(
        environment.get("KAGGLE_API_TOKEN")
        or (environment.get("KAGGLE_USERNAME") and environment.get("KAGGLE_KEY"))
        or (folder / "kaggle.json").is_file()
        or any(token.is_file() for token in tokens)
    )


def _run(order: dict[str, str], cache: Path, place: Workplace, size: int) -> dict[str, object]:
    """Return the worker's answer; end it when it is silent for too long or shall stop."""
    ready = cache / _READY_FILE
    ready.unlink(missing_ok=True)
    environment = os.environ | {"KAGGLEHUB_CACHE": str(cache), "LESIONLENS_READY_FILE": str(ready)}
    with subprocess.Popen(  # noqa: S603 -- our own file, nothing of the order in its arguments
        [sys.executable, str(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as worker:
        try:
            with suppress(BrokenPipeError), cast("IO[str]", worker.stdin) as its_input:
                json.dump(order, its_input)
            _watch(worker, cache, place, size)
            answer = cast("IO[str]", worker.stdout).read()
        finally:
            worker.kill()
    try:
        return dict(json.loads(answer))
    except ValueError:
        return {"kind": "other", "cause": f"its process ended with code {worker.returncode}"}


def _watch(worker: "subprocess.Popen[str]", cache: Path, place: Workplace, size: int) -> None:
    """Report how much is here until the worker ends; raise when nothing more comes."""
    here = _tree_bytes(cache)
    last, seen = here, time.monotonic()
    allowed = _STARTING_S
    while worker.poll() is None:
        time.sleep(_LOOK_S if place.line.silence_s > 2 * _LOOK_S else 0.05)
        now = _tree_bytes(cache)
        if now != last:
            last, seen, allowed = now, time.monotonic(), place.line.silence_s
        _tell(place, now, here, size)
        if now > MAX_BYTES or place.room(cache) < RESERVE_BYTES:
            raise GettingError(
                f"What came from Kaggle has {in_words(now)} and would fill the disk. Free some space, or set "
                "LESIONLENS_CACHE to a larger disk, and get it again."
            )
        if time.monotonic() - seen > allowed:
            raise GettingError(
                f"Kaggle gave no sign of life for {allowed:g} s. Check the network. What has come is kept: "
                "get it again, and it goes on from there."
            )


def _tell(place: Workplace, now: int, here: int, size: int) -> None:
    if size and now > size:
        place.report(now - here, unit="bytes", note="Unpacking what came from Kaggle")
    else:
        left = max(size - here, now - here) or None
        place.report(now - here, left if size else None, unit="bytes", note="From Kaggle")


def _tree_bytes(folder: Path) -> int:
    return sum(_sizes(folder))


def _sizes(folder: Path) -> Iterator[int]:
    with suppress(OSError), os.scandir(folder) as entries:  # files come and go while we look
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _sizes(Path(entry.path))
            else:
                with suppress(OSError):
                    yield entry.stat(follow_symlinks=False).st_size


def _explain(answer: Mapping[str, object], handle: str) -> str:
    values = {
        "handle": handle,
        "cause": answer.get("cause", "no cause given"),
        "status": answer.get("status"),
    }
    if answer.get("kind") == "disk" and answer.get("errno") in NO_ROOM:
        return _NO_ROOM_WORDS.format(**values)
    if answer.get("kind") == "status":
        status = answer.get("status")
        fault = isinstance(status, int) and status >= 500
        return _STATUS_WORDS.get(status, _FAULT_WORDS if fault else _REFUSED_WORDS).format(**values)
    return _WORDS.get(str(answer.get("kind")), _OTHER_WORDS).format(**values)


_KEY_CURE: Final = (
    "Give a valid one (https://www.kaggle.com/settings makes it) in the field, in KAGGLE_API_TOKEN, or in "
    "~/.kaggle/kaggle.json."
)
_FAULT_WORDS: Final = "Kaggle has a fault (status {status}) and did not give {handle}. Try again later."
_REFUSED_WORDS: Final = "Kaggle refused {handle} (status {status}). Get the dataset from another source."
_OTHER_WORDS: Final = "kagglehub could not get {handle} ({cause}). Get the dataset from another source."
_NO_ROOM_WORDS: Final = (
    "The disk is full: {handle} could not be stored. Free some space, or set LESIONLENS_CACHE to a larger "
    "disk."
)
_STATUS_WORDS: Final[dict[object, str]] = {
    401: f"Kaggle did not accept the key for {{handle}} (status 401), or got none. {_KEY_CURE}",
    403: (
        "Kaggle does not give {handle} to this account (status 403). Open its page there with this account, "
        "accept what it asks for, and get it again."
    ),
    404: "Kaggle has no dataset {handle} (status 404). Check owner, name and version.",
    429: "Kaggle asks for a pause (status 429: too many requests). Wait a few minutes.",
}
_WORDS: Final = {
    "damaged": "{handle} arrived damaged: its checksum is not Kaggle's. It was thrown away; get it again.",
    "cut": (
        "Kaggle cannot be reached, or the connection was cut while {handle} was coming. Check the network. "
        "What has come is kept: get it again, and it goes on from there."
    ),
    "disk": "{handle} could not be stored ({cause}). Make the cache folder writable, or set another.",
}
