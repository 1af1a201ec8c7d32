"""Label suspects: planted errors come first, and no model has seen the lesion it is asked about."""

import numpy as np
import pandas as pd
import pytest

from core.data.suspects import cross_validate, rank_suspects
from core.errors import DataError
from core.labels import CODES, INDEX


def made(count=700, *, photos=2, spread=5.0, seed=0):
    """Return a table of lesions and features in which diagnoses lie apart."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(rng.integers(0, 7, count // photos), photos)
    features = rng.normal(0, 1, (len(classes), 20)) + np.eye(7, 20)[classes] * spread
    metadata = pd.DataFrame(
        {
            "image_id": [f"I{row:04d}" for row in range(len(classes))],
            "lesion_id": [f"L{row // photos:04d}" for row in range(len(classes))],
            "dx": [CODES[index] for index in classes],
            "dx_type": "histo",
        }
    )
    return metadata, features.astype(np.float32)


def test_planted_errors_come_first():
    metadata, features = made()
    rng = np.random.default_rng(1)
    wrong = rng.choice(metadata["lesion_id"].unique(), 20, replace=False)
    relabel = {
        lesion: CODES[(INDEX[metadata.loc[metadata["lesion_id"] == lesion, "dx"].iloc[0]] + 1) % 7]
        for lesion in wrong
    }
    metadata["dx"] = metadata["lesion_id"].map(relabel).fillna(metadata["dx"])
    ranked = rank_suspects(metadata, cross_validate(metadata, features))
    assert ranked["lesion_id"].head(40).isin(wrong).mean() > 0.9
    assert ranked["issue"].head(30).all()
    assert not ranked["issue"].tail(300).any()
    assert ranked["score"].is_monotonic_increasing
    assert (ranked["p_suggested"] >= ranked["p_label"]).all()


def test_probabilities_sum_to_one_and_the_same_seed_gives_the_same_order():
    metadata, features = made(300)
    first, again = (cross_validate(metadata, features, seed=2) for _ in range(2))
    assert first.sum(axis=1) == pytest.approx(np.ones(len(metadata)))
    assert np.array_equal(first, again)
    assert rank_suspects(metadata, first).equals(rank_suspects(metadata, again))


def test_a_model_never_sees_the_lesion_it_is_asked_about():
    # Features name the lesion and nothing else: whoever had seen it would know.
    rng = np.random.default_rng(0)
    metadata, _ = made(400, photos=4)
    lesions, _ = pd.factorize(metadata["lesion_id"])
    features = rng.normal(0, 1, (lesions.max() + 1, 200))[lesions].astype(np.float32)
    answers = cross_validate(metadata, features).argmax(axis=1)
    assert (answers == metadata["dx"].map(INDEX)).mean() < 0.4


def test_pictures_without_features_are_left_out():
    metadata, features = made(300)
    features[5] = np.nan
    probabilities = cross_validate(metadata, features)
    assert np.isnan(probabilities[5]).all()
    ranked = rank_suspects(metadata, probabilities)
    assert len(ranked) == len(metadata) - 1
    assert "I0005" not in set(ranked["image_id"])


def test_diagnoses_that_nobody_has_are_no_trouble():
    metadata, features = made(400)
    some = metadata["dx"].isin(["nv", "mel", "vasc"]).to_numpy()
    ranked = rank_suspects(
        metadata[some].reset_index(drop=True),
        cross_validate(metadata[some].reset_index(drop=True), features[some]),
    )
    assert set(ranked["suggested"]) <= {"nv", "mel", "vasc"}


def test_progress_is_told_fold_by_fold_and_can_stop_the_work():
    metadata, features = made(300)
    seen = []
    cross_validate(
        metadata, features, folds=3, report=lambda done, total=None, **_: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]

    def stop(*_, **__):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cross_validate(metadata, features, report=stop)


def test_one_diagnosis_cannot_be_compared_and_nothing_known_is_refused():
    metadata, features = made(100)
    metadata["dx"] = "nv"
    with pytest.raises(DataError, match="at least two diagnoses"):
        cross_validate(metadata, features)
    with pytest.raises(DataError, match="compute the features"):
        rank_suspects(metadata, np.full((len(metadata), 7), np.nan))
