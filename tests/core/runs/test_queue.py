"""The queue: its order, what survives, and a dispatcher that leaves word of a trainer that never began."""

import multiprocessing
import time
from pathlib import Path
from socket import gethostname

import pytest
from filelock import FileLock

from core.errors import RunError
from core.runs import queue
from core.runs.folder import RunFolder, Status
from core.runs.queue import Queued
from tests.core.runs.making import write_run


@pytest.fixture
def runs_dir(tmp_path):
    return tmp_path / "runs"


def item(name, **more):
    return Queued(name, "quick", Path("/data"), **more)


def names(runs_dir):
    return [one.name for one in queue.waiting(runs_dir)]


def test_nothing_waits_where_nobody_queued_anything(runs_dir):
    assert queue.waiting(runs_dir) == ()
    assert not runs_dir.exists()


def test_items_wait_in_order_and_come_back_whole(runs_dir):
    items = (
        item("a", overrides=("epochs=3", "model=resnet18"), submitted=12.5),
        Queued("b", "", Path("/more data"), what="resume"),
    )
    for one in items:
        queue.add(runs_dir, one)
    assert queue.waiting(runs_dir) == items
    assert items[0].arguments == [
        "fit", "quick", "--data", "/data", "--run", "a", "--set", "epochs=3", "--set", "model=resnet18"
    ]  # fmt: skip
    assert items[1].arguments == ["resume", "b"]


@pytest.mark.parametrize(("to", "expected"), [(0, "cab"), (1, "acb"), (2, "abc"), (99, "abc")])
def test_an_item_moves_to_a_place(runs_dir, to, expected):
    for name in "abc":
        queue.add(runs_dir, item(name))
    queue.move(runs_dir, "c", to)
    assert "".join(names(runs_dir)) == expected


def test_what_is_being_started_is_neither_overtaken_nor_cancelled(runs_dir):
    queue.add(runs_dir, item("a", starting=True))
    for name in "bc":
        queue.add(runs_dir, item(name))
    queue.move(runs_dir, "c", 0)
    assert names(runs_dir) == ["a", "c", "b"]
    with pytest.raises(RunError, match="'a' is being started already"):
        queue.cancel(runs_dir, "a")


def test_a_cancelled_item_waits_no_more_and_others_do(runs_dir):
    for name in "ab":
        queue.add(runs_dir, item(name))
    queue.cancel(runs_dir, "a")
    assert names(runs_dir) == ["b"]
    with pytest.raises(RunError, match="'a' does not wait; b does"):
        queue.cancel(runs_dir, "a")


def test_a_name_waits_once(runs_dir):
    queue.add(runs_dir, item("a"))
    with pytest.raises(RunError, match="'a' is in the queue already"):
        queue.add(runs_dir, item("a"))


def test_a_damaged_queue_is_named_with_the_cure(runs_dir):
    queue.add(runs_dir, item("a"))
    (runs_dir / ".queue" / "waiting.json").write_text('[{"name": "a"')
    with pytest.raises(RunError, match=r"waiting\.json cannot be read.*Delete that file"):
        queue.waiting(runs_dir)


def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(RunError, match=r"cannot be changed.*LESIONLENS_RUNS"):
        queue.add(Path("/sys/kernel"), item("a"))


def _add_many(runs_dir, letter):
    for number in range(20):
        queue.add(runs_dir, item(f"{letter}{number}"))


def test_two_that_submit_at_once_lose_nothing(runs_dir):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add_many, args=(runs_dir, letter)) for letter in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(names(runs_dir)) == sorted(f"{letter}{number}" for letter in "ab" for number in range(20))


def test_a_machine_has_one_dispatcher(runs_dir):
    assert not queue.is_working(runs_dir)
    with FileLock(queue._worker_lock(runs_dir).lock_file):
        assert queue.is_working(runs_dir)
        assert queue.work(runs_dir) is False
    assert queue.work(runs_dir) is True  # nothing waits: it ends at once


def test_what_a_killed_dispatcher_was_starting_waits_again(runs_dir):
    queue.add(runs_dir, item("begun", starting=True))
    queue.add(runs_dir, item("lost", starting=True))
    RunFolder.create(runs_dir, "begun")
    queue._restore_started(runs_dir)
    assert queue.waiting(runs_dir) == (item("lost"),)


def test_what_another_machine_is_starting_is_left_to_it(runs_dir):
    theirs = item("theirs", starting=True, starter="another-host", started=time.time())
    for one in (theirs, item("ours")):
        queue.add(runs_dir, one)
    queue._restore_started(runs_dir)
    started = queue._next(runs_dir, queue._worker_lock(runs_dir))
    assert (started.name, started.starter) == ("ours", gethostname())
    assert queue.waiting(runs_dir) == (theirs, started)
    assert queue._next(runs_dir, queue._worker_lock(runs_dir)) is None


def test_what_a_dead_machine_was_starting_waits_again(runs_dir):
    long_ago = time.time() - queue.ABANDONED_S - 1
    queue.add(runs_dir, item("theirs", starting=True, starter="another-host", started=long_ago))
    queue._restore_started(runs_dir)
    (left,) = queue.waiting(runs_dir)
    assert (left.starting, left.starter) == (False, "")
    queue.cancel(runs_dir, "theirs")


def test_only_runs_that_live_on_this_machine_keep_it_busy(runs_dir):
    for name, status in {
        "here": Status.starting(),
        "ended": Status("finished", 1, Status.starting().host, 0.0),
        "elsewhere": Status("running", 1, "another-host", 0.0),
    }.items():
        RunFolder.create(runs_dir, name).write_status(status)
    RunFolder.create(runs_dir, "silent")
    assert [run.name for run in queue.living_here(runs_dir)] == ["here"]


def test_a_trainer_that_never_began_leaves_a_failed_run_that_says_why(runs_dir, tmp_path):
    (tmp_path / "empty").mkdir()
    queue.add(runs_dir, Queued("doomed", "quick", tmp_path / "empty"))
    assert queue.work(runs_dir) is True
    run = RunFolder.open(runs_dir, "doomed")
    status = run.status()
    assert status.state == "failed"
    assert str(tmp_path / "empty") in status.message
    assert status.message in (run.path / "log.txt").read_text()
    assert status.message in (run.path / "output.txt").read_text()
    assert run.config()["recipe_name"] == "quick"
    assert queue.waiting(runs_dir) == ()


def test_a_trainer_that_could_not_go_on_says_why_in_its_run(runs_dir):
    write_run(runs_dir / "stopped", state="stopped", recipe={"model": "of-tomorrow"})
    queue.add(runs_dir, Queued("stopped", "", Path("HAM10000"), what="resume"))
    assert queue.work(runs_dir) is True
    status = RunFolder(runs_dir / "stopped").status()
    assert (status.state, status.step) == ("failed", 300)
    assert "of-tomorrow" in status.message
    assert queue.waiting(runs_dir) == ()
