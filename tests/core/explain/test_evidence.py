"""Evidence adds up, and its words and scales are what pages read from it."""

import numpy as np
import pytest

from core.explain.evidence import Evidence
from core.labels import CODES


def evidence(*, exact=True, seed=0):
    random = np.random.default_rng(seed)
    return Evidence(
        bias=random.normal(size=7).astype(np.float32),
        maps=random.normal(size=(7, 3, 4)).astype(np.float32),
        facts={fact: random.normal(size=7).astype(np.float32) for fact in ("age", "sex", "site")},
        remainder=np.zeros(7, np.float32) if exact else random.normal(size=7).astype(np.float32),
        exact=exact,
    )


@pytest.mark.parametrize("exact", [True, False])
def test_the_terms_of_a_class_sum_to_its_logit(exact):
    made = evidence(exact=exact)
    for index in range(len(CODES)):
        terms = made.terms(index)
        assert sum(terms.values()) == pytest.approx(float(made.logits[index]), abs=1e-5)
        assert list(terms) == ["bias", "picture", "age", "sex", "site"] + ["remainder"] * (not exact)


def test_the_picture_s_term_is_the_mean_of_its_map():
    made = evidence()
    np.testing.assert_allclose(made.picture, [one.mean() for one in made.maps], rtol=1e-5)


def test_classes_share_one_scale_that_reaches_the_strongest_place():
    made = evidence()
    assert made.scale == pytest.approx(np.abs(made.maps).max())
    assert Evidence(made.bias, np.zeros((7, 3, 4)), {}, made.remainder, exact=True).scale > 0


def test_no_positive_evidence_is_told_apart_from_some():
    made = evidence()
    maps = -np.abs(made.maps)
    maps[4, 1, 1] = 0.5
    shown = Evidence(made.bias, maps, {}, made.remainder, exact=True)
    assert shown.has_positive(4)
    assert not shown.has_positive(4, least=0.5)
    assert not shown.has_positive(0)


def test_without_facts_the_picture_and_bias_are_all():
    made = evidence()
    bare = Evidence(made.bias, made.maps, {}, made.remainder, exact=True)
    np.testing.assert_allclose(bare.logits, made.bias + made.picture, rtol=1e-6)
