"""A run under way: stopped, paused, and resumed in the middle of an epoch, from the queue and from a page."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from core.runs import control, queue
from core.runs.folder import RunFolder, told_once
from core.settings import settings
from tests.conftest import ROOT
from tests.train.conftest import folders
from tests.train.test_loop import epochs_of, fit, tiny_recipe
from train.asked import Asked
from train.display import TerminalDisplay
from train.fit import FROM_CHECKPOINT, resume, start
from train.progress import Progress


def ask_at(monkeypatch, wishes):
    """Let requests arrive at given looks, as if somebody wrote them into the run folder just then."""
    looks = []
    real = Asked.wish

    def wish(self):
        looks.append(1)
        if len(looks) in wishes:
            (self._path.parent / "request.json").write_text(json.dumps({"wish": wishes[len(looks)]}))
        return real(self)

    monkeypatch.setattr(Asked, "wish", wish)


def assert_same(run, other):
    for event, uninterrupted in zip(epochs_of(run), epochs_of(other), strict=True):
        assert (event["epoch"], event["step"]) == (uninterrupted["epoch"], uninterrupted["step"])
        for name in ("train_loss", "val_loss", "balanced_accuracy", "images"):
            assert event[name] == pytest.approx(uninterrupted[name], rel=1e-4), name
    ours = load_file(run.checkpoints / "last.safetensors")
    for name, tensor in load_file(other.checkpoints / "last.safetensors").items():
        assert torch.allclose(ours[name].float(), tensor.float(), rtol=1e-3, atol=1e-4), name


@pytest.mark.parametrize("mode", ["finetune", "frozen"])
def test_a_run_stopped_within_an_epoch_goes_on_as_if_nothing_had_happened(tiny, monkeypatch, mode):
    # A frozen backbone that the recipe's seed alone cannot make again.
    frozen = ("mode=frozen", f"weights={FROM_CHECKPOINT}{tiny.reference}")
    changes = () if mode == "finetune" else frozen
    whole = fit(tiny, "whole", *changes) if changes else tiny.run
    ask_at(monkeypatch, {3: "stop"})
    run = fit(tiny, "stopped", *changes)
    status = run.status()
    assert (status.state, status.step) == ("stopped", 3)
    assert "python -m train resume stopped" in (run.path / "log.txt").read_text()
    assert not (run.path / "request.json").exists()
    with folders(settings().runs_dir, tiny.cache):
        resume("stopped", TerminalDisplay(quiet=True))
    assert run.status().state == "finished"
    assert_same(run, whole)


def test_gradients_that_wait_for_more_are_not_lost_by_a_stop(tiny, monkeypatch):
    """With accumulation a run stops after a whole optimizer step, not between two batches of one."""
    ask_at(monkeypatch, {1: "stop"})
    run = fit(tiny, "accumulating", "optimizer.accumulate=3")
    assert run.status().step == 3


def test_a_paused_run_waits_with_a_heartbeat_and_goes_on(tiny, monkeypatch):
    ask_at(monkeypatch, {3: "pause", 9: "resume"})
    seen = []
    real = RunFolder.write_status

    def write_status(self, status, **more):
        seen.append(status.state)
        real(self, status, **more)

    monkeypatch.setattr(RunFolder, "write_status", write_status)
    run = fit(tiny, "paused")
    assert [state for place, state in enumerate(seen) if seen[place - 1 : place] != [state]] == [
        "running", "paused", "running", "finished"
    ]  # fmt: skip
    assert_same(run, tiny.run)


def test_a_paused_run_can_be_stopped(tiny, monkeypatch):
    ask_at(monkeypatch, {3: "pause", 6: "stop"})
    run = fit(tiny, "enough")
    assert (run.status().state, run.status().step) == ("stopped", 3)


def test_a_stopped_run_still_gives_a_checkpoint_once_it_has_a_best_epoch(tiny, monkeypatch):
    made = []
    with folders(settings().runs_dir, tiny.cache):
        ask_at(monkeypatch, {2: "stop"})
        start(tiny_recipe(tiny), tiny.data, "early", TerminalDisplay(quiet=True), then=made.append)
        assert made == []
        ask_at(monkeypatch, {9: "stop"})
        run = start(tiny_recipe(tiny), tiny.data, "later", TerminalDisplay(quiet=True), then=made.append)
    assert [one.name for one in made] == ["later"]
    assert run.status().state == "stopped"


def test_no_epoch_begins_that_the_budget_has_no_time_for(tiny):
    run = fit(tiny, "budget", "budget_s=0.001", "mode=frozen")
    assert len(epochs_of(run)) == 1
    assert "s are used" in (run.path / "log.txt").read_text()
    assert run.status().state == "finished"


def test_fewer_pictures_an_epoch_make_it_shorter(tiny):
    run = fit(tiny, "short", "epoch_images=32", "epochs=2", "mode=frozen")
    assert [(event["step"], event["images"]) for event in epochs_of(run)] == [(2, 32), (4, 64)]


def test_progress_is_counted_again_for_another_number_of_processes():
    progress = Progress(epoch=2, step=50, within=10, steps=20, loss_sum=5.0).in_epochs_of(10)
    assert (progress.step, progress.within, progress.loss_sum) == (25, 5, 2.5)
    assert Progress(epoch=2, step=40).in_epochs_of(20) == Progress(epoch=2, step=40, steps=20)


SUBMIT = """
import sys
from pathlib import Path
from core.runs import control
name = control.submit(sys.argv[1], data_dir=Path(sys.argv[2]), name="queued", overrides=["epochs=400"])
print(name, flush=True)
input()
"""


def waits_for(what, *, every_s=0.05, at_most_s=300):
    end = time.monotonic() + at_most_s
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(every_s)


def test_a_queued_run_outlives_who_started_it_and_obeys(tiny):
    with folders(settings().runs_dir, tiny.cache):
        runs_dir = settings().runs_dir
        program = [sys.executable, "-c", SUBMIT, str(tiny.recipe), str(tiny.data)]
        with subprocess.Popen(
            program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as app:
            assert app.stdout.readline() == "queued\n"
            control.submit(str(tiny.recipe), data_dir=tiny.data, name="next", overrides=["epochs=1"])
            app.send_signal(signal.SIGKILL)
        run = RunFolder(runs_dir / "queued")
        waits_for(lambda: any(event["kind"] == "epoch" for event in run.events()[0]))
        assert run.status().observed() == "running"
        assert os.getsid(run.status().pid) == run.status().pid
        assert [(item.name, item.starting) for item in queue.waiting(runs_dir)] == [("next", False)]
        control.pause(run)
        waits_for(lambda: control.state_of(run) == "paused")
        control.stop(run)
        waits_for(lambda: control.state_of(run) == "stopped")
        assert (run.path / "checkpoint" / "lesionlens.json").is_file()
        waits_for(
            lambda: (
                (runs_dir / "next").exists() and control.state_of(RunFolder(runs_dir / "next")) == "finished"
            )
        )
        waits_for(lambda: not queue.is_working(runs_dir))
        assert "Use it with --checkpoint" in (run.path / "output.txt").read_text()
    steps = [event["step"] for event in told_once(run.events()[0]) if event["kind"] == "step"]
    assert steps == sorted(set(steps))
