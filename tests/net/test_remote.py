"""Downloads: gone on with where they broke, checked when whole, and never waited for in vain."""

import base64
import hashlib
import json
import socket
import subprocess
import sys
import time

import pytest

from core.data.getting.remote import Checksum, Line, Remote, fetch_all
from core.errors import GettingError
from core.jobs import Cancelled
from tests.net.double import Fault, FileServer

CONTENT = bytes(range(256)) * 1200
PATH = "/data/pictures.zip"
# The silence and the attempts that were allowed, and some for a busy machine.
BOUND_S = 12


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "downloads"


@pytest.fixture
def fetch(server, folder):
    """Return a function that fetches PATH, or what its options say."""
    server.files[PATH] = CONTENT

    def fetch(*, report=lambda *_, **__: None, silence_s=2.0, addresses=None, **of_the_file):
        addresses = addresses or (server.address + PATH,)
        remote = Remote("pictures.zip", addresses, **{"size": len(CONTENT), **of_the_file})
        (path,) = fetch_all([remote], folder, line=Line(silence_s=silence_s, pause_s=0.01), report=report)
        return path

    return fetch


def refusal(fetch, **options) -> str:
    """Return the message of a download that fails, in bounded time."""
    started = time.monotonic()
    with pytest.raises(GettingError) as caught:
        fetch(**options)
    assert time.monotonic() - started < BOUND_S
    return str(caught.value)


def test_a_file_arrives_whole_and_nothing_else_stays(fetch, folder):
    assert fetch().read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["pictures.zip"]


def test_the_server_learns_who_asks(fetch, server):
    fetch()
    assert "LesionLens" in server.asked[0].client


def test_a_file_that_is_here_is_not_asked_for(fetch, server):
    fetch()
    server.asked.clear()
    assert fetch().read_bytes() == CONTENT
    assert server.asked == []


def test_progress_counts_the_bytes_and_names_the_file(fetch):
    seen = []
    fetch(report=lambda done, total=None, **words: seen.append((done, total, words)))
    assert seen[-1] == (len(CONTENT), len(CONTENT), {"unit": "bytes", "note": "pictures.zip"})
    assert [done for done, *_ in seen] == sorted(done for done, *_ in seen)


@pytest.mark.parametrize("times", [1, 2])
def test_a_connection_that_is_cut_is_resumed_where_it_broke(times, fetch, server):
    server.faults[PATH] = Fault("cut", times=times)
    assert fetch().read_bytes() == CONTENT
    assert [asked.range is not None for asked in server.asked] == [False] + [True] * times
    assert server.sent_bytes == len(CONTENT)
    # Each time on condition that the file is still the one the first half is of.
    assert [asked.condition is not None for asked in server.asked] == [False] + [True] * times


def test_what_a_broken_download_brought_is_gone_on_with_by_the_next_attempt(fetch, server):
    server.faults[PATH] = Fault("cut")
    assert "was cut" in refusal(fetch)
    brought = server.sent_bytes
    server.faults.clear()
    server.asked.clear()
    seen = []
    assert fetch(report=lambda done, total=None, **_: seen.append((done, total))).read_bytes() == CONTENT
    (asked,) = server.asked
    assert asked.range == f"bytes={brought}-"
    assert asked.condition.startswith('"')
    assert server.sent_bytes == len(CONTENT)
    # What was here does not count: the time left is told from the pace of what is asked for now.
    assert seen[-1] == (len(CONTENT) - brought, len(CONTENT) - brought)


def test_a_file_that_has_changed_meanwhile_is_fetched_anew(fetch, server):
    server.faults[PATH] = Fault("cut")
    refusal(fetch)
    server.faults.clear()
    server.files[PATH] = CONTENT[::-1]
    assert fetch().read_bytes() == CONTENT[::-1]


