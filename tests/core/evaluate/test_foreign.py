"""Anyone's predictions can be compared, and what is wrong with them is named."""

import numpy as np
import pytest

from core.errors import EvaluationError
from core.evaluate.artifact import PROBABILITY_COLUMNS, write_isic_csv
from core.evaluate.ensemble import average
from core.evaluate.foreign import read_artifact, read_isic
from core.evaluate.gathering import weights_folder
from core.evaluate.lineup import line_up
from core.labels import CODE_OF_ISIC_COLUMN, ISIC_2018_COLUMNS
from tests.core.evaluate.making import make_evaluation, make_table

OURS = make_evaluation("ours")


@pytest.fixture
def predictions(tmp_path):
    table = make_table(skill=2.0, seed=9)
    write_isic_csv(tmp_path / "p.csv", table["image_id"], table[list(PROBABILITY_COLUMNS)].to_numpy())
    return (tmp_path / "p.csv").read_bytes()


def truth_csv(table):
    rows = ["image," + ",".join(ISIC_2018_COLUMNS)]
    for image_id, dx in zip(table["image_id"], table["dx"], strict=True):
        hot = ("1.0" if CODE_OF_ISIC_COLUMN[column] == dx else "0.0" for column in ISIC_2018_COLUMNS)
        rows.append(f"{image_id},{','.join(hot)}")
    return "\n".join(rows).encode()


@pytest.mark.parametrize("with_truth", [False, True])
def test_predictions_for_our_pictures_stand_beside_ours(predictions, with_truth):
    truth = truth_csv(make_table()) if with_truth else None
    rival = read_isic(predictions, truth, name="rival", known=[OURS])
    lineup = line_up([OURS, rival], resamples=5)
    assert lineup.names == ("ours", "rival")
    assert lineup.n_images == 140
    expected = make_table(skill=2.0, seed=9)[list(PROBABILITY_COLUMNS)].to_numpy()
    np.testing.assert_allclose(lineup.probabilities[1], expected, atol=1e-6)
    assert rival.metrics["accuracy"].n == 140


def test_pictures_that_nobody_knows_need_a_truth_and_then_stand_alone(predictions):
    with pytest.raises(EvaluationError, match="no evaluation here knows; give a truth CSV"):
        read_isic(predictions, None, name="rival", known=[])
    alone = read_isic(predictions, truth_csv(make_table()), name="rival", known=[])
    assert alone.split == "outside"
    assert "ours" in line_up([alone, OURS], resamples=5).refused
    twin = read_isic(predictions, truth_csv(make_table()), name="twin", known=[])
    assert not line_up([alone, twin], resamples=5).refused


@pytest.mark.parametrize("rival_first", [False, True])
def test_facts_that_the_first_model_lacks_come_from_the_next(predictions, rival_first):
    rival = read_isic(predictions, truth_csv(make_table()), name="rival", known=[OURS])
    lineup = line_up([rival, OURS] if rival_first else [OURS, rival], resamples=5)
    assert lineup.n_lesions == 70
    for column in ("dx_type", "age_years", "sex", "site"):
        assert list(lineup.facts[column]) == list(make_table()[column])


def test_a_table_of_facts_is_a_truth_too(predictions):
    facts = make_table()[["image_id", "dx", "sex"]].assign(age=40).to_csv(index=False).encode()
    rival = read_isic(predictions, facts, name="rival", known=[])
    assert set(rival.table["sex"]) == {"female", "male"}
    assert (rival.table["age_years"] == 40).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("MEL", "MELANOMA", 1), r"p.csv lacks the columns \['MEL'\]"),
        (lambda text: text.replace("image", "file", 1), "p.csv has no column image"),
        (lambda text: text.replace("ISIC_0000001", "ISIC_0000000"), "'ISIC_0000000' more than once"),
        (
            lambda text: text.replace("\nISIC_0000002,0.", "\nISIC_0000002,x."),
            "as MEL of image 'ISIC_0000002'",
        ),
        (lambda text: text.replace("\nISIC_0000002,0.", "\nISIC_0000002,0.9"), "sum to .* 'ISIC_0000002'"),
        (lambda text: text.replace("\nISIC_0000002,", "\nISIC_0000002,-"), "outside 0 to 1 .*ISIC_0000002"),
        (lambda text: text.replace("\nISIC_0000002,0", "\nISIC_0000002,nan0"), "expected a number"),
        (lambda text: text.splitlines()[0], "no rows"),
        (
            lambda text: text.splitlines()[0] + "\nISIC_0000002,1,0,0,0,0,0,0" * 50_001,
            "p.csv has 50,001 rows",
        ),
        (lambda text: text[:0], "no CSV table"),
        (lambda text: text.replace("ISIC_0000003", ""), "no image id in row 5"),
    ],
)
def test_bad_predictions_are_refused_by_file_and_offender(predictions, change, words):
    spoiled = change(predictions.decode()).encode()
    assert spoiled != predictions
    with pytest.raises(EvaluationError, match=words):
        read_isic(spoiled, None, name="rival", known=[OURS], predictions_name="p.csv")


def test_truths_that_do_not_fit_are_refused(predictions):
    def read(table):
        return read_isic(predictions, truth_csv(table), name="r", known=[OURS], truth_name="t.csv")

    with pytest.raises(EvaluationError, match=r"t\.csv lacks 10 pictures"):
        read(make_table().iloc[10:])
    with pytest.raises(EvaluationError, match=r"ours says 'akiec'; 20 pictures differ"):
        read(make_table().replace({"dx": {"akiec": "nv"}}))
    two = truth_csv(make_table()).replace(b"0.0,1.0", b"1.0,1.0", 1)
    with pytest.raises(EvaluationError, match="does not name one diagnosis"):
        read_isic(predictions, two, name="r", known=[OURS])


def test_an_ensemble_is_the_mean_of_its_members_and_can_choose_its_threshold():
    other = make_evaluation("other", seed=4)
    both = average([OURS, other], name="both")
    np.testing.assert_allclose(both.probabilities, (OURS.probabilities + other.probabilities) / 2)
    assert both.val is not None
    assert line_up([OURS, both], resamples=5).names == ("ours", "both")
    assert average([OURS, make_evaluation("bare", val=None)], name="both").val is None
    with pytest.raises(EvaluationError, match="two models or more"):
        average([OURS], name="one")
    with pytest.raises(EvaluationError, match="far was measured on"):
        average([OURS, make_evaluation("far", split_hash="else")], name="both")


def test_a_brought_artifact_cannot_claim_a_folder_or_a_checkpoint(tmp_path):
    (tmp_path / "lesionlens.json").write_text("{}")
    claiming = make_evaluation("rival", checkpoint=f"local:{tmp_path}")
    claiming.save(tmp_path / "artifact")
    assert weights_folder(claiming.checkpoint) == tmp_path
    brought = read_artifact({path.name: path.read_bytes() for path in (tmp_path / "artifact").iterdir()})
    assert brought.checkpoint == "imported:rival"
    assert weights_folder(brought.checkpoint) is None
