"""Measures of one picture: each follows what it is named for, and none is made up where there is nothing."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFilter

from core.data.quality import (
    ITA_BANDS,
    MEASURES,
    Measures,
    find_corners,
    find_hair,
    ita_band,
    measure,
    measure_sharpness,
    percentiles,
    to_lab,
)
from core.data.synthetic import draw_lesion
from core.labels import CODES

SKIN = (224, 178, 150)


def skin(size=(450, 600), colour=SKIN):
    noise = np.random.default_rng(0).normal(0, 2, (*size, 3))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def with_hairs(pixels, count, *, colour=(40, 28, 24)):
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for number in range(count):
        top = 20 + 560 * number / max(1, count - 1)
        draw.line([(top, 5), (min(595, top + 60), 440)], fill=colour, width=3)
    return np.array(image)


def with_corners(pixels):
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    outside = np.hypot(y - height / 2, x - width / 2) > 0.55 * width
    dark = pixels.copy()
    dark[outside] = 4
    return dark, outside


def blurred(pixels, radius):
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_a_field_with_words_for_every_value(name):
    entry = MEASURES[name]
    assert name in Measures.__dataclass_fields__
    assert entry.about.endswith(".")
    assert entry.doubtful in ("low", "high", "both")
    assert entry.say(float("nan")) == "n/a"
    assert entry.say(0.5)


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("size", [(450, 600), (225, 300), (600, 450), (64, 64), (1200, 1600)])
def test_every_picture_is_measured_whatever_its_size(kind, size):
    measures = measure(draw_lesion(3, kind=kind, size_px=size))
    assert (measures.height_px, measures.width_px) == size
    assert measures.aspect == pytest.approx(max(size) / min(size))
    for share in ("sharpness", "overexposed", "hair", "corners"):
        assert 0 <= getattr(measures, share) <= 1
    assert 0 <= measures.contrast <= 255
    assert 0 <= measures.brightness <= 255


@pytest.mark.parametrize("pixels", [np.zeros((90, 120, 3), np.uint8), np.full((90, 120, 3), 255, np.uint8)])
def test_a_picture_of_one_colour_has_no_sharpness_and_no_skin_tone(pixels):
    measures = measure(pixels)
    assert np.isnan(measures.sharpness)
    assert np.isnan(measures.ita_degrees)
    assert measures.hair == 0


def test_the_size_of_the_file_is_told_where_a_smaller_copy_is_measured():
    measures = measure(skin((60, 80)), size_px=(4000, 3000))
    assert (measures.width_px, measures.height_px, measures.aspect) == (4000, 3000, pytest.approx(4 / 3))


@pytest.mark.parametrize("kind", CODES)
def test_a_blur_always_costs_sharpness_and_more_blur_costs_more(kind):
    pixels = draw_lesion(1, kind=kind)
    steps = [measure_sharpness(blurred(pixels, radius)) for radius in (0, 1, 2, 4)]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > 1.3 * steps[2]


def test_sharpness_is_not_told_by_the_edge_of_a_black_corner():
    sharp = with_hairs(skin(), 6, colour=(190, 146, 122))
    dark, _ = with_corners(sharp)
    # The edge of the corners is soft and yet steeper than any of these pale hairs.
    soft = blurred(dark, 6)
    soft[100:350, 150:450] = sharp[100:350, 150:450]
    assert measure(soft).sharpness > 1.5 * measure_sharpness(soft)


def test_more_light_is_brighter_and_white_is_overexposed():
    dim, bright = measure(skin(colour=(110, 80, 70))), measure(skin(colour=(240, 210, 190)))
    assert dim.brightness < bright.brightness
    assert dim.overexposed == bright.overexposed == 0
    burnt = skin()
    burnt[:90] = 255
    assert measure(burnt).overexposed == pytest.approx(0.2, abs=0.02)


def test_a_dark_lesion_gives_contrast():
    pixels = skin()
    assert measure(pixels).contrast < 15
    pixels[150:300, 200:400] = (60, 40, 30)
    assert measure(pixels).contrast > 80


def test_hairs_are_found_where_they_are_and_more_of_them_are_more():
    pixels = skin((225, 300))
    image = Image.fromarray(pixels)
    ImageDraw.Draw(image).line([(40, 10), (250, 210)], fill=(40, 28, 24), width=2)
    found = find_hair(np.array(image))
    assert found[find_hair(pixels)].sum() == 0
    drawn = (np.array(image).astype(int).sum(axis=2) < 300)[: found.shape[0], : found.shape[1]]
    assert found[drawn].mean() > 0.8
    shares = [measure(with_hairs(skin(), count)).hair for count in (0, 3, 9)]
    assert shares[0] == 0
    assert 0.005 < shares[1] < shares[2]


def test_a_dot_and_a_lesion_are_no_hair():
    image = Image.fromarray(skin())
    draw = ImageDraw.Draw(image)
    draw.ellipse((230, 140, 380, 300), fill=(70, 45, 35))
    for x in range(40, 560, 60):
        draw.ellipse((x, 30, x + 8, 38), fill=(60, 40, 30))
    assert measure(np.array(image)).hair < 0.002


def test_black_corners_are_found_and_a_black_lesion_in_the_middle_is_none():
    dark, outside = with_corners(skin())
    assert measure(dark).corners == pytest.approx(outside.mean(), abs=0.02)
    assert measure(dark).brightness == pytest.approx(measure(skin()).brightness, abs=3)
    lesion = skin()
    lesion[180:270, 250:350] = 8
    assert not find_corners(lesion).any()


def test_a_black_picture_is_not_all_corner_by_mistake():
    assert measure(np.zeros((90, 120, 3), np.uint8)).corners in (0.0, 1.0)


def test_lab_agrees_with_published_colours():
    # CIE L*a*b*, D65, of sRGB red, white and a mid gray (Lindbloom).
    colours = np.array([[255, 0, 0], [255, 255, 255], [119, 119, 119]], dtype=np.uint8)
    expected = [[53.24, 80.09, 67.20], [100, 0, 0], [50.03, 0, 0]]
    assert to_lab(colours) == pytest.approx(np.array(expected), abs=0.05)


def test_the_skin_tone_angle_is_that_of_the_formula():
    colour = np.full((90, 120, 3), (198, 156, 130), np.uint8)
    lightness, _, yellow = to_lab(colour[0, 0])
    assert measure(colour).ita_degrees == pytest.approx(
        np.degrees(np.arctan2(lightness - 50, yellow)), abs=0.5
    )


def test_darker_skin_has_a_smaller_angle_and_bluish_light_none():
    tones = [(236, 200, 176), (198, 156, 130), (141, 96, 70), (84, 56, 40)]
    angles = [measure(skin(colour=tone)).ita_degrees for tone in tones]
    assert angles == sorted(angles, reverse=True)
    assert np.isnan(measure(skin(colour=(190, 180, 214))).ita_degrees)


def test_a_lesion_does_not_change_the_skin_tone_with_its_mask_or_without():
    pixels, mask = skin(), np.zeros((450, 600), bool)
    plain = measure(pixels).ita_degrees
    mask[120:330, 180:420] = True
    pixels[mask] = (70, 44, 34)
    assert measure(pixels, mask).ita_degrees == pytest.approx(plain, abs=1)
    assert measure(pixels).ita_degrees == pytest.approx(plain, abs=4)


def test_bands_go_from_very_light_to_dark_and_nothing_has_none():
    bands = ita_band(pd.Series([80, 50, 35, 20, 0, -60, np.nan]))
    assert bands.tolist()[:6] == list(ITA_BANDS)
    assert bands.isna().tolist() == [False] * 6 + [True]


def test_percentiles_share_ties_and_leave_nothing_where_it_is():
    values = percentiles(pd.Series([1.0, 1.0, 3.0, np.nan, 4.0]))
    assert values.tolist()[:3] == [25.0, 25.0, 62.5]
    assert np.isnan(values.iloc[3])


def test_on_real_pictures_sharpness_tells_blurred_ones_from_the_same_ones_in_focus(ham10000_folder):
    files = sorted(ham10000_folder.glob("HAM10000_images_part_1/*.jpg"))[::50][:100]
    pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    sharp = np.array([measure(one).sharpness for one in pictures])
    soft = np.array([measure(blurred(one, 2)).sharpness for one in pictures])
    assert (soft < sharp).all()
    wins = (sharp[:, None] > soft[None]).mean()
    assert wins > 0.95, f"AUC {wins:.3f}"
