"""Kaggle, through the real kagglehub against its own loopback mode: localhost, port 7777."""

import base64
import hashlib
import json
import logging
import time
from pathlib import Path

import pytest
from filelock import FileLock

from core.data.getting import kept_bytes, partial_folder
from core.data.getting.kaggle import HANDLE, key_is_here, read_key
from core.data.readers import read_dataset
from core.errors import GettingError
from core.jobs import Cancelled
from tests.net.double import Fault, FileServer
from tests.net.making import DX_OF, kaggle_zip, zip_of

DOWNLOAD = "/api/v1/datasets.DatasetApiService/DownloadDataset"
STORED = "/storage/archive.zip"
TOKEN = "KGAT_invented_token"
# The silence that was allowed, its process's start, and some for a busy machine.
BOUND_S = 100


@pytest.fixture
def server(tmp_path_factory, monkeypatch):
    """Kaggle's own interface, which sends downloads to a storage at another origin, as the true one does."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    # The client knows this one port: runs that go on side by side take turns.
    with FileLock(Path("/tmp/lesionlens-kaggle-7777.lock"), timeout=300), FileServer(port=7777) as running:  # noqa: S108
        running.faults[DOWNLOAD] = Fault("redirect", to=f"http://127.0.0.1:7777{STORED}")
        fill(running, kaggle_zip())
        yield running


def fill(server, content):
    server.files[STORED] = content
    digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    server.headers = {"x-goog-hash": f"md5={digest}"}


def refusal(get_it, *order, **options) -> str:
    started = time.monotonic()
    with pytest.raises(GettingError) as caught:
        get_it("kaggle", *order, **options)
    assert time.monotonic() - started < BOUND_S
    return str(caught.value)


def test_kaggle_gives_the_dataset_with_each_picture_once(server, get_it, root):
    got = get_it("kaggle", key=TOKEN)
    table = read_dataset(got.folder)
    assert dict(zip(table["image_id"], table["dx"], strict=True)) == DX_OF
    assert table["image_path"].notna().all()
    assert len(list(got.folder.rglob("*.jpg"))) == 7
    assert "twins of other files: 7" in " ".join(got.notes)
    assert [path.name for path in root.iterdir()] == ["ham10000-kaggle"]
    asked = next(asked for asked in server.asked if asked.path == DOWNLOAD)
    wanted = json.loads(asked.body)
    assert (wanted["ownerSlug"], wanted["datasetSlug"]) == tuple(HANDLE.split("/")[:2])


@pytest.mark.parametrize(
    ("key", "header"),
    [
        (TOKEN, f"Bearer {TOKEN}"),
        ("ada:0123", "Basic " + base64.b64encode(b"ada:0123").decode()),
        ('{"username": "ada", "key": "0123"}', "Basic " + base64.b64encode(b"ada:0123").decode()),
    ],
)
def test_a_key_is_sent_to_kaggle_and_neither_to_its_storage_nor_to_the_disk(
    key, header, server, get_it, root, tmp_path, caplog, capfd
):
    with caplog.at_level(logging.DEBUG):
        get_it("kaggle", key=key)
    tokens = {asked.path: asked.token for asked in server.asked}
    assert tokens[DOWNLOAD] == header
    assert tokens[STORED] is None
    secret = "0123" if "0123" in key else TOKEN
    written = [
        path for folder in (root, tmp_path, Path.home()) for path in folder.rglob("*") if path.is_file()
    ]
    assert not [path for path in written if secret.encode() in path.read_bytes()]
    printed = capfd.readouterr()
    assert secret not in printed.out + printed.err + caplog.text


def test_without_a_key_the_one_of_the_environment_is_used(server, get_it, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_of_the_environment")
    get_it("kaggle")
    assert "Bearer KGAT_of_the_environment" in {asked.token for asked in server.asked}


def test_an_order_does_not_show_its_key(get_it):
    from core.data.getting import Order

    assert TOKEN not in repr(Order(key=TOKEN))


REFUSALS = {
    "unauthorized": (Fault("status", 401), ["401", "key", "kaggle.com/settings"]),
    "forbidden": (Fault("status", 403), ["403", "accept what it asks for"]),
    "missing": (Fault("status", 404), ["no dataset", "404", "version"]),
    "too many": (Fault("status", 429), ["429", "Wait"]),
    "broken": (Fault("status", 500), ["has a fault", "500"]),
    "maintenance": (Fault("status", 503), ["has a fault", "503"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_names_its_cause_and_its_cure_and_never_the_key(case, server, get_it):
    server.faults[DOWNLOAD], expected = REFUSALS[case]
    message = refusal(get_it, key=TOKEN)
    assert [words for words in expected if words not in message] == [], message
    assert TOKEN not in message


@pytest.mark.parametrize("where", [DOWNLOAD, STORED])
def test_a_silent_kaggle_is_given_up_in_bounded_time(where, server, get_it):
    server.faults[where] = Fault("silent")
    message = refusal(get_it, key=TOKEN, silence_s=2.0)
    assert "no sign of life" in message


def test_what_an_ended_download_brought_is_gone_on_with(server, get_it, root):
    content = server.files[STORED]
    part = (
        partial_folder(root, "ham10000-kaggle")
        / "downloads/kaggle/datasets"
        / HANDLE.partition("/versions")[0]
    )
    part.mkdir(parents=True)
    (part / "2.archive").write_bytes(content[:2000])
    assert kept_bytes(root, "ham10000-kaggle") == 2000
    assert get_it("kaggle", key=TOKEN).n_pictures == 7
    assert "bytes=2000-" in {asked.range for asked in server.asked}


def test_a_damaged_archive_is_told_and_comes_anew(server, get_it):
    server.faults[STORED] = Fault("corrupt", times=1)
    assert "checksum" in refusal(get_it, key=TOKEN)
    assert get_it("kaggle", key=TOKEN).n_pictures == 7


def test_a_kaggle_that_is_gone_is_told(server, get_it):
    server.stop()
    assert "cannot be reached" in refusal(get_it, key=TOKEN)


def test_who_cancels_ends_the_process(server, get_it):
    server.faults[STORED] = Fault("silent")

    def report(*_, **__):
        if any(asked.path == STORED for asked in server.asked):
            raise Cancelled

    started = time.monotonic()
    with pytest.raises(Cancelled):
        get_it("kaggle", key=TOKEN, report=report, silence_s=30.0)
    assert time.monotonic() - started < BOUND_S


def test_what_kaggle_unpacks_is_looked_through_like_any_folder(server, get_it):
    fill(server, zip_of({"readme.md": b"# no pictures", "run.exe": b"MZ"}))
    assert "holds no pictures" in refusal(get_it, key=TOKEN)


def test_a_disk_that_fills_up_ends_it(server, get_it, root):
    free = iter([10**12])
    assert "would fill the disk" in refusal(get_it, key=TOKEN, means={"room": lambda _: next(free, 1000)})


@pytest.mark.parametrize("handle", ["x", "../x/y", "a/b/c", "a/b/versions/x", "a b/c", "a/b?c"])
def test_what_is_no_handle_is_refused_before_kaggle_is_asked(handle, server, get_it):
    assert "is no dataset of Kaggle" in refusal(get_it, handle, key=TOKEN)
    assert server.asked == []


@pytest.mark.parametrize("text", ["two words", "{}", "{broken", "a:b:c", '{"username": "ada"}', "x\ny"])
def test_what_is_no_key_is_refused_without_repeating_it(text):
    with pytest.raises(GettingError) as caught:
        read_key(text)
    assert text not in str(caught.value).replace("username:key", "")


@pytest.mark.parametrize("text", [None, "", "  "])
def test_no_key_is_no_credentials(text):
    assert read_key(text) == {}


@pytest.mark.parametrize("name", ["kaggle.json", "access_token"])
def test_a_key_of_the_environment_or_a_file_is_noticed(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not key_is_here({})
    assert not key_is_here({"KAGGLE_USERNAME": "ada"})
    assert key_is_here({"KAGGLE_USERNAME": "ada", "KAGGLE_KEY": "x"})
    assert key_is_here({"KAGGLE_API_TOKEN": "x"})
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle" / name).write_text("{}")
    assert key_is_here({})
