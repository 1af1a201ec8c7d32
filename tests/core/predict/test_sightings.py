"""A picture that a dataset holds is found by file, by pixels or by name, with its place in the split."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from core.data.pictures import read_picture
from core.data.readers import read_dataset
from core.data.synthetic import make_dataset
from core.predict.sightings import find_sighting, pixel_digest


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return read_dataset(
        make_dataset(tmp_path_factory.mktemp("data"), images_per_class=2, seed=0, size_px=(60, 80))
    )


def looked_up(table, path, *, name="mine.jpg", digest=None, inspection=None, parts=None):
    data = path.read_bytes()
    return find_sighting(
        table,
        parts,
        read_picture(data, name=name).pixels,
        file_digest=digest or hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        name=name,
        inspection=inspection,
    )


def test_the_same_file_is_found_with_its_part_and_its_siblings(table):
    row = table.iloc[3]
    parts = pd.Series(["train"] * len(table))
    found = looked_up(table, Path(row["image_path"]), parts=parts)
    assert (found.image_id, found.how, found.part) == (row["image_id"], "file", "train")
    assert found.siblings == (table["lesion_id"] == row["lesion_id"]).sum() - 1


def test_other_bytes_with_the_same_pixels_are_found_where_pixels_are_known(table):
    row = table.iloc[5]
    path = Path(row["image_path"])
    pixels = read_picture(path, name="x").pixels
    inspection = pd.DataFrame({"pixel_digest": [pixel_digest(pixels)]}, index=[row["image_id"]])
    assert looked_up(table, path, digest="other", inspection=inspection).how == "pixels"
    assert looked_up(table, path, digest="other") is None


def test_a_name_alone_is_said_to_be_one(table):
    row = table.iloc[0]
    renamed = table.assign(image_id=[f"ISIC_{9000000 + place}" for place in range(len(table))])
    found = looked_up(renamed, Path(row["image_path"]), digest="other", name="ISIC_9000002 (1).jpg")
    assert (found.image_id, found.how, found.part) == ("ISIC_9000002", "name", None)


def test_files_that_are_gone_are_not_the_picture(table, tmp_path):
    away = table.assign(image_path=str(tmp_path / "gone.jpg"))
    assert looked_up(away, Path(table["image_path"].iloc[0])) is None
