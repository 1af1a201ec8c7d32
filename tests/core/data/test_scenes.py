"""One spot of skin is found again under other light, turn and crop; other skin is not; and work is kept."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance

from core.data import scenes
from core.data.readers import read_dataset
from core.data.scenes import (
    LEAST_POINTS,
    count_agreeing,
    describe,
    find_candidates,
    find_scenes,
    stored_scenes,
)
from core.data.splits import DUPLICATE_PAIRS
from core.data.synthetic import draw_lesion
from core.data.twins import recall_of_known
from core.errors import StoreError


def photographed_again(pixels, *, degrees=12, shift=(14, -9), light=1.15, zoom=1.1):
    """Return another photo of the same drawing: turned, shifted, nearer and brighter."""
    image = Image.fromarray(pixels)
    width, height = image.size
    turned = image.rotate(degrees, Image.Resampling.BICUBIC, translate=shift, fillcolor=(225, 180, 160))
    left, top = (width - width / zoom) / 2, (height - height / zoom) / 2
    near = turned.resize((width, height), Image.Resampling.BICUBIC, (left, top, width - left, height - top))
    return np.array(ImageEnhance.Brightness(near).enhance(light))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve lesions; two of them were photographed again under another id, one under its own."""
    folder = tmp_path_factory.mktemp("scenes")
    rows = []
    for number in range(12):
        pixels = draw_lesion(number, kind=("nv", "mel", "bkl")[number % 3])
        name = f"P{number:02d}"
        Image.fromarray(pixels).save(folder / f"{name}.png")
        rows.append((name, f"lesion {number}", str(folder / f"{name}.png")))
        if number in (2, 7, 9):
            Image.fromarray(photographed_again(pixels)).save(folder / f"{name}_again.png")
            lesion = f"lesion {number}" if number == 9 else f"lesion {number} renamed"
            rows.append((f"{name}_again", lesion, str(folder / f"{name}_again.png")))
    (folder / "broken.png").write_bytes(b"nothing")
    rows.append(("broken", "lesion 99", str(folder / "broken.png")))
    return pd.DataFrame(rows, columns=["image_id", "lesion_id", "image_path"])


def test_the_same_spot_agrees_in_many_points_and_other_skin_in_few():
    first, other = draw_lesion(2, kind="bkl"), draw_lesion(3, kind="bkl")
    again = describe(photographed_again(first))
    assert count_agreeing(describe(first), again) >= LEAST_POINTS
    assert count_agreeing(describe(first), describe(other)) < LEAST_POINTS


@pytest.mark.parametrize("pixels", [np.zeros((45, 60, 3), np.uint8), np.full((20, 20, 3), 200, np.uint8)])
def test_a_picture_without_points_agrees_with_nothing(pixels):
    assert count_agreeing(describe(pixels), describe(pixels)) == 0
    rows = np.stack([describe(pixels), describe(pixels)])
    assert find_candidates(rows, np.array([0, 1])).shape == (0, 2)


def test_candidates_are_of_two_lesions_and_stand_once():
    pictures = [draw_lesion(seed, kind="nv", size_px=(225, 300)) for seed in range(6)]
    rows = np.stack([describe(one) for one in pictures])
    lesions = np.array([0, 0, 1, 2, 3, 3])
    pairs = find_candidates(rows, lesions, neighbours=3)
    assert len(pairs)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len({tuple(pair) for pair in pairs.tolist()}) == len(pairs)
    assert (lesions[pairs[:, 0]] != lesions[pairs[:, 1]]).all()


def test_the_spots_under_two_ids_are_found_and_those_of_one_lesion_are_not_told(folder, tmp_path):
    found = find_scenes(folder, cache_dir=tmp_path, workers=2)
    assert set(zip(found["first"], found["second"], strict=True)) == {
        ("P02", "P02_again"),
        ("P07", "P07_again"),
    }
    assert (found["kind"] == "same spot").all()
    assert (found["score"] >= LEAST_POINTS).all()
    assert found["score"].is_monotonic_decreasing
    pd.testing.assert_frame_equal(stored_scenes(folder, cache_dir=tmp_path), found)


def test_what_was_compared_before_a_cancel_is_not_compared_again(folder, tmp_path, monkeypatch):
    whole = find_scenes(folder, cache_dir=tmp_path / "whole", workers=1)
    monkeypatch.setattr(scenes, "_BATCH", 4)
    monkeypatch.setattr(scenes, "_PAIRS_AT_ONCE", 8)
    seen = []

    class Stop(Exception):
        pass

    def stop_at(note, done_at_least):
        def report(done, total=None, *, unit="", note_=None, **told):
            seen.append((told["note"], done))
            if told["note"] == note and done >= done_at_least:
                raise Stop

        return report

    for note, at in (("finding points", 8), ("comparing point by point", 16)):
        with pytest.raises(Stop):
            find_scenes(folder, cache_dir=tmp_path / "torn", workers=1, report=stop_at(note, at))
    # A kill may also tear the last row.
    (partial,) = (tmp_path / "torn").glob("scenes/*/scores.partial")
    partial.write_bytes(partial.read_bytes() + b"\1")
    seen.clear()
    found = find_scenes(folder, cache_dir=tmp_path / "torn", workers=1, report=stop_at("", 0))
    pd.testing.assert_frame_equal(found, whole)
    compared = [done for note, done in seen if note == "comparing point by point"]
    assert min(compared) > 16
    assert not list(partial.parent.glob("*.partial"))


def test_facts_alone_are_refused_with_what_to_do(tmp_path):
    facts = pd.DataFrame({"image_id": ["a"], "lesion_id": ["l"], "image_path": [None]})
    with pytest.raises(StoreError, match="facts only"):
        find_scenes(facts, cache_dir=tmp_path)
    assert stored_scenes(facts, cache_dir=tmp_path) is None


@pytest.mark.slow
def test_on_real_pictures_most_published_pairs_are_found_among_look_alikes(ham10000_folder, tmp_path):
    metadata = read_dataset(ham10000_folder)
    known = {name for pair in DUPLICATE_PAIRS for name in pair}
    some = metadata[metadata["image_id"].isin(known)]
    chosen = pd.concat([some, metadata.drop(some.index).sample(164, random_state=0)], ignore_index=True)
    found = find_scenes(chosen, cache_dir=tmp_path)
    recall = recall_of_known(found, chosen)
    # Among all 10,015 pictures it is 16 of 18 too.
    assert recall.known == 18
    assert recall.found >= 15
    assert recall.others <= 2
