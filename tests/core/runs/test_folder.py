"""Run folders: what survives a killed writer, and what a reader sees meanwhile."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import RunError
from core.runs.folder import STALE_AFTER_S, RunFolder, Status, told_once


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "runs", "one")


def test_a_new_run_has_its_folders_and_no_events(run):
    assert run.checkpoints.is_dir()
    assert run.watch.is_dir()
    assert run.events() == ([], 0)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../out", "a/b", "/absolute", ".hidden", "-rf", "a\0b", "a\nb", "a" * 101]
)
def test_a_name_that_leaves_the_folder_or_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(RunError, match="cannot be a run's name"):
        RunFolder.create(tmp_path / "runs", name)
    assert not (tmp_path / "runs").exists()


def test_a_name_that_is_taken_is_refused_and_the_run_is_kept(run, tmp_path):
    run.write_config({"seed": 1})
    with pytest.raises(RunError, match=r"already a run 'one'.*resume one"):
        RunFolder.create(tmp_path / "runs", "one")
    assert run.config() == {"seed": 1}


def test_a_runs_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match="LESIONLENS_RUNS"):
        RunFolder.create(tmp_path / "runs", "one")


def test_a_run_opens_by_name_and_by_path(run, tmp_path):
    run.write_config({})
    assert RunFolder.open(tmp_path / "runs", "one").path == run.path
    assert RunFolder.open(tmp_path / "elsewhere", str(run.path)).path == run.path


@pytest.mark.parametrize("name", ["two", ""])
def test_an_unknown_run_is_refused_with_those_there_are(run, tmp_path, name):
    run.write_config({})
    with pytest.raises(RunError, match="there are: one"):
        RunFolder.open(tmp_path / "runs", name)


def test_a_damaged_config_is_refused(run):
    (run.path / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"no readable config\.json"):
        run.config()


def test_events_are_read_from_an_offset(run):
    run.append({"kind": "step", "step": 1})
    first, offset = run.events()
    run.append({"kind": "step", "step": 2})
    run.append({"kind": "step", "step": 3})
    rest, end = run.events(offset)
    assert [event["step"] for event in first + rest] == [1, 2, 3]
    assert run.events(end) == ([], end)
    assert all(abs(event["time"] - time.time()) < 600 for event in first + rest)


def test_an_unterminated_last_line_waits_for_its_end(run):
    run.append({"step": 1})
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"step": 2')
    events, offset = run.events()
    assert [event["step"] for event in events] == [1]
    with (run.path / "events.jsonl").open("a") as file:
        file.write("}\n")
    assert [event["step"] for event in run.events(offset)[0]] == [2]


def test_a_torn_line_is_passed_over_and_the_next_event_stands_alone(run):
    run.append({"step": 1})
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    run.end_torn_line()
    run.end_torn_line()
    run.append({"step": 3})
    assert [event["step"] for event in run.events()[0]] == [1, 3]


def test_lines_that_are_no_objects_are_passed_over(run):
    (run.path / "events.jsonl").write_bytes(b'[1]\n\xff\xfe\n7\n\n{"step": 1}\n')
    assert run.events()[0] == [{"step": 1}]


def test_a_rewound_run_is_told_once_and_the_offsets_of_readers_stay_good(run):
    for epoch in (1, 2, 3):
        run.append({"kind": "epoch", "epoch": epoch, "telling": 1})
    seen, offset = run.events()
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"kind": "st')  # the killed writer's last word
    run.rewind(1)
    for epoch in (2, 3):
        run.append({"kind": "epoch", "epoch": epoch, "telling": 2})
    seen += run.events(offset)[0]
    assert seen == run.events()[0]
    told = [(event["epoch"], event["telling"]) for event in told_once(seen) if event["kind"] == "epoch"]
    assert told == [(1, 1), (2, 2), (3, 2)]


def test_rewinding_a_run_that_told_nothing_tells_nothing(run):
    run.rewind(0)
    assert run.events() == ([], 0)


def _append_many(path, writer):
    run = RunFolder(path)
    for number in range(200):
        run.append({"writer": writer, "number": number, "padding": "x" * 300})


def test_two_writers_never_mix_their_lines(run):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(run.path, name)) for name in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    events, _ = run.events()
    for name in (1, 2):
        assert [event["number"] for event in events if event["writer"] == name] == list(range(200))


def test_the_log_has_one_line_a_message_with_its_time(run):
    run.log("epoch 1")
    run.log("two\nlines")
    lines = (run.path / "log.txt").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["epoch 1", "two lines"]
    assert all(line.startswith("20") for line in lines)


def test_a_status_round_trips_with_a_fresh_heartbeat(run):
    run.write_status(Status("running", 12, "host", heartbeat=0.0, step=3, best=0.5, message="so far"))
    stored = run.status()
    assert abs(stored.heartbeat - time.time()) < 60
    assert (stored.state, stored.pid, stored.step, stored.best, stored.message) == (
        "running",
        12,
        3,
        0.5,
        "so far",
    )
    assert not list(run.path.glob("*.partial"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "running"}', '{"colour": 1}'])
def test_an_unreadable_status_is_refused(run, text):
    (run.path / "status.json").write_text(text)
    with pytest.raises(RunError, match=r"no readable status\.json"):
        run.status()


def test_this_process_is_seen_running():
    assert Status.starting(10).observed() == "running"


def test_a_killed_trainer_is_seen_as_died_at_once_even_before_its_parent_looks():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    status = Status("running", process.pid, socket.gethostname(), time.time())
    assert status.observed() == "running"
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    assert status.observed() == "died"
    process.communicate()
    assert status.observed() == "died"


def test_a_later_process_with_the_same_number_is_not_taken_for_the_trainer():
    long_ago = time.time() - 10 * 365 * 86400
    assert Status("running", os.getpid(), socket.gethostname(), long_ago).observed() == "died"


def test_a_trainer_on_another_host_is_judged_by_its_heartbeat():
    status = Status("paused", 1, "another-host", heartbeat=1000.0)
    assert status.observed(now=1060.0) == "paused"
    assert status.observed(now=1200.0) == "died"


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_a_state_that_is_final_stays(state):
    assert Status(state, 1, "another-host", heartbeat=0.0).observed() == state


def test_watch_images_appear_whole(run):
    run.write_watch(3, logits=np.eye(7))
    assert [path.name for path in run.watch.iterdir()] == ["epoch_0003.npz"]
    with np.load(run.watch / "epoch_0003.npz") as stored:
        assert np.array_equal(stored["logits"], np.eye(7))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from core.errors import RunError
from core.runs.folder import RunFolder, Status
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = RunFolder(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
writes = {
    "event": lambda: run.append({"text": "x" * 100}),
    "status": lambda: run.write_status(Status.starting(1)),
    "watch": lambda: run.write_watch(1, noise=np.random.default_rng(0).random(999)),
}
for name, write in writes.items():
    try:
        write()
        print("wrote", name)
    except RunError as problem:
        print(name, "refused:", problem)
"""


