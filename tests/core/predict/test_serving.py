"""The same answer over HTTP, and refusals that name the cure."""

import http.client
import io
import json
import threading

import numpy as np
import pytest
from PIL import Image

from core.data.facts import Facts
from core.labels import CODES
from core.models.checkpoint import load_checkpoint
from core.predict.predictor import answer, look
from core.predict.serving import make_server
from tests.core.models.making import lesion, lively_network, write_checkpoint

LIMIT = 2**20


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder, lively_network("efficientnet_lite0"))
    return load_checkpoint(folder)


@pytest.fixture(scope="module")
def ask(checkpoint):
    """Return a function from method, path and body to status and content."""
    server = make_server(checkpoint, host="127.0.0.1", port=0, max_bytes=LIMIT)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def ask(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        connection.request(method, path, body, headers or {})
        answered = connection.getresponse()
        content = json.loads(answered.read())
        connection.close()
        return answered.status, content

    yield ask
    server.shutdown()
    server.server_close()
    thread.join(timeout=30)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_it_answers_as_the_page_does(ask, checkpoint):
    status, content = ask("POST", "/predict?age=60&sex=male&site=back", png(lesion()))
    alone = answer(checkpoint, look(checkpoint, lesion()), Facts(60, "male", "back"))
    assert status == 200
    assert [content["probabilities"][code] for code in CODES] == pytest.approx(alone.probabilities.tolist())
    assert content["above_threshold"] == alone.above_threshold
    assert "Not a medical device" in content["disclaimer"]


def test_unknown_input_gets_reasons_and_no_numbers(ask):
    status, content = ask("POST", "/predict", png(np.full((60, 80, 3), 9, np.uint8)))
    assert status == 200
    assert not content["known"]
    assert "blank" in content["reasons"][0]
    assert "probabilities" not in content
    assert "malignancy" not in content


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "why"),
    [
        ("/predict", b"no picture", {}, 400, "The picture"),
        ("/predict", b"", {}, 400, "The picture"),
        ("/predict?age=old", b"x", {}, 400, "old"),
        ("/predict?age=nan", b"x", {}, 400, "nan"),
        ("/predict?site=moon", b"x", {}, 400, "moon"),
        ("/predict?name=x", b"x", {}, 400, "expected age, sex, site"),
        ("/elsewhere", b"x", {}, 404, "/predict"),
        ("/predict", b"x", {"Content-Length": str(LIMIT + 1)}, 413, "over 1 MB"),
        ("/predict", b"x", {"Content-Length": "-1"}, 411, "Content-Length"),
    ],
)
def test_what_it_cannot_answer_it_says(ask, path, body, headers, status, why):
    found, content = ask("POST", path, body, headers)
    assert found == status
    assert why in content["error"]


def test_it_says_that_it_is_ready(ask):
    assert ask("GET", "/health") == (200, {"ready": True})
    assert ask("GET", "/")[0] == 404
