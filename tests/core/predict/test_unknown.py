"""What is like the training pictures is answered; what is far from them, or blank, is not."""

import numpy as np
import pytest

from core.data.no_lesions import NO_LESIONS, draw_no_lesion
from core.data.preprocessing import cover
from core.data.synthetic import draw_lesion
from core.errors import EvaluationError
from core.models.catalog import CHECKPOINTS_FOLDER
from core.models.checkpoint import load_checkpoint
from core.predict.predictor import look
from core.predict.unknown import AXES, FeatureStatistics, InputLimits, colours_of, energy_of, judge
from core.words import READERS, refusal

WIDTH = 256


def features(count, *, seed, shift=0.0):
    """Features as a network pools them: some strong directions, many weak ones, far from zero."""
    random = np.random.default_rng(seed)
    scale = np.concatenate([np.geomspace(30, 1, 40), np.full(WIDTH - 40, 0.05)])
    turn = np.linalg.qr(np.random.default_rng(99).normal(size=(WIDTH, WIDTH)))[0]
    return (random.normal(size=(count, WIDTH)) * scale @ turn + 5 + shift).astype(np.float32)


@pytest.fixture(scope="module")
def statistics():
    return FeatureStatistics.fit(features(2000, seed=1), features(500, seed=2))


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_one_in_a_hundred_validation_pictures_lies_beyond_the_limit(statistics):
    distance = statistics.distance(features(500, seed=2))
    assert np.quantile(distance, 0.99) == pytest.approx(1, abs=1e-5)
    assert (distance > 1).sum() == 5


def test_pictures_of_the_same_kind_are_known(statistics):
    distance = statistics.distance(features(2000, seed=3))
    assert (distance <= 1).mean() > 0.95
    assert judge(picture(), features(1, seed=4)[0], statistics).known


@pytest.mark.parametrize("factor", [0.0, 3.0, 100.0])
def test_features_far_off_are_unknown_with_how_far(factor, statistics):
    verdict = judge(picture(), features(1, seed=4)[0] * factor + 40 * (factor == 0), statistics)
    assert not verdict.known
    assert verdict.distance > 1
    assert f"{verdict.distance:.1f} times as far out" in verdict.reasons[0]


def test_a_small_step_in_a_direction_that_never_varies_is_seen(statistics):
    """That is what the small variance outside the axes is for."""
    inside = features(1, seed=4)[0]
    direction = np.linalg.svd(statistics.axes)[2][-1]
    assert statistics.distance(inside) < 1
    assert statistics.distance(inside + 2 * direction) > 1
    assert statistics.distance(inside + 2 * statistics.axes[0]) < 1.1


def test_distance_is_the_mahalanobis_distance_where_no_direction_is_left_out():
    random = np.random.default_rng(0)
    mixed = random.normal(size=(4, 4))
    train, val = (
        (random.normal(size=(3000, 4)) @ mixed).astype(np.float32),
        random.normal(size=(100, 4)) @ mixed,
    )
    statistics = FeatureStatistics.fit(train, val)
    centred = val - train.mean(axis=0)
    exact = np.sqrt(np.einsum("ni,ij,nj->n", centred, np.linalg.inv(np.cov(train.T, bias=True)), centred))
    np.testing.assert_allclose(statistics.distance(val) * statistics.limit, exact, rtol=5e-3)


def test_half_precision_axes_cost_next_to_nothing(statistics):
    """Orthonormal rows rounded to half precision must not leak the strong directions into the weak rest."""
    assert np.array_equal(statistics.axes, statistics.axes.astype(np.float16).astype(np.float32))
    strong = statistics.mean + 100 * statistics.axes[0]
    expected = 100 / np.sqrt(statistics.variances[0]) / statistics.limit
    assert statistics.distance(strong) == pytest.approx(expected, rel=0.02)


def test_a_checkpoint_can_store_all_of_it_in_single_precision(statistics):
    for name, value in vars(statistics).items():
        assert np.array_equal(np.asarray(value, dtype=np.float32), value), name


def test_distance_takes_one_picture_or_many(statistics):
    many = features(6, seed=5)
    one_by_one = [float(statistics.distance(row)) for row in many]
    np.testing.assert_allclose(statistics.distance(many), one_by_one)
    np.testing.assert_allclose(statistics.distance(many.reshape(2, 3, -1)).ravel(), one_by_one)