def test_a_server_that_ignores_ranges_gives_the_whole_file_again(fetch, server):
    server.faults[PATH] = Fault("cut")
    refusal(fetch)
    server.faults[PATH] = Fault("deaf")
    assert fetch().read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT + b"more", CONTENT[::-1] + b"other"])
def test_a_part_that_is_longer_than_the_file_begins_anew(content, fetch, server, folder):
    server.faults[PATH] = Fault("cut")
    refusal(fetch)
    server.faults.clear()
    (folder / "pictures.zip.part").write_bytes(content)
    assert fetch().read_bytes() == CONTENT
    assert any(asked.range == f"bytes={len(content)}-" for asked in server.asked)


@pytest.mark.parametrize("note", [None, b"{", b"[]", b'{"address": "http://elsewhere/", "size": 5}'])
def test_a_part_that_nobody_can_tell_the_origin_of_is_not_trusted(note, fetch, folder):
    folder.mkdir()
    (folder / "pictures.zip.part").write_bytes(b"other bytes")
    if note is not None:
        (folder / "pictures.zip.part.json").write_bytes(note)
    assert fetch().read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_only_checked(fetch, server, folder):
    server.faults[PATH] = Fault("cut")
    refusal(fetch)
    server.faults.clear()
    (folder / "pictures.zip.part").write_bytes(CONTENT)
    server.asked.clear()
    assert fetch(checksum=Checksum("md5", md5(CONTENT))).read_bytes() == CONTENT
    assert server.asked == []


REFUSALS = {
    "stalled": (Fault("stall"), ["no sign of life for 0.5 s", "is kept", "127.0.0.1"]),
    "silent": (Fault("silent"), ["no sign of life for 0.5 s", "network"]),
    "cut": (Fault("cut"), ["was cut", "is kept"]),
    "unauthorized": (Fault("status", 401), ["401", "key or token"]),
    "forbidden": (Fault("status", 403), ["403", "licence", "proxy"]),
    "missing": (Fault("status", 404), ["has no pictures.zip", "404", "another source"]),
    "teapot": (Fault("status", 418), ["refused", "418"]),
    "too many": (Fault("status", 429, headers={"Retry-After": "0"}), ["429", "Wait 0 s"]),
    "broken": (Fault("status", 500), ["has a fault", "500", "Try again later"]),
    "maintenance": (Fault("status", 503), ["503", "overloaded or under repair", "is kept"]),
    "login": (Fault("html"), ["web page", "login", "browser"]),
    "circle": (Fault("redirect", to=PATH), ["in a circle"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_failure_names_its_cause_and_its_cure_in_bounded_time(case, fetch, server):
    server.faults[PATH], expected = REFUSALS[case]
    message = refusal(fetch, silence_s=0.5)
    assert [words for words in expected if words not in message] == [], message
    assert "pictures.zip" in message


@pytest.mark.parametrize("case", REFUSALS)
def test_after_a_failure_the_next_attempt_is_whole(case, fetch, server):
    server.faults[PATH] = REFUSALS[case][0]
    refusal(fetch, silence_s=0.5)
    server.faults.clear()
    assert fetch().read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_fault_that_passes_is_waited_for(status, fetch, server):
    server.faults[PATH] = Fault("status", status, times=2)
    assert fetch().read_bytes() == CONTENT


def test_a_stall_that_passes_is_waited_for(fetch, server):
    server.faults[PATH] = Fault("stall", times=1)
    assert fetch(silence_s=0.5).read_bytes() == CONTENT
    assert server.sent_bytes == len(CONTENT)


def test_a_slow_server_is_not_a_silent_one(fetch, server):
    server.faults[PATH] = Fault("slow")
    started = time.monotonic()
    assert fetch(silence_s=0.5).read_bytes() == CONTENT
    assert time.monotonic() - started > 2.5


def test_who_cancels_stops_the_download_and_keeps_what_came(fetch, server, folder):
    server.faults[PATH] = Fault("slow")

    def report(done, total=None, **_):
        if done > 20_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetch(report=report)
    assert server.left.wait(5)
    assert 20_000 < (folder / "pictures.zip.part").stat().st_size < len(CONTENT)
    server.faults.clear()
    before = server.sent_bytes
    assert fetch().read_bytes() == CONTENT
    assert server.sent_bytes - before < len(CONTENT) - 10_000


def test_a_server_that_is_gone_is_told_at_once(fetch, server):
    server.stop()
    assert "cannot be reached" in refusal(fetch)


def test_a_name_that_no_name_server_knows_is_told_in_bounded_time(fetch):
    assert "nowhere.invalid" in refusal(fetch, silence_s=0.5, addresses=("http://nowhere.invalid/x.zip",))


def test_an_address_that_swallows_packets_is_told_in_bounded_time(fetch):
    with socket.socket() as deaf:  # it listens, and never accepts
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}/x.zip"
        assert "no sign of life for 0.5 s" in refusal(fetch, silence_s=0.5, addresses=(address,))


@pytest.mark.parametrize("address", ["mirror/x.zip", "ftp://mirror/x.zip", ""])
def test_what_is_no_address_is_told_with_the_mirror_as_a_cure(address, fetch):
    assert "mirror" in refusal(fetch, addresses=(address,))


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("md5", md5(CONTENT)),
        ("sha256", hashlib.sha256(CONTENT).hexdigest()),
        ("git", hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT, usedforsecurity=False).hexdigest()),
    ],
)
def test_a_checksum_of_ours_lets_the_right_bytes_pass_and_no_others(algorithm, digest, fetch, server, folder):
    server.faults[PATH] = Fault("corrupt", times=1)
    message = refusal(fetch, checksum=Checksum(algorithm, digest))
    assert all(words in message for words in ("arrived damaged", digest, "thrown away"))
    assert list(folder.iterdir()) == []
    assert fetch(checksum=Checksum(algorithm, digest)).read_bytes() == CONTENT


