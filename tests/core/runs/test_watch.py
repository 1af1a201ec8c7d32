"""Watch images and validation answers as files of anyone: whole ones are read, others left out."""

import numpy as np
import pytest

from core.labels import CODES
from core.runs.answers import Answers, answers_of, reliability
from core.runs.watch import MOST_EPOCHS, watched
from tests.core.runs.making import write_run, write_watch


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "one", epochs=3)


def test_each_epoch_shows_the_same_pictures(run):
    looks = watched(run)
    assert [one.epoch for one in looks] == [1, 2, 3]
    assert len({one.image_ids for one in looks}) == 1
    assert looks[0].maps.shape == (12, len(CODES), 3, 4)
    assert np.allclose(looks[0].probabilities.sum(axis=1), 1)


def test_later_epochs_are_not_shown_before_their_time(run):
    assert [one.epoch for one in watched(run, until=2)] == [1, 2]
    assert watched(run, until=0) == ()


def test_a_long_run_is_thinned_with_its_ends(run):
    for epoch in range(4, 121):
        write_watch(run, epoch)
    epochs = [one.epoch for one in watched(run)]
    assert len(epochs) == MOST_EPOCHS
    assert (epochs[0], epochs[-1]) == (1, 120)


@pytest.mark.parametrize("spoil", ["torn", "empty", "other pictures", "no logits", "wild truth", "text"])
def test_what_cannot_be_read_is_left_out(run, spoil):
    path = run / "watch" / "epoch_0002.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    if spoil == "torn":
        path.write_bytes(path.read_bytes()[:200])
    elif spoil == "empty":
        path.write_bytes(b"")
    elif spoil == "text":
        path.write_text("not an archive")
    else:
        if spoil == "other pictures":
            arrays["image_ids"] = arrays["image_ids"][::-1]
        elif spoil == "no logits":
            del arrays["logits"]
        else:
            arrays["truth"] = arrays["truth"] + 100
        np.savez(path, **arrays)
    assert [one.epoch for one in watched(run)] == [1, 3]


def test_a_square_of_the_confusion_leads_to_its_pictures_the_surest_first(run):
    answers = answers_of(run, 1)
    mel, nv = CODES.index("mel"), CODES.index("nv")
    assert answers.of_cell(mel, nv) == [f"VAL_{number:04d}" for number in range(49, 39, -1)]
    assert answers.of_cell(mel, mel) == []


def test_a_run_that_kept_no_answers_has_none(run):
    assert answers_of(run, 9) is None
    (run / "val" / "epoch_0001.npz").write_bytes(b"torn")
    assert answers_of(run, 1) is None


def test_reliability_counts_every_picture_and_finds_a_known_error():
    # Ten answers of certainty .8, of which five are right: the gap is .3.
    probabilities = np.full((10, len(CODES)), 0.2 / 6)
    probabilities[:, 0] = 0.8
    truth = np.array([0, 1] * 5)
    found = reliability(Answers(tuple("abcdefghij"), truth, probabilities))
    assert found.n.sum() == 10
    assert found.error == pytest.approx(0.3)
    assert np.nanmax(found.right) == 0.5
