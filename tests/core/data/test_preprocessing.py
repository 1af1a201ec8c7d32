"""Preprocessing: one way from any picture to network input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from core.data.preprocessing import GRID_PX, LUMA, Preprocessing, cover, to_gray
from train.feeds import normalise

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
sides = st.integers(1, 3000)


def plain(size: int = 64, **changes) -> Preprocessing:
    return Preprocessing(size, MEAN, STD, **changes)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("size", "picture", "expected"),
    [
        (224, (450, 600), (224, 288)),
        (224, (600, 450), (288, 224)),
        (224, (450, 450), (224, 224)),
        (224, (100, 5000), (224, 288)),
        (32, (450, 600), (32, 32)),
        (384, (450, 600), (384, 512)),
    ],
)
def test_the_input_keeps_the_shape_of_the_picture_up_to_a_limit(size, picture, expected):
    assert plain(size).input_shape(*picture) == expected


@given(sides, sides, st.sampled_from([32, 64, 224, 384]), st.floats(1, 3))
def test_inputs_are_whole_multiples_of_the_stride_and_within_the_aspect(height, width, size, max_aspect):
    shape = plain(size, max_aspect=max_aspect).input_shape(height, width)
    assert min(shape) == size
    assert all(side % GRID_PX == 0 for side in shape)
    assert max(shape) / min(shape) <= min(max_aspect, max(height, width) / min(height, width)) + 1e-6
    assert (shape[1] >= shape[0]) == (width >= height) or shape[0] == shape[1]


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 80), st.integers(1, 80))
@settings(max_examples=200)
def test_any_picture_covers_any_shape(height, width, to_height, to_width):
    seen = cover(np.full((height, width, 3), 90, dtype=np.uint8), (to_height, to_width))
    assert seen.shape == (to_height, to_width, 3)
    assert (seen == 90).all()


def test_what_is_longer_than_the_limit_is_cut_evenly_at_both_ends():
    pixels = np.zeros((64, 192, 3), dtype=np.uint8)
    pixels[:, 64:128] = 255  # the middle third is all that a square keeps
    assert (plain(max_aspect=1.0).fit(pixels)[:, 4:-4] == 255).all()


@pytest.mark.parametrize(("height", "width"), [(450, 600), (600, 450), (37, 91)])
def test_fit_gives_the_input_shape(height, width):
    seen = plain().fit(noise(height, width))
    assert seen.shape == (*plain().input_shape(height, width), 3)
    assert seen.dtype == np.uint8


@pytest.mark.parametrize("crop_pct", [1.0, 0.875])
def test_closer_shows_the_middle_as_large_as_the_whole(crop_pct):
    picture = np.zeros((100, 200, 3), dtype=np.uint8)
    picture[:, :, 0] = np.arange(200)
    own = plain(max_aspect=2.0, crop_pct=crop_pct)
    whole, middle = own.fit(picture), own.closer(0.8).fit(picture)
    assert whole.shape == middle.shape
    across = [np.ptp(seen[..., 0].astype(int)) for seen in (whole, middle)]
    assert across[1] / across[0] == pytest.approx(0.8, abs=0.02)
    assert middle[..., 0].mean() == pytest.approx(whole[..., 0].mean(), abs=1)


def test_normalising_is_what_torchvision_does():
    pixels = noise(64, 96)
    reference = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    expected = reference(torch.from_numpy(pixels).permute(2, 0, 1)).numpy()
    found = plain().normalise(pixels)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=1e-5)


def test_a_stack_of_pictures_is_normalised_as_each_is():
    pixels = np.stack([noise(32, 32, 1), noise(32, 32, 2)])
    assert np.array_equal(plain().normalise(pixels)[1], plain().normalise(pixels[1]))


def test_gray_is_the_formula_in_three_equal_channels():
    pixels = noise(40, 50)
    gray = to_gray(pixels)
    expected = np.rint(pixels.astype(np.float64) @ np.array(LUMA))
    assert np.abs(gray[..., 0] - expected).max() <= 1
    assert (gray[..., 0] != expected).mean() < 0.001
    assert (gray == gray[..., :1]).all()
    assert np.array_equal(to_gray(gray), gray)


@pytest.mark.parametrize("gray", [False, True])
def test_training_sees_the_very_numbers_that_answering_sees(gray):
    preprocessing = plain(gray=gray)
    picture = noise(450, 600)
    in_use = preprocessing.normalise(preprocessing.fit(picture))
    colour = plain().fit(picture)  # as the image store keeps it
    batch = torch.from_numpy(colour).permute(2, 0, 1)[None]
    in_training = normalise(batch, preprocessing, torch.device("cpu"))[0].numpy()
    assert np.allclose(in_training, in_use, atol=1e-5)


def test_preprocessing_round_trips_as_plain_data():
    preprocessing = plain(96, max_aspect=1.5, gray=True)
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing
