"""Lesion measures on drawn shapes whose values are known."""

import math

import numpy as np
import pytest

from core.data.lesion_shape import (
    LEAST_PX,
    MAX_SIDE_PX,
    MEASURES,
    LesionMeasures,
    asymmetry,
    count_colours,
    irregularity,
    longest_diameter,
    measure_lesion,
    perimeter,
)

ROWS, COLUMNS = np.mgrid[:300, :400]


def ellipse(tall=80.0, wide=80.0, *, turn=0.0, middle=(150.3, 199.6)):
    down, right = ROWS - middle[0], COLUMNS - middle[1]
    along = right * math.cos(turn) + down * math.sin(turn)
    across = down * math.cos(turn) - right * math.sin(turn)
    return (along / wide) ** 2 + (across / tall) ** 2 <= 1


def half_moon():
    return ellipse(100, 100, middle=(200, 200)) & (ROWS <= 200)


def test_a_circle_is_symmetric_smooth_and_as_long_as_it_is_wide():
    circle = ellipse()
    assert irregularity(circle) == pytest.approx(1, abs=0.02)
    assert perimeter(circle) == pytest.approx(2 * math.pi * 80, rel=0.01)
    assert longest_diameter(circle) == pytest.approx(160, abs=2)
    assert max(asymmetry(circle)) < 0.02


@pytest.mark.parametrize("turn", [0, 0.4, math.pi / 2, 2.5])
def test_an_ellipse_is_symmetric_however_it_is_turned_and_longer_than_a_circle(turn):
    # Perimeter by Ramanujan's second approximation.
    tall, wide = 50, 100
    off = ((wide - tall) / (wide + tall)) ** 2
    length = math.pi * (wide + tall) * (1 + 3 * off / (10 + math.sqrt(4 - 3 * off)))
    shape = ellipse(tall, wide, turn=turn)
    assert max(asymmetry(shape)) < 0.025
    assert irregularity(shape) == pytest.approx(length**2 / (4 * math.pi**2 * wide * tall), rel=0.03)
    assert longest_diameter(shape) == pytest.approx(200, abs=2)


def test_a_half_moon_folds_onto_itself_along_one_axis_alone():
    # Its centre of mass lies c above the straight edge; mirrored there, what is between c and 2 c fits twice.
    c = 4 / (3 * math.pi)
    below = [y * math.sqrt(1 - y * y) + math.asin(y) for y in (c, 2 * c)]
    misfit = 1 - 2 * (below[1] - below[0]) / (math.pi / 2)
    long, short = asymmetry(half_moon())
    assert long == pytest.approx(misfit, abs=0.015)
    assert short < 0.015


def test_a_ragged_border_counts_and_a_smooth_one_does_not():
    angle = np.arctan2(ROWS - 150, COLUMNS - 200)
    star = np.hypot(ROWS - 150, COLUMNS - 200) <= 80 + 20 * np.cos(12 * angle)
    assert irregularity(star) > 2 * irregularity(ellipse())


def test_colours_are_counted_and_their_spread_is_a_distance():
    lab = np.array([[50.0, 10, 10]] * 90 + [[90.0, 10, 10]] * 9 + [[10.0, 70, 10]])
    assert count_colours(lab) == 2
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[:, 200:] = 255
    both = measure_lesion(pixels, ellipse(middle=(150, 199.5)))
    # Half black, half white: L* 0 and 100.
    assert both.colour_spread == pytest.approx(50, abs=0.5)
    assert both.colours == 2
    assert measure_lesion(pixels, ellipse(60, 60, middle=(150, 100))).colour_spread == pytest.approx(
        0, abs=1e-6
    )


def test_sizes_are_in_the_pictures_own_pixels():
    circle = ellipse()
    rows, columns = np.mgrid[:1500, :2000]
    large = np.hypot(rows - 752, columns - 998) <= 400
    assert max(large.shape) > MAX_SIDE_PX
    small, grown = (
        measure_lesion(np.full((*mask.shape, 3), 120, np.uint8), mask) for mask in (circle, large)
    )
    assert grown.area_px == large.sum()
    assert grown.share == pytest.approx(small.share, rel=0.01)
    assert grown.length_px == pytest.approx(5 * small.length_px, rel=0.02)
    assert grown.irregularity == pytest.approx(small.irregularity, abs=0.03)


@pytest.mark.parametrize("size", [0, LEAST_PX - 1])
def test_what_is_too_small_has_a_size_and_nothing_else(size):
    mask = np.zeros((40, 60), dtype=bool)
    mask.flat[:size] = True
    found = measure_lesion(np.zeros((40, 60, 3), np.uint8), mask)
    assert found.area_px == size
    assert math.isnan(found.irregularity)
    assert MEASURES["irregularity"].say(found.irregularity) == "n/a"
    assert all(math.isnan(getattr(found, name)) for name in list(MEASURES)[2:])


def test_a_lesion_that_fills_the_picture_or_touches_its_edge_is_measured():
    pixels = np.full((60, 80, 3), 90, np.uint8)
    whole = measure_lesion(pixels, np.ones((60, 80), dtype=bool))
    assert whole.share == 1
    assert max(whole.asymmetry_long, whole.asymmetry_short) < 0.02
    touching = np.zeros((60, 80), dtype=bool)
    touching[:30, :40] = True
    # Four directions make a rectangle's border a twentieth too short.
    assert measure_lesion(pixels, touching).irregularity == pytest.approx(
        140**2 / (4 * math.pi * 1200), rel=0.12
    )


def test_every_measure_has_its_words():
    assert set(MEASURES) == set(LesionMeasures.__dataclass_fields__)
    assert MEASURES["share"].say(0.123) == "12.3\N{NO-BREAK SPACE}%"
    assert MEASURES["area_px"].say(12345.0) == "12,345\N{NO-BREAK SPACE}px²"
