"""Augmentation: what it keeps, and that each change can be switched off."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.steps import Warp, warp
from core.data.transforms import AugmentConfig, MirroredAffine, QuarterTurn, affine, augmentation

OFF = AugmentConfig(
    min_scale=1.0,
    stretch=1.0,
    flips=False,
    quarter_turns=False,
    affine_share=0.0,
    brightness=0.0,
    contrast=0.0,
    saturation=0.0,
)
# Each change alone, as strong as needed to be seen.
ALONE = {
    "min_scale": {"min_scale": 0.2},
    "stretch": {"stretch": 2.0, "min_scale": 0.5},
    "flips": {"flips": True},
    "quarter_turns": {"quarter_turns": True},
    "rotate_degrees": {"affine_share": 1.0, "shear_degrees": 0.0},
    "shear_degrees": {"affine_share": 1.0, "rotate_degrees": 0.0, "shear_degrees": 20.0},
    "affine_share": {"affine_share": 1.0},
    "brightness": {"brightness": 0.5},
    "contrast": {"contrast": 0.5},
    "saturation": {"saturation": 0.9},
    "hue": {"hue": 0.3},
    "gray_share": {"gray_share": 1.0},
    "erase_share": {"erase_share": 1.0},
}


def picture(height: int = 32, width: int = 32) -> torch.Tensor:
    random = np.random.default_rng(0)
    return torch.from_numpy(random.integers(0, 256, (3, height, width), dtype=np.uint8))


def augmented(config: AugmentConfig, seed: int, pixels: torch.Tensor | None = None, size: int = 32):
    torch.manual_seed(seed)
    return augmentation(config, size)(picture() if pixels is None else pixels)


@pytest.mark.parametrize("config", [AugmentConfig(), OFF, replace(AugmentConfig(), gray_share=1.0, hue=0.1)])
@pytest.mark.parametrize("shape", [(225, 300), (300, 225), (20, 20)])
def test_whatever_comes_in_a_square_of_bytes_goes_out(config, shape):
    seen = augmented(config, 1, picture(*shape), size=48)
    assert seen.shape == (3, 48, 48)
    assert seen.dtype == torch.uint8


def test_one_seed_is_one_picture_and_another_is_another():
    assert torch.equal(augmented(AugmentConfig(), 3), augmented(AugmentConfig(), 3))
    assert not torch.equal(augmented(AugmentConfig(), 3), augmented(AugmentConfig(), 4))


def test_with_everything_off_a_square_stays_as_it_is():
    for seed in range(5):
        assert torch.equal(augmented(OFF, seed), picture())


def test_every_change_is_tried_alone():
    assert set(ALONE) == {field.name for field in fields(AugmentConfig)}


@pytest.mark.parametrize("name", ALONE)
def test_each_change_alone_changes_pictures(name):
    config = replace(OFF, **ALONE[name])
    assert any(not torch.equal(augmented(config, seed), picture()) for seed in range(8))


@pytest.mark.parametrize("name", ["flips", "quarter_turns"])
def test_flips_and_turns_only_move_pixels(name):
    config = replace(OFF, **ALONE[name])
    for seed in range(8):
        seen = augmented(config, seed)
        assert torch.equal(seen.flatten(1).sort().values, picture().flatten(1).sort().values)


def test_a_quarter_turn_reaches_all_four_orientations():
    torch.manual_seed(0)
    turned = {tuple(QuarterTurn()(picture())[0].flatten().tolist()) for _ in range(60)}
    expected = {tuple(torch.rot90(picture()[0], turns).flatten().tolist()) for turns in range(4)}
    assert turned == expected


@pytest.mark.parametrize("shape", [(32, 32), (40, 30)])
def test_no_corner_becomes_black(shape):
    bright = torch.full((3, *shape), 200, dtype=torch.uint8)
    for seed in range(10):
        torch.manual_seed(seed)
        assert (MirroredAffine(45.0, 20.0)(bright) == 200).all()


@pytest.mark.parametrize(("turn", "lean"), [(30.0, 0.0), (0.0, 15.0), (-40.0, 8.0), (100.0, -5.0)])
@pytest.mark.parametrize("shape", [(96, 96), (90, 120)])
def test_a_page_shows_the_turn_that_training_makes(turn, lean, shape):
    smooth = np.asarray(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
            shape[::-1]
        )
    )
    seen = affine(torch.from_numpy(smooth.copy()).permute(2, 0, 1), turn, lean).permute(1, 2, 0).numpy()
    shown = warp(smooth, Warp(rotate_degrees=turn, shear_degrees=lean))
    # Bilinear against bicubic: alike, and far from the picture as it was.
    assert np.abs(seen.astype(int) - shown).mean() < 2
    assert np.abs(smooth.astype(int) - shown).mean() > 10


def test_gray_pictures_have_three_equal_channels():
    seen = augmented(replace(OFF, gray_share=1.0), 0)
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[1], seen[2])
