"""The metrics agree with scikit-learn, with repetition, and with what "undefined" means."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as judge

from core.evaluate.metrics import CALIBRATION_BINS, METRICS, Metric, area_under_curve, at_threshold, score
from core.labels import CODES, INDEX, MALIGNANT

EVERY_METRIC = {**METRICS, **at_threshold(0.3)}


def draw_answers(seed: int, n: int = 210, *, every_class: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and probabilities of a model that is right more often than not."""
    generator = np.random.default_rng(seed)
    truth = generator.permutation(np.arange(n) % 7) if every_class else generator.integers(7, size=n)
    logits = generator.normal(size=(n, 7))
    logits[np.arange(n), truth] += 1.0
    powers = np.exp(logits)
    return truth, powers / powers.sum(axis=1, keepdims=True)


def one_hot(classes: np.ndarray) -> np.ndarray:
    return np.eye(7)[classes]


def sum_malignant(probabilities: np.ndarray) -> np.ndarray:
    return probabilities[:, MALIGNANT].sum(axis=1)


OF_SCIKIT_LEARN = {
    "balanced_accuracy": lambda t, p: judge.balanced_accuracy_score(t, p.argmax(1)),
    "macro_auc": lambda t, p: judge.roc_auc_score(t, p, multi_class="ovr", average="macro"),
    "melanoma_auc": lambda t, p: judge.roc_auc_score(t == INDEX["mel"], p[:, INDEX["mel"]]),
    "malignancy_auc": lambda t, p: judge.roc_auc_score(MALIGNANT[t], sum_malignant(p)),
    "macro_f1": lambda t, p: judge.f1_score(t, p.argmax(1), average="macro"),
    "accuracy": lambda t, p: judge.accuracy_score(t, p.argmax(1)),
    "brier": lambda t, p: judge.brier_score_loss(t, p, labels=list(range(7)), scale_by_half=False),
    "log_loss": judge.log_loss,
    "sensitivity": lambda t, p: judge.recall_score(MALIGNANT[t], sum_malignant(p) >= 0.3),
    "specificity": lambda t, p: judge.recall_score(~MALIGNANT[t], sum_malignant(p) < 0.3),
    **{
        f"recall_{code}": lambda t, p, index=index: judge.recall_score(t, p.argmax(1), average=None)[index]
        for index, code in enumerate(CODES)
    },
}


@pytest.mark.parametrize("name", sorted(set(EVERY_METRIC) - {"ece"}))
@pytest.mark.parametrize("seed", range(3))
def test_every_metric_agrees_with_scikit_learn(name, seed):
    truth, probabilities = draw_answers(seed)
    expected = OF_SCIKIT_LEARN[name](truth, probabilities)
    assert EVERY_METRIC[name](truth, probabilities) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_agrees_with_fifteen_bins_counted_by_hand(seed):
    truth, probabilities = draw_answers(seed, n=14 * CALIBRATION_BINS)
    order = np.argsort(probabilities.max(axis=1))
    right = probabilities.argmax(axis=1) == truth
    gaps = [
        abs(probabilities.max(axis=1)[bin_].mean() - right[bin_].mean())
        for bin_ in np.split(order, CALIBRATION_BINS)
    ]
    assert METRICS["ece"](truth, probabilities) == pytest.approx(np.mean(gaps), abs=1e-12)


def test_calibration_error_of_a_constant_answer_is_its_distance_from_the_truth():
    truth = np.array([INDEX["nv"]] * 6 + [INDEX["mel"]] * 4)
    row = np.full(7, 0.2 / 6)
    row[INDEX["nv"]] = 0.8
    assert METRICS["ece"](truth, np.tile(row, (10, 1))) == pytest.approx(0.2)


