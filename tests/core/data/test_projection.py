"""Projections: true to the features, the same each time, and without a place for what was not read."""

import numpy as np
import pytest

from core.data.projection import PROJECTIONS, pca
from core.errors import DataError
from core.jobs import Cancelled, silent

HERE = [name for name, one in PROJECTIONS.items() if one.is_here]


@pytest.fixture
def features():
    """200 pictures in two groups that differ along one direction of ten; two pictures were not read."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 10)) * ([5.0] + [1.0] + [0.3] * 8)
    values[:100, 0] += 30
    values[[7, 50]] = np.nan
    return values.astype(np.float16)


@pytest.mark.parametrize("name", HERE)
def test_every_picture_with_features_has_a_place_and_no_other(features, name):
    found = PROJECTIONS[name].function(features, silent)
    assert found.points.shape == (200, 2)
    assert found.points.dtype == np.float32
    assert np.flatnonzero(np.isnan(found.points).any(axis=1)).tolist() == [7, 50]
    assert found.n == 198


@pytest.mark.parametrize("name", HERE)
def test_groups_that_differ_lie_apart(features, name):
    points = PROJECTIONS[name].function(features, silent).points
    one, other = np.nanmean(points[:100], axis=0), np.nanmean(points[100:], axis=0)
    within = np.nanstd(points[:100] - one)
    assert np.linalg.norm(one - other) > 2 * within


@pytest.mark.parametrize("name", HERE)
def test_a_projection_is_the_same_each_time(features, name):
    function = PROJECTIONS[name].function
    assert np.array_equal(
        function(features, silent).points, function(features, silent).points, equal_nan=True
    )


def test_pca_agrees_with_a_singular_value_decomposition(features):
    usable = features[np.isfinite(features[:, 0])].astype(np.float64)
    centred = usable - usable.mean(axis=0)
    _, strengths, _ = np.linalg.svd(centred, full_matrices=False)
    found = pca(features)
    places = found.points[np.isfinite(found.points[:, 0])]
    assert np.allclose(np.linalg.norm(places, axis=0), strengths[:2], rtol=1e-3)
    assert np.allclose(found.explained, strengths[:2] ** 2 / (strengths**2).sum(), rtol=1e-3)


def test_pca_in_pieces_is_pca(features, monkeypatch):
    whole = pca(features)
    monkeypatch.setattr("core.data.projection._CHUNK", 16)
    assert np.allclose(pca(features).points, whole.points, atol=1e-3, equal_nan=True)


def test_pca_keeps_its_sign_when_pictures_are_mirrored_in_order(features):
    assert np.allclose(pca(features[::-1]).points[::-1], pca(features).points, atol=1e-3, equal_nan=True)


def test_pictures_that_are_all_alike_lie_in_one_place():
    found = pca(np.ones((5, 4), dtype=np.float16))
    assert np.allclose(found.points, 0)
    assert np.allclose(found.explained, 0)


def test_one_number_a_picture_makes_a_line():
    found = pca(np.arange(6, dtype=np.float16)[:, None])
    assert np.allclose(found.points[:, 1], 0)
    assert np.ptp(found.points[:, 0]) == 5


@pytest.mark.parametrize("name", HERE)
def test_too_few_pictures_make_no_map(name):
    with pytest.raises(DataError, match="2 pictures have features"):
        PROJECTIONS[name].function(np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, np.nan]]), silent)


@pytest.mark.parametrize("name", HERE)
def test_a_projection_can_be_stopped(features, name):
    def stop(*_, **__):
        raise Cancelled

    with pytest.raises(Cancelled):
        PROJECTIONS[name].function(features, stop)


def test_umap_says_what_to_install_where_it_is_not(features, monkeypatch):
    monkeypatch.setattr("core.data.projection.find_spec", lambda _: None)
    with pytest.raises(DataError, match="pip install umap-learn"):
        PROJECTIONS["umap"].function(features, silent)


def test_umap_that_breaks_is_said(features, monkeypatch):
    monkeypatch.setattr("core.data.projection.find_spec", lambda _: True)
    monkeypatch.setattr("core.data.projection.__name__", "no.such.module")
    with pytest.raises(DataError, match=r"UMAP could not arrange the pictures \(ModuleNotFoundError.*PCA"):
        PROJECTIONS["umap"].function(features, silent)