def test_a_full_disk_is_named_and_what_was_written_is_kept(run):
    run.write_status(Status("running", 1, "before", 0.0))
    finished = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(run.path)], capture_output=True, text=True, check=True
    )
    lines = finished.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["event", "refused:"],
        ["status", "refused:"],
        ["watch", "refused:"],
    ]
    assert all("could not be written" in line and "disk space" in line for line in lines)
    assert run.status().host == "before"
    assert [path.name for path in run.path.rglob("*.partial")] == []


def test_events_are_json_that_any_reader_takes(run):
    run.append({"kind": "epoch", "macro_auc": None})
    for line in Path(run.path / "events.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_what_a_trainer_promised_counts_and_not_how_often_others_speak():
    slow = Status("running", 1, "another-host", heartbeat=1000.0, next_heartbeat=1300.0)
    assert slow.observed(now=1300.0 + STALE_AFTER_S) == "running"
    assert slow.observed(now=1301.0 + STALE_AFTER_S) == "died"
    assert (slow.late_s(now=1200.0), slow.late_s(now=1310.0)) == (0.0, 10.0)


def test_a_heartbeat_from_the_future_makes_nobody_dead_or_immortal(monkeypatch):
    ahead = Status(
        "running", 1, "clock-ahead", heartbeat=time.time() + 9e5, next_heartbeat=time.time() + 9e5 + 4
    )
    assert ahead.observed() == "running"
    steady = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: steady() + 2 * STALE_AFTER_S)  # an onlooker that waited
    assert ahead.observed() == "died"
    assert replace(ahead, heartbeat=ahead.heartbeat + 10).observed() == "running"  # it spoke again


def test_a_broken_promise_far_in_the_future_is_not_believed():
    status = Status("running", 1, "another-host", heartbeat=1000.0, next_heartbeat=1e12)
    assert status.observed(now=1000.0 + 24 * 3600) == "died"


def test_a_clock_that_jumps_leaves_a_trainer_of_this_machine_alive():
    """Its process is told by a mark that no clock can change, so the heartbeat may say anything."""
    for heartbeat in (0.0, time.time() - 1e8, time.time() + 1e8):
        assert replace(Status.starting(), heartbeat=heartbeat).observed() == "running"
    assert replace(Status.starting(), process="another boot/1").observed() == "died"


def test_of_two_trainers_of_one_folder_the_second_is_refused(run):
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        refusals = pool.map(_take_over, [run.path] * 2, chunksize=1)
    assert sorted(words is None for words in refusals) == [False, True]
    assert "two would spoil it" in next(filter(None, refusals))


def _take_over(path):
    try:
        RunFolder(path).take_over()
    except RunError as problem:
        return str(problem)
    time.sleep(3)  # a trainer works for a while
    return None


def test_what_was_asked_of_the_trainer_before_is_not_asked_of_the_next(run):
    (run.path / "request.json").write_text('{"wish": "stop"}')
    run.take_over()
    assert not (run.path / "request.json").exists()


def test_a_run_that_goes_on_within_an_epoch_keeps_what_it_told_of_it():
    events = [
        {"kind": "epoch", "epoch": 1, "step": 20},
        *({"kind": "step", "epoch": 2, "step": step} for step in (30, 40)),
        {"kind": "resumed", "epoch": 1, "step": 35},
        {"kind": "step", "epoch": 2, "step": 40, "again": True},
    ]
    assert told_once(events) == [events[0], events[1], events[3], events[4]]


def test_a_folder_without_permission_is_named_with_the_cure():
    with pytest.raises(RunError, match=r"could not be written.*Give yourself the right"):
        RunFolder.create(Path("/sys/kernel"), "one")


def test_answers_to_val_appear_whole_also_in_a_run_of_an_earlier_version(run):
    run.val.rmdir()
    run.write_val(2, image_ids=np.array(["a", "b"]), truth=np.array([1, 2]), logits=np.ones((2, 7)))
    with np.load(run.val / "epoch_0002.npz", allow_pickle=False) as stored:
        assert stored["image_ids"].tolist() == ["a", "b"]
        assert stored["logits"].shape == (2, 7)
