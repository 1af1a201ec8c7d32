"""What is said of a run: the numbers of the panel, and how it goes in words."""

import math

import pytest

from core.runs import story
from core.runs.folder import Status
from core.runs.following import NOTHING, Follower
from core.words import NBSP, READERS
from tests.core.runs.making import events, step_event, write_events

RUNNING = Status("running", 0, "here", 0.0, step=200, total_steps=300, epoch=2, best=0.2)


@pytest.fixture
def telling(tmp_path):
    write_events(tmp_path / "events.jsonl", events(2))
    return Follower(tmp_path / "events.jsonl").look()


def by_name(figures):
    return {figure.name: figure for figure in figures}


def test_the_panel_says_how_far_how_good_and_how_fast(telling):
    figures = by_name(story.figures(telling, RUNNING, 3))
    assert (figures["Step"].value, figures["Step"].note) == ("200", "of 300")
    assert figures["Balanced accuracy"].value == "0.100"
    assert figures["Images a second"].value == "32"
    assert figures["Time left"].value == f"2{NBSP}min"
    assert (figures["Loader wait"].value, figures["Loader wait"].note) == (f"1.0{NBSP}%", "fine")
    assert figures["Memory"].value == f"1.0{NBSP}GB"
    assert "Processor" in figures


def test_a_gpu_is_told_where_one_is_used(tmp_path):
    write_events(tmp_path / "events.jsonl", [step_event(10, gpu_memory_mb=2048.0, wait_share=0.2)])
    telling = Follower(tmp_path / "events.jsonl").look()
    figures = by_name(story.figures(telling, RUNNING, 3))
    assert figures["GPU memory"].value == f"2.0{NBSP}GB"
    assert figures["Loader wait"].note == "too much"


def test_what_was_not_told_is_a_dash_and_never_a_zero():
    figures = by_name(story.figures(NOTHING, Status("running", 0, "here", 0.0), 0))
    assert {figures[name].value for name in ("Balanced accuracy", "Loss", "Time left", "Memory")} <= {
        "–",
        "n/a",
    }


def test_nothing_is_left_of_a_run_that_does_not_run(telling):
    ended = Status("finished", 0, "here", 0.0, step=300, total_steps=300)
    assert math.isnan(story.time_left_s(telling, ended))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (91, "2 min"), (3600, "1 h 0 min"), (200_000, "2 days"), (math.nan, "n/a")],
)
def test_spans_are_said_as_people_say_them(seconds, words):
    assert story.duration(seconds).replace(NBSP, " ") == words


@pytest.mark.parametrize(("seconds", "words"), [(5, "0:05"), (65, "1:05"), (5488, "1:31:28")])
def test_a_player_shows_a_clock(seconds, words):
    assert story.clock(seconds) == words


@pytest.mark.parametrize("reader", READERS.values(), ids=lambda reader: reader.name)
def test_every_reader_hears_how_it_goes(telling, reader):
    said = story.narrate(telling, RUNNING, reader)
    assert "epoch 2" in said
    assert ("10 in 100" if reader.name == "patient" else "0.100") in said


def test_an_earlier_epoch_that_was_better_is_named(tmp_path):
    write_events(tmp_path / "events.jsonl", events(4))
    telling = Follower(tmp_path / "events.jsonl").look()
    assert "Epoch 3 was better (0.300)" in story.narrate(telling, RUNNING, READERS["ML"])


def test_before_the_first_epoch_the_model_knows_no_skin(tmp_path):
    write_events(tmp_path / "events.jsonl", [step_event(10)])
    telling = Follower(tmp_path / "events.jsonl").look()
    assert "first round" in story.narrate(telling, RUNNING, READERS["patient"])
    assert "prepares" in story.narrate(NOTHING, RUNNING, READERS["patient"])


@pytest.mark.parametrize(
    "state", ["running", "paused", "finished", "stopped", "failed", "died", "unreadable"]
)
def test_every_state_has_a_sentence(state):
    assert story.headline(RUNNING, state, "mine").startswith("mine ")
