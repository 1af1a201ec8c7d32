"""Following a run: every event once, whatever happens to the file meanwhile, and curves that stay true."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.runs.folder import RunFolder, told_once
from core.runs.following import Follower, smooth, thin, window
from tests.core.runs.making import BEGAN, epoch_event, events, step_event, write_events


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "events.jsonl"


def steps_of(telling):
    return telling.steps["step"].astype(int).tolist()


def test_a_file_that_is_not_there_has_told_nothing(path):
    telling = Follower(path).look()
    assert telling.is_empty
    assert steps_of(telling) == []


def test_what_is_new_is_added_to_what_is_known(path):
    follower = Follower(path)
    write_events(path, events(1))
    first = follower.look()
    write_events(path, [step_event(110, loss=0.25)])
    second = follower.look()
    assert steps_of(first) == list(range(10, 101, 10))
    assert steps_of(second) == list(range(10, 111, 10))
    assert second.steps["loss"][-1] == 0.25
    assert [epoch.number for epoch in second.epochs] == [1]


def test_a_look_at_a_file_that_did_not_grow_gives_the_same_telling(path):
    write_events(path, events(1))
    follower = Follower(path)
    assert follower.look() is follower.look()


def test_a_line_that_is_being_written_is_read_when_it_is_whole(path):
    write_events(path, [step_event(10)])
    line = json.dumps(step_event(20)) + "\n"
    follower = Follower(path)
    for part in (line[:5], line[5:-1], line[-1:]):
        with path.open("a") as file:
            file.write(part)
        telling = follower.look()
    assert steps_of(telling) == [10, 20]
    assert telling.torn == 0


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind": "step", "ste',
        b"\xff\xfe\x00",
        b"[1, 2, 3]",
        b"null",
        b'"step"',
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_event_is_counted_and_passed_over(path, line):
    write_events(path, [step_event(10)])
    with path.open("ab") as file:
        file.write(line + b"\n")
    write_events(path, [step_event(20)])
    telling = Follower(path).look()
    assert steps_of(telling) == [10, 20]
    assert telling.torn == 1


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "step"},
        {"kind": "step", "time": "now", "step": 1, "epoch": 1},
        {"kind": "step", "time": 1.0, "step": None, "epoch": 1},
        {"kind": "step", "time": 1.0, "step": 10**400, "epoch": 1},
        {"kind": "step", "time": 1.0, "step": True, "epoch": 1},
        {"kind": "epoch", "epoch": 1},
        {"kind": "epoch", "epoch": [1], "step": 1, "time": 1},
        {"kind": "alarm"},
        {"kind": "resumed"},
        {"kind": ["step"]},
        {"no": "kind"},
    ],
)
def test_an_event_that_lacks_what_is_needed_is_passed_over(path, event):
    write_events(path, [step_event(10), event, step_event(20)])
    telling = Follower(path).look()
    assert steps_of(telling) == [10, 20]
    assert telling.epochs == ()
    assert telling.alarms == ()


def test_numbers_that_are_none_become_nan_and_new_ones_a_column_of_their_own(path):
    write_events(
        path, [step_event(10, loss=None), step_event(20, loss="low"), step_event(30, gpu_memory_mb=5)]
    )
    steps = Follower(path).look().steps
    assert np.isnan(steps["loss"][:2]).all()
    assert np.array_equal(steps["gpu_memory_mb"], [np.nan, np.nan, 5], equal_nan=True)


@pytest.mark.parametrize("confusion", [None, [], [[1]], "much", [[{}] * 7] * 7])
def test_an_epoch_with_a_foreign_matrix_keeps_its_numbers(path, confusion):
    write_events(path, [epoch_event(1, 0.4, confusion=confusion)])
    (epoch,) = Follower(path).look().epochs
    assert epoch.confusion is None
    assert epoch.get("balanced_accuracy") == 0.4
    assert np.isnan(epoch.get("macro_f1"))


def test_a_resumed_run_is_told_once_as_run_folders_tell_it(tmp_path):
    run = RunFolder.create(tmp_path, "one")
    told = [*events(2), step_event(210), {"kind": "resumed", "epoch": 1, "step": 150, "time": BEGAN}]
    told += [step_event(160), {"kind": "resumed", "epoch": 1, "step": 100, "time": BEGAN}, step_event(110)]
    write_events(run.path / "events.jsonl", told)
    once = told_once(run.events()[0])
    telling = Follower(run.path / "events.jsonl").look()
    assert steps_of(telling) == [event["step"] for event in once if event["kind"] == "step"]
    assert [epoch.number for epoch in telling.epochs] == [
        event["epoch"] for event in once if event["kind"] == "epoch"
    ]


def test_what_was_given_out_stays_as_it_was_when_the_run_is_resumed(path):
    write_events(path, events(2))
    follower = Follower(path)
    before = follower.look()
    kept = before.steps["step"].copy()
    write_events(path, [{"kind": "resumed", "epoch": 1}, step_event(110, loss=9.0)])
    follower.look()
    assert np.array_equal(before.steps["step"], kept)


def test_a_file_that_was_cut_short_is_read_anew(path):
    write_events(path, events(2))
    follower = Follower(path)
    follower.look()
    path.write_text(json.dumps(step_event(5)) + "\n")
    assert steps_of(follower.look()) == [5]


def test_a_file_that_was_replaced_is_read_anew(path):
    write_events(path, events(1))
    follower = Follower(path)
    follower.look()
    other = path.with_name("other.jsonl")
    write_events(other, [*events(3)])
    other.replace(path)
    assert len(follower.look().epochs) == 3


def test_a_file_that_is_gone_is_forgotten(path):
    write_events(path, events(1))
    follower = Follower(path)
    follower.look()
    path.unlink()
    assert follower.look().is_empty


def test_a_folder_in_the_files_place_is_no_error(path):
    path.mkdir(parents=True)
    assert Follower(path).look().is_empty


def test_a_large_file_is_read_part_by_part(path):
    told = events(20)
    write_events(path, told)
    follower = Follower(path)
    first = follower.look(at_once=4096)
    assert 0 < first.unread_bytes == path.stat().st_size - 4096
    while follower.look(at_once=4096).unread_bytes:
        pass
    last = follower.look()
    assert steps_of(last) == [event["step"] for event in told if event["kind"] == "step"]
    assert len(last.epochs) == 20


def test_a_line_longer_than_a_look_does_not_stop_the_reader(path):
    write_events(path, [step_event(10), {"kind": "note", "words": "x" * 10_000}, step_event(20)])
    follower = Follower(path)
    for _ in range(20):
        telling = follower.look(at_once=1024)
    assert steps_of(telling) == [10, 20]


def test_until_a_moment_holds_what_was_told_by_then(path):
    write_events(path, [*events(2), {"kind": "alarm", "name": "a", "time": BEGAN + 150, "words": "!"}])
    telling = Follower(path).look().until(BEGAN + 120)
    assert steps_of(telling)[-1] == 120
    assert [epoch.number for epoch in telling.epochs] == [1]
    assert telling.alarms == ()


def test_a_clock_that_was_set_back_hides_nothing(path):
    write_events(path, [step_event(10), step_event(20, time=BEGAN - 5000), step_event(30)])
    telling = Follower(path).look()
    assert steps_of(telling.until(BEGAN + 10)) == [10, 20]
    assert steps_of(telling.until(BEGAN + 30)) == [10, 20, 30]


numbers = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=400)


@given(numbers, st.integers(2, 60))
def test_thinned_curves_keep_first_last_lowest_and_highest(values, points):
    column = np.array(values)
    kept = thin(column, points)
    assert np.array_equal(kept, np.unique(kept))
    assert len(kept) <= points + 2
    if len(column) <= points:
        assert len(kept) == len(column)
    if len(column):
        assert {0, len(column) - 1} <= set(kept.tolist())
    if np.isfinite(column).any():
        assert np.nanmin(column[kept]) == np.nanmin(column)
        assert np.nanmax(column[kept]) == np.nanmax(column)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=50), st.floats(-100, 100), st.floats(0, 50))
def test_a_window_holds_all_inside_and_one_more_at_each_side(places, low, width):
    x = np.sort(np.array(places))
    part = x[window(x, low, low + width)]
    inside = (x >= low) & (x <= low + width)
    assert inside.sum() <= len(part) <= inside.sum() + 2
    assert set(x[inside]) <= set(part)


def test_smoothing_starts_at_the_first_value_and_passes_over_gaps():
    values = np.array([4.0, np.nan, 2.0])
    smoothed = smooth(values, 0.5)
    assert smoothed[0] == 4.0
    assert smoothed[2] == pytest.approx((0.5 * 4 + 2) / 1.5)
    assert smooth(values, 0.0) is values
