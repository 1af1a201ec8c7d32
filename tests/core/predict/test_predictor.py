"""One picture in, one Prediction out: consistent, the same from any thread, and quick to answer again."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace

import numpy as np
import pytest
import torch

from core.data.facts import FACTS, Facts
from core.labels import CODES, MALIGNANT
from core.models.checkpoint import load_checkpoint
from core.models.weights import pretrained_backbone
from core.predict.predictor import DEFAULT_OPERATING_POINT, answer, fact_terms, look
from core.predict.unknown import FeatureStatistics
from tests.core.models.making import lesion, lively_network, manifest, with_size, write_checkpoint

NAME = "efficientnet_lite0"
PATIENT = Facts(63, "male", "back")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint with ImageNet's features, which has seen synthetic lesions and nothing else."""
    folder = tmp_path_factory.mktemp("checkpoint")
    network, small = lively_network(NAME), with_size(manifest(NAME), 96)
    head = network.backbone.get_classifier()
    backbone, _ = pretrained_backbone(network.spec, "package")
    backbone.classifier = head
    network.backbone = backbone.eval()
    write_checkpoint(folder, network, written=small)
    bare = load_checkpoint(folder)
    found = np.stack([look(bare, lesion(seed, kind)).features for seed in range(9) for kind in CODES])
    statistics = FeatureStatistics.fit(found[:42], found[42:])
    write_checkpoint(folder, network, written=small, statistics=statistics)
    return load_checkpoint(folder)


@pytest.fixture(scope="module")
def looked(checkpoint):
    return look(checkpoint, lesion())


@pytest.fixture
def passes(checkpoint):
    """Counts how often the backbone runs."""
    counted = []
    stem = checkpoint.network.backbone.conv_stem
    handle = stem.register_forward_hook(lambda *_: counted.append(1))
    yield counted
    handle.remove()


@pytest.mark.parametrize("facts", [Facts(), PATIENT, Facts(age_years=8), Facts(site="acral")])
def test_everything_in_a_prediction_agrees(facts, checkpoint, looked):
    found = answer(checkpoint, looked, facts)
    evidence = found.evidence
    assert found.probabilities.sum() == pytest.approx(1)
    assert evidence.facts.keys() == set(FACTS)
    total = evidence.bias + evidence.maps.mean((1, 2)) + sum(evidence.facts.values()) + evidence.remainder
    np.testing.assert_allclose(total, found.logits, atol=1e-5)
    for index in range(len(CODES)):
        assert sum(evidence.terms(index).values()) == pytest.approx(float(found.logits[index]), abs=1e-4)
    tempered = np.exp(found.logits.astype(np.float64) / checkpoint.manifest.temperature)
    np.testing.assert_allclose(found.probabilities, tempered / tempered.sum(), atol=1e-9)
    assert found.malignancy == pytest.approx(found.probabilities[MALIGNANT].sum())
    assert found.top_code == CODES[int(found.logits.argmax())]
    assert found.operating_point.name == DEFAULT_OPERATING_POINT
    assert found.facts == facts
    assert found.checkpoint == checkpoint.reference
    assert set(found.timings_ms) == {"look", "answer"}


def test_a_prediction_is_what_the_network_answers_to_that_picture(checkpoint, looked):
    batch = torch.from_numpy(checkpoint.manifest.preprocessing.normalise(looked.seen)[None])
    with torch.no_grad():
        image = checkpoint.network(batch)[0].numpy()
    np.testing.assert_allclose(answer(checkpoint, looked, Facts()).logits, image, atol=1e-4)
    assert np.abs(image).max() > 1


@pytest.mark.parametrize(("offset", "above"), [(-1e-6, True), (0.0, True), (1e-6, False)])
def test_at_or_above_the_threshold_is_suspicious(offset, above, checkpoint, looked):
    score = answer(checkpoint, looked, PATIENT).malignancy
    point = replace(checkpoint.manifest.operating_points[0], name="own", threshold=score + offset)
    moved = replace(checkpoint, manifest=replace(checkpoint.manifest, operating_points=(point,)))
    assert answer(moved, looked, PATIENT, operating_point="own").above_threshold is above


def test_another_operating_point_changes_the_decision_and_nothing_else(checkpoint, looked):
    strict = answer(checkpoint, looked, PATIENT, operating_point="sensitivity 0.90")
    loose = answer(checkpoint, looked, PATIENT)
    assert strict.operating_point.threshold == 0.4
    assert loose.operating_point.threshold == 0.2
    np.testing.assert_array_equal(strict.probabilities, loose.probabilities)


def test_a_changed_fact_answers_anew_without_the_network(checkpoint, passes):
    seen = look(checkpoint, lesion())
    assert len(passes) == 1
    answers = [
        answer(checkpoint, seen, Facts(age, sex, site))
        for age in (None, 20, 80)
        for sex in (None, "male")
        for site in (None, "face")
    ]
    assert len(passes) == 1
    assert len({one.logits.tobytes() for one in answers}) == len(answers)
    for one in answers:
        np.testing.assert_array_equal(one.evidence.maps, seen.maps)


