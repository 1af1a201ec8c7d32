"""Only like is compared with like, on the same pictures and the same draws."""

import numpy as np
import pytest

from core.errors import EvaluationError
from core.evaluate.intervals import lesion_bootstrap, lesion_weights, resampled
from core.evaluate.lineup import line_up
from core.evaluate.metrics import METRICS, at_threshold, melanoma_sensitivity
from core.labels import CODES
from tests.core.evaluate.making import make_evaluation, make_table
from tests.core.evaluate.test_metrics import draw_answers

EVERY_METRIC = {**METRICS, **at_threshold(0.3), "melanoma_sensitivity": melanoma_sensitivity(0.3)}


@pytest.mark.parametrize("name", EVERY_METRIC)
@pytest.mark.parametrize("ties", [False, True])
def test_many_weightings_at_once_give_what_each_gives_alone(name, ties):
    truth, probabilities = draw_answers(2, 120)
    if ties:
        probabilities = np.round(probabilities, 1)
    weights = lesion_weights(np.arange(120) // 2, resamples=30, seed=1)
    weights[3] = 0  # nobody is drawn
    weights[4, truth == CODES.index("df")] = 0
    together = EVERY_METRIC[name].measure(truth, probabilities, weights)
    alone = [float(EVERY_METRIC[name].measure(truth, probabilities, row)) for row in weights]
    np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-9)
    assert np.isnan(together[3])


def test_a_line_up_measures_what_the_lesion_bootstrap_measures():
    evaluation = make_evaluation()
    found = line_up([evaluation], resamples=200).measure(0)
    expected = lesion_bootstrap(
        evaluation.truth, evaluation.probabilities, evaluation.table["lesion_id"], resamples=200
    )
    for name, interval in expected.items():
        assert vars(found[name].interval) == pytest.approx(vars(interval), nan_ok=True), name


def test_only_common_pictures_count_and_the_others_are_counted():
    whole = make_table()
    lineup = line_up(
        [make_evaluation("all", table=whole), make_evaluation("few", table=whole.iloc[::-1].iloc[:100])],
        resamples=5,
    )
    assert lineup.n_images == 100
    assert dict(lineup.left_out) == {"all": 40}
    # The second table's rows stand in another order: each picture still meets itself.
    np.testing.assert_array_equal(lineup.probabilities[0], lineup.probabilities[1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split_hash": "ffff"}, "other was measured on test of split ffff"),
        ({"split": "val"}, "other was measured on val"),
        ({"table": make_table(prefix="OTHER")}, "no picture in common"),
        ({"table": make_table().assign(dx="nv")}, "another diagnosis than first for 120 pictures"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name_and_the_rest_stays(changes, words):
    lineup = line_up(
        [make_evaluation("first"), make_evaluation("other", **changes), make_evaluation("third", seed=3)],
        resamples=5,
    )
    assert lineup.names == ("first", "third")
    assert words in lineup.refused["other"]


def test_two_of_one_name_and_none_at_all_are_refused():
    with pytest.raises(EvaluationError, match="Two evaluations are called"):
        line_up([make_evaluation("same"), make_evaluation("same")])
    with pytest.raises(EvaluationError, match="No evaluation"):
        line_up([])


def test_a_part_of_the_pictures_keeps_its_draws():
    lineup = line_up([make_evaluation()], resamples=50)
    chosen = (lineup.facts["sex"] == "female").to_numpy()
    part = lineup.where(chosen)
    accuracy = METRICS["accuracy"]
    np.testing.assert_array_equal(
        part.draws(0, accuracy),
        resampled(accuracy, lineup.truth, lineup.probabilities[0], lineup.weights * chosen),
    )
    assert part.n_images == chosen.sum()


def test_a_fact_that_only_another_artifact_knows_is_there_for_all():
    known = make_table().assign(hair=0.25)
    lineup = line_up([make_evaluation("plain"), make_evaluation("rich", table=known)], resamples=5)
    assert (lineup.facts["hair"] == 0.25).all()


def test_one_picture_has_numbers_where_they_are_defined_and_none_elsewhere():
    lineup = line_up([make_evaluation(table=make_table().iloc[:1])], resamples=20)
    found = lineup.measure(0)
    assert found["accuracy"].interval.n == 1
    assert np.isnan(found["macro_auc"].interval.value)
