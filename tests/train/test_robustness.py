"""Robustness is measured condition by condition, goes on where it stopped, and keeps to its own pictures."""

import numpy as np
import pytest
from PIL import Image

from core.data.readers import read_dataset
from core.data.splits import Split
from core.errors import EvaluationError
from core.evaluate.artifact import Evaluation
from core.evaluate.robustness import CLEAN, Condition, read_robustness
from core.models.checkpoint import load_checkpoint
from train import robustness
from train.robustness import change_of, conditions, measure_robustness

FEW = [CLEAN, Condition("corruption", "noise", 5), Condition("corruption", "hair", 2, "hair_removal")]


@pytest.fixture
def measure(tiny, tmp_path, monkeypatch):
    """Return a function that measures a few conditions, with masks of some pictures."""
    monkeypatch.setattr(robustness, "conditions", lambda *, shortcuts: [*FEW, *_shortcuts(shortcuts)])
    metadata = read_dataset(tiny.data)
    checkpoint = load_checkpoint(tiny.run.path / "checkpoint", reference=tiny.reference)

    def run(seed=5, *, masks=None, lesions=1000, progress=None):
        return measure_robustness(
            checkpoint, metadata, Split.of(metadata, seed=seed), tmp_path / "out", name="tiny",
            masks=masks or {}, lesions=lesions, progress=progress,
        )  # fmt: skip

    return run


def _shortcuts(wanted):
    return [Condition("shortcut", "lesion_blanked", 0)] if wanted else []


def test_clean_pictures_give_the_evaluations_own_numbers_and_a_stopped_run_goes_on(measure, tiny, tmp_path):
    class Stopped(Exception):
        pass

    def stop(done, total):
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        measure(progress=stop)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "parts").iterdir()}
    assert set(kept) == {f"{one.name}.npy" for one in FEW[:2]}
    seen = []
    table = measure(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)
    assert all((tmp_path / "out" / "parts" / name).stat().st_mtime_ns == when for name, when in kept.items())
    clean = table[table["kind"] == "clean"].set_index("metric")
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
    (tmp_path / "out" / "measurement.json").write_text('{"weights": {}, "pictures": 7}')
    with pytest.raises(EvaluationError, match="of another checkpoint or of other pictures"):
        measure()


def test_every_corruption_is_measured_at_five_severities_with_and_without_its_remedy():
    found = conditions(shortcuts=True)
    assert len(set(found)) == len(found)
    poor = [one for one in found if one.kind == "corruption"]
    assert sum(not one.remedy for one in poor) == 50
    assert sum(bool(one.remedy) for one in poor) == 20
    assert sum(one.kind == "shortcut" for one in found) == 3


def test_a_remedy_comes_after_the_harm():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    dark = change_of(Condition("corruption", "dark", 4), {})(pixels, "a")
    mended = change_of(Condition("corruption", "dark", 4, "brightening"), {})(pixels, "a")
    assert dark.mean() < mended.mean()