@pytest.mark.parametrize("count", [2, 5, 100])
def test_few_pictures_still_give_a_limit_above_zero(count):
    statistics = FeatureStatistics.fit(features(count, seed=1), features(20, seed=2))
    assert len(statistics.axes) <= min(AXES, max(1, count // 4))
    assert statistics.rest > 0
    assert statistics.limit > 0
    assert np.isfinite(statistics.distance(features(3, seed=3))).all()


def test_features_that_never_vary_still_give_a_limit_above_zero():
    same = np.ones((10, 8), dtype=np.float32)
    statistics = FeatureStatistics.fit(same, same)
    assert statistics.distance(same[0]) == 0
    assert statistics.distance(same[0] + 1) > 1


@pytest.mark.parametrize(
    ("train", "val", "words"),
    [
        (features(0, seed=1), features(5, seed=2), "0 training features"),
        (features(5, seed=1), features(1, seed=2), "1 validation features"),
        (features(5, seed=1) * np.nan, features(5, seed=2), "5 training features"),
    ],
)
def test_too_few_or_broken_features_are_refused(train, val, words):
    with pytest.raises(EvaluationError, match=words):
        FeatureStatistics.fit(train, val)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 150, 140)])
def test_a_blank_picture_is_unknown_even_without_statistics(colour):
    seen = np.full((32, 32, 3), colour, dtype=np.uint8)
    verdict = judge(seen, np.zeros(WIDTH), None)
    assert not verdict.known
    assert "blank" in verdict.reasons[0]
    assert np.isnan(verdict.distance)


def test_a_picture_with_something_on_it_is_not_blank():
    seen = np.full((32, 32, 3), 200, dtype=np.uint8)
    seen[10:20, 10:20] = 120
    assert judge(seen, np.zeros(WIDTH), None).known


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_never_known(value, statistics):
    with np.errstate(invalid="ignore"):
        assert not judge(picture(), np.full(WIDTH, value, dtype=np.float32), statistics).known


def colour_limits():
    rng = np.random.default_rng(0)
    logits = rng.normal(1, 1, size=(40, 7))
    usual = np.array([colours_of(draw_lesion(seed, kind="nv", size_px=(60, 80))) for seed in range(40)])
    return InputLimits.fit(logits, usual, np.linspace(0, 1, 40))


def test_a_colour_cast_is_a_reason_and_usual_colours_are_none():
    limits = colour_limits()
    seen = draw_lesion(50, kind="nv", size_px=(60, 80))
    fine = np.full(7, 2.0)
    assert judge(seen, np.zeros(WIDTH), None, logits=fine, limits=limits).known
    blue = seen[..., ::-1]
    verdict = judge(blue, np.zeros(WIDTH), None, logits=fine, limits=limits)
    assert not verdict.known
    assert "colours are not those of skin" in verdict.reasons[0]


def test_logits_that_say_nothing_are_a_reason():
    limits = colour_limits()
    seen = draw_lesion(50, kind="nv", size_px=(60, 80))
    for nothing in (np.full(7, -9.0), np.full(7, np.nan)):
        verdict = judge(seen, np.zeros(WIDTH), None, logits=nothing, limits=limits)
        assert "no lesion may be in it" in " ".join(verdict.reasons)


def test_energy_is_the_log_of_summed_exponentials_and_never_overflows():
    assert energy_of(np.zeros(7)) == pytest.approx(np.log(7))
    assert energy_of(np.full((2, 7), 1000.0)) == pytest.approx(1000 + np.log(7))


def test_one_picture_sets_no_limits():
    with pytest.raises(EvaluationError, match="cannot tell what is usual"):
        InputLimits.fit(np.zeros((1, 7)), np.zeros((1, 6)), np.zeros(1))


@pytest.fixture(scope="module")
def bundled():
    return load_checkpoint(CHECKPOINTS_FOLDER / "lesionlens-lite0", reference="bundled:lesionlens-lite0")


@pytest.mark.parametrize("kind", NO_LESIONS)
@pytest.mark.parametrize("size_px", [(450, 600), (120, 90)])
def test_every_drawing_of_no_lesion_is_refused_at_any_size(bundled, kind, size_px):
    for seed in range(2):
        verdict = look(bundled, cover(draw_no_lesion(kind, seed), size_px)).unknown
        assert not verdict.known
        assert all(reason.endswith(".") for reason in verdict.reasons)
        assert refusal(verdict.reasons, READERS["patient"]).tone == "none"
