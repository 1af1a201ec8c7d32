"""Alarms: each rings for what it is about, keeps still for what is normal, and is told once."""

import time

import pytest

from core.runs.alarms import ALARMS, KEPT_STEPS, Story, Watchman, heartbeat_late, predicted_share
from core.runs.folder import STALE_AFTER_S, Status


def step(number, loss=1.0, **more):
    return {"kind": "step", "step": number, "epoch": 1, "loss": loss, **more}


def epoch(number, val_loss=1.0, train_loss=None, **more):
    train_loss = 1.0 / number if train_loss is None else train_loss
    return {
        "kind": "epoch",
        "step": number,
        "epoch": number,
        "val_loss": val_loss,
        "train_loss": train_loss,
        **more,
    }


def epochs(*val_losses, **more):
    return [epoch(number, loss, **more) for number, loss in enumerate(val_losses, 1)]


def steps(*losses, **more):
    return [step(number, loss, **more) for number, loss in enumerate(losses, 1)]


# name: events that must ring, events that must not.
CASES = {
    "validation_worse": (epochs(1.0, 0.8, 0.9, 0.95, 0.99), epochs(1.0, 0.8, 0.9, 0.79, 0.9)),
    "one_class": (
        [epoch(1, predicted_share=[0, 0, 0, 0.01, 0.04, 0.95, 0])],
        [epoch(1, predicted_share=[0.05, 0.05, 0.1, 0, 0.1, 0.67, 0.03])],
    ),
    "loss_not_finite": (steps(1.0, None), steps(1.0, 2.0)),
    "learning_rate_high": (steps(*[1.9] * 5, *[2.5] * 5, *[4.0] * 5), steps(*[1.9] * 5, *[1.7] * 10)),
    "learning_rate_low": (epochs(1, 1, 1, train_loss=1.9), epochs(1, 1, 1)),
    "loader_bound": (steps(1, 1, 1, 1, 1, wait_share=0.4), steps(1, 1, 1, 1, wait_share=0.4)),
    "disk_nearly_full": ([step(1, disk_free_mb=300.0)], [step(1, disk_free_mb=30_000.0)]),
}


def story(events):
    told = Story()
    for event in events:
        told.add(event)
    return told


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_an_alarm_rings_for_what_it_is_about_only(alarm):
    wrong, normal = CASES[alarm.name]
    words = alarm.find(story(wrong))
    assert words is not None
    assert words.endswith(".")
    assert alarm.find(story(normal)) is None
    assert alarm.find(Story()) is None
    others = [other.name for other in ALARMS if other is not alarm and other.find(story(wrong))]
    assert others == []


def test_an_alarm_is_told_once_when_it_begins_and_again_after_it_ended():
    watchman = Watchman()
    told = [
        watchman.look(step(number, disk_free_mb=free)) for number, free in enumerate((9e4, 10, 10, 9e4, 10))
    ]
    assert [[event["name"] for event in events] for events in told] == [
        [],
        ["disk_nearly_full"],
        [],
        [],
        ["disk_nearly_full"],
    ]
    assert told[1][0] == {
        "kind": "alarm",
        "name": "disk_nearly_full",
        "severity": "error",
        "step": 1,
        "epoch": 1,
        "words": told[1][0]["words"],
    }


def test_a_resumed_run_does_not_repeat_an_alarm_that_still_rings():
    before = [step(1, disk_free_mb=10.0)]
    assert Watchman(before).look(step(2, disk_free_mb=10.0)) == []
    assert len(Watchman().look(step(2, disk_free_mb=10.0))) == 1


def test_a_long_run_is_looked_at_in_a_bounded_window():
    told = story(step(number) for number in range(100 * KEPT_STEPS))
    assert len(told.steps) == KEPT_STEPS
    assert [event["step"] for event in told.first_steps] == [0, 1, 2, 3, 4]


def test_runs_of_earlier_versions_tell_their_answers_by_the_confusion_matrix():
    assert predicted_share({"confusion": [[1, 3], [0, 4]]}) == [0.125, 0.875]
    assert predicted_share({}) == []


def test_a_late_heartbeat_is_told_by_the_onlooker_while_the_trainer_may_live():
    status = Status("running", 1, "another-host", heartbeat=1000.0, next_heartbeat=1060.0)
    assert heartbeat_late(status, now=1080.0) is None
    assert "for 40 s longer than it meant to" in heartbeat_late(status, now=1100.0)
    assert heartbeat_late(status, now=1061.0 + STALE_AFTER_S) is None  # it has died: no alarm can help
    assert heartbeat_late(Status.starting(), now=time.time()) is None
