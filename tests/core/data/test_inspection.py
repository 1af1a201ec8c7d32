"""One look at every picture: resumable, cancellable, and one bad file is a finding and not the end."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.data import inspection
from core.data.inspection import MEASURED, inspect_pictures, look_at, stored_inspection
from core.data.quality import measure
from core.data.synthetic import draw_lesion
from core.errors import StoreError


class Stop(Exception):
    """What a cancelled job raises in its report."""


@pytest.fixture
def table(tmp_path):
    """Nine pictures; one is broken, one is gone, and one row never had any."""
    rows = []
    for number in range(9):
        path = tmp_path / f"P{number}.png"
        Image.fromarray(draw_lesion(number, kind="nv", size_px=(90, 120))).save(path)
        rows.append((f"P{number}", str(path)))
    (tmp_path / "P3.png").write_bytes(b"not a picture")
    (tmp_path / "P5.png").unlink()
    rows.append(("fact", None))
    return pd.DataFrame(rows, columns=["image_id", "image_path"])


def test_every_picture_has_a_row_in_order_and_bad_ones_say_why(table, tmp_path):
    found = inspect_pictures(table, cache_dir=tmp_path / "cache", workers=2)
    assert found.index.tolist() == [f"P{number}" for number in range(9)]
    assert found["problem"].notna().tolist() == [number in (3, 5) for number in range(9)]
    assert "P3.png" in found.loc["P3", "problem"]
    assert "P5.png" in found.loc["P5", "problem"]
    assert found.loc["P3", list(MEASURED)].isna().all()
    pixels = np.asarray(Image.open(tmp_path / "P1.png"))
    assert found.loc["P1", "sharpness"] == pytest.approx(measure(pixels).sharpness)
    assert not found["masked"].any()


def test_what_was_found_is_kept_until_a_picture_changes(table, tmp_path):
    cache = tmp_path / "cache"
    assert stored_inspection(table, cache_dir=cache) is None
    found = inspect_pictures(table, cache_dir=cache)
    pd.testing.assert_frame_equal(stored_inspection(table, cache_dir=cache), found)
    Image.fromarray(draw_lesion(77, kind="mel", size_px=(90, 120))).save(tmp_path / "P1.png")
    assert stored_inspection(table, cache_dir=cache) is None


def test_a_mask_decides_what_is_skin_and_a_broken_one_is_left_out(table, tmp_path):
    mask = np.zeros((90, 120), np.uint8)
    mask[20:70, 30:90] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (tmp_path / "torn.png").write_bytes(b"x")
    masks = {"P1": tmp_path / "mask.png", "P2": tmp_path / "torn.png"}
    found = inspect_pictures(table, cache_dir=tmp_path / "cache", masks=masks)
    assert found["masked"].tolist() == [number == 1 for number in range(9)]
    pixels = np.asarray(Image.open(tmp_path / "P1.png"))
    assert found.loc["P1", "ita_degrees"] == pytest.approx(measure(pixels, mask > 0).ita_degrees)
    # With other masks it is another look.
    assert stored_inspection(table, cache_dir=tmp_path / "cache") is None


def test_a_cancelled_look_goes_on_where_it_stopped(table, tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "_CHUNK", 2)
    looked = []

    def noting(name, path, mask_path=None):
        looked.append(name)
        return look_at(name, path, mask_path)

    monkeypatch.setattr(inspection, "look_at", noting)

    def stop_at_four(done, total=None, *, unit="", note=""):
        assert (total, unit) == (9, "pictures")
        if done >= 4:
            raise Stop

    cache = tmp_path / "cache"
    with pytest.raises(Stop):
        inspect_pictures(table, cache_dir=cache, workers=1, report=stop_at_four)
    assert stored_inspection(table, cache_dir=cache) is None
    (log,) = cache.glob("quality/*/rows.jsonl")
    kept = [json.loads(line)["image_id"] for line in log.read_text().splitlines() if line]
    # A kill may also tear the last line.
    with log.open("a") as file:
        file.write('\n{"image_id": "P8", "sharp')
    looked.clear()
    found = inspect_pictures(table, cache_dir=cache, workers=1)
    assert set(looked) == set(found.index) - set(kept)
    pd.testing.assert_frame_equal(found, inspect_pictures(table, cache_dir=tmp_path / "whole"))
    assert not log.exists()


def test_facts_alone_and_a_cache_that_cannot_be_written_are_refused(table, tmp_path):
    with pytest.raises(StoreError, match="facts only"):
        inspect_pictures(table.tail(1), cache_dir=tmp_path)
    assert stored_inspection(table.tail(1), cache_dir=tmp_path) is None
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="LESIONLENS_CACHE"):
        inspect_pictures(table, cache_dir=tmp_path / "file")
