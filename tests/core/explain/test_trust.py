"""The trust card: its baselines know nothing, and a map that is right beats them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from core.data.synthetic import draw_lesion
from core.explain.spoken import finding
from core.explain.trust import (
    CHECKS,
    NOWHERE,
    SHIFTS,
    STEPS,
    Curves,
    Place,
    centred_blob,
    corners_of,
    curves,
    examine,
    placed,
    rank_correlation,
    rim_of,
    share_in,
    shares_of,
    twin_map,
)
from core.labels import INDEX
from core.models.catalog import CHECKPOINTS_FOLDER
from core.models.checkpoint import load_checkpoint
from core.predict.predictor import look
from core.words import READERS
from tests.core.models.making import lesion, lively_network, manifest, with_size, write_checkpoint

MELANOMA = INDEX["mel"]
NAME = "resnet18"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder, lively_network(NAME), written=with_size(manifest(NAME), 96))
    return load_checkpoint(folder)


@pytest.fixture(scope="module")
def looked(checkpoint):
    return look(checkpoint, lesion())


def test_curves_begin_and_end_at_the_whole_and_the_plain_picture(checkpoint, looked):
    found = curves(checkpoint, looked, MELANOMA)
    whole = looked.bias[MELANOMA] + looked.maps[MELANOMA].mean()
    for values in (found.deletion, found.insertion, found.random_deletion, found.random_insertion):
        assert values.shape == (STEPS + 1,)
    assert found.shares[0] == 0
    assert found.shares[-1] == 1
    assert found.deletion[0] == pytest.approx(whole, abs=1e-3)
    assert found.insertion[-1] == pytest.approx(whole, abs=1e-3)
    assert found.deletion[-1] == pytest.approx(found.insertion[0], abs=1e-3)


def test_a_card_is_whole_and_the_same_again(checkpoint, looked):
    mask = np.zeros(looked.seen.shape[:2], dtype=bool)
    mask[32:64, 32:96] = True
    state = torch.get_rng_state()
    place = Place(mask, "as a test has it")
    first, second = (examine(checkpoint, looked, MELANOMA, place=place) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert first.checks == second.checks
    assert tuple(check.name for check in first.checks) == CHECKS
    assert all(np.isfinite(check.numbers).all() for check in first.checks)
    assert first.twin.shape == looked.maps[MELANOMA].shape
    assert not checkpoint.lock.locked()
    np.testing.assert_array_equal(look(checkpoint, lesion()).maps, looked.maps)


def test_without_a_mask_nothing_is_said_of_the_lesion(checkpoint, looked):
    card = examine(checkpoint, looked, MELANOMA)
    assert card.checks[1].state == "not measured"
    for reader in READERS.values():
        assert finding(card.checks[1], card, reader) == NOWHERE.source
    nobody = placed(card, looked, MELANOMA, Place(None, "There is no lesion."))
    assert finding(nobody.checks[1], nobody, READERS["ML"]) == "There is no lesion."


def test_another_outline_changes_where_the_evidence_lies_and_nothing_else(checkpoint, looked):
    mask = np.zeros(looked.seen.shape[:2], dtype=bool)
    mask[32:64, 32:96] = True
    place = Place(mask, "as drawn by you")
    whole = examine(checkpoint, looked, MELANOMA, place=place)
    later = placed(examine(checkpoint, looked, MELANOMA), looked, MELANOMA, place)
    assert later.checks == whole.checks


def test_the_twin_is_another_network(checkpoint, looked):
    first = twin_map(checkpoint, looked.seen, MELANOMA, seed=1)
    np.testing.assert_array_equal(first, twin_map(checkpoint, looked.seen, MELANOMA, seed=1))
    assert (first != twin_map(checkpoint, looked.seen, MELANOMA, seed=2)).any()


def test_a_deep_twin_does_not_fade_to_nothing():
    bundled = load_checkpoint(CHECKPOINTS_FOLDER / "lesionlens-lite0", reference="bundled:lesionlens-lite0")
    seen = look(bundled, draw_lesion(3, kind="mel")).seen
    assert np.abs(twin_map(bundled, seen, MELANOMA)).max() > 0.1


def test_a_network_that_is_none_of_the_registrys_has_a_twin_too(checkpoint, looked):
    foreign = replace(checkpoint, manifest=replace(checkpoint.manifest, model="timm/something"))
    assert twin_map(foreign, looked.seen, MELANOMA, seed=1).shape == looked.maps[MELANOMA].shape


def test_shares_count_positive_evidence_only():
    found = np.array([[3.0, -5.0], [1.0, 0.0]])
    mask = np.zeros((64, 64), dtype=bool)
    mask[:32, :32] = True
    assert share_in(found, mask) == pytest.approx(0.75)
    assert np.isnan(share_in(-np.ones((2, 2)), mask))
    assert np.isnan(share_in(found, None))


def test_evidence_is_shared_out_over_lesion_border_and_corners():
    found = np.zeros((10, 10))
    found[5, 5], found[0, 0], found[0, 5] = 6.0, 3.0, 1.0
    mask = np.zeros((100, 100), dtype=bool)
    mask[50:60, 50:60] = True
    shares = shares_of(found, (100, 100), mask)
    assert (shares.inside, shares.rim, shares.corners) == pytest.approx((0.6, 0.4, 0.3))
    assert shares.corners_blob < shares.rim_blob < 0.36
    assert np.isnan(shares_of(found, (100, 100), None).inside)
    nothing = shares_of(-found, (100, 100), mask)
    assert np.isnan([nothing.inside, nothing.rim, nothing.corners]).all()
    assert np.isfinite(nothing.inside_blob)


def test_areas_are_mean_logits_and_gains_their_differences():
    shares = np.linspace(0, 1, STEPS + 1)
    found = Curves(shares, 4 - 4 * shares, 4 * shares, np.full(STEPS + 1, 3.0), np.full(STEPS + 1, 1.0))
    assert found.area(found.deletion) == pytest.approx(2)
    assert found.deletion_gain == pytest.approx(1)
    assert found.insertion_gain == pytest.approx(1)


def test_the_baselines_know_nothing():
    blob = centred_blob((7, 9))
    assert blob.argmax() == 7 * 9 // 2
    np.testing.assert_allclose(blob, blob[::-1, ::-1])
    assert rim_of((100, 100)).mean() == pytest.approx(0.36)
    corners = corners_of((100, 100))
    assert corners.mean() == pytest.approx(0.16)
    assert corners[[0, 0, -1, -1], [0, -1, 0, -1]].all()
    assert not corners[50].any()
    assert not corners[:, 50].any()
    assert all(abs(down) + abs(right) == 8 for down, right in SHIFTS)


def test_ranks_agree_however_maps_are_stretched():
    found = np.random.default_rng(0).normal(size=(7, 9))
    assert rank_correlation(found, np.exp(found)) == pytest.approx(1)
    assert rank_correlation(found, -found) == pytest.approx(-1)
    assert np.isnan(rank_correlation(found, np.ones((7, 9))))


def test_what_is_equal_has_no_order_in_a_rank_correlation():
    one, other = np.zeros((7, 7)), np.zeros((7, 7))
    one[0, 0] = other[6, 6] = 1.0
    assert rank_correlation(one, other) == pytest.approx(-1 / 48)
    half = np.maximum(np.random.default_rng(0).normal(size=(2, 9, 9)), 0)
    assert rank_correlation(*half) == pytest.approx(spearmanr(half[0].ravel(), half[1].ravel()).statistic)
