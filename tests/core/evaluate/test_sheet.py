"""A facts sheet says only what was measured, and published results say where they come from."""

import pytest

from core.evaluate.intervals import Interval
from core.evaluate.lineup import line_up
from core.evaluate.metrics import METRICS, melanoma_sensitivity, score
from core.evaluate.published import published
from core.evaluate.sheet import FIELDS, NOT_MEASURED, facts_sheet, interval_words, said
from tests.core.evaluate.making import make_evaluation


def test_what_nobody_measured_says_so():
    text = facts_sheet(make_evaluation(), {})
    assert text.count(NOT_MEASURED) == len(FIELDS) + 1


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.key)
def test_every_field_is_said_when_it_is_known_and_not_when_it_is_nonsense(field):
    value = 1234 if field.say is not str else "known"
    evaluation = make_evaluation(model={field.key: value})
    assert said(evaluation, field) != NOT_MEASURED
    assert said(evaluation, field) in facts_sheet(evaluation, {})
    if field.key in ("parameters", "training_s", "temperature"):
        assert said(make_evaluation(model={field.key: "x"}), field) == NOT_MEASURED


def test_the_numbers_of_a_sheet_are_the_measured_ones():
    evaluation = make_evaluation()
    measured = line_up([evaluation], resamples=20).measure(0)
    text = facts_sheet(evaluation, {name: one.interval for name, one in measured.items()}, ms=12.4)
    accuracy = score(evaluation.truth, evaluation.probabilities)["accuracy"]
    assert f"| accuracy | {accuracy:.3f} (" in text
    assert "12 ms" in text
    assert f"| accuracy | {accuracy:.3f} (0" in text
    # What is in brackets stays on one line of a narrow screen.
    assert all(" to " not in line for line in text.splitlines() if line.startswith("| accuracy"))
    assert "Decided by: most probable: the most probable of the seven diagnoses is the answer." in text
    assert "operating point" not in text


def test_a_sheet_says_of_which_pictures_its_numbers_are_and_at_which_point():
    evaluation = make_evaluation()
    lineup = line_up([evaluation], resamples=20)
    metrics = {"melanoma_sensitivity": melanoma_sensitivity(0.3), "recall_mel": METRICS["recall_mel"]}
    measured = {name: one.interval for name, one in lineup.measure(0, metrics).items()}
    text = facts_sheet(evaluation, measured, on="12 pictures that histology confirmed", point="least cost")
    assert "Numbers on 12 pictures that histology confirmed, each" in text
    assert "| melanoma sensitivity (operating point) |" in text
    assert "| recall of melanoma (most probable) |" in text
    assert "the point: least cost, chosen on validation pictures" in text


def test_a_number_below_zero_has_a_minus():
    assert interval_words(Interval(-0.5, -0.7, 0.1, 9, 9)) == "−0.500 (−0.700 to 0.100)"


def test_a_name_cannot_leave_its_cell():
    text = facts_sheet(make_evaluation(model={"about": "a|b\n<script>"}), {})
    assert "a\\|b \\<script\\>" in text


@pytest.mark.parametrize("where", ["name", "checkpoint", "split", "split_hash", "date", "about"])
def test_nothing_that_an_artifact_says_becomes_a_picture_or_a_heading(where):
    evil = "![](//x/y)\n# Z"
    changes = {"model": {"about": evil}} if where == "about" else {where: evil}
    text = facts_sheet(make_evaluation(**changes), {})
    assert "![" not in text
    assert "\n# Z" not in text


def test_published_results_name_source_and_reason_and_only_metrics_we_know():
    for one in published():
        assert one.system
        assert one.source
        assert one.why
        assert one.numbers
        assert set(one.numbers) <= set(METRICS)
