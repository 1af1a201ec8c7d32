"""A facts sheet says only what was measured, and published results say where they come from."""

import pytest

from core.evaluate.lineup import line_up
from core.evaluate.metrics import METRICS, score
from core.evaluate.published import published
from core.evaluate.sheet import FIELDS, NOT_MEASURED, facts_sheet, said
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
