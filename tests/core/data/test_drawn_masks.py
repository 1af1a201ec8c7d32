"""Outlines drawn by hand become masks, or are refused by name; and they belong to one picture."""

import math

import numpy as np
import pytest

from core.data.changes import MOST_POINTS
from core.data.drawn_masks import MOST_OUTLINES, fill_outline, read_outlines, write_outlines
from core.data.lesion_shape import measure_lesion
from core.errors import OutlineError

SHAPE = (300, 400)
BOX = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
EIGHT = ((0.2, 0.2), (0.8, 0.8), (0.8, 0.2), (0.2, 0.8))


def star(count, step):
    """Corners of a circle, joined by steps of several: a star that crosses itself for a step above one."""
    turns = [2 * math.pi * step * index / count for index in range(count)]
    return tuple((0.5 + 0.3 * math.cos(turn), 0.5 + 0.4 * math.sin(turn)) for turn in turns)


def test_what_is_drawn_is_filled_to_its_area_and_measured():
    mask = fill_outline(BOX, SHAPE)
    assert mask.shape == SHAPE
    assert mask.mean() == pytest.approx(0.25, abs=0.01)
    round_one = fill_outline(star(MOST_POINTS, 1), SHAPE)
    assert round_one.mean() == pytest.approx(math.pi * 0.3 * 0.4, rel=0.02)
    assert np.isfinite(measure_lesion(np.zeros((*SHAPE, 3), np.uint8), round_one).irregularity)


@pytest.mark.parametrize("turned", [BOX, BOX[::-1], BOX[2:] + BOX[:2]])
def test_where_and_which_way_round_it_begins_does_not_matter(turned):
    np.testing.assert_array_equal(fill_outline(turned, SHAPE), fill_outline(BOX, SHAPE))


@pytest.mark.parametrize(
    ("corners", "why"),
    [
        ((), "encloses nothing"),
        (((0.5, 0.5),) * 3, "encloses nothing"),
        (((0.1, 0.1), (0.5, 0.5), (0.9, 0.9)), "encloses nothing"),
        (((0.1, 0.1), (0.9, 0.1), (0.9, 0.1), (0.1, 0.1)), "encloses nothing"),
        (((0.5, 0.5), (0.52, 0.5), (0.52, 0.52), (0.5, 0.52)), "too small: it encloses 0.0"),
        (EIGHT, "crosses itself"),
        (star(5, 2), "crosses itself"),
    ],
)
def test_what_makes_no_mask_is_refused_by_name(corners, why):
    with pytest.raises(OutlineError, match=why):
        fill_outline(corners, SHAPE)


def test_a_slip_where_the_outline_closes_is_no_crossing():
    slipped = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75), (0.25, 0.27), (0.26, 0.24))
    assert fill_outline(slipped, SHAPE).mean() == pytest.approx(0.25, abs=0.01)


def test_an_hourglass_that_does_not_cross_is_one_lesion():
    neck = ((0.2, 0.2), (0.8, 0.2), (0.502, 0.5), (0.8, 0.8), (0.2, 0.8), (0.498, 0.5))
    assert fill_outline(neck, SHAPE).any()


def test_the_size_of_the_picture_does_not_decide_what_is_too_small():
    little = ((0.4, 0.4), (0.46, 0.4), (0.46, 0.46), (0.4, 0.46))
    for shape in ((384, 512), (1536, 2048)):
        assert fill_outline(little, shape).any()


def test_outlines_go_through_the_address_and_belong_to_one_picture():
    kept = (BOX, star(7, 1))
    text = write_outlines("drawing:mel:11", kept)
    found = read_outlines("drawing:mel:11", text)
    for one, other in zip(found, kept, strict=True):
        np.testing.assert_allclose(one, other, atol=5e-4)
    assert read_outlines("drawing:mel:12", text) == ()
    assert "drawing" not in text
    assert len(read_outlines("a", write_outlines("a", [BOX] * 9))) == MOST_OUTLINES


@pytest.mark.parametrize("nonsense", ["", "~", "0/0/1/0/1/1", "x~1/2", "nan/nan/1/1/0/1", "2/2/2/3/3/3"])
def test_nonsense_in_the_address_is_no_outline(nonsense):
    mark = write_outlines("a", [])
    assert read_outlines("a", nonsense) == ()
    assert read_outlines("a", f"{mark}~{nonsense}") in ((), read_outlines("a", f"{mark}~0/0/1/0/1/1"))
