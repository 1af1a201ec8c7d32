"""Rulers, ink and print are found where they were drawn, and not on drawn lesions."""

from functools import cache

import numpy as np
import pytest
from PIL import Image

from core.data.changes import draw_ink
from core.data.corruptions import CORRUPTIONS
from core.data.marks import LEAST_GLYPHS, LEAST_INK, LEAST_TICKS, count_glyphs, find_marks
from core.data.no_lesions import NO_LESIONS, draw_no_lesion
from core.data.synthetic import draw_lesion
from core.labels import CODES

SIZES = ((450, 600), (225, 300))


@cache
def lesions(size_px):
    return [draw_lesion(seed, kind=code, size_px=size_px) for seed, code in enumerate(CODES)]


@pytest.mark.parametrize("size_px", SIZES)
@pytest.mark.parametrize("severity", [1, 3, 5])
@pytest.mark.parametrize("turn", [0, 1])
def test_a_ruler_along_any_edge_is_found(size_px, severity, turn):
    ruled = [np.rot90(CORRUPTIONS["ruler"](pixels, severity), turn) for pixels in lesions(size_px)]
    assert all(find_marks(pixels).ticks >= LEAST_TICKS for pixels in ruled)


@pytest.mark.parametrize("size_px", SIZES)
def test_ink_is_found(size_px):
    assert all(find_marks(draw_ink(pixels)).ink >= LEAST_INK for pixels in lesions(size_px))


@pytest.mark.parametrize("size_px", SIZES)
@pytest.mark.parametrize("hairs", [0, 3, 5])
def test_a_lesion_has_none_of_them_also_with_hairs(size_px, hairs):
    for pixels in lesions(size_px):
        marks = find_marks(CORRUPTIONS["hair"](pixels, hairs, seed=1) if hairs else pixels)
        assert marks.ticks < LEAST_TICKS
        assert marks.ink < LEAST_INK
        assert marks.glyphs < LEAST_GLYPHS


def test_print_is_found_dark_on_pale_and_pale_on_dark_and_nothing_else_is_print():
    for kind in NO_LESIONS:
        for seed in range(3):
            pixels = draw_no_lesion(kind, seed)
            found = {count_glyphs(one) >= LEAST_GLYPHS for one in (pixels, 255 - pixels)}
            assert found == {kind == "text"}


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 400, 3), (40, 40, 3)])
def test_any_shape_can_be_asked_about(shape):
    marks = find_marks(np.full(shape, 200, dtype=np.uint8))
    assert (marks.ticks, marks.ink, marks.glyphs) == (0, 0.0, 0)


@pytest.mark.real_data
def test_few_real_pictures_are_taken_for_marked(ham10000_folder):
    files = sorted(ham10000_folder.glob("HAM10000_images_part_1/*.jpg"))[::50]
    found = [find_marks(np.asarray(Image.open(file).convert("RGB"))) for file in files]
    assert len(found) == 100
    assert sum(marks.glyphs >= LEAST_GLYPHS for marks in found) <= 1
    assert sum(marks.ticks >= LEAST_TICKS or marks.ink >= LEAST_INK for marks in found) <= 5
