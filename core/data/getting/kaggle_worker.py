"""A process of its own for kagglehub, whose main requests have no timeout: it can be ended when it stalls.

It reads one order from its standard input, so that a key is in no argument, environment or log, and writes
one line of JSON. It imports nothing of ours: it starts fast, and stands on its own feet.
"""

import json
import os
import sys
from pathlib import Path
from typing import TextIO


def main() -> None:
    """Do the order; whatever the libraries print goes nowhere, since in places they print requests whole."""
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    _answer(answer, _download(json.load(sys.stdin)))


def _answer(to: TextIO, words: dict[str, object]) -> None:
    json.dump(words, to)
    to.flush()


def _download(order: dict[str, str]) -> dict[str, object]:
    import kagglehub
    import requests
    from kagglehub import config, exceptions

    Path(os.environ["LESIONLENS_READY_FILE"]).write_text("ready", encoding="utf-8")
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (requests.HTTPError, "status"),
        (exceptions.UnauthenticatedError, "status"),
        (exceptions.DataCorruptionError, "damaged"),
        (requests.exceptions.RequestException, "cut"),
        (OSError, "disk"),
    )
    try:
        if order.get("username"):
            config.set_kaggle_credentials(order["username"], order["key"])
        elif order.get("key"):
            config.set_kaggle_api_token(order["key"])
        return {"path": kagglehub.dataset_download(order["handle"])}
    except Exception as problem:  # noqa: BLE001 -- the other side makes a sentence of it
        response = getattr(problem, "response", None)
        return {
            "kind": next((word for kind, word in kinds if isinstance(problem, kind)), "other"),
            "status": 401 if response is None else response.status_code,
            "errno": getattr(problem, "errno", None),
            "cause": str(getattr(problem, "strerror", None) or f"{type(problem).__name__}"),
        }


if __name__ == "__main__":
    main()
