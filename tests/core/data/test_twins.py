"""Copies are found whatever was done to the file; look-alikes are none; pairs are told with their meaning."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance

from core.data.inspection import inspect_pictures
from core.data.readers import read_dataset
from core.data.scenes import stored_scenes
from core.data.splits import DUPLICATE_PAIRS, SPLITS, split_by_lesion
from core.data.synthetic import draw_lesion
from core.data.twins import (
    KINDS,
    describe_pairs,
    find_exact,
    find_near,
    find_twins,
    fingerprints,
    recall_of_known,
)


def jpeg(pixels, quality=75):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


TURNS = {
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "turned right": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "turned left": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "transposed": lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    "transversed": lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    "flipped": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "half as large": lambda image: image.resize((300, 225)),
    "a little brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.08),
    "as a poor JPEG": lambda image: Image.open(io.BytesIO(jpeg(np.asarray(image), 30))),
}


def looked_at(pictures):
    """Return what inspection finds on pictures that are in memory."""
    rows = {
        name: {
            "file_digest": f"file {name}",
            "pixel_digest": f"pixels {np.asarray(image).tobytes()!r}"[:4000] + str(image.size),
            "fingerprints": fingerprints(image),
            "contrast": float(np.asarray(image).std()),
        }
        for name, image in pictures.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def drawn(seed, kind="nv"):
    return Image.fromarray(draw_lesion(seed, kind=kind))


def table(ids, *, lesions=None, dx=None, paths=None):
    count = len(ids)
    return pd.DataFrame(
        {
            "image_id": list(ids),
            "lesion_id": lesions or [f"lesion {name}" for name in ids],
            "dx": dx or ["nv"] * count,
            "image_path": paths or [None] * count,
        }
    )


@pytest.mark.parametrize("change", TURNS)
@pytest.mark.parametrize("kind", ["nv", "mel", "bcc", "vasc"])
def test_a_copy_is_found_whatever_was_done_to_it(change, kind):
    original = drawn(4, kind)
    others = {f"other {seed}": drawn(seed, kind) for seed in range(10, 16)}
    pairs = find_near(looked_at({"original": original, "copy": TURNS[change](original), **others}))
    assert pairs[["first", "second", "kind"]].to_numpy().tolist() == [["copy", "original", "near copy"]]
    assert 0.99 <= pairs["score"].iloc[0] <= 1.0001


def test_two_lesions_are_no_copies_although_their_hashes_are_near():
    # A dark spot in the middle of bright skin: a hash of 64 bits sees hardly more.
    spots = {}
    for name, radius in (("small", 70), ("large", 130)):
        y, x = np.mgrid[:450, :600]
        pixels = np.full((450, 600, 3), 210, np.uint8)
        pixels[np.hypot(y - 225, x - 300) < radius] = 60
        spots[name] = Image.fromarray(pixels)
    assert find_near(looked_at(spots), bits=64, likeness=0.5)["score"].iloc[0] < 0.99
    assert find_near(looked_at(spots), bits=64).empty


def test_pictures_of_one_colour_are_no_copies_of_each_other():
    plain = {name: Image.new("RGB", (60, 45), colour) for name, colour in (("a", "red"), ("b", "blue"))}
    assert find_near(looked_at(plain)).empty


def test_files_are_told_from_pixels_and_unreadable_ones_are_left_out(tmp_path):
    pixels = draw_lesion(1, kind="df", size_px=(90, 120))
    paths = {name: tmp_path / f"{name}.png" for name in ("one", "two", "three", "torn", "gone")}
    Image.fromarray(pixels).save(paths["one"])
    paths["two"].write_bytes(paths["one"].read_bytes())
    Image.fromarray(pixels).save(paths["three"], compress_level=1)
    paths["torn"].write_bytes(paths["one"].read_bytes()[:500])
    metadata = table(paths, paths=[str(path) for path in paths.values()])
    pairs = find_exact(inspect_pictures(metadata, cache_dir=tmp_path / "cache", workers=2))
    assert pairs[["first", "second", "kind"]].to_numpy().tolist() == [
        ["one", "two", "same file"],
        ["one", "three", "same pixels"],
    ]


def test_a_pair_stands_once_under_its_surest_kind():
    inspection = looked_at({"a": drawn(1), "b": drawn(1), "c": drawn(2)})
    scenes = pd.DataFrame(
        [("a", "b", "same spot", 90.0), ("a", "c", "same spot", 20.0)],
        columns=["first", "second", "kind", "score"],
    )
    pairs = find_twins(inspection, scenes)
    assert pairs[["first", "second", "kind"]].to_numpy().tolist() == [
        ["a", "b", "same pixels"],
        ["a", "c", "same spot"],
    ]
    assert set(pairs["kind"]) <= set(KINDS)


def test_no_picture_or_one_has_no_pair():
    one = looked_at({"a": drawn(1)})
    assert find_twins(one).empty
    assert find_twins(one.iloc[:0]).empty


def test_a_pair_is_told_with_what_it_contradicts_and_whether_the_split_tears_it():
    metadata = table("abcd", lesions=["L1", "L1", "L2", "L3"], dx=["nv", "nv", "nv", "mel"])
    pairs = pd.DataFrame(
        [("a", "b", "near copy", 1.0), ("a", "c", "near copy", 1.0), ("c", "d", "same spot", 30.0)],
        columns=["first", "second", "kind", "score"],
    )
    told = describe_pairs(pairs, metadata, pd.Series(["train", "train", "test", "test"]))
    assert told["apart"].tolist() == ["", "lesions", "diagnoses"]
    assert told["splits"].tolist() == [False, True, False]
    assert told["dx_second"].tolist() == ["nv", "nv", "mel"]
    assert not describe_pairs(pairs, metadata)["splits"].any()


def test_recall_counts_the_known_pairs_that_are_here_in_any_order():
    metadata = table("abcd", lesions=["L1", "L1", "L2", "L3"])
    pairs = pd.DataFrame({"first": ["a", "c", "a"], "second": ["c", "d", "b"], "kind": "x", "score": 1.0})
    found = recall_of_known(pairs, metadata, known=[("c", "a"), ("b", "d"), ("a", "elsewhere")])
    assert (found.known, found.found, found.missed, found.others) == (2, 1, (("b", "d"),), 1)


@pytest.mark.slow
def test_on_real_pictures_near_copies_of_two_lesions_are_only_those_that_were_published(
    ham10000_folder, tmp_path
):
    metadata = read_dataset(ham10000_folder)
    known = {name for pair in DUPLICATE_PAIRS for name in pair}
    some = metadata[metadata["image_id"].isin(known)]
    rest = metadata.drop(some.index).sample(400, random_state=0)
    chosen = pd.concat([some, rest], ignore_index=True)
    inspection = inspect_pictures(chosen, cache_dir=tmp_path)
    told = describe_pairs(find_twins(inspection), chosen, split_by_lesion(chosen, seed=0))
    crossing = told[told["apart"] != ""]
    found = recall_of_known(crossing, chosen)
    assert found.others == 0
    assert found.found >= 1
    assert not crossing["splits"].any()
    assert set(told["part_first"]) <= set(SPLITS)
    assert stored_scenes(chosen, cache_dir=tmp_path) is None
