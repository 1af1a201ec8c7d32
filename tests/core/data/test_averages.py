"""Averages: the mean and the spread that NumPy finds, without all pictures in memory at once."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core import jobs
from core.data.averages import SIZE, average_pictures, largest_spread, spread_out


@pytest.fixture
def table(tmp_path):
    """Six nevi of four lesions, one melanoma, a bkl whose file is broken, and facts alone of a df."""
    rng = np.random.default_rng(0)
    rows = []
    for number, (code, lesion) in enumerate(
        [*(("nv", f"N{lesion}") for lesion in (0, 0, 0, 1, 2, 3)), ("mel", "M"), ("bkl", "B"), ("df", "D")]
    ):
        path = tmp_path / f"I{number}.png"
        if code == "bkl":
            path.write_bytes(b"nothing")
        elif code != "df":
            Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(path)
        file = None if code == "df" else str(path)
        rows.append({"image_id": f"I{number}", "lesion_id": lesion, "dx": code, "image_path": file})
    return pd.DataFrame(rows)


def pixels(table, code):
    files = table.loc[table["dx"] == code, "image_path"]
    return np.stack([np.asarray(Image.open(file)) for file in files]).astype(float)


def test_mean_and_spread_are_those_of_the_pictures(table):
    found = average_pictures(table)["nv"]
    expected = pixels(table, "nv")
    assert np.abs(found.mean - expected.mean(axis=0)).max() <= 0.5
    assert np.allclose(found.spread, expected.mean(axis=-1).std(axis=0, ddof=1), atol=1e-3)
    assert (found.n, found.n_lesions, found.of) == (6, 4, 6)


def test_one_picture_has_a_mean_and_no_spread(table):
    found = average_pictures(table)["mel"]
    assert np.array_equal(found.mean, pixels(table, "mel")[0])
    assert np.isnan(found.spread).all()


def test_diagnoses_without_a_readable_picture_are_left_out(table):
    assert list(average_pictures(table)) == ["mel", "nv"]


def test_few_pictures_are_of_different_lesions(table):
    found = average_pictures(table, most=4)["nv"]
    assert (found.n, found.n_lesions, found.of) == (4, 4, 6)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 50])
def test_spread_out_gives_as_many_as_asked_and_there_are(table, count):
    rows = table[table["dx"] == "nv"]
    chosen = spread_out(rows, count)
    assert len(chosen) == min(count, 6)
    assert chosen["image_id"].is_unique
    assert chosen["lesion_id"].nunique() == min(count, 4)


def test_averaging_can_be_cancelled_and_tells_its_progress(table):
    told = []
    average_pictures(table, report=lambda done, total=None, **_: told.append((done, total)))
    assert told[-1] == (8, 8)

    def cancel(*_, **__):
        raise jobs.Cancelled

    with pytest.raises(jobs.Cancelled):
        average_pictures(table, report=cancel)


def test_the_scale_is_shared_by_all_diagnoses(table):
    found = average_pictures(table)
    assert largest_spread(found) == pytest.approx(float(np.nanmax(found["nv"].spread)))
    assert largest_spread({"mel": found["mel"]}) == 1.0
