"""The list of runs: every folder with its state, whatever lies in it, read again only when it changed."""

import json
import os

import numpy as np
import pytest

from core.errors import RunError
from core.runs import library
from core.runs.library import BUNDLED_RUNS, Library, differences, trained_here
from tests.core.runs.making import BEGAN, write_run


def test_a_folder_that_is_not_there_has_no_runs(tmp_path):
    assert Library(tmp_path / "runs").summaries() == ()


def test_a_run_is_told_by_its_two_small_files(tmp_path):
    write_run(tmp_path / "one", epochs=3)
    (run,) = Library(tmp_path).summaries()
    assert (run.reference, run.state, run.epochs) == ("one", "finished", 3)
    assert run.best == pytest.approx(0.2)
    assert run.started_s == BEGAN
    assert run.duration_s == 301
    assert run.recipe_name == "efficientnet_lite0"
    assert not run.is_bundled


def test_a_running_run_without_its_process_has_died(tmp_path):
    write_run(tmp_path / "one", state="running", pid=2**22 + 1)
    (run,) = Library(tmp_path).summaries()
    assert run.state == "died"
    assert not run.is_live


def test_the_newest_stands_first_and_what_has_no_start_last(tmp_path):
    write_run(tmp_path / "old")
    write_run(tmp_path / "new")
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    (tmp_path / "new" / "config.json").write_text(
        json.dumps(config | {"started": "2026-03-01T00:00:00+00:00"})
    )
    (tmp_path / "broken").mkdir()
    assert [run.name for run in Library(tmp_path).summaries()] == ["new", "old", "broken"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", b"{"),
        ("config.json", b"[]"),
        ("config.json", b"\xff\xff"),
        ("status.json", b""),
        ("status.json", b'{"state": "running"}'),
        ("status.json", b'{"state": "flying", "pid": 1, "host": "a", "heartbeat": 1}'),
        ("status.json", b'{"state": "running", "pid": "1a", "host": "a", "heartbeat": 1}'),
        ("status.json", b'{"state": "running", "pid": 1, "host": "a", "heartbeat": NaN}'),
    ],
)
def test_what_cannot_be_read_is_listed_with_the_reason(tmp_path, file, content):
    write_run(tmp_path / "one")
    (tmp_path / "one" / file).write_bytes(content)
    (run,) = Library(tmp_path).summaries()
    assert run.state == "unreadable"
    assert "one" in run.problem
    assert file in run.problem
    assert np.isnan(run.best)


def test_a_status_of_a_later_version_is_still_understood(tmp_path):
    write_run(tmp_path / "one", mood="good")
    assert Library(tmp_path).summaries()[0].state == "finished"


def test_hidden_folders_and_files_are_no_runs(tmp_path):
    (tmp_path / ".trash").mkdir()
    (tmp_path / "notes.txt").write_text("")
    assert Library(tmp_path).summaries() == ()


def test_a_folder_that_cannot_be_listed_is_said(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match="LESIONLENS_RUNS"):
        Library(tmp_path / "runs").summaries()


def test_files_are_read_again_only_when_they_change(tmp_path, monkeypatch):
    for name in ("one", "two"):
        write_run(tmp_path / name)
    read = []
    reading = library._read
    monkeypatch.setattr(library, "_read", lambda name, path: read.append(name) or reading(name, path))
    shelf = Library(tmp_path)
    shelf.summaries()
    shelf.summaries()
    status = json.loads((tmp_path / "two" / "status.json").read_text())
    (tmp_path / "two" / "status.json").write_text(json.dumps(status | {"state": "stopped"}))
    os.utime(tmp_path / "two" / "status.json", ns=(1, 1))
    states = {run.name: run.state for run in shelf.summaries()}
    assert sorted(read) == ["one", "two", "two"]
    assert states == {"one": "finished", "two": "stopped"}


def test_only_settings_that_differ_are_told(tmp_path):
    write_run(tmp_path / "one", recipe={"optimizer": {"learning_rate": 0.1, "ema": 0.9}})
    write_run(tmp_path / "two", recipe={"optimizer": {"learning_rate": 0.2, "ema": 0.9}, "seed": 3})
    configs = {run.name: run.config for run in Library(tmp_path).summaries()}
    assert differences(configs) == {
        "optimizer.learning_rate": {"one": 0.1, "two": 0.2},
        "seed": {"one": None, "two": 3},
    }


def test_checkpoints_that_runs_have_left_are_found_when_whole(tmp_path):
    for name in ("whole", "half", "a copy", ".trash"):
        (tmp_path / name / "checkpoint").mkdir(parents=True)
    for name in ("whole", "a copy", ".trash"):
        (tmp_path / name / "checkpoint" / "lesionlens.json").write_text("{}")
    named = [str(found) for found in trained_here(tmp_path)]
    assert named == [f"local:{tmp_path}/a copy/checkpoint", "run:whole"]
    assert trained_here(tmp_path / "nowhere") == []


def test_every_bundled_run_can_be_read_and_is_named_so():
    runs = Library(BUNDLED_RUNS, "bundled:").summaries()
    assert {run.reference for run in runs} >= {"bundled:lesionlens-lite0"}
    assert {run.state for run in runs} == {"finished"}
    assert all(run.is_bundled for run in runs)