STATED = {
    "s3 tag": {"Server": "AmazonS3", "ETag": f'"{md5(CONTENT)}"'},
    "s3 checksum": {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()},
    "google": {
        "x-goog-hash": f"crc32c=AAAAAA==,md5={base64.b64encode(bytes.fromhex(md5(CONTENT))).decode()}"
    },
    "plain": {"Content-MD5": base64.b64encode(bytes.fromhex(md5(CONTENT))).decode()},
}


@pytest.mark.parametrize("case", STATED)
def test_a_checksum_that_the_server_states_is_compared(case, fetch, server):
    server.headers = STATED[case]
    server.faults[PATH] = Fault("corrupt", times=1)
    assert "arrived damaged" in refusal(fetch)
    assert fetch().read_bytes() == CONTENT


@pytest.mark.parametrize(
    "headers",
    [
        {"Server": "AmazonS3", "ETag": f'"{md5(b"parts")}-331"'},
        {"Server": "AmazonS3", "ETag": f'"{md5(b"x")}"', "x-amz-server-side-encryption": "aws:kms"},
        {"Server": "nginx", "ETag": f'"{md5(b"revision 7")}"'},
        {"Server": "AmazonS3", "ETag": f'W/"{md5(b"weak")}"'},
        {"x-amz-checksum-sha256": "parts-3"},
        {"Content-MD5": "not base64!"},
    ],
)
def test_what_only_looks_like_a_checksum_is_not_taken_for_one(headers, fetch, server):
    server.headers = headers
    assert fetch().read_bytes() == CONTENT


def test_the_next_address_is_asked_when_one_does_not_have_the_file(fetch, server):
    other = server.address + "/moved/pictures.zip"
    server.faults["/moved/pictures.zip"] = Fault("status", 403)
    assert fetch(addresses=(other, server.address + "/gone", server.address + PATH)).read_bytes() == CONTENT


def test_the_next_address_is_not_asked_when_one_is_only_overloaded(fetch, server):
    server.faults["/busy"] = Fault("status", 503)
    assert "503" in refusal(fetch, addresses=(server.address + "/busy", server.address + PATH))
    assert PATH not in {asked.path for asked in server.asked}


