"""Replays: a run as it looked at any moment, by the same telling."""

import pytest

from core.runs.folder import Status
from core.runs.following import NOTHING, Follower
from core.runs.library import BUNDLED_RUNS, Library
from core.runs.replay import LONGEST_GAP_S, Replay
from tests.core.runs.making import events, step_event, write_events

ENDED = Status("finished", 0, "here", 0.0, step=200, total_steps=200, epoch=2, best=0.4)


@pytest.fixture
def replay(tmp_path):
    path = tmp_path / "events.jsonl"
    write_events(path, events(2))
    return Replay(Follower(path).look(), ENDED)


def test_at_its_start_the_first_event_alone_was_told(replay):
    telling, status = replay.at(0)
    assert telling.steps["step"].tolist() == [10]
    assert (status.state, status.step, status.epoch, status.best) == ("running", 10, 1, None)


def test_in_between_it_runs_and_knows_nothing_of_later(replay):
    telling, status = replay.at(95)
    assert [epoch.number for epoch in telling.epochs] == [1]
    assert (status.state, status.step, status.best) == ("running", 100, 0.1)
    assert status.total_steps == ENDED.total_steps


def test_at_its_end_it_stands_as_it_ended(replay):
    assert replay.at(replay.length_s) == (replay.telling, ENDED)
    assert replay.length_s == pytest.approx(190.5)


def test_an_epoch_is_found_by_its_number(replay):
    telling, _ = replay.at(replay.when(2))
    assert telling.epochs[-1].number == 2
    assert replay.when(17) == 0


def test_a_night_between_stop_and_resume_passes_quickly(tmp_path):
    path = tmp_path / "events.jsonl"
    write_events(path, [step_event(10), step_event(20), step_event(30, time=step_event(20)["time"] + 30_000)])
    replay = Replay(Follower(path).look(), ENDED)
    assert replay.length_s == 10 + LONGEST_GAP_S


def test_a_run_that_told_nothing_has_no_length():
    replay = Replay(NOTHING, ENDED)
    assert replay.length_s == 0
    assert replay.at(0) == (NOTHING, ENDED)


@pytest.mark.parametrize("run", Library(BUNDLED_RUNS, "bundled:").summaries(), ids=lambda run: run.name)
def test_every_bundled_run_plays_to_the_end_it_had(run):
    replay = Replay(Follower(run.folder / "events.jsonl").look(), run.status)
    assert replay.length_s > 60
    assert replay.telling.torn == 0
    assert replay.at(replay.length_s)[1].step == replay.telling.steps["step"][-1]
    assert replay.telling.best_epoch().get("balanced_accuracy") == pytest.approx(run.best)
