"""Steps: pure, of the right shape, and each does what its formula says."""

from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw

from core.data import steps
from core.data.preprocessing import to_gray
from core.data.steps import STEPS, spell
from core.data.synthetic import draw_lesion

PICTURES = arrays.arrays(
    np.uint8, st.tuples(st.integers(16, 40), st.integers(16, 40), st.just(3)), elements=st.integers(0, 255)
)


@pytest.fixture(scope="module")
def lesion():
    picture = draw_lesion(11, kind="mel", size_px=(150, 200))
    picture.setflags(write=False)
    return picture


@pytest.mark.parametrize("name", STEPS)
def test_a_step_has_a_name_words_a_source_and_frozen_parameters(name):
    step = STEPS[name]
    assert step.name == name
    assert step.title
    assert step.about.endswith(".")
    assert step.source
    assert step.kind in {"remedy", "input", "augmentation"}
    assert is_dataclass(step.default)
    assert step.default.__dataclass_params__.frozen
    assert step.apply.__doc__
    assert (spell(step.default) == "") == (not fields(step.default))


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_pure_and_gives_rgb(name, lesion):
    before = lesion.copy()
    result = STEPS[name](lesion)
    np.testing.assert_array_equal(lesion, before)
    assert result.dtype == np.uint8
    assert result.shape[2] == 3
    assert not np.shares_memory(result, lesion)
    if name != "resize":
        assert result.shape == lesion.shape
    np.testing.assert_array_equal(STEPS[name](lesion), result)


@pytest.mark.parametrize("name", STEPS)
@settings(max_examples=8)
@given(pixels=PICTURES)
def test_a_step_takes_any_picture(name, pixels):
    result = STEPS[name](pixels)
    assert result.dtype == np.uint8
    assert result.ndim == 3


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize(
    "name", [name for name in STEPS if name not in {"brightening", "light", "normalise"}]
)
def test_a_plain_gray_picture_stays_as_it_is(name, shade):
    plain = np.full((48, 64, 3), shade, dtype=np.uint8)
    result = STEPS[name](plain)
    if name == "clahe":
        # Its slope is limited, not stopped: a plain picture stays plain.
        assert np.ptp(result) <= 1
    else:
        assert np.abs(result.astype(int) - shade).max() <= 1


def test_brightening_follows_its_line_of_three_pieces():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    result = steps.brighten(ramp, steps.Brightening(dark=(100, 50), light=(200, 250)))[0, :, 0]
    assert result[[0, 50, 100, 150, 200, 255]].tolist() == [0, 25, 50, 150, 250, 255]


def hairy(lesion):
    image = Image.fromarray(lesion)
    pen = ImageDraw.Draw(image)
    for start in (20, 70, 120):
        pen.line((start, 5, start + 60, 145), fill=(30, 20, 20), width=2)
    return np.array(image)


def test_hair_is_found_and_the_skin_below_comes_back():
    down, right = np.mgrid[-1:1:150j, -1:1:200j]
    spot = np.exp(-4 * (down**2 + right**2))[..., None]
    clean = (np.array([225, 170, 150]) - spot * np.array([90, 100, 90])).astype(np.uint8)
    assert not steps.hair_mask(clean, steps.HairRemoval()).any()
    covered = hairy(clean)
    changed = (covered != clean).any(axis=2)
    found = steps.hair_mask(covered, steps.HairRemoval())
    assert found[changed].mean() > 0.9
    mended = steps.remove_hair(covered, steps.HairRemoval()).astype(int)
    error_before = np.abs(covered.astype(int) - clean)[changed].mean()
    assert np.abs(mended - clean)[changed].mean() < 0.15 * error_before
    assert (mended == covered)[~steps.hair_mask(covered, steps.HairRemoval())].all()


def test_a_picture_that_is_all_hair_is_left_alone():
    stripes = np.where(np.arange(120)[None, :, None] % 6 < 2, 20, 200).astype(np.uint8)
    picture = np.broadcast_to(stripes, (90, 120, 3)).copy()
    np.testing.assert_array_equal(steps.remove_hair(picture, steps.HairRemoval(share=0.2)), picture)


def test_colour_constancy_takes_a_cast_out_and_leaves_gray_alone(lesion):
    noise = np.random.default_rng(0).integers(60, 180, (60, 80, 1))
    gray = np.repeat(noise, 3, axis=2).astype(np.uint8)
    cast = np.clip(gray * np.array([1.2, 1.0, 0.7]), 0, 255).astype(np.uint8)
    balanced = steps.balance_colours(cast, steps.ColourConstancy()).astype(int)
    assert np.ptp(balanced, axis=2).mean() < 2
    assert np.ptp(cast.astype(int), axis=2).mean() > 30
    assert np.abs(steps.balance_colours(gray, steps.ColourConstancy()).astype(int) - gray).max() <= 1


