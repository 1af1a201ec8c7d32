"""Robustness is measured condition by condition, goes on where it stopped, and keeps to its own pictures."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.data.corruptions import CORRUPTIONS
from core.data.readers import read_dataset
from core.data.splits import Split
from core.errors import EvaluationError, RunError
from core.evaluate.artifact import Evaluation
from core.evaluate.robustness import CLEAN, Condition, read_robustness
from core.jobs import Cancelled, silent
from core.models.checkpoint import load_checkpoint
from core.runs import measuring
from core.runs.measuring import ROBUSTNESS, Standing
from core.settings import settings
from tests.conftest import ROOT
from train import robustness
from train.robustness import change_of, conditions, measure_robustness

FEW = [CLEAN, Condition("corruption", "noise", 5), Condition("corruption", "hair", 2, "hair_removal")]


@pytest.fixture
def measure(tiny, tmp_path, monkeypatch):
    """Return a function that measures a few conditions, with masks of some pictures."""
    monkeypatch.setattr(robustness, "conditions", lambda *, masks: [*FEW, *_shortcuts(masks)])
    metadata = read_dataset(tiny.data)
    checkpoint = load_checkpoint(tiny.run.path / "checkpoint", reference=tiny.reference)

    def run(seed=5, *, of=checkpoint, metadata=metadata, masks=None, lesions=1000, progress=None):
        return measure_robustness(
            of, metadata, Split.of(metadata, seed=seed), tmp_path / "out", name="tiny",
            masks=masks or {}, lesions=lesions, progress=progress,
        )  # fmt: skip

    return run


def _shortcuts(wanted):
    return [Condition("shortcut", "lesion_blanked", 0)] if wanted else []


def test_clean_pictures_give_the_evaluations_own_numbers_and_a_stopped_run_goes_on(measure, tiny, tmp_path):
    class Stopped(Exception):
        pass

    def stop(done, total):
        if 3 * done > 2 * total:
            raise Stopped

    with pytest.raises(Stopped):
        measure(progress=stop)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "parts").iterdir()}
    assert set(kept) == {f"{one.name}.npy" for one in FEW[:2]}
    seen = []
    table = measure(progress=lambda done, total: seen.append((done, total)))
    pictures = int(table["n"].iloc[0])
    assert seen[-1] == (3 * pictures, 3 * pictures)
    assert measuring.standing(tmp_path / "out") == Standing(1.0, 3 * pictures, 3 * pictures, FEW[2].words)
    assert all((tmp_path / "out" / "parts" / name).stat().st_mtime_ns == when for name, when in kept.items())
    clean = table[(table["kind"] == "clean") & (table["pictures"] == "all")].set_index("metric")
    own = Evaluation.load(tiny.run.path / "evaluation").metrics
    assert clean.loc["accuracy", "value"] == pytest.approx(own["accuracy"].value)
    assert read_robustness([tmp_path / "out" / "robustness.csv"]).shape == table.shape


def test_hidden_lesions_are_measured_where_there_are_masks(measure, tiny, tmp_path):
    Image.fromarray(np.full((60, 80), 255, np.uint8)).save(tmp_path / "mask.png")
    metadata = read_dataset(tiny.data)
    test = metadata[Split.of(metadata, seed=5).of_images(metadata["image_id"]) == "test"]
    masks = dict.fromkeys(test["image_id"].head(4), tmp_path / "mask.png")
    table = measure(masks=masks)
    assert set(table.loc[table["kind"] == "shortcut", "n"]) == {4}


def test_another_split_and_another_measurements_folder_are_refused(measure, tmp_path):
    with pytest.raises(EvaluationError, match="trained with another split"):
        measure(seed=99)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "measurement.json").write_text('{"weights": {}, "pictures": 7, "conditions": {}}')
    with pytest.raises(EvaluationError, match="of another checkpoint, or of other pictures"):
        measure()


@pytest.mark.parametrize("text", ['{"wei', "[]"])
def test_a_folder_that_cannot_be_read_is_refused_with_the_cure(measure, tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "measurement.json").write_text(text)
    with pytest.raises(EvaluationError, match=r"cannot be gone on with\. Write into another folder"):
        measure()


def test_a_folder_of_a_version_that_noted_no_conditions_is_measured_again(measure, tmp_path):
    before = measure()
    claim = tmp_path / "out" / "measurement.json"
    noted = json.loads(claim.read_text())
    deeds = noted.pop("conditions")
    claim.write_text(json.dumps(noted | {"version": 2}))
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "parts").iterdir()}
    pd.testing.assert_frame_equal(measure(), before)
    assert all(path.stat().st_mtime_ns > written for path, written in parts.items())
    assert json.loads(claim.read_text())["conditions"] == deeds


def test_what_is_new_is_added_and_only_what_does_something_else_is_measured_again(
    measure, tmp_path, monkeypatch
):
    first = measure()
    parts = tmp_path / "out" / "parts"
    kept = {path.name: path.stat().st_mtime_ns for path in parts.iterdir()}
    inverted = replace(CORRUPTIONS["noise"], apply=lambda pixels, *_: 255 - pixels)
    monkeypatch.setitem(CORRUPTIONS, "noise", inverted)
    wider = [*FEW, Condition("corruption", "bright", 3)]
    monkeypatch.setattr(robustness, "conditions", lambda **_: wider)
    second = measure()
    now = {path.name: path.stat().st_mtime_ns for path in parts.iterdir()}
    assert now.keys() - kept.keys() == {"corruption-bright-3.npy"}
    assert {name for name in kept if now[name] != kept[name]} == {"corruption-noise-5.npy"}
    same = [one[one["condition"].isin(["clean", "hair"])].reset_index(drop=True) for one in (first, second)]
    pd.testing.assert_frame_equal(*same)


def test_answers_that_nothing_is_noted_of_are_measured_again(measure, tmp_path):
    table = measure()
    (tmp_path / "out" / "measurement.json").unlink()
    clean = tmp_path / "out" / "parts" / f"{CLEAN.name}.npy"
    np.save(clean, np.roll(np.load(clean), 1, axis=1))
    pd.testing.assert_frame_equal(measure(), table)


def test_histology_alone_has_rows_of_its_own(measure, tiny):
    metadata = read_dataset(tiny.data)
    test = (Split.of(metadata, seed=5).of_images(metadata["image_id"]) == "test").to_numpy()
    confirmed = metadata.assign(dx_type="follow_up")
    confirmed.loc[np.flatnonzero(test)[:6], "dx_type"] = "histo"
    found = measure(metadata=confirmed).set_index(["pictures", "metric"])
    assert set(found.loc[("histology", "accuracy"), "n"]) == {6}
    assert set(found.loc[("all", "accuracy"), "n"]) == {int(test.sum())}
    none = measure(metadata=metadata.assign(dx_type="follow_up")).set_index(["pictures", "metric"])
    assert set(none.loc[("histology", "accuracy"), "n"]) == {0}
    assert none.loc["histology", ["value", "low", "high"]].isna().all(axis=None)


def test_what_decides_the_answers_belongs_to_the_claim_of_a_folder(measure, tiny, tmp_path):
    measure()
    metadata = read_dataset(tiny.data)
    warmer = load_checkpoint(tiny.run.path / "checkpoint", reference=tiny.reference)
    warmer = replace(warmer, manifest=replace(warmer.manifest, temperature=9.0))
    mask = dict.fromkeys(metadata["image_id"], tmp_path / "mask.png")
    for change in ({"of": warmer}, {"metadata": metadata.assign(age_years=30.0)}, {"masks": mask}):
        with pytest.raises(EvaluationError, match="holds the measurement of another"):
            measure(**change)


def test_answers_that_are_cut_short_or_of_another_number_of_pictures_are_measured_again(measure, tmp_path):
    table = measure()
    clean, noise, _ = (tmp_path / "out" / "parts" / f"{one.name}.npy" for one in FEW)
    os.truncate(clean, clean.stat().st_size // 2)
    np.save(noise, np.load(noise)[1:])
    pd.testing.assert_frame_equal(measure(), table)


def test_every_corruption_is_measured_at_five_severities_with_and_without_its_remedy():
    found = conditions(masks=True)
    assert len(set(found)) == len(found)
    poor = [one for one in found if one.kind == "corruption"]
    assert sum(not one.remedy for one in poor) == 55
    assert sum(bool(one.remedy) for one in poor) == 20
    assert sum(one.kind == "shortcut" for one in found) == 3
    hidden = [one.condition for one in conditions(masks=False) if one.kind == "shortcut"]
    assert hidden == ["border_only"]  # All but the border can be hidden without knowing the lesion.


def test_who_asks_the_measurement_to_stop_is_heard_and_two_in_one_folder_are_refused(measure, tmp_path):
    def ask(done, total):
        measuring.ask_to_stop(tmp_path / "out")

    with pytest.raises(EvaluationError, match="goes on where it was"):
        measure(progress=ask)
    assert not measuring.is_measuring(tmp_path / "out")
    with measuring.claim(tmp_path / "out"), pytest.raises(RunError, match="Another process measures"):
        measure()
    # What was asked of another process is not asked of this one.
    (tmp_path / "out" / "stop").write_text("elsewhere 1")
    assert set(measure()["kind"]) == {"clean", "corruption"}


def test_a_second_app_follows_what_the_first_one_starts(tmp_path, monkeypatch):
    """The process of this test takes a while to load and measures until it is asked to end."""
    program = """
import sys, time
from pathlib import Path
from core.runs import measuring
folder = Path(sys.argv[1])
time.sleep(1)
lock = measuring.claim(folder)
measuring.tell(folder, measuring.Standing(0.5, 1, 2, "Blur"))
while not measuring.asked_to_stop(folder):
    time.sleep(0.05)
"""
    started = []

    def start(*_):
        started.append(subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT))
        return started[-1]

    following = set()

    def both_follow(done, total=None, *, unit="", note=""):
        if unit == "%":
            following.add(threading.get_ident())
        if len(following) == 2:
            raise Cancelled

    monkeypatch.setattr(measuring, "_start", start)
    wanted = {"name": "x", "data_dir": tmp_path, "lesions": 10, "folder": tmp_path, "report": both_follow}
    with ThreadPoolExecutor(2) as pool:
        apps = [pool.submit(measuring.measure_apart, ROBUSTNESS, "bundled:x", **wanted) for _ in range(2)]
        ends = [app.exception() for app in apps]
    # One cancels; the other cancels too, or is told that it was stopped.
    assert any(isinstance(end, Cancelled) for end in ends)
    assert all(isinstance(end, Cancelled) or "was stopped" in str(end) for end in ends)
    (process,) = started
    assert process.wait() == 0


def test_who_cancels_while_the_model_loads_ends_only_that(tmp_path, monkeypatch):
    started = []

    def start(*_):
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return started[-1]

    def cancel(done, total=None, *, unit="", note=""):
        raise Cancelled

    monkeypatch.setattr(measuring, "_start", start)
    with pytest.raises(Cancelled):
        measuring.measure_apart(
            ROBUSTNESS, "bundled:x", name="x", data_dir=tmp_path, lesions=10, folder=tmp_path, report=cancel
        )
    assert started[0].returncode is not None
    assert not (tmp_path / "stop").exists()


def test_a_page_measures_in_a_process_that_can_be_cancelled_and_gone_on_with(tiny, tmp_path, monkeypatch):
    told = []

    def report(done, total=None, *, unit="", note=""):
        told.append((unit, note))
        if unit == "%" and not note.startswith("As it is ·"):
            raise Cancelled

    folder = measuring.folder_of(tmp_path / "runs", ROBUSTNESS, "a/b", 10)
    wanted = {"name": "Tiny", "data_dir": tiny.data, "lesions": 10, "folder": folder}
    with pytest.raises(Cancelled):
        measuring.measure_apart(ROBUSTNESS, tiny.reference, **wanted, report=report)
    assert not measuring.is_measuring(folder)
    assert {unit for unit, _ in told} == {"s", "%"}
    assert measuring.is_begun(ROBUSTNESS, folder)
    first = {path.name: path.stat().st_mtime_ns for path in (folder / "parts").iterdir()}
    table = read_robustness([measuring.measure_apart(ROBUSTNESS, tiny.reference, **wanted, report=silent)])
    assert set(table["model"]) == {"Tiny"}
    assert set(table["kind"]) == {"clean", "corruption", "shortcut"}
    assert all((folder / "parts" / name).stat().st_mtime_ns == when for name, when in first.items())
    monkeypatch.setattr("core.runs.control.settings", lambda: replace(settings(), allow_training=False))
    with pytest.raises(RunError, match="switched off"):
        measuring.measure_apart(ROBUSTNESS, tiny.reference, **wanted, report=silent)


def test_what_ends_the_process_is_told_in_its_own_words(tmp_path):
    wanted = {"name": "x", "data_dir": tmp_path, "lesions": 10, "folder": tmp_path / "runs" / "x"}
    with pytest.raises(RunError, match="nothing-of-the-kind"):
        measuring.measure_apart(ROBUSTNESS, "bundled:nothing-of-the-kind", **wanted, report=silent)


def test_a_page_follows_the_process_that_measures_already(tmp_path):
    lock = measuring.claim(tmp_path)
    measuring.tell(tmp_path, Standing(0.25, 5, 20, "Hair, severity 1"))
    told = []

    def report(done, total=None, *, unit="", note=""):
        told.append((done, unit, note))
        (tmp_path / "robustness.csv").touch()
        lock.release()

    wanted = {"name": "x", "data_dir": tmp_path, "lesions": 10, "folder": tmp_path, "report": report}
    assert measuring.measure_apart(ROBUSTNESS, "bundled:x", **wanted) == tmp_path / "robustness.csv"
    assert told == [(25.0, "%", "Hair, severity 1 · 5 of 20 pictures")]


def test_a_remedy_comes_after_the_harm():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    dark = change_of(Condition("corruption", "dark", 4), {})(pixels, "a")
    mended = change_of(Condition("corruption", "dark", 4, "brightening"), {})(pixels, "a")
    assert dark.mean() < mended.mean()
