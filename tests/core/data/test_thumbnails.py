"""Thumbnails: small, never failing for one bad file, bounded, and never older than the file."""

import base64
import io
import os

import numpy as np
import pytest
from PIL import Image

from core.data import thumbnails as module
from core.data.thumbnails import OUTLINE, Thumbnail, montage, thumbnail, thumbnails
from core.errors import PictureError


@pytest.fixture(autouse=True)
def forget():
    """Let no test see what another one has cached."""
    module._thumbnail.cache_clear()


def picture(path, colour=(200, 100, 50), size=(600, 450)):
    Image.new("RGB", size, colour).save(path)
    return path


def pixels_of(one):
    return np.asarray(Image.open(io.BytesIO(one.data)))


@pytest.mark.parametrize("size", [(600, 450), (450, 600), (100, 100)])
def test_a_thumbnail_fits_and_keeps_its_shape(tmp_path, size):
    small = pixels_of(thumbnail(picture(tmp_path / "p.png", size=size), side_px=120))
    assert max(small.shape[:2]) == min(120, max(size))
    assert small.shape[1] / small.shape[0] == pytest.approx(size[0] / size[1], rel=0.02)
    assert np.allclose(small.mean(axis=(0, 1)), (200, 100, 50), atol=3)


def test_a_thumbnail_is_a_data_uri_that_calls_nobody(tmp_path):
    one = thumbnail(picture(tmp_path / "p.png"), side_px=60)
    kind, _, body = one.uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    assert base64.b64decode(body) == one.data


def test_a_bad_file_among_good_ones_is_said_and_the_others_are_there(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    paths = {"good": picture(tmp_path / "good.png"), "bad": tmp_path / "bad.jpg", "gone": tmp_path / "x.jpg"}
    made = thumbnails(paths, side_px=60)
    assert list(made) == ["good", "bad", "gone"]
    assert made["good"].problem is None
    assert made["bad"].uri == made["gone"].uri == ""
    assert "bad.jpg" in (made["bad"].problem or "")


def test_an_outline_is_drawn_where_a_mask_is_given(tmp_path):
    mask = np.zeros((45, 60), dtype=np.uint8)
    mask[10:35, 15:45] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    path = picture(tmp_path / "p.png", size=(60, 45))
    drawn = thumbnails({"p": path}, side_px=60, masks={"p": tmp_path / "m.png"})["p"]
    plain = thumbnail(path, side_px=60)
    near = np.abs(pixels_of(drawn).astype(int) - OUTLINE).sum(axis=-1) < 120
    assert near.sum() > 40
    assert not (np.abs(pixels_of(plain).astype(int) - OUTLINE).sum(axis=-1) < 120).any()


def test_a_bad_mask_leaves_the_picture(tmp_path):
    (tmp_path / "m.png").write_bytes(b"nothing")
    one = thumbnail(picture(tmp_path / "p.png"), side_px=60, mask=tmp_path / "m.png")
    assert one.uri
    assert "m.png" in (one.problem or "")


def test_a_thumbnail_is_decoded_once_until_its_file_changes(tmp_path, monkeypatch):
    path = picture(tmp_path / "p.png")
    read = []
    original = module.read_picture
    monkeypatch.setattr(module, "read_picture", lambda *a, **k: (read.append(a), original(*a, **k))[1])
    first = thumbnail(path, side_px=60)
    assert thumbnail(path, side_px=60) is first
    assert len(read) == 1
    picture(path, colour=(0, 0, 255))
    os.utime(path, ns=(1, 1))
    assert pixels_of(thumbnail(path, side_px=60))[0, 0, 2] > 200
    assert len(read) == 2


def test_the_memory_for_thumbnails_is_bounded():
    assert module._thumbnail.cache_parameters()["maxsize"] == module.KEPT


def test_a_montage_has_a_cell_for_each_picture_that_can_be_read(tmp_path):
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    made = [
        thumbnail(picture(tmp_path / f"{number}.png", colour), side_px=60)
        for number, colour in enumerate(colours)
    ]
    sheet = montage([made[0], Thumbnail(b"", "broken"), *made[1:]], columns=2, cell_px=(30, 40))
    assert sheet.shape == (60, 80, 3)
    for (row, column), colour in zip([(15, 20), (15, 60), (45, 20)], colours, strict=True):
        assert np.allclose(sheet[row, column], colour, atol=12)


def test_a_montage_of_nothing_is_refused():
    with pytest.raises(PictureError, match="None of these"):
        montage([Thumbnail(b"", "broken")], columns=2, cell_px=(30, 40))
