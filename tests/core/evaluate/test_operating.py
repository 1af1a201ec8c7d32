"""A threshold is chosen on validation answers by a rule, and worth what the test answers say."""

import numpy as np
import pytest

from core.errors import EvaluationError
from core.evaluate.artifact import PROBABILITY_COLUMNS
from core.evaluate.operating import (
    RULES,
    Wish,
    choose_threshold,
    measure_point,
    parse_wish,
    predictive_values,
)
from core.labels import CODES, MALIGNANT
from core.predict.calibration import fit_operating_points, malignancy
from tests.core.evaluate.making import make_evaluation, make_table


def by_hand(scores: dict[str, list[float]]):
    """Return an evaluation whose val pictures have these malignancy probabilities, by diagnosis."""
    rows = [(code, score) for code, values in scores.items() for score in values]
    table = make_table(len(rows)).assign(dx=[code for code, _ in rows])
    table[list(PROBABILITY_COLUMNS)] = 0.0
    table["p_mel"] = [score for _, score in rows]
    table["p_nv"] = [1 - score for _, score in rows]
    return make_evaluation(val=table)


HAND = by_hand({"mel": [0.9, 0.7, 0.5, 0.2], "nv": [0.8, 0.6, 0.3, 0.1, 0.1, 0.1]})


@pytest.mark.parametrize(
    ("wish", "threshold", "sensitivity", "specificity"),
    [
        ("sensitivity:0.75", 0.5, 3 / 4, 4 / 6),
        ("sensitivity:1", 0.2, 1, 3 / 6),
        ("specificity:0.5", 0.1, 1, 3 / 6),
        ("specificity:0.8", 0.6, 2 / 4, 5 / 6),
        # One missed costs as much as one alarm: at 0.5 one is missed and two are alarms, at 0.7 two and one,
        # at 0.9 three and none. All cost three; at 0.2 three alarms do. The lowest misses least.
        ("cost:1", 0.2, 1, 3 / 6),
        ("cost:10", 0.2, 1, 3 / 6),
        ("benefit:0.5", 0.2, 1, 3 / 6),
    ],
)
def test_each_rule_finds_the_threshold_of_a_table_worked_by_hand(wish, threshold, sensitivity, specificity):
    point = choose_threshold(HAND, parse_wish(wish))
    assert point.threshold == pytest.approx(threshold)
    assert (point.sensitivity, point.specificity) == pytest.approx((sensitivity, specificity))
    assert (point.n_malignant, point.n_benign) == (4, 6)


@pytest.mark.parametrize("ratio", [1, 3, 10, 40])
def test_no_threshold_is_cheaper_or_of_more_benefit_than_the_chosen_one(ratio):
    evaluation = make_evaluation(seed=5)
    table = evaluation.val
    scores = malignancy(table[list(PROBABILITY_COLUMNS)].to_numpy())
    bad = MALIGNANT[table["dx"].map(CODES.index)]

    def cost(threshold):
        return ratio * np.sum(scores[bad] < threshold) + np.sum(scores[~bad] >= threshold)

    best = min(cost(threshold) for threshold in [*scores, 2.0])
    assert cost(choose_threshold(evaluation, Wish("cost", ratio)).threshold) == best
    # The same trade, said as the risk from which on one examines.
    assert cost(choose_threshold(evaluation, Wish("benefit", 1 / (1 + ratio))).threshold) == best


@pytest.mark.parametrize("target", [0.9, 0.95])
def test_a_target_sensitivity_gives_the_threshold_that_a_checkpoint_carries(target):
    evaluation = make_evaluation(seed=2)
    table = evaluation.val
    (point,) = fit_operating_points(
        table[list(PROBABILITY_COLUMNS)].to_numpy(), table["dx"].map(CODES.index).to_numpy(), [target]
    )
    chosen = choose_threshold(evaluation, Wish("sensitivity", target))
    assert (chosen.threshold, chosen.sensitivity, chosen.specificity) == (
        point.threshold, point.sensitivity, point.specificity,
    )  # fmt: skip


def test_a_point_is_chosen_on_val_alone_and_measured_on_test_alone():
    evaluation = make_evaluation()
    wish = Wish("sensitivity", 0.9)
    tested = measure_point(evaluation, wish, resamples=50)
    scores = malignancy(evaluation.probabilities)
    bad = MALIGNANT[evaluation.truth]
    assert tested.sensitivity.value == np.mean(scores[bad] >= tested.point.threshold)
    assert tested.specificity.value == np.mean(scores[~bad] < tested.point.threshold)
    other = make_evaluation(table=make_table(seed=77))
    assert choose_threshold(other, wish) == tested.point


def test_without_validation_answers_no_threshold_is_chosen():
    with pytest.raises(EvaluationError, match="model has no validation answers"):
        choose_threshold(make_evaluation(val=None), Wish("cost", 3))
    benign = make_table()[lambda table: table["dx"] == "nv"]
    with pytest.raises(EvaluationError, match="no malignant validation picture"):
        choose_threshold(make_evaluation(val=benign), Wish("cost", 3))


@pytest.mark.parametrize("rule", RULES)
def test_a_wish_survives_an_address(rule):
    wish = Wish(rule, RULES[rule].default)
    assert parse_wish(str(wish)) == wish
    assert choose_threshold(make_evaluation(), wish).name == str(wish)


@pytest.mark.parametrize(
    "text", [None, "", "sensitivity", "sensitivity:2", "cost:nan", "x:1", "cost:<b>", "cost:-1"]
)
def test_what_cannot_be_understood_asks_for_nothing(text):
    assert parse_wish(text) is None


def test_predictive_values_follow_bayes_rule_on_a_table_of_a_thousand():
    # Of 1,000, 100 are malignant: 90 caught; of 900 benign 180 alarms.
    ppv, npv = predictive_values(0.9, 0.8, 0.1)
    assert ppv == pytest.approx(90 / (90 + 180))
    assert npv == pytest.approx(720 / (720 + 10))
    assert np.isnan(predictive_values(0.0, 1.0, 0.1)[0])
