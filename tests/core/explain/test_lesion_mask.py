"""The lesion mask network: verified on load, any picture in, one region of the picture's own size out."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.data.masks import find_masks, read_mask
from core.data.pictures import read_picture
from core.data.readers import read_dataset
from core.data.splits import Split
from core.data.synthetic import draw_lesion
from core.errors import BrokenCheckpoint
from core.explain.lesion_mask import (
    BUNDLED_MASKS,
    INPUT,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    MaskManifest,
    build_mask_network,
    bundled_masks,
    load_masks,
    outline_of,
    save_masks,
)
from core.files import sha256
from core.models.catalog import catalog, folder_of
from core.models.checkpoint import read_manifest
from tests.core.models.making import lesion

MANIFEST = MaskManifest(
    about="Untrained.",
    preprocessing=INPUT,
    least_share=0.0,
    least_certainty=0.0,
    split_hash="0" * 64,
    seed=0,
    data="nothing",
    licence="none",
)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    save_masks(tmp_path / "masks", build_mask_network(), MANIFEST, golden=lesion())
    return tmp_path / "masks"


def test_what_was_saved_is_loaded_in_half_precision_and_answers_the_same(folder):
    loaded = load_masks(folder)
    assert loaded.manifest.files == {WEIGHTS_FILE: sha256(folder / WEIGHTS_FILE)}
    assert np.isnan(loaded.manifest.dice)
    tensors = load_file(folder / WEIGHTS_FILE)
    assert all(one.dtype == torch.float16 for name, one in tensors.items() if name.endswith(".weight"))
    answer = loaded.probabilities(lesion())
    np.testing.assert_allclose(answer, tensors["golden.answer"].float().numpy(), atol=0.01)
    assert answer.shape == (96, 128)


def _cut(folder):
    weights = folder / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-100])


def test_a_save_that_fails_leaves_what_was_there(folder, monkeypatch):
    def fill(_tensors, file):
        Path(file).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("core.explain.lesion_mask.save_file", fill)
    before = load_masks(folder).manifest
    with pytest.raises(OSError, match="No space"):
        save_masks(folder, build_mask_network(), MANIFEST, golden=lesion())
    assert load_masks(folder).manifest == before


def _swap(folder):
    """Put other weights there, with the right sum: only the golden input can tell."""
    tensors = load_file(folder / WEIGHTS_FILE)
    tensors["network.segmentation_head.0.bias"] += 1
    save_file(tensors, folder / WEIGHTS_FILE)
    _edit(folder, files={WEIGHTS_FILE: sha256(folder / WEIGHTS_FILE)})


def _edit(folder, **changed):
    stored = json.loads((folder / MANIFEST_FILE).read_text()) | changed
    (folder / MANIFEST_FILE).write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (_cut, "not the file that was saved"),
        (_swap, "does not answer as it did"),
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), "No such file"),
        (lambda folder: (folder / MANIFEST_FILE).unlink(), "No such file"),
        (lambda folder: (folder / MANIFEST_FILE).write_text("{"), "incomplete or altered"),
        (lambda folder: _edit(folder, format=99), "has format 99"),
        (lambda folder: _edit(folder, least_share="much"), "incomplete or altered"),
    ],
)
def test_what_is_broken_is_refused_with_the_reason(folder, break_it, words):
    break_it(folder)
    with pytest.raises(BrokenCheckpoint, match=words) as refused:
        load_masks(folder)
    assert "\n" not in str(refused.value)


def test_the_outline_is_the_largest_region_without_holes():
    probabilities = np.zeros((24, 32), np.float32)
    probabilities[4:16, 6:20] = 0.9
    probabilities[9:11, 12:14] = 0.1
    probabilities[20:22, 28:30] = 1.0
    mask, certainty = outline_of(probabilities, (240, 320))
    assert mask.shape == (240, 320)
    assert mask[100, 130]
    assert not mask[210, 290]
    assert mask.sum() == pytest.approx(120 * 140, rel=0.03)
    assert 0.7 < certainty < 0.9


def test_no_region_is_an_empty_mask_without_certainty():
    mask, certainty = outline_of(np.full((24, 32), 0.4, np.float32), (60, 80))
    assert mask.shape == (60, 80)
    assert not mask.any()
    assert np.isnan(certainty)


@pytest.mark.parametrize("shape", [(225, 300), (300, 225), (64, 64), (40, 500), (7, 9), (1, 1)])
def test_any_shape_of_picture_is_answered_in_its_own(folder, shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = load_masks(folder).find(pixels)
    assert found.mask.shape == shape
    assert 0 <= found.share <= 1


def test_small_and_unsure_regions_are_no_lesion(folder):
    loaded = load_masks(folder)
    pixels = lesion()
    answer = loaded.find(pixels)
    for limits in ({"least_share": 1.1}, {"least_certainty": 1.1}):
        strict = replace(loaded, manifest=replace(loaded.manifest, **limits))
        assert not strict.find(pixels).found
        np.testing.assert_array_equal(strict.find(pixels).mask, answer.mask)


def test_threads_share_one_network_and_get_the_same(folder):
    pictures = [lesion(seed) for seed in range(4)]
    alone = [bundled_masks().find(one).mask for one in pictures]
    with ThreadPoolExecutor(4) as pool:
        networks = list(pool.map(lambda _: bundled_masks(), range(4)))
        together = [one.mask for one in pool.map(bundled_masks().find, pictures)]
    assert len({id(one) for one in networks}) == 1
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["nv", "mel", "bkl"])
def test_the_bundled_network_finds_a_drawn_lesion_in_the_middle(kind):
    found = bundled_masks().find(draw_lesion(1, kind=kind, size_px=(225, 300)))
    assert found.found
    assert found.mask[112, 150]
    assert not found.mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_the_bundled_network_finds_no_lesion_where_nothing_is():
    skin = np.full((225, 300, 3), (226, 184, 168), np.uint8)
    noise = np.random.default_rng(0).normal(0, 2, skin.shape)
    found = bundled_masks().find(np.clip(skin + noise, 0, 255).astype(np.uint8))
    assert not found.found


def test_the_bundled_network_says_what_it_is_and_was_measured_to():
    manifest = bundled_masks().manifest
    assert (BUNDLED_MASKS / WEIGHTS_FILE).stat().st_size < 8 * 2**20
    assert "HAM10000" in manifest.data
    # No test picture of the checkpoint has taught the network that judges its maps.
    assert manifest.split_hash == read_manifest(folder_of(catalog()[0].reference)).split_hash
    assert "NC" in manifest.licence
    assert 0.8 < manifest.dice < 1
    for name in ("dice mean", "dice median", "iou mean", "iou median"):
        one = manifest.measured[name]
        assert one["low"] < one["value"] < one["high"]
        assert one["n"] >= one["n_lesions"] > 500
    assert 0 < manifest.least_share < 0.05
    assert 0.5 <= manifest.least_certainty < 0.95


@pytest.mark.real_data
def test_the_bundled_network_finds_the_lesions_of_test_pictures(ham10000_folder):
    metadata = read_dataset(ham10000_folder)
    masks = find_masks(ham10000_folder, metadata["image_id"].tolist())
    test = metadata[(Split.of(metadata, seed=0).of_images(metadata["image_id"]) == "test").to_numpy()]
    chosen = test[test["image_id"].isin(list(masks))].iloc[::50]
    assert len(chosen) >= 15
    dice = []
    for row in chosen.to_dict("records"):
        pixels = read_picture(Path(row["image_path"]), name=row["image_id"]).pixels
        found, true = bundled_masks().find(pixels).mask, read_mask(masks[row["image_id"]], pixels.shape[:2])
        dice.append(2 * (found & true).sum() / (found.sum() + true.sum()))
    assert np.mean(dice) == pytest.approx(bundled_masks().manifest.dice, abs=0.06)
