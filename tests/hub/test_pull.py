"""The real client against a Hub of our own: what is pulled, what is kept, and how each failure is told."""

import hashlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from core.errors import HubError, UnknownReference
from core.models.catalog import folder_of
from core.models.hub.access import Access
from core.models.hub.pulling import NEEDED, Pulled, pull
from core.models.reference import parse_reference
from tests.hub.double import Fault, HubDouble

REPO = "clinic/lesions"
WEIGHTS = bytes(range(256)) * 4000  # 1 MB
FILES = {
    "config.json": b'{"architecture": "tf_efficientnet_lite0"}',
    "model.safetensors": WEIGHTS,
    "extra.safetensors": b"facts" * 100,
    "lesionlens.json": b'{"labels": []}',
    "README.md": b"# A card",
}
# The silence that was allowed, and some for a busy machine; the client alone takes 23 s to 6 minutes.
BOUND_S = 12


class Puller:
    """Pulls REPO from a Hub into one cache."""

    def __init__(self, hub: HubDouble, cache_dir: Path) -> None:
        self.hub, self.cache_dir = hub, cache_dir

    def __call__(
        self,
        revision: str | None = None,
        *,
        timeout_s: float = 2.0,
        token: str | None = None,
        **options: object,
    ) -> Pulled:
        return pull(REPO, revision, self.access(timeout_s=timeout_s, token=token), **options)

    def access(self, *, timeout_s: float = 2.0, token: str | None = None) -> Access:
        return Access(token, timeout_s, self.cache_dir, self.hub.endpoint)

    def refusal(self, revision: str | None = None, *, timeout_s: float = 2.0) -> str:
        """Return the message of a pull that fails, in bounded time."""
        started = time.monotonic()
        with pytest.raises(HubError) as caught:
            self(revision, timeout_s=timeout_s)
        assert time.monotonic() - started < BOUND_S
        return str(caught.value)


@pytest.fixture
def pull_it(hub, tmp_path):
    return Puller(hub, tmp_path / "cache")


def test_a_pull_brings_the_checkpoints_files_and_its_commit(hub, pull_it):
    commit = hub.commit(REPO, FILES)
    pulled = pull_it()
    assert pulled.commit == commit
    assert pulled.notice is None
    assert {path.name: path.read_bytes() for path in pulled.folder.iterdir()} == FILES


def test_a_commit_that_is_here_makes_no_request(hub, pull_it):
    pulled = pull_it(hub.commit(REPO, FILES))
    hub.requests.clear()
    assert pull_it(pulled.commit) == pulled
    assert hub.requests == []


def test_a_branch_that_is_here_makes_one_request(hub, pull_it):
    hub.commit(REPO, FILES)
    pulled = pull_it()
    hub.requests.clear()
    assert pull_it() == pulled
    assert hub.requests == [f"GET /api/models/{REPO}/revision/main"]


def test_what_a_branch_brought_answers_to_its_commit_without_a_request(hub, pull_it):
    hub.commit(REPO, FILES, branch="refs/pr/4")
    pulled = pull_it("refs/pr/4")
    hub.requests.clear()
    assert pull_it(pulled.commit).folder == pulled.folder
    assert hub.requests == []


def test_a_branch_that_moved_brings_the_new_commit_and_keeps_the_old(hub, pull_it):
    hub.commit(REPO, FILES)
    old = pull_it()
    hub.commit(REPO, FILES | {"README.md": b"# Another card"})
    new = pull_it()
    assert new.commit != old.commit
    assert (new.folder / "README.md").read_bytes() == b"# Another card"
    assert (old.folder / "README.md").read_bytes() == b"# A card"


def test_nothing_but_a_checkpoints_files_is_ever_asked_for(hub, pull_it):
    others = [
        "pytorch_model.bin",
        "model.pt",
        "model.pkl",
        "code.py",
        "deep/model.safetensors",
        ".gitattributes",
    ]
    hub.commit(REPO, FILES | dict.fromkeys(others, b"danger"))
    pulled = pull_it()
    assert {path.name for path in pulled.folder.rglob("*")} == set(FILES)
    assert not [request for request in hub.requests if any(request.endswith(name) for name in others)]


def test_progress_counts_up_to_all_bytes_in_the_callers_thread(hub, pull_it):
    hub.commit(REPO, FILES)
    calls = []
    pull_it(progress=lambda done, total: calls.append((done, total, threading.current_thread())))
    total = sum(map(len, FILES.values()))
    assert calls[-1][:2] == (total, total)
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    assert {thread for *_, thread in calls} == {threading.current_thread()}