@pytest.mark.parametrize("name", EVERY_METRIC)
@given(seed=st.integers(0, 10_000), n=st.integers(7, 40))
def test_a_weight_of_two_is_the_picture_twice_and_zero_leaves_it_out(name, seed, n):
    truth, probabilities = draw_answers(seed, n, every_class=False)
    probabilities = np.round(probabilities, 1)  # many ties
    counts = np.random.default_rng(seed).integers(0, 4, size=n)
    counts[0] = 1
    metric = EVERY_METRIC[name]
    weighted = metric.measure(truth, probabilities, counts.astype(float))
    repeated = metric(np.repeat(truth, counts), np.repeat(probabilities, counts, axis=0))
    assert weighted == pytest.approx(repeated, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", EVERY_METRIC)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_pictures_does_not_matter(name, seed):
    truth, probabilities = draw_answers(seed, 30, every_class=False)
    probabilities = np.round(probabilities, 1)
    order = np.random.default_rng(seed + 1).permutation(30)
    metric = EVERY_METRIC[name]
    shuffled = metric(truth[order], probabilities[order])
    assert metric(truth, probabilities) == pytest.approx(shuffled, abs=1e-9, nan_ok=True)


@given(
    positive=st.lists(st.booleans(), min_size=2, max_size=60),
    levels=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_the_area_under_the_curve_agrees_with_scikit_learn_on_ties_and_weights(positive, levels, seed):
    generator = np.random.default_rng(seed)
    positive = np.array([*positive, True, False])
    scores = generator.integers(levels, size=len(positive)) / levels
    weights = generator.integers(1, 5, size=len(positive)).astype(float)
    expected = judge.roc_auc_score(positive, scores, sample_weight=weights)
    assert area_under_curve(positive, scores, weights) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", EVERY_METRIC)
def test_a_perfect_model_has_the_best_value(name):
    truth = np.arange(70) % 7
    best = 1.0 if EVERY_METRIC[name].higher_is_better else 0.0
    assert EVERY_METRIC[name](truth, one_hot(truth)) == pytest.approx(best)


@pytest.mark.parametrize("name", EVERY_METRIC)
def test_a_metric_without_pictures_is_undefined(name):
    assert math.isnan(EVERY_METRIC[name](np.zeros(0, dtype=np.int64), np.zeros((0, 7))))


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_auc", "macro_f1", "recall_df"])
def test_a_metric_over_the_seven_classes_is_undefined_when_one_is_missing(name):
    truth, probabilities = draw_answers(0)
    without = truth != INDEX["df"]
    assert math.isnan(METRICS[name](truth[without], probabilities[without]))


@pytest.mark.parametrize(
    ("name", "code"),
    [("melanoma_auc", "mel"), ("malignancy_auc", "bcc"), ("specificity", "mel"), ("sensitivity", "nv")],
)
def test_a_metric_of_two_sides_is_undefined_when_one_side_is_empty(name, code):
    truth = np.full(5, INDEX[code])
    assert math.isnan(EVERY_METRIC[name](truth, np.full((5, 7), 1 / 7)))


def test_a_certain_and_wrong_answer_costs_a_finite_log_loss():
    assert METRICS["log_loss"](np.array([0]), one_hot(np.array([1]))) == pytest.approx(-math.log(1e-7))


@pytest.mark.parametrize("name", EVERY_METRIC)
def test_every_metric_says_what_it_is(name):
    metric = EVERY_METRIC[name]
    assert metric.name == name
    assert metric.about.endswith(".")
    assert metric.classes


@pytest.mark.parametrize("code", CODES)
def test_a_recall_is_measured_on_the_pictures_of_its_class(code):
    truth, _ = draw_answers(0)
    assert METRICS[f"recall_{code}"].counts(truth).sum() == (truth == INDEX[code]).sum()


def test_sensitivity_and_specificity_are_measured_on_malignant_and_benign_pictures():
    truth, _ = draw_answers(0)
    assert (EVERY_METRIC["sensitivity"].counts(truth) == MALIGNANT[truth]).all()
    assert (EVERY_METRIC["specificity"].counts(truth) == ~MALIGNANT[truth]).all()


def test_a_metric_added_to_the_registry_is_scored_like_the_others():
    def always_half(truth, probabilities, weights):
        return 0.5

    truth, probabilities = draw_answers(0)
    added = score(truth, probabilities, METRICS | {"half": Metric("half", "One half.", always_half)})
    assert added.pop("half") == 0.5
    assert added == score(truth, probabilities)


@pytest.mark.parametrize(
    ("truth", "probabilities", "words"),
    [
        (np.zeros(3, dtype=int), np.ones((2, 7)), "shape"),
        (np.zeros(3, dtype=int), np.ones((3, 6)), "shape"),
        (np.array([0, 7]), np.ones((2, 7)), "class indices 0 to 6"),
        (np.array([0.0, 1.0]), np.ones((2, 7)), "class indices"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(truth, probabilities, words):
    with pytest.raises(ValueError, match=words):
        score(truth, probabilities)
