"""The Train page: what is on the shelf, what is looked at, and that nothing steals the look."""

import base64
import json
import os
import shutil
import socket
import time

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.runs import queue
from core.runs.folder import LIVE_STATES, process_mark
from core.runs.library import BUNDLED_RUNS, Library
from core.runs.notes import Notes, read_notes, write_notes
from core.settings import settings
from pages.ui.train import curves, player, shelf, sources
from tests.core.runs.making import step_event, write_events, write_run
from tests.pages.reading import component, said

BUNDLED = "bundled:lesionlens-lite0"


@pytest.fixture
def runs_dir():
    return settings().runs_dir


@pytest.fixture(autouse=True)
def forget():
    """Let no test see the readers of another one."""
    yield
    for function in (sources._library, sources._follower):
        function.clear()


def rows(app):
    return {row["run"]: row for row in component(app, "lesionlens_shelf")["rows"]}


def looked_at(app):
    return next(name for name, row in rows(app).items() if row["picked"])


def figures(app):
    return {one["name"]: one["value"] for one in component(app, "lesionlens_numbers")["figures"]}


def live(**status):
    """Return the status of a run that this very process trains."""
    return {
        "state": "running",
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "heartbeat": time.time(),
        "next_heartbeat": time.time() + 60,
        "process": process_mark(os.getpid()),
    } | status


def test_the_first_launch_shows_a_recorded_run_and_one_way_to_play_it(open_page):
    app = open_page("Train")
    assert not app.exception
    assert looked_at(app) == BUNDLED
    assert "Watch it learn" in app.button(key="train_replay").label
    assert figures(app)["Best so far"] == "0.736"
    assert "names about 69 in 100 right" in said(app)
    assert component(app, "lesionlens_film")["epochs"] == list(range(1, 19))


def test_a_replay_shows_the_run_as_it_looked_then(open_page, monkeypatch):
    app = open_page("Train")
    app.button(key="train_replay").click().run()
    assert not app.exception
    assert component(app, "lesionlens_player")["playing"]
    app.session_state["train_player"] = app.session_state["train_player"].told_to(seek_s=600.0, play=False)
    app.run()
    assert not app.exception
    assert int(figures(app)["Epoch"]) < 5
    assert len(component(app, "lesionlens_film")["epochs"]) < 5
    assert component(app, "lesionlens_curves")["domain"] == [0.0, 18.0]


def test_a_press_while_the_page_goes_to_another_run_plays_that_one(open_page, runs_dir):
    write_run(runs_dir / "before", state="stopped")
    app = open_page("Train")
    assert looked_at(app) == "before"
    app.query_params["run"] = BUNDLED
    app.button(key="train_replay").click().run()
    assert not app.exception
    assert looked_at(app) == BUNDLED
    assert component(app, "lesionlens_player")["playing"]


def test_runs_here_stand_before_recorded_ones_and_the_newest_is_looked_at(open_page, runs_dir):
    write_run(runs_dir / "mine", epochs=3)
    app = open_page("Train")
    assert not app.exception
    assert next(iter(rows(app))) == "mine"
    assert looked_at(app) == "mine"
    assert rows(app)["mine"]["best"] == "0.200"


def test_a_run_that_appears_does_not_steal_the_look(open_page, runs_dir):
    app = open_page("Train")
    assert looked_at(app) == BUNDLED
    write_run(runs_dir / "newer", **live())
    app.run()
    assert "newer" in rows(app)
    assert looked_at(app) == BUNDLED


def test_the_address_names_the_run_and_those_laid_over_it(open_page, runs_dir):
    write_run(runs_dir / "one", recipe={"batch_size": 32})
    write_run(runs_dir / "two", recipe={"batch_size": 64})
    app = open_page("Train", run="one", **{"with": f"two,{BUNDLED},gone"})
    assert not app.exception
    assert looked_at(app) == "one"
    assert [run["name"] for run in component(app, "lesionlens_curves")["runs"]] == [
        "one",
        "two",
        "lesionlens-lite0",
    ]
    (table,) = [one.value for one in app.dataframe if one.value.columns[0] == "what differs"]
    index = list(table.iloc[:, 0])
    assert {"batch_size", "best balanced accuracy", "split", "optimizer.clip_norm"} <= set(index)
    assert "dataset" not in index
    # A whole hash pushes the other runs off the screen.
    assert {len(shown) for shown in table.iloc[index.index("split"), 1:]} == {12}
    assert table.iloc[index.index("batch_size"), 1:].tolist() == ["32", "64", "32"]


