"""Poor pictures are told with advice, and ordinary ones raise nothing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from core.data.pictures import read_picture
from core.data.readers import read_dataset
from core.data.synthetic import draw_lesion
from core.predict.picture_quality import assess, percentile, tabulate

LESION = draw_lesion(11, kind="nv")


def blurred(pixels):
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(12)))


def cornered(pixels):
    rows, columns = np.indices(pixels.shape[:2])
    height, width = pixels.shape[:2]
    away = np.hypot(rows - height / 2, columns - width / 2)
    return np.where((away > 0.46 * height)[..., None], 0, pixels).astype(np.uint8)


@pytest.mark.parametrize(
    ("spoiled", "measure"),
    [
        (blurred(LESION), "sharpness"),
        ((LESION * 0.25).astype(np.uint8), "brightness"),
        (np.clip(LESION.astype(int) + 110, 0, 255).astype(np.uint8), "overexposed"),
        (cornered(LESION), "corners"),
        (LESION[::4, ::4], "size"),
    ],
    ids=["blurred", "dark", "burnt out", "black corners", "small"],
)
def test_what_is_wrong_is_named_with_advice_and_numbers(spoiled, measure):
    found = {one.measure: one for one in assess(spoiled, input_px=224)}
    assert measure in found
    assert found[measure].advice.endswith(".")
    assert any(sign.isdigit() for sign in found[measure].evidence)


def test_an_ordinary_drawing_raises_nothing():
    assert assess(LESION, input_px=224) == ()


def test_percentiles_run_from_0_to_100_and_ties_share_their_middle():
    assert percentile("sharpness", -1) == 0
    assert percentile("sharpness", 2) == 100
    assert 40 < percentile("brightness", 170) < 90
    assert 0 < percentile("hair", 0.0) < 60
    assert np.isnan(percentile("contrast", float("nan")))


def test_a_table_holds_the_percentiles_and_the_count():
    table = tabulate(draw_lesion(seed, kind="nv", size_px=(150, 200)) for seed in range(5))
    assert list(table.index) == list(range(101))
    assert (table["pictures"] == 5).all()
    assert table["brightness"].is_monotonic_increasing


def test_few_real_pictures_are_called_odd(ham10000_folder):
    table = read_dataset(ham10000_folder).iloc[7::400]
    odd = [
        bool(assess(read_picture(path, name="x").pixels, input_px=224))
        for path in map(Path, table["image_path"])
    ]
    assert len(odd) >= 25
    assert np.mean(odd) < 0.25