def test_clahe_raises_local_contrast_and_keeps_the_hue(lesion):
    dull = (100 + lesion * 0.2).astype(np.uint8)
    result = steps.equalise(dull, steps.Clahe())
    assert to_gray(result).std() > 1.5 * to_gray(dull).std()
    before, after = (np.array(Image.fromarray(one).convert("YCbCr"))[..., 1:] for one in (dull, result))
    assert np.abs(before.astype(int) - after).mean() < 4


def test_clahe_with_one_tile_and_no_limit_is_plain_equalisation():
    rng = np.random.default_rng(1)
    gray = rng.normal(128, 12, (64, 64)).clip(0, 255).astype(np.uint8)
    result = steps._clahe(gray, steps.Clahe(tiles=1, limit=1e9))
    share_below = np.array([(gray <= level).mean() for level in range(256)])
    assert np.abs(result / 255 - share_below[gray]).max() < 0.005


def test_normalising_shows_the_mean_as_mid_gray():
    parameters = steps.Normalising(mean=(0.2, 0.4, 0.6), std=(0.1, 0.1, 0.1))
    mean = np.full((16, 16, 3), (51, 102, 153), dtype=np.uint8)
    assert np.abs(steps.normalise(mean, parameters).astype(int) - 128).max() <= 1
    # Three deviations above: 0.2 + 0.3 of 255.
    above = np.full((16, 16, 3), (128, 179, 230), dtype=np.uint8)
    assert steps.normalise(above, parameters).min() >= 253


def marked(row, column, size=65):
    picture = np.zeros((size, size, 3), dtype=np.uint8)
    picture[row - 2 : row + 3, column - 2 : column + 3] = 255
    return picture


def centre_of(picture):
    rows, columns = np.nonzero(picture[..., 0] > 128)
    return rows.mean(), columns.mean()


def test_rotation_is_counter_clockwise_about_the_centre():
    # Right of the centre; a quarter turn counter-clockwise brings it above.
    turned = steps.rotate(marked(32, 52), steps.Rotation(90))
    assert np.allclose(centre_of(turned), (12, 32), atol=1)
    assert np.allclose(
        centre_of(steps.rotate(marked(32, 42), steps.Rotation(45))),
        (32 - 10 / np.sqrt(2), 32 + 10 / np.sqrt(2)),
        atol=1,
    )


def test_shear_moves_each_row_by_its_height_and_zoom_scales():
    # 16 px above the centre: tan 45° moves it as far to the right.
    assert np.allclose(centre_of(steps.shear(marked(16, 32), steps.Shear(45))), (16, 48), atol=1)
    assert np.allclose(centre_of(steps.zoom(marked(24, 40), steps.Zoom(2.0))), (16, 48), atol=1)
    assert np.allclose(centre_of(steps.zoom(marked(22, 42), steps.Zoom(0.8))), (24, 40), atol=1)


def test_beyond_the_edge_the_picture_is_mirrored_never_black():
    bright = np.full((40, 60, 3), 200, dtype=np.uint8)
    for degrees in (10, 45, 90, 170):
        assert steps.rotate(bright, steps.Rotation(degrees)).min() >= 199


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_flips_of_a_square_lose_nothing_and_can_be_taken_back(flip, turns):
    picture = draw_lesion(3, kind="bcc", size_px=(64, 64))
    turned = steps.flip(picture, steps.Flip(flip, turns))
    np.testing.assert_array_equal(np.sort(turned.ravel()), np.sort(picture.ravel()))
    back = np.rot90(turned[:, ::-1] if flip else turned, -turns)
    np.testing.assert_array_equal(back, picture)


def test_light_is_torchvisions_color_jitter(lesion):
    import torch
    from torchvision.transforms.v2 import functional

    image = torch.from_numpy(lesion.copy()).permute(2, 0, 1)
    for name, adjust in (
        ("brightness", functional.adjust_brightness),
        ("contrast", functional.adjust_contrast),
        ("saturation", functional.adjust_saturation),
    ):
        factors = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, name: 0.7}
        ours = steps.light(lesion, steps.Light(**factors)).astype(int)
        theirs = adjust(image, 0.7).permute(1, 2, 0).numpy()
        assert np.abs(ours - theirs).max() <= 2


def test_parameters_are_spelled_as_people_read_them():
    assert spell(steps.Rotation(12.345)) == "degrees 12.3"
    assert spell(steps.Flip(horizontal=True, quarter_turns=2)) == "horizontal yes, quarter turns 2"
    assert spell(steps.Gray()) == ""
