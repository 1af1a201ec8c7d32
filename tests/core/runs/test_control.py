"""Control: what may be asked of a run in which state, and what deleting keeps."""

import json
import subprocess
import sys
import time

import pytest

from core.errors import RecipeError, RunError
from core.runs import control, queue
from core.runs.folder import RunFolder, Status
from core.settings import settings


@pytest.fixture
def run():
    """A run of this process: as long as the test runs, its trainer lives."""
    made = RunFolder.create(settings().runs_dir, "one")
    made.write_config({"recipe": {}, "recipe_name": "quick", "data_dir": "/data"})
    made.write_status(Status.starting())
    return made


def in_state(run, state):
    run.write_status(Status(state, 1, "another-host", 0.0))


def wish(run):
    return json.loads((run.path / "request.json").read_text())["wish"]


@pytest.mark.parametrize("ask", ["pause", "stop"])
def test_a_living_trainer_is_asked_through_its_folder(run, ask):
    getattr(control, ask)(run)
    assert wish(run) == ask


def test_a_trainer_on_another_machine_is_asked_through_the_shared_folder(run):
    in_state(run, "running")
    control.stop(run)
    assert wish(run) == "stop"


def test_a_paused_run_is_asked_to_go_on_and_may_be_stopped(run):
    in_state(run, "paused")
    control.resume(run)
    assert wish(run) == "resume"
    control.stop(run)
    assert wish(run) == "stop"


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
@pytest.mark.parametrize("ask", ["pause", "stop"])
def test_of_a_run_that_ended_nothing_is_asked(run, state, ask):
    in_state(run, state)
    with pytest.raises(RunError, match=f"one is {state}, not running.*nothing to {ask}"):
        getattr(control, ask)(run)
    assert not (run.path / "request.json").exists()


def test_a_running_run_is_not_resumed(run):
    with pytest.raises(RunError, match="one is running"):
        control.resume(run)
    in_state(run, "finished")
    with pytest.raises(RunError, match="has finished: train again"):
        control.resume(run)


def test_a_run_that_never_began_is_not_resumed(run):
    in_state(run, "failed")
    run.write_config({"data_dir": "/data"})
    with pytest.raises(RunError, match=r"never began.*Submit it again"):
        control.resume(run)


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_a_run_that_ended_too_early_is_queued_to_go_on(run, state, monkeypatch):
    monkeypatch.setattr(queue, "ensure_worker", lambda _: None)  # nothing shall be trained here
    in_state(run, state)
    control.resume(run)
    (item,) = queue.waiting(settings().runs_dir)
    assert (item.name, item.what, item.recipe) == ("one", "resume", "quick")
    with pytest.raises(RunError, match="in the queue already"):
        control.resume(run)
    with pytest.raises(RunError, match="waits in the queue"):
        control.delete(run)


def test_a_run_that_lives_is_not_deleted(run):
    with pytest.raises(RunError, match=r"one is being trained\. Stop it first"):
        control.delete(run)
    assert run.config()


def test_a_deleted_run_lies_in_the_trash_and_comes_back(run):
    in_state(run, "finished")
    run.append({"kind": "step", "step": 1})
    trashed = control.delete(run)
    assert not run.path.exists()
    assert trashed.parent == settings().runs_dir / ".trash"
    with pytest.raises(RunError, match="there are: none"):
        RunFolder.open(settings().runs_dir, "one")
    back = control.restore(trashed)
    assert back.path == run.path
    assert [event["step"] for event in back.events()[0]] == [1]


def test_a_deleted_run_does_not_replace_one_of_its_name(run):
    in_state(run, "finished")
    trashed = control.delete(run)
    RunFolder.create(settings().runs_dir, "one")
    with pytest.raises(RunError, match="There is a run 'one' again"):
        control.restore(trashed)
    assert trashed.is_dir()


def test_only_this_machines_runs_can_be_deleted_or_restored(tmp_path, run):
    elsewhere = RunFolder.create(tmp_path / "bundled", "one")
    elsewhere.write_config({})
    with pytest.raises(RunError, match="only those can be deleted"):
        control.delete(elsewhere)
    with pytest.raises(RunError, match="is not a deleted run"):
        control.restore(run.path)


@pytest.mark.parametrize(
    "act", [control.pause, control.stop, control.resume, control.delete, control.restore]
)
def test_where_training_is_switched_off_nothing_is_changed(run, act, monkeypatch):
    monkeypatch.setenv("LESIONLENS_ALLOW_TRAINING", "false")
    settings.cache_clear()
    for call in (lambda: act(run), lambda: control.submit("quick", data_dir=run.path)):
        with pytest.raises(RunError, match=r"switched off.*LESIONLENS_ALLOW_TRAINING"):
            call()
    assert run.path.is_dir()
    assert not (run.path / "request.json").exists()


def test_what_cannot_be_is_refused_before_it_waits(run, tmp_path):
    with pytest.raises(RunError, match="There is no folder"):
        control.submit("quick", data_dir=tmp_path / "nowhere")
    with pytest.raises(RecipeError, match="epochs: Input should be"):
        control.submit("quick", data_dir=tmp_path, overrides=["epochs=0"])
    with pytest.raises(RunError, match="already a run 'one'"):
        control.submit("quick", data_dir=tmp_path, name="one")
    assert queue.waiting(settings().runs_dir) == ()


def test_a_recipe_is_shown_as_the_trainer_understands_it():
    resolved = control.resolved_recipe("quick", ["optimizer.learning_rate=1e-4"])
    assert resolved["optimizer"]["learning_rate"] == 1e-4
    assert resolved["mode"] == "frozen"


def test_a_dead_trainer_counts_as_died(run):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run.write_status(Status("running", gone.pid, Status.starting().host, time.time()))
    assert control.state_of(run) == "died"
    (run.path / "status.json").unlink()
    assert control.state_of(run) == "died"
