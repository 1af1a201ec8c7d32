"""The same answer as JSON over HTTP: `python -m train serve`. Nothing of the app starts it.

    POST /predict?age=60&sex=male&site=back      the picture as the body  ->  the answer
    GET  /health                                 {"ready": true}

One process, no accounts and no encryption: for this machine, or behind a proxy that has them. Pictures stay
in memory; those over the limit are refused before they are read.
"""

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit

from core.data.facts import Facts
from core.data.pictures import read_picture
from core.errors import LesionLensError
from core.labels import CODES
from core.models.checkpoint import Checkpoint
from core.models.reference import shown
from core.predict.predictor import Prediction, answer, look
from core.words import DISCLAIMER

_TIMEOUT_S: Final = 20


def as_json(prediction: Prediction) -> dict[str, object]:
    """Return an answer as plain values; without an answer there are reasons and no numbers."""
    known = prediction.unknown.known
    found: dict[str, object] = {
        "checkpoint": shown(prediction.checkpoint),
        "known": known,
        "reasons": list(prediction.unknown.reasons),
        "disclaimer": DISCLAIMER,
    }
    if known:
        chosen = prediction.prediction_set
        found |= {
            "probabilities": dict(zip(CODES, prediction.probabilities.tolist(), strict=True)),
            "most_probable": prediction.top_code,
            "malignancy": prediction.malignancy,
            "threshold": prediction.threshold,
            "above_threshold": prediction.above_threshold,
            "prediction_set": None if chosen is None else list(chosen),
        }
    return found


def make_server(checkpoint: Checkpoint, *, host: str, port: int, max_bytes: int) -> ThreadingHTTPServer:
    """Return a server that answers for a checkpoint once its `serve_forever` runs; port 0 takes a free one.

    max_bytes: of a picture.
    """

    class Handler(_Handler):
        served = checkpoint
        limit = max_bytes

    return ThreadingHTTPServer((host, port), Handler)


class _Handler(BaseHTTPRequestHandler):
    served: Checkpoint
    limit: int
    timeout = _TIMEOUT_S
    server_version = "LesionLens"
    sys_version = ""

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/health":
            self._send(HTTPStatus.OK, {"ready": True})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "POST a picture to /predict, or GET /health.")

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        if address.path != "/predict":
            self._refuse(HTTPStatus.NOT_FOUND, "POST a picture to /predict.")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "Say the picture's size in Content-Length.")
        elif int(length) > self.limit:
            self._refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The picture is over {self.limit // 2**20} MB."
            )
        else:
            self._answer(self.rfile.read(int(length)), parse_qs(address.query))

    def _answer(self, data: bytes, query: dict[str, list[str]]) -> None:
        try:
            facts = _facts({name: values[-1] for name, values in query.items()})
            pixels = read_picture(data, name="The picture").pixels
        except (LesionLensError, ValueError) as problem:
            self._refuse(HTTPStatus.BAD_REQUEST, str(problem))
            return
        found = answer(self.served, look(self.served, pixels), facts)
        self._send(HTTPStatus.OK, as_json(found))

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        # What was not read of the body must not be taken for the next request.
        self.close_connection = True
        self._send(status, {"error": why})

    def _send(self, status: HTTPStatus, content: dict[str, object]) -> None:
        body = json.dumps(content, allow_nan=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing: an address holds a patient's facts."""


def _facts(query: dict[str, str]) -> Facts:
    if unknown := sorted(set(query) - {"age", "sex", "site"}):
        raise ValueError(f"There is no fact {unknown[0]!r}; expected age, sex, site.")
    age = query.get("age")
    return Facts(None if age is None else float(age), query.get("sex"), query.get("site"))