def test_a_redirect_to_another_host_is_followed_without_the_token(fetch, server):
    server.faults["/door"] = Fault("redirect", to=server.elsewhere + PATH)
    headers = {"Authorization": "Bearer hf_secret"}
    assert fetch(addresses=(server.address + "/door",), headers=headers).read_bytes() == CONTENT
    assert [(asked.path, asked.token) for asked in server.asked] == [
        ("/door", "Bearer hf_secret"),
        (PATH, None),
    ]


def test_a_redirected_download_is_gone_on_with_too(fetch, server):
    server.faults["/door"] = Fault("redirect", to=server.elsewhere + PATH)
    server.faults[PATH] = Fault("cut", times=1)
    assert fetch(addresses=(server.address + "/door",)).read_bytes() == CONTENT
    assert server.sent_bytes == len(CONTENT)


def test_a_token_never_shows_in_a_message_or_a_note(fetch, server, folder):
    server.faults[PATH] = Fault("cut")
    headers = {"Authorization": "Bearer hf_secret"}
    assert "hf_secret" not in refusal(fetch, headers=headers)
    assert "hf_secret" not in (folder / "pictures.zip.part.json").read_text()
    assert "hf_secret" not in repr(Remote("x", (), headers=headers))


@pytest.mark.parametrize("mirror", ["", "mirror", "ftp://mirror", "http://[x", "http://a b", "http://m/?x=1"])
def test_a_mirror_that_is_no_address_is_refused_before_anything_is_asked(mirror):
    with pytest.raises(GettingError, match="no address of a mirror"):
        Line(mirror=mirror)


def test_a_mirror_is_asked_for_host_and_path_and_question():
    line = Line(mirror="http://mirror:80/datasets/")
    assert line.through("https://a.b/c/d.zip?x=1") == "http://mirror:80/datasets/a.b/c/d.zip?x=1"
    assert Line().through("https://a.b/c") == "https://a.b/c"


def test_several_files_come_in_their_order_and_share_one_progress(server, tmp_path):
    server.files |= {"/a.csv": b"a" * 1000, "/b.csv": b"b" * 500}
    remotes = [
        Remote(name, (f"{server.address}/{name}",), size) for name, size in (("a.csv", 1000), ("b.csv", 500))
    ]
    seen = []

    def report(done, total=None, **_):
        seen.append((done, total))

    paths = fetch_all(remotes, tmp_path, line=Line(), report=report)
    assert [path.name for path in paths] == ["a.csv", "b.csv"]
    assert seen[-1] == (1500, 1500)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from core.data.getting.remote import Line, Remote, fetch_all
from core.errors import GettingError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    fetch_all([Remote("x.zip", (sys.argv[1],))], Path(sys.argv[2]), line=Line(), report=lambda *_, **__: None)
except GettingError as problem:
    print(problem)
"""


def test_a_disk_without_room_is_told_with_its_cure(server, tmp_path, app_root):
    # A process that may write no file above 100 kB stands for the full disk.
    server.files[PATH] = CONTENT
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, server.address + PATH, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=app_root,
        check=True,
        timeout=60,
    )
    assert "The disk is full" in run.stdout
    assert "LESIONLENS_CACHE" in run.stdout


def test_a_folder_that_cannot_be_written_is_named(fetch, folder):
    folder.write_text("in the way")
    assert "could not be stored" in refusal(fetch)


def test_a_note_tells_what_the_server_said(fetch, server, folder):
    server.faults[PATH] = Fault("cut")
    refusal(fetch)
    note = json.loads((folder / "pictures.zip.part.json").read_text())
    assert note["size"] == len(CONTENT)
    assert note["address"] == server.address + PATH


def test_the_server_double_closes_with_its_test():
    with FileServer() as double:
        port = double.port
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
        pass
