"""Measuring maps: what was stopped goes on, and only the own test pictures of a checkpoint count."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from core.data.readers import read_dataset
from core.data.splits import Split
from core.errors import EvaluationError, RunError
from core.evaluate.map_quality import read_map_quality
from core.models.checkpoint import load_checkpoint
from core.runs import measuring
from core.runs.measuring import MAPS, Standing
from train.__main__ import app
from train.maps import RESULT_FILE, measure_maps
from train.predicting import processes


@pytest.fixture
def measure(tiny, tmp_path):
    """Return a function that measures the tiny checkpoint's maps, with one mask for every picture."""
    mask = np.zeros((60, 80), np.uint8)
    mask[15:45, 20:60] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    metadata = read_dataset(tiny.data)
    checkpoint = load_checkpoint(tiny.run.path / "checkpoint", reference=tiny.reference)

    def run(seed=5, *, name="tiny", masks=None, progress=None):
        return measure_maps(
            checkpoint,
            metadata,
            Split.of(metadata, seed=seed),
            dict.fromkeys(metadata["image_id"], tmp_path / "mask.png") if masks is None else masks,
            tmp_path / "out",
            name=name,
            lesions=1000,
            progress=progress,
        )

    return run


class Stopped(Exception):
    pass


def test_a_stopped_measurement_goes_on_and_forgets_a_torn_line(measure, tmp_path):
    def stop(done, total):
        if done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        measure(progress=stop)
    (known,) = (tmp_path / "out").glob("pictures-*.jsonl")
    before = [json.loads(line) for line in known.read_text().splitlines() if line]
    assert len(before) == 3
    with known.open("a") as file:
        file.write('\n{"image_id": "torn')
    seen = []
    table = measure(progress=lambda done, total: seen.append((done, total)))
    assert seen[0][0] == 3
    assert seen[-1][0] == seen[-1][1]
    of_all = table[(table["group"] == "all") & (table["pictures"] == "all")].set_index("measure")
    assert of_all.loc["deletion", "n"] == seen[0][1]
    assert read_map_quality([tmp_path / "out" / RESULT_FILE]).shape == table.shape
    flat = of_all.loc["inside_flat", "value"]
    # The mask covers the middle quarter; the network of this test sees a square of 4:3 pictures.
    assert 0.2 < flat < 0.4


def test_the_command_prints_the_numbers_and_says_where_they_are(tiny, tmp_path):
    data = shutil.copytree(tiny.data, tmp_path / "data")
    metadata = read_dataset(data)
    in_test = Split.of(metadata, seed=5).of_images(metadata["image_id"]) == "test"
    for image_id in metadata.loc[in_test.to_numpy(), "image_id"].iloc[:3]:
        Image.fromarray(np.full((60, 80), 255, np.uint8)).save(data / f"{image_id}_segmentation.png")
    # As the Compare page starts it.
    arguments = measuring.command_words(
        MAPS, tiny.reference, name="Tiny", data_dir=data, lesions=10, folder=tmp_path / "out"
    )
    printed = CliRunner().invoke(app, arguments, catch_exceptions=False).output
    # A mask of the whole picture has all the evidence.
    assert "inside_flat        1.000" in printed
    assert "n = 3)" in printed
    assert set(read_map_quality([tmp_path / "out" / MAPS.table])["model"]) == {"Tiny"}
    assert measuring.is_begun(MAPS, tmp_path / "out")
    assert measuring.standing(tmp_path / "out") == Standing(1.0, 3, 3, "Evidence maps")


def test_other_pictures_and_none_are_refused(measure):
    with pytest.raises(EvaluationError, match="trained with another split"):
        measure(seed=99)
    with pytest.raises(EvaluationError, match=r"No test picture with a lesion mask.*_segmentation\.png"):
        measure(masks={})


def test_who_asks_the_measurement_to_stop_is_heard_and_it_goes_on_later(measure, tmp_path):
    def ask(done, total):
        if done == 2:
            measuring.ask_to_stop(tmp_path / "out")

    with pytest.raises(EvaluationError, match="goes on where it was"):
        measure(progress=ask)
    assert not measuring.is_measuring(tmp_path / "out")
    assert measuring.standing(tmp_path / "out").done == 2
    seen = []
    measure(progress=lambda *counted: seen.append(counted[0]))
    assert seen[0] == 2


def test_two_processes_do_not_measure_into_one_folder(measure, tmp_path):
    with measuring.claim(tmp_path / "out"), pytest.raises(RunError, match="Another process measures"):
        measure()
    assert not (tmp_path / "out" / RESULT_FILE).exists()


def test_several_processes_are_refused(measure, monkeypatch):
    monkeypatch.setattr(processes(), "num_processes", 2)
    with pytest.raises(EvaluationError, match="without torchrun"):
        measure()


def test_a_table_that_cannot_be_written_leaves_the_old_one(measure, tmp_path, monkeypatch):
    def fail(_self, target):
        raise OSError(f"No space left for {target}")

    measure()
    before = (tmp_path / "out" / RESULT_FILE).read_text()
    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(RunError):
        measure(name="other")
    assert (tmp_path / "out" / RESULT_FILE).read_text() == before