def test_a_run_that_is_not_here_is_said_and_another_shown(open_page):
    app = open_page("Train", run="![gone](http://elsewhere/x.png)")
    assert not app.exception
    assert "no run ![gone]" in said(app, "warning")
    assert looked_at(app) == BUNDLED


def test_a_live_run_is_followed_while_it_writes(open_page, runs_dir):
    write_run(runs_dir / "live", epochs=2, **live(step=200, total_steps=1000, epoch=2))
    app = open_page("Train")
    assert looked_at(app) == "live"
    assert figures(app)["Step"] == "200"
    write_events(runs_dir / "live" / "events.jsonl", [step_event(210, loss=0.125)])
    app.run()
    assert figures(app)["Loss"] == "0.125"


def look_at_what_stood():
    import streamlit as st

    from core.words import READERS
    from pages.ui.train import panel

    st.session_state.times = st.session_state.get("times", 0) + 1
    if st.session_state.times == 1:
        panel.look("one", (), READERS["ML"], panel.Standing(*st.session_state.stood))
    st.markdown(f"drawn {st.session_state.times}")


@pytest.mark.parametrize("stood", ["running", "paused"])
@pytest.mark.parametrize("state", ["running", "paused", "stopped", "failed", "finished"])
def test_the_page_is_drawn_anew_when_the_trainer_has_done_what_it_was_asked(
    runs_dir, monkeypatch, stood, state
):
    told = []
    monkeypatch.setattr("streamlit.toast", lambda words, **_: told.append(words))
    write_run(runs_dir / "one", **live(state=state))
    app = AppTest.from_function(look_at_what_stood)
    app.session_state["stood"] = (stood, True)
    app.run(timeout=60)
    assert not app.exception
    assert app.markdown[-1].value == f"drawn {1 if state == stood else 2}"
    assert len(told) == (state not in LIVE_STATES)


def follow_one_with_another_laid_over():
    import streamlit as st

    from core.words import READERS
    from pages.ui.train import panel, sources

    st.session_state["train_hold"] = True
    panel.draw(sources.find("one"), [sources.find("other")], READERS["ML"], hidden=False)


@pytest.mark.parametrize(("state", "follows"), [("running", False), ("paused", False), ("stopped", True)])
def test_only_a_run_that_lives_is_held_still(runs_dir, monkeypatch, state, follows):
    paces = []

    def fragment(_function, *, run_every):
        paces.append(run_every)
        return lambda *_: None

    monkeypatch.setattr("streamlit.fragment", fragment)
    write_run(runs_dir / "one", **live(state=state))
    write_run(runs_dir / "other", **live())
    app = AppTest.from_function(follow_one_with_another_laid_over).run(timeout=60)
    assert not app.exception
    assert [pace is not None for pace in paces] == [follows]


def list_runs_that_had_stopped():
    import streamlit as st

    from pages.ui.train import shelf, sources

    st.session_state.times = st.session_state.get("times", 0) + 1
    one, other = st.session_state.setdefault("stood", [sources.find("one"), sources.find("other")])
    if st.session_state.times <= 2:
        shelf._draw_list(one, [other])
    st.markdown(f"drawn {st.session_state.times}")


@pytest.mark.parametrize("resumed", ["one", "other"])
def test_a_run_that_somebody_resumes_elsewhere_is_seen_to_live(runs_dir, resumed):
    write_run(runs_dir / "one", state="stopped")
    write_run(runs_dir / "other", state="stopped")
    app = AppTest.from_function(list_runs_that_had_stopped).run(timeout=60)
    assert app.markdown[-1].value == "drawn 1"
    shutil.rmtree(runs_dir / resumed)
    write_run(runs_dir / resumed, **live())
    app.run(timeout=60)
    assert not app.exception
    assert app.markdown[-1].value == "drawn 3"


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("running", {"train_pause", "train_stop"}),
        ("paused", {"train_resume", "train_stop"}),
        ("stopped", {"train_resume", "train_delete"}),
        ("failed", {"train_resume", "train_delete"}),
        ("finished", {"train_delete"}),
    ],
)
def test_a_run_offers_what_its_state_allows(open_page, runs_dir, state, buttons):
    write_run(runs_dir / "one", **live(state=state))
    app = open_page("Train")
    assert not app.exception
    places = [
        button.key
        for button in app.button
        if button.key in {"train_pause", "train_stop", "train_resume", "train_delete"}
    ]
    assert places in (
        ["train_pause", "train_stop", "train_delete"],
        ["train_resume", "train_stop", "train_delete"],
    ), "a button has moved from under the pointer"
    assert {key for key in places if not app.button(key=key).disabled} == buttons


def press_start_twice():
    import streamlit as st

    from core.runs.recipes import recipe_cards
    from core.settings import settings
    from pages.ui.train import starting

    st.query_params["new"] = "yes"
    asked = starting.Asked(recipe_cards()["quick"], settings().runs_dir, 100, 100, None, (), "")
    for _ in range(2):
        starting._start(asked, ())
    st.markdown(st.query_params["run"])


def test_a_start_that_is_pressed_twice_starts_one_run(runs_dir):
    runs_dir.mkdir(parents=True, exist_ok=True)
    (runs_dir / ".queue").mkdir()
    with queue._worker_lock(runs_dir):  # Nobody may train what waits.
        app = AppTest.from_function(press_start_twice).run(timeout=60)
        assert not app.exception
        [item] = queue.waiting(runs_dir)
    assert app.markdown[0].value == item.name


@pytest.mark.parametrize(
    ("state", "wish", "waits"),
    [
        ("running", "pause", True),
        ("paused", "pause", False),
        ("paused", "resume", True),
        ("running", "resume", False),
        ("running", "stop", True),
        ("paused", "stop", True),
        ("stopped", "stop", False),
    ],
)
def test_what_the_trainer_was_asked_is_said_until_it_has_done_it(open_page, runs_dir, state, wish, waits):
    write_run(runs_dir / "one", **live(state=state))
    (runs_dir / "one" / "request.json").write_text(json.dumps({"wish": wish}))
    app = open_page("Train", run="one")
    assert not app.exception
    assert (f"Asked to {wish}" in said(app, "caption")) == waits


def test_a_stop_is_asked_of_the_trainer_and_said(open_page, runs_dir):
    write_run(runs_dir / "one", **live())
    app = open_page("Train")
    app.button(key="train_stop").click().run()
    assert json.loads((runs_dir / "one" / "request.json").read_text())["wish"] == "stop"
    assert "Asked to stop" in said(app)


def test_a_run_is_deleted_to_the_trash_and_another_looked_at(open_page, runs_dir):
    write_run(runs_dir / "one")
    app = open_page("Train", run="one")
    app.button(key="train_delete").click().run()
    assert not app.exception
    assert not (runs_dir / "one").exists()
    assert [path.name.startswith("one-") for path in (runs_dir / ".trash").iterdir()] == [True]
    assert looked_at(app) == BUNDLED


def test_where_training_is_switched_off_runs_are_only_watched(open_page, runs_dir, monkeypatch):
    monkeypatch.setenv("LESIONLENS_ALLOW_TRAINING", "false")
    settings.cache_clear()
    write_run(runs_dir / "one", **live())
    app = open_page("Train")
    assert not app.exception
    assert app.button(key="train_new").disabled
    assert not {"train_pause", "train_stop"} & {button.key for button in app.button}
    assert "switched off" in said(app, "caption")
    assert figures(app)["Epoch"] == "3"


def test_a_failed_run_says_what_happened_and_what_helps(open_page, runs_dir):
    write_run(runs_dir / "one", state="failed", message="CUDA out of memory.")
    (runs_dir / "one" / "log.txt").write_text("epoch 1\nCUDA out of memory.\n")
    app = open_page("Train")
    assert not app.exception
    assert "CUDA out of memory." in said(app, "error")
    assert "smaller batch" in said(app, "info")


def test_an_unreadable_run_is_listed_and_said(open_page, runs_dir):
    write_run(runs_dir / "one")
    (runs_dir / "one" / "status.json").write_text("{")
    app = open_page("Train", run="one")
    assert not app.exception
    assert rows(app)["one"]["state"] == "unreadable"
    assert "no readable status.json" in said(app, "error")


@pytest.mark.parametrize("severity", ["warning", "error"])
def test_an_alarm_of_now_is_said_and_an_old_one_folded_away(open_page, runs_dir, severity):
    write_run(runs_dir / "one", epochs=6)
    alarms = [
        {
            "kind": "alarm",
            "name": name,
            "severity": severity,
            "step": 1,
            "epoch": epoch,
            "words": words,
            "time": 1.0,
        }
        for name, epoch, words in (("old", 1, "It *was* slow."), ("new", 6, "The [disk] is full."))
    ]
    write_events(runs_dir / "one" / "events.jsonl", alarms)
    app = open_page("Train")
    assert not app.exception
    assert "The [disk] is full." in said(app, severity)
    assert "It *was* slow." not in said(app, severity)
    assert "It *was* slow." in said(app, "markdown")


