"""The colours: told apart by people who see fewer of them, and readable in light and dark."""

import itertools
import tomllib

import numpy as np
import pytest

from core.labels import CODES

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


@pytest.fixture(scope="module")
def theme(app_root):
    return tomllib.loads((app_root / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]


def linear(colour):
    parts = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(light):
    xyz = TO_XYZ @ np.clip(light, 0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one, other):
    lighter, darker = sorted((float(TO_XYZ[1] @ linear(colour)) for colour in (one, other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("sight", SIGHTS)
def test_the_seven_diagnoses_are_told_apart_by_every_sight(theme, sight):
    colours = theme["chartCategoricalColors"]
    assert len(colours) == len(CODES)
    seen = [lab(SIGHTS[sight] @ linear(colour)) for colour in colours]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) >= 20


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_and_links_can_be_read(theme, mode):
    colours = theme[mode]
    for surface in (colours["backgroundColor"], colours["secondaryBackgroundColor"]):
        assert contrast(colours["textColor"], surface) >= 7
        assert contrast(colours["linkColor"], surface) >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHTS)
def test_lightness_of_the_sequential_scale_only_goes_one_way(theme, mode, sight):
    scale = [lab(SIGHTS[sight] @ linear(colour))[0] for colour in theme[mode]["chartSequentialColors"]]
    steps = np.diff(scale)
    assert len(scale) == 10
    assert (steps < 0).all() or (steps > 0).all()


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHTS)
def test_for_and_against_are_told_apart_and_the_middle_is_quietest(theme, mode, sight):
    scale = [lab(SIGHTS[sight] @ linear(colour)) for colour in theme[mode]["chartDivergingColors"]]
    background = lab(linear(theme[mode]["backgroundColor"]))
    loudness = [np.linalg.norm(colour - background) for colour in scale]
    assert len(scale) == 10
    assert sorted(np.argsort(loudness)[:2].tolist()) == [4, 5]
    for step in range(4):
        assert np.linalg.norm(scale[step] - scale[9 - step]) >= 20