def test_unknown_facts_add_exactly_nothing(checkpoint):
    for term in fact_terms(checkpoint, Facts()).values():
        assert (term == 0).all()
    assert all((term != 0).any() for term in fact_terms(checkpoint, PATIENT).values())


def test_a_look_does_not_share_memory_with_the_network(checkpoint):
    found = look(checkpoint, lesion())
    bias = found.bias.copy()
    for array in (found.bias, found.maps, found.remainder, found.features):
        array.fill(100)
    np.testing.assert_array_equal(look(checkpoint, lesion()).bias, bias)


def test_eight_threads_give_the_answers_of_one(checkpoint):
    pictures = [lesion(seed, CODES[seed % 7]) for seed in range(16)]
    facts = [Facts(5.0 * seed, ("female", "male")[seed % 2], None) for seed in range(16)]

    def predict(position):
        return answer(checkpoint, look(checkpoint, pictures[position]), facts[position])

    alone = [predict(position) for position in range(16)]
    together = threading.Barrier(8)

    def predict_at_once(position):
        if position < 8:
            together.wait(timeout=60)
        return predict(position)

    with ThreadPoolExecutor(8) as pool:
        threaded = list(pool.map(predict_at_once, range(16)))
    for expected, found in zip(alone, threaded, strict=True):
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
        np.testing.assert_allclose(found.evidence.maps, expected.evidence.maps, atol=1e-5)
    assert len({one.logits.tobytes() for one in alone}) == 16


def test_a_look_waits_for_the_lock_that_other_methods_hold(checkpoint):
    done = threading.Event()
    thread = threading.Thread(target=lambda: (look(checkpoint, lesion()), done.set()))
    with checkpoint.lock:
        thread.start()
        assert not done.wait(0.5)
    thread.join(timeout=60)
    assert done.is_set()


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((450, 600), (96, 128)),
        ((600, 450), (128, 96)),
        ((300, 300), (96, 96)),
        ((100, 2000), (96, 128)),
        ((16, 20), (96, 96)),
    ],
)
def test_a_picture_is_seen_in_its_aspect_up_to_four_by_three(shape, seen, checkpoint):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = look(checkpoint, noise)
    assert found.seen.shape == (*seen, 3)
    assert found.seen.dtype == np.uint8
    assert found.maps.shape == (7, seen[0] // 32, seen[1] // 32)


def test_a_network_that_needs_squares_gets_them(tmp_path):
    write_checkpoint(tmp_path, lively_network("vit_small"))
    square = load_checkpoint(tmp_path)
    found = look(square, lesion())
    assert found.seen.shape == (64, 64, 3)
    prediction = answer(square, found, PATIENT)
    assert not prediction.evidence.exact
    assert "remainder" in prediction.evidence.terms(0)


def test_synthetic_lesions_are_known_to_a_checkpoint_that_knows_them(checkpoint):
    verdicts = [answer(checkpoint, look(checkpoint, lesion(seed)), Facts()).unknown for seed in range(20, 30)]
    assert sum(verdict.known for verdict in verdicts) >= 7


STRIPES = np.zeros((300, 400, 3), np.uint8)
STRIPES[:, np.arange(400) // 10 % 2 == 1] = 255


# Noise is left to the trained checkpoint: ImageNet's features do not tell it from a drawn lesion's grain.
@pytest.mark.parametrize(
    ("strange", "reason"),
    [
        (np.full((300, 400, 3), 128, np.uint8), "blank"),
        (np.full((300, 400, 3), (230, 180, 170), np.uint8), "blank"),
        (STRIPES, "not like the dermoscopic pictures"),
    ],
    ids=["gray", "skin without a lesion", "stripes"],
)
def test_blank_and_foreign_pictures_are_unknown_with_the_reason(strange, reason, checkpoint):
    verdict = answer(checkpoint, look(checkpoint, strange), PATIENT).unknown
    assert not verdict.known
    assert reason in " ".join(verdict.reasons)


def test_a_prediction_carries_what_its_threshold_was_worth_on_the_test_split(checkpoint, looked):
    assert answer(checkpoint, looked, PATIENT).sensitivity is None
    point = checkpoint.manifest.operating_point(DEFAULT_OPERATING_POINT)
    entry = {"value": 0.8, "low": None, "high": 0.9, "n_images": 20, "n_lesions": 15}
    undefined = entry | {"value": None}
    measured = {point.metric("sensitivity"): entry, point.metric("specificity"): undefined}
    tested = replace(checkpoint, manifest=replace(checkpoint.manifest, metrics=measured))
    prediction = answer(tested, looked, PATIENT)
    assert prediction.specificity is None
    assert prediction.sensitivity is not None
    np.testing.assert_equal(astuple(prediction.sensitivity), (0.8, np.nan, 0.9, 20, 15))
