"""A score moved to another place, by Bayes."""

import numpy as np
import pytest

from core.labels import MALIGNANT
from core.predict.prevalence import DEFAULT_PLACE, PLACES, moved, trained_share


def test_a_score_moves_as_counting_people_says():
    # Of 1,000 at a share of .5, a test that finds 8 in 10 ill and alarms on 2 in 10 well is right in .8.
    assert moved(0.8, share=0.5, to=0.1) == pytest.approx(0.1 * 0.8 / (0.1 * 0.8 + 0.9 * 0.2))


@pytest.mark.parametrize("score", [0.0, 0.03, 0.5, 1.0])
def test_there_and_back_again_is_the_same_score(score):
    there = moved(score, share=0.2, to=0.01)
    assert there <= score
    assert moved(there, share=0.01, to=0.2) == pytest.approx(score)


def test_the_share_in_training_is_summed_over_malignant_diagnoses():
    frequencies = np.arange(1, 8) / 28
    assert trained_share(frequencies * 3) == pytest.approx(frequencies[MALIGNANT].sum())
    with pytest.raises(ValueError, match="above 0 and below 1"):
        moved(0.5, share=0.0, to=0.1)


def test_every_place_says_where_its_share_comes_from():
    assert PLACES[DEFAULT_PLACE].share is None
    shares = [place.share for place in PLACES.values() if place.share is not None]
    assert shares == sorted(shares, reverse=True)
    assert all("assumed" in place.source for place in PLACES.values() if place.share is not None)
