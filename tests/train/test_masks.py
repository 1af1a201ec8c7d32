"""Training the mask network: masks move with pictures, and a tiny dataset gives a whole network."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from core.data.masks import SUFFIX
from core.data.pictures import read_picture
from core.data.readers import read_dataset
from core.data.splits import Split
from core.errors import DataError, EvaluationError
from core.explain.lesion_mask import WEIGHTS_FILE, load_masks, save_masks
from train.__main__ import app
from train.masks import augmented, mask_loss, overlap


@pytest.fixture
def masked(tiny, tmp_path):
    """Return a copy of the tiny dataset whose pictures have a mask each, by their darkness."""
    copied = shutil.copytree(tiny.data, tmp_path / "data")
    metadata = read_dataset(copied)
    for row in metadata.itertuples():
        luma = read_picture(Path(row.image_path), name=row.image_id).pixels.mean(axis=2)
        dark = (luma < luma.mean() - luma.std() / 2).astype(np.uint8) * 255
        Image.fromarray(dark).save(copied / f"{row.image_id}{SUFFIX}.png")
    return copied


def test_the_command_trains_measures_and_writes_a_network_that_loads(masked, tmp_path):
    arguments = ["masks", "fit", "--data", str(masked), "--out", str(tmp_path / "net"), "--epochs", "1"]
    result = CliRunner().invoke(app, [*arguments, "--weights", "none", "--seed", "5"])
    assert result.exception is None, result.output
    loaded = load_masks(tmp_path / "net")
    metadata = read_dataset(masked)
    split = Split.of(metadata, seed=5)
    assert loaded.manifest.split_hash == split.hash
    in_test = split.of_images(metadata["image_id"]) == "test"
    assert loaded.manifest.measured["dice mean"]["n"] <= in_test.sum()
    assert loaded.manifest.measured["dice mean"]["n_lesions"] == metadata[in_test]["lesion_id"].nunique()
    assert loaded.manifest.training["epoch"] == 1
    assert "dice mean" in result.output
    assert str(masked) not in (tmp_path / "net" / "masks.json").read_text()
    before = loaded.manifest.measured
    weights = (tmp_path / "net" / WEIGHTS_FILE).stat()
    again = ["masks", "measure", "--data", str(masked), "--folder", str(tmp_path / "net")]
    assert CliRunner().invoke(app, again).exception is None
    measured = load_masks(tmp_path / "net").manifest.measured
    # Numbers are added to the manifest alone.
    after = (tmp_path / "net" / WEIGHTS_FILE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (weights.st_ino, weights.st_mtime_ns)
    assert measured["dice mean"]["value"] == pytest.approx(before["dice mean"]["value"], abs=0.01)
    other = replace(loaded.manifest, split_hash="0" * 64)
    save_masks(tmp_path / "net", loaded.network, other, golden=np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(EvaluationError, match="another split"):
        CliRunner().invoke(app, again, catch_exceptions=False)


def test_a_dataset_without_masks_is_refused_with_the_cure(tiny, tmp_path):
    arguments = ["masks", "fit", "--data", str(tiny.data), "--out", str(tmp_path), "--weights", "none"]
    with pytest.raises(DataError, match=r"no train picture with a lesion mask.*_segmentation\.png"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_a_mask_moves_with_its_picture():
    rows, columns = np.mgrid[:144, :192]
    blob = np.hypot(rows - 60, columns - 120) < 35
    pixels = np.where(blob, 0.1, 0.9)[None, None].repeat(24, axis=0).repeat(3, axis=1)
    masks = torch.from_numpy(blob[None, None].repeat(24, axis=0)).float()
    shapes = set()
    for seed in range(12):
        seen, moved = augmented(
            torch.from_numpy(pixels).float(), masks, np.random.default_rng(seed), corner_share=0.2
        )
        shapes.add(tuple(seen.shape[2:]))
        light = seen.mean(dim=1, keepdim=True)
        dark = light < (light.amax(dim=(2, 3), keepdim=True) + light.amin(dim=(2, 3), keepdim=True)) / 2
        whole = moved.mean(dim=(1, 2, 3)) > 0.02
        dark, moved = dark[whole], moved[whole]
        assert (dark == moved.bool()).float().mean() > 0.97
    assert shapes == {(96, 128), (128, 96), (96, 96)}


def test_draws_of_corners_alone_are_often_plain_skin():
    masks = torch.zeros(40, 1, 144, 192)
    masks[:, :, 60:84, 80:112] = 1
    _, moved = augmented(torch.rand(40, 3, 144, 192), masks, np.random.default_rng(0), corner_share=1.0)
    assert (moved.mean(dim=(1, 2, 3)) < 0.002).float().mean() > 0.7


def test_overlaps_are_dice_and_iou():
    found, true = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    found[0], true[:, :2] = True, True
    assert overlap(found, true) == pytest.approx((0.5, 1 / 3))
    assert overlap(found, found) == (1, 1)
    assert np.isnan(overlap(~(found | True), ~(found | True))).all()


def test_the_loss_is_least_for_what_is_wanted_also_where_that_is_nothing():
    wanted = torch.zeros(2, 1, 8, 8)
    wanted[0, :, 2:5, 2:5] = 1
    right = (wanted * 2 - 1) * 10
    assert mask_loss(right, wanted) < 0.01
    assert mask_loss(-right, wanted) > 5