def test_progress_is_seen_within_one_file(hub, pull_it):
    hub.commit(REPO, FILES | {"extra.safetensors": WEIGHTS})
    seen = set()
    hub.fault = Fault("content", kind="stall", name="model.safetensors")
    with pytest.raises(HubError):
        pull_it(timeout_s=0.5, progress=lambda done, _: seen.add(done))
    assert max(seen) > len(WEIGHTS) // 3


@pytest.mark.parametrize("times", [1, 3])
def test_a_connection_that_is_cut_is_resumed_where_it_broke(times, hub, pull_it):
    hub.commit(REPO, FILES)
    hub.fault = Fault("content", kind="cut", name="model.safetensors", times=times)
    calls = []
    pulled = pull_it(progress=lambda done, total: calls.append(done / total))
    assert (pulled.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert calls[-1] == 1
    assert len([request for request in hub.requests if "/storage/" in request]) == times + 2
    assert hub.sent_bytes < 1.2 * sum(map(len, FILES.values()))


@pytest.mark.parametrize("times", [1, 3])
def test_a_listing_that_is_cut_is_asked_for_again(times, hub, pull_it):
    hub.commit(REPO, FILES)
    hub.fault = Fault("info", kind="cut", times=times)
    assert pull_it().notice is None


def test_a_pull_goes_on_when_another_request_closes_the_connections_of_all(hub, pull_it):
    """As the client does when a publication's connection is refused, also amid a pull's file."""
    hub.commit(REPO, FILES)
    hub.fault = Fault("content", kind="slow", name="model.safetensors", times=1)
    closed = []

    def close(done: int, total: int) -> None:
        if not closed and len(WEIGHTS) // 10 < done < len(WEIGHTS) // 2:
            closed.append(done)
            close_session()

    pulled = pull_it(progress=close)
    assert len(closed) == 1
    assert pulled.notice is None
    assert {path.name: path.read_bytes() for path in pulled.folder.iterdir()} == FILES


def test_a_slow_connection_is_not_a_silent_one(hub, pull_it):
    hub.commit(REPO, FILES | {"README.md": b"card " * 120})
    hub.fault = Fault("content", kind="slow", name="README.md")
    started = time.monotonic()
    assert (pull_it(timeout_s=0.5).folder / "README.md").read_bytes() == b"card " * 120
    assert time.monotonic() - started > 2.5


def test_a_pull_that_is_left_stops_its_download(hub, pull_it):
    class LeaveError(Exception):
        pass

    def leave(done, total):
        if "/storage/" in hub.requests[-1]:
            raise LeaveError

    hub.commit(REPO, FILES | {"model.safetensors": WEIGHTS * 40})
    hub.fault = Fault("content", kind="slow", name="model.safetensors")
    with pytest.raises(LeaveError):
        pull_it(progress=leave)
    assert hub.left.wait(2)
    assert hub.sent_bytes < len(WEIGHTS) * 20


def test_a_token_goes_to_the_hub_and_not_to_the_storage_it_redirects_to(hub, pull_it):
    hub.commit(REPO, FILES)
    pull_it(token="hf_secret")
    with_token = {path for path, token in hub.tokens if token == "Bearer hf_secret"}
    assert f"/{REPO}/resolve/" in " ".join(with_token)
    assert not [path for path in with_token if path.startswith("/storage/")]


REFUSALS = {
    "no such repository": (Fault("info", kind="missing"), ["no model clinic/lesions", "404", "HF_TOKEN"]),
    "private": (Fault("info", kind="private"), ["private", "401", "HF_TOKEN"]),
    "gated": (Fault("info", kind="gated"), ["gated", "403", "Accept its terms at", "HF_TOKEN"]),
    "gated files": (Fault("file", kind="gated"), ["gated", "403", "HF_TOKEN"]),
    "no such revision": (Fault("info", kind="revision"), ["no revision 'main'", "404", "commits/main"]),
    "bad token": (Fault("info", status=401), ["refused the access token", "401", "HF_TOKEN"]),
    "weak token": (Fault("info", status=403), ["may not read", "403"]),
    "vanished file": (Fault("file", kind="entry"), ["lists a file that it does not have"]),
    "odd status": (Fault("info", status=418), ["refused", "418"]),
}
FAULTS = {
    "too many requests": (Fault("info", status=429), ["429", "Wait 17 s"]),
    "a fault of the listing": (Fault("info", status=500), ["has a fault", "500", "later"]),
    "maintenance": (Fault("info", status=503), ["has a fault", "503"]),
    "a silent listing": (Fault("info", kind="stall"), ["no answer within 1 s", "LESIONLENS_HUB_TIMEOUT"]),
    "a cut listing": (Fault("info", kind="cut"), ["was cut", "Pull again"]),
    "a login page": (Fault("info", kind="html"), ["not a Hub", "HF_ENDPOINT", "login"]),
    "a silent file": (Fault("file", kind="stall"), ["no answer within 1 s"]),
    "a file that stops": (Fault("content", kind="stall", name="model.safetensors"), ["no answer within 1 s"]),
    "a damaged file": (
        Fault("content", kind="corrupt", name="model.safetensors"),
        ["model.safetensors", "damaged", "checksum", "pull again"],
    ),
    "a damaged small file": (
        Fault("content", kind="corrupt", name="config.json"),
        ["config.json", "damaged"],
    ),
    "a broken storage": (Fault("content", status=500, name="model.safetensors"), ["has a fault", "500"]),
    "a file that is cut": (Fault("content", kind="cut", name="model.safetensors"), ["was cut", "Pull again"]),
}


@pytest.mark.parametrize("case", REFUSALS | FAULTS)
def test_a_failure_names_its_cause_and_its_cure_in_bounded_time(case, hub, pull_it):
    hub.commit(REPO, FILES)
    hub.fault, expected = (REFUSALS | FAULTS)[case]
    message = pull_it.refusal(timeout_s=1.0)
    assert [words for words in expected if words not in message] == [], message


@pytest.mark.parametrize("case", FAULTS)
def test_after_a_fault_the_next_pull_is_whole(case, hub, pull_it):
    commit = hub.commit(REPO, FILES)
    hub.fault = FAULTS[case][0]
    pull_it.refusal(timeout_s=0.5)
    hub.fault = None
    pulled = pull_it(commit)
    assert {path.name: path.read_bytes() for path in pulled.folder.iterdir()} == FILES


@pytest.mark.parametrize("case", FAULTS)
def test_during_a_fault_the_copy_that_is_here_serves_with_a_notice(case, hub, pull_it):
    hub.commit(REPO, FILES)
    kept = pull_it()
    hub.commit(REPO, FILES | {"model.safetensors": WEIGHTS[::-1], "config.json": b"{}"})
    hub.fault, expected = FAULTS[case]
    pulled = pull_it(timeout_s=1.0)
    assert (pulled.folder, pulled.commit) == (kept.folder, kept.commit)
    assert all(words in pulled.notice for words in expected)
    assert f"commit {kept.commit[:12]}" in pulled.notice


@pytest.mark.parametrize("case", [case for case, (fault, _) in REFUSALS.items() if fault.where == "info"])
def test_a_refusal_says_how_the_copy_that_is_here_can_still_be_used(case, hub, pull_it):
    hub.commit(REPO, FILES)
    kept = pull_it()
    hub.fault, _ = REFUSALS[case]
    assert f"hf:{REPO}@{kept.commit}" in pull_it.refusal()


def test_a_hub_that_is_gone_is_told_at_once_and_the_copy_that_is_here_serves(hub, pull_it):
    hub.commit(REPO, FILES)
    kept = pull_it()
    hub.stop()
    assert "cannot be reached" in pull_it().notice
    assert pull_it(kept.commit).notice is None
    message = pull_it.refusal("other-branch")
    assert "cannot be reached" in message
    assert "network" in message


def test_a_hub_that_goes_away_between_listing_and_files_is_told_at_once(hub, pull_it):
    hub.commit(REPO, FILES)
    hub.fault = Fault("file", kind="cut")
    assert "was cut" in pull_it.refusal()


def test_a_name_that_no_name_server_knows_is_told_in_bounded_time(tmp_path):
    started = time.monotonic()
    with pytest.raises(HubError, match=r"The Hub at http://hub\.invalid"):
        pull(REPO, access=Access(None, 1.0, tmp_path, "http://hub.invalid"))
    assert time.monotonic() - started < BOUND_S


def test_an_address_that_swallows_packets_is_told_in_bounded_time(tmp_path):
    with socket.socket() as deaf:  # it listens, and never accepts
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        started = time.monotonic()
        with pytest.raises(HubError, match="no answer within 1 s"):
            pull(REPO, access=Access(None, 1.0, tmp_path, f"http://127.0.0.1:{deaf.getsockname()[1]}"))
        assert time.monotonic() - started < BOUND_S


def test_offline_mode_makes_no_request_and_says_so(hub, pull_it, monkeypatch):
    hub.commit(REPO, FILES)
    kept = pull_it()
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in pull_it.refusal("never-pulled")
    assert "HF_HUB_OFFLINE" in pull_it().notice
    assert pull_it(kept.commit) == kept
    assert hub.requests == []


@pytest.mark.parametrize("name", NEEDED)
def test_a_repository_without_a_needed_file_is_no_checkpoint(name, hub, pull_it):
    hub.commit(REPO, {other: content for other, content in FILES.items() if other != name})
    message = pull_it.refusal()
    assert f"it lacks {name}" in message
    assert not any("resolve" in request for request in hub.requests)


@pytest.mark.parametrize("name", FILES)
def test_a_commit_whose_download_broke_off_is_not_taken_for_whole(name, hub, pull_it):
    commit = hub.commit(REPO, FILES)
    hub.fault = Fault("content", status=500, name=name)
    assert "has a fault" in pull_it.refusal(commit)
    assert "has a fault" in pull_it.refusal(commit)
    hub.fault = None
    assert {path.name: path.read_bytes() for path in pull_it(commit).folder.iterdir()} == FILES


def test_a_revision_is_looked_for_among_branches_and_commits(hub, pull_it):
    hub.commit(REPO, FILES)
    assert "no revision 'v9'" in pull_it.refusal("v9")
    assert f"no revision '{'0' * 40}'" in pull_it.refusal("0" * 40)


@pytest.mark.parametrize("repo", ["lesions", "a/b/c", "../b", "a/..", "a--b/c", "a/b.git", "", "a/b c"])
def test_what_cannot_be_a_repository_is_refused_before_any_request(repo, hub, tmp_path):
    with pytest.raises(UnknownReference, match="owner/name"):
        pull(repo, access=Access(cache_dir=tmp_path, endpoint=hub.endpoint))
    assert hub.requests == []


def test_a_revision_that_would_leave_the_cache_is_refused_before_any_request(hub, pull_it):
    with pytest.raises(UnknownReference, match="is no revision"):
        pull_it("../../../etc/passwd")
    assert hub.requests == []


def test_a_cache_that_cannot_be_written_is_named(hub, tmp_path):
    hub.commit(REPO, FILES)
    (tmp_path / "cache").write_text("in the way")
    message = Puller(hub, tmp_path / "cache").refusal()
    assert "could not be stored" in message
    assert "HF_HOME" in message


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from core.errors import HubError
from core.models.hub.access import Access
from core.models.hub.pulling import pull

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    pull("clinic/lesions", access=Access(cache_dir=Path(sys.argv[2]), endpoint=sys.argv[1]))
except HubError as problem:
    print(problem)
"""


def test_a_disk_without_room_is_told_with_its_cure(hub, tmp_path, app_root):
    # A process that may write no file above 100 kB stands for the full disk.
    hub.commit(REPO, FILES)
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, hub.endpoint, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=app_root,
        check=True,
        timeout=60,
    )
    assert "The disk is full" in run.stdout
    assert "HF_HOME" in run.stdout
    assert not list(tmp_path.rglob("*.part*"))


def test_eight_threads_that_pull_at_once_get_one_whole_folder(hub, pull_it):
    hub.commit(REPO, FILES)
    pulled = []
    threads = [threading.Thread(target=lambda: pulled.append(pull_it(timeout_s=10))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pulled) == 8
    assert len(set(pulled)) == 1
    digest = hashlib.sha256((pulled[0].folder / "model.safetensors").read_bytes()).digest()
    assert digest == hashlib.sha256(WEIGHTS).digest()


def test_a_reference_to_the_hub_finds_the_pulled_folder(hub, pull_it, monkeypatch):
    hub.commit(REPO, FILES)
    pulled = pull_it()
    pinned = parse_reference(f"hf:{REPO}@{pulled.commit}")
    assert folder_of(pinned, pull_it.access()) == pulled.folder


def test_a_token_never_shows_in_a_message(hub, tmp_path):
    hub.fault = Fault("info", status=401)
    with pytest.raises(HubError) as caught:
        pull(REPO, access=Access("hf_secret", cache_dir=tmp_path, endpoint=hub.endpoint))
    assert "hf_secret" not in str(caught.value)
