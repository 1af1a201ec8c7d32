"""Masks: found by name wherever they lie, brought to the picture's size, drawn as an outline."""

import numpy as np
import pytest
from PIL import Image

from core.data.masks import (
    draw_outline,
    find_masks,
    outline,
    read_mask,
    read_mask_as_seen,
    share_inside,
)
from core.data.preprocessing import cover
from core.errors import PictureError


def disc(size=60, radius=20):
    y, x = np.mgrid[:size, :size]
    return (x - size / 2) ** 2 + (y - size / 2) ** 2 < radius**2


def write(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * mask).astype(np.uint8)).save(path)
    return path


def test_masks_are_found_anywhere_below_the_folder(tmp_path):
    one = write(tmp_path / "masks" / "ISIC_1_segmentation.png", disc())
    two = write(tmp_path / "deep" / "er" / "isic_2_SEGMENTATION.PNG", disc())
    write(tmp_path / "masks" / "ISIC_3_segmentation.png", disc())
    (tmp_path / "ISIC_4.png").write_bytes(b"a picture")
    (tmp_path / "ISIC_4_segmentation.txt").write_text("no picture", encoding="utf-8")
    assert find_masks(tmp_path, ["ISIC_1", "ISIC_2", "ISIC_4"]) == {"ISIC_1": one, "ISIC_2": two}


def test_a_folder_that_is_not_there_has_no_masks(tmp_path):
    assert find_masks(tmp_path / "gone", ["ISIC_1"]) == {}


@pytest.mark.parametrize("shape", [(60, 60), (120, 90), (30, 45)])
def test_a_mask_is_brought_to_the_shape_of_its_picture(tmp_path, shape):
    mask = read_mask(write(tmp_path / "m.png", disc()), shape)
    assert mask.shape == shape
    assert mask.dtype == bool
    assert share_inside(mask) == pytest.approx(disc().mean(), abs=0.02)


def test_a_mask_of_one_bit_is_read(tmp_path):
    Image.fromarray(disc()).convert("1").save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png", (60, 60)), disc())


def test_a_mask_that_is_no_picture_is_refused_by_name(tmp_path):
    (tmp_path / "m.png").write_bytes(b"nothing")
    with pytest.raises(PictureError, match=r"m\.png"):
        read_mask(tmp_path / "m.png", (60, 60))


def test_an_outline_is_the_rim_and_nothing_else():
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 2:7] = True
    rim = outline(mask)
    assert rim.sum() == 16
    assert not rim[3:6, 3:6].any()
    assert outline(mask, thickness_px=2).sum() == 24


def test_a_lesion_that_the_picture_cuts_off_has_no_rim_at_the_edge():
    mask = np.zeros((9, 9), dtype=bool)
    mask[:, :4] = True
    assert np.array_equal(np.flatnonzero(outline(mask)[4]), [3])


def test_a_drawn_outline_changes_only_the_rim_and_leaves_the_original():
    pixels = np.full((60, 60, 3), 200, dtype=np.uint8)
    drawn = draw_outline(pixels, disc(), colour=(1, 2, 3), thickness_px=2)
    changed = (drawn != pixels).any(axis=-1)
    assert (pixels == 200).all()
    assert np.array_equal(changed, outline(disc(), thickness_px=3))
    assert (drawn[outline(disc(), thickness_px=2)] == (1, 2, 3)).all()


@pytest.mark.real_data
def test_every_picture_of_ham10000_has_its_mask(ham10000_folder):
    ids = [f"ISIC_{number:07d}" for number in range(24306, 34321)]
    masks = find_masks(ham10000_folder, ids)
    assert len(masks) == 10015
    # Lesions fill a fifth of a picture or so; a mask that was read inverted would fill most of it.
    assert 0.01 < share_inside(read_mask(masks["ISIC_0024306"], (450, 600))) < 0.5


@pytest.mark.parametrize("shape", [(40, 40), (30, 40), (64, 32)])
def test_a_mask_is_cut_as_its_picture_is(tmp_path, shape):
    mask = np.zeros((60, 120), dtype=bool)
    mask[10:50, 70:110] = True
    picture = np.repeat((255 * mask).astype(np.uint8)[..., None], 3, axis=-1)
    seen = read_mask_as_seen(write(tmp_path / "m.png", mask), shape)
    np.testing.assert_array_equal(seen, cover(picture, shape)[..., 0] > 127)