def test_a_square_leads_to_its_pictures(open_page, runs_dir):
    write_run(runs_dir / "one")
    app = open_page("Train")
    app.session_state["train_cell"] = ("one", (4, 5))
    app.run()
    assert not app.exception
    words = said(app)
    assert "Melanoma answered as Melanocytic nevus" in words
    assert "VAL_0049" in words


def test_notes_are_kept_and_found(open_page, runs_dir):
    write_run(runs_dir / "one")
    write_run(runs_dir / "two")
    app = open_page("Train", run="one")
    app.text_input(key="train_tags_one").set_value("baseline, <b>")
    app.text_area(key="train_note_one").set_value("A *first* try.")
    app.button(key="train_keep_notes").click().run()
    assert not app.exception
    assert read_notes(runs_dir / "one") == Notes(("baseline", "<b>"), "A *first* try.")
    app.text_input(key="find").set_value("BASE").run()
    assert list(rows(app)) == ["one"]


def test_a_shared_server_writes_no_notes_even_when_a_browser_asks(open_page, runs_dir, monkeypatch):
    write_run(runs_dir / "one")
    app = open_page("Train", run="one")
    app.text_area(key="train_note_one").set_value("Mine.")
    # The page was drawn before training was switched off, so its button still works.
    monkeypatch.setenv("LESIONLENS_ALLOW_TRAINING", "false")
    settings.cache_clear()
    app.button(key="train_keep_notes").click().run()
    assert not app.exception
    assert read_notes(runs_dir / "one") == Notes()
    assert app.text_input(key="train_tags_one").disabled
    assert app.text_area(key="train_note_one").disabled


def test_thousands_of_runs_are_listed_as_far_as_a_person_looks(open_page, runs_dir):
    for number in range(shelf.SHOWN + 5):
        folder = runs_dir / f"run-{number}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    write_notes(runs_dir / "run-3", Notes(("needle",)))
    app = open_page("Train", find="needle")
    assert list(rows(app)) == ["run-3"]
    app.text_input(key="find").set_value("").run()
    drawn = component(app, "lesionlens_shelf")
    assert len(drawn["rows"]) == shelf.SHOWN
    assert "more" in drawn["note"]


@pytest.mark.parametrize("axis", curves.AXES)
def test_every_chart_says_something_of_the_bundled_run(axis):
    run = next(one for one in Library(BUNDLED_RUNS, "bundled:").summaries() if one.reference == BUNDLED)
    drawn = curves.Drawn(run, sources.told(run), run.status.total_steps, "#000000")
    data = curves.figure([drawn], curves.Look(curves.Options(axis), None))
    for chart in data["charts"]:
        assert chart["lines"], chart["title"]
        for line in chart["lines"]:
            x, y = (np.frombuffer(base64.b64decode(line[name]), dtype="<f4") for name in "xy")
            assert len(x) == len(y) > 0
            assert (np.diff(x) >= 0).all()
            assert x[-1] <= data["domain"][1] * 1.0001
    accuracy = next(chart for chart in data["charts"] if chart["id"] == "accuracy")
    assert accuracy["marks"][0]["y"] == pytest.approx(671 / 1006)


def test_a_zoom_is_answered_with_every_point_inside(tmp_path, runs_dir):
    write_events(runs_dir / "long" / "events.jsonl", [step_event(step) for step in range(1, 5001)])
    write_run(runs_dir / "other")
    run = Library(runs_dir).summaries()[-1]
    drawn = curves.Drawn(run, sources.told(run), 5000, "#000000")
    whole, part = (
        curves.figure([drawn], curves.Look(curves.Options("step", smoothing=0.0), span))
        for span in (None, (1000.0, 1200.0))
    )
    points = {
        name: np.frombuffer(base64.b64decode(data["charts"][1]["lines"][0]["x"]), dtype="<f4")
        for name, data in (("whole", whole), ("part", part))
    }
    assert len(points["whole"]) <= curves.POINTS + 2
    assert points["part"].tolist() == list(range(999, 1202))


def test_a_player_moves_by_its_pace_and_stops_at_the_end(monkeypatch):
    now = 100.0
    monkeypatch.setattr(player.time, "monotonic", lambda: now)
    playing = player.Player("one", 600.0, 600.0).told_to(play=True, speed=60)
    assert (playing.now(), playing.is_playing) == (0.0, True)
    now = 105.0
    assert playing.now() == 300.0
    slower = playing.told_to(speed=1)
    now = 106.0
    assert slower.now() == 301.0
    held = slower.told_to(play=False)
    now = 500.0
    assert (held.now(), held.is_playing) == (301.0, False)
    assert playing.now() == 600.0
    assert not playing.is_playing
    assert held.told_to(seek_s=1e9).now() == 600.0
