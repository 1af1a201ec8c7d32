"""What if: curves agree with single answers, variants with single looks, and a flip really flips."""

from dataclasses import replace

import numpy as np
import pytest

from core.data.changes import STANDARD, Applied
from core.data.facts import Facts
from core.labels import MALIGNANT
from core.models.checkpoint import load_checkpoint
from core.predict.predictor import answer, look, look_at_all
from core.predict.whatif import (
    BRIGHTER,
    TYPICAL_AGE,
    answer_facts,
    curve,
    look_at_variants,
    nearest_brightness_flip,
    nearest_fact_flip,
    vary,
)
from tests.core.models.making import lesion, lively_network, write_checkpoint

PATIENT = Facts(60, "male", "back")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder, lively_network("efficientnet_lite0"))
    return load_checkpoint(folder)


@pytest.fixture(scope="module")
def looked(checkpoint):
    return look(checkpoint, lesion())


def with_threshold(checkpoint, threshold):
    points = tuple(replace(point, threshold=threshold) for point in checkpoint.manifest.operating_points)
    return replace(checkpoint, manifest=replace(checkpoint.manifest, operating_points=points))


@pytest.mark.parametrize(("fact", "field"), [("age", "age_years"), ("site", "site")])
def test_a_curve_is_what_single_answers_say(checkpoint, looked, fact, field):
    found = curve(checkpoint, looked, PATIENT, fact)
    for place in (0, len(found.at) // 2, -1):
        single = answer(checkpoint, looked, replace(PATIENT, **{field: found.at[place]}))
        np.testing.assert_allclose(found.probabilities[place], single.probabilities, atol=1e-6)
        assert found.malignancy[place] == pytest.approx(single.malignancy, abs=1e-6)
    assert np.ptp(found.malignancy) > 0


def test_pictures_of_different_shapes_are_looked_at_as_if_alone(checkpoint):
    pictures = [lesion(0), lesion(1)[:, :150], lesion(2), lesion(3).swapaxes(0, 1).copy()]
    for pixels, found in zip(pictures, look_at_all(checkpoint, pictures), strict=True):
        alone = look(checkpoint, pixels)
        np.testing.assert_array_equal(found.seen, alone.seen)
        np.testing.assert_allclose(found.maps, alone.maps, atol=1e-4)
        np.testing.assert_allclose(found.features, alone.features, atol=1e-4)
    assert look_at_all(checkpoint, []) == ()


def test_a_strip_counts_what_its_variants_answer(checkpoint, looked):
    before = answer(checkpoint, looked, PATIENT)
    strip = vary(checkpoint, look_at_variants(checkpoint, lesion()), before)
    answers = [one.prediction for one in strip.variants]
    assert [one.applied for one in strip.variants] == list(STANDARD)
    assert strip.refused == 0
    assert strip.other_diagnosis == sum(one.top_code != before.top_code for one in answers)
    assert strip.lowest == min(before.malignancy, *(one.malignancy for one in answers))
    assert strip.highest == max(before.malignancy, *(one.malignancy for one in answers))
    single = answer(checkpoint, look(checkpoint, Applied("mirror")(lesion())), PATIENT)
    assert answers[0].malignancy == pytest.approx(single.malignancy, abs=1e-4)


def test_a_fact_flip_turns_the_decision_and_none_nearer_does(checkpoint, looked):
    scores = curve(checkpoint, looked, PATIENT, "age").malignancy
    turning = with_threshold(checkpoint, float(scores.mean()))
    before = answer(turning, looked, PATIENT)
    flip = nearest_fact_flip(turning, looked, before)[0]
    assert flip.change.startswith("age ")
    assert flip.change.endswith("instead of 60")
    age = float(flip.change.split()[1])
    assert answer(turning, looked, replace(PATIENT, age_years=age)).above_threshold != before.above_threshold
    nearer = [PATIENT.age_years + step for step in range(-90, 91) if abs(step) < abs(age - 60)]
    nearer = [replace(PATIENT, age_years=one) for one in nearer if 0 <= one <= 90]
    score = answer_facts(turning, looked, nearer)[:, MALIGNANT].sum(axis=1)
    assert ((score >= before.operating_point.threshold) == before.above_threshold).all()


def test_a_brightness_flip_is_found_where_there_is_one(checkpoint, looked):
    looks = look_at_variants(checkpoint, lesion(), BRIGHTER)
    scores = [answer(checkpoint, one, PATIENT).malignancy for one in looks]
    own = answer(checkpoint, looked, PATIENT).malignancy
    turning = with_threshold(checkpoint, (own + max(scores, key=lambda score: abs(score - own))) / 2)
    flip = nearest_brightness_flip(turning, looks, answer(turning, looked, PATIENT))
    assert flip is not None
    assert flip.change.startswith("brightness × ")
    never = with_threshold(checkpoint, 2.0)
    assert nearest_brightness_flip(never, looks, answer(never, looked, PATIENT)) is None
    assert nearest_fact_flip(never, looked, answer(never, looked, PATIENT)) == ()


def test_an_unknown_age_is_varied_from_the_typical_one_and_said_so(checkpoint, looked):
    unknown = answer(checkpoint, looked, Facts())
    ages = answer_facts(checkpoint, looked, [Facts(age_years=float(age)) for age in range(91)])
    scores = ages[:, MALIGNANT].sum(axis=1)
    between = (unknown.malignancy + scores[np.argmax(np.abs(scores - unknown.malignancy))]) / 2
    turning = with_threshold(checkpoint, float(between))
    before = answer(turning, looked, Facts())
    flip = next(one for one in nearest_fact_flip(turning, looked, before) if one.change.startswith("age "))
    turned = np.flatnonzero((scores >= between) != before.above_threshold)
    assert flip.change == f"age {min(turned, key=lambda age: abs(age - TYPICAL_AGE))}, were it known"
