"""Likeness: a cosine around the mean, one picture a lesion, never the lesion itself."""

import numpy as np
import pandas as pd
import pytest

from core.data.likeness import Likenesses
from core.errors import DataError
from core.predict.features import Features

IDS = ("a1", "a2", "b1", "b2", "c1", "d1", "broken")
LESIONS = pd.Series({"a1": "a", "a2": "a", "b1": "b", "b2": "b", "c1": "c", "d1": "d", "broken": "e"})


@pytest.fixture
def features():
    """Pictures on a circle around (100, 100): a2 is next to a1, then b2, b1, c1; d1 lies opposite."""
    angles = np.deg2rad([0, 5, 40, 20, 70, 180])
    values = 100 + 10 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # The six points need a seventh and more for a mean of 100: each is mirrored by a picture of lesion m.
    values = np.concatenate([values, [[np.nan, np.nan]], 200 - values])
    ids = (*IDS, *(f"m{number}" for number in range(6)))
    return Features(values.astype(np.float32), ids, {"broken": "it is cut off"}, "circle")


def test_likeness_is_the_cosine_around_the_mean(features):
    alike = Likenesses(features).to("a1")
    assert alike["a1"] == pytest.approx(1)
    assert alike["b2"] == pytest.approx(np.cos(np.deg2rad(20)), abs=1e-4)
    assert alike["d1"] == pytest.approx(-1, abs=1e-4)
    assert np.isnan(alike["broken"])


def test_neighbours_are_the_best_picture_of_each_other_lesion(features):
    near = Likenesses(features).neighbours("a1", LESIONS, 2)
    assert [(one.image_id, one.lesion_id) for one in near] == [("b2", "b"), ("c1", "c")]
    assert near[0].likeness == pytest.approx(np.cos(np.deg2rad(20)), abs=1e-4)


def test_a_lesion_is_no_neighbour_of_itself(features):
    near = Likenesses(features).neighbours("a1", LESIONS, 100)
    assert [one.image_id for one in near] == ["b2", "c1", "d1"]


def test_duplicates_that_were_merged_into_one_group_are_no_neighbours(features):
    merged = LESIONS.replace("b", "a")
    assert [one.image_id for one in Likenesses(features).neighbours("a1", merged, 1)] == ["c1"]


@pytest.mark.parametrize(
    ("name", "why"), [("broken", "it is cut off"), ("stranger", "not among the pictures")]
)
def test_a_picture_without_features_is_refused_with_the_reason(features, name, why):
    with pytest.raises(DataError, match=why):
        Likenesses(features).to(name)


def test_the_stored_features_are_not_changed(features):
    before = np.array(features.values)
    Likenesses(features).to("a1")
    assert np.array_equal(before, features.values, equal_nan=True)
