"""Rows of a condition are what was measured, a sample keeps rare diagnoses, and a bad file is named."""

import os

import numpy as np
import pandas as pd
import pytest

from core.data.corruptions import CORRUPTIONS
from core.errors import EvaluationError
from core.evaluate.artifact import probabilities_of, truth_of
from core.evaluate.gathering import robustness_files
from core.evaluate.metrics import METRICS
from core.evaluate.robustness import (
    CLEAN,
    COLUMNS,
    MEASURED,
    Condition,
    not_measured,
    read_robustness,
    rows_of,
    sample_lesions,
)
from tests.core.evaluate.making import make_evaluation, make_table


def test_a_conditions_rows_hold_each_metric_with_its_interval():
    evaluation = make_evaluation()
    condition = Condition("corruption", "hair", 3, "hair_removal")
    rows = rows_of(
        "model",
        condition,
        evaluation.truth,
        evaluation.probabilities,
        evaluation.table,
        resamples=50,
    )
    assert tuple(rows.columns) == COLUMNS
    assert set(rows["metric"]) == set(MEASURED)
    everything = rows[rows["pictures"] == "all"]
    assert len(everything) == len(MEASURED)
    for _, row in everything.iterrows():
        assert row["value"] == METRICS[row["metric"]](evaluation.truth, evaluation.probabilities)
        assert row["low"] <= row["value"] <= row["high"]
        assert (row["n"], row["n_lesions"], row["remedy"]) == (140, 70, "hair_removal")
    confirmed = (evaluation.table["dx_type"] == "histo").to_numpy()
    for _, row in rows[rows["pictures"] == "histology"].iterrows():
        expected = METRICS[row["metric"]](evaluation.truth[confirmed], evaluation.probabilities[confirmed])
        assert row["value"] == pytest.approx(expected, nan_ok=True)
        assert row["n"] == confirmed.sum() < 140


def test_what_an_older_table_lacks_is_told(tmp_path):
    table = make_table()
    rows = rows_of("old", CLEAN, truth_of(table), probabilities_of(table), table, resamples=5)
    rows[rows["pictures"] == "all"].drop(columns="pictures").to_csv(tmp_path / "old.csv", index=False)
    found = read_robustness([tmp_path / "old.csv"])
    assert set(found["pictures"]) == {"all"}
    assert not_measured(found) == [*(one.title for one in CORRUPTIONS.values()), "histology alone"]
    answers = truth_of(table), probabilities_of(table), table
    whole = [rows_of("new", Condition("corruption", name, 1), *answers, resamples=5) for name in CORRUPTIONS]
    assert not_measured(pd.concat(whole)) == []


def test_of_a_model_that_was_measured_twice_the_newer_measurement_counts(tmp_path):
    for when, (name, n) in enumerate({"z": 140, "a": 40}.items()):
        table = make_table(n)
        answers = truth_of(table), probabilities_of(table), table
        (tmp_path / name).mkdir()
        file = tmp_path / name / "robustness.csv"
        rows_of("run #2", CLEAN, *answers, resamples=5).to_csv(file, index=False)
        os.utime(file, (1000 + when, 1000 + when))
    found = read_robustness(robustness_files(tmp_path))
    assert set(found[found["model"] == "run #2"]["n"].head(4)) == {40}


def test_a_condition_is_told_in_words():
    assert CLEAN.words == "As it is"
    assert Condition("corruption", "hair", 2, "hair_removal").words == "Hair, severity 2, with hair removal"
    assert Condition("corruption", "contrast", 1, "clahe").words.endswith("with local contrast (CLAHE)")
    assert Condition("shortcut", "border_only", 0).words == "Border only"


def test_what_is_written_is_read_again(tmp_path):
    evaluation = make_evaluation()
    rows = rows_of("m", CLEAN, evaluation.truth, evaluation.probabilities, evaluation.table, resamples=5)
    rows.to_csv(tmp_path / "a.csv", index=False)
    rows.assign(model="other").to_csv(tmp_path / "b.csv", index=False)
    found = read_robustness([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert len(found) == 2 * len(rows)
    assert (found["remedy"] == "").all()
    assert read_robustness([]).empty


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "Cannot read"), ("model,kind\nm,clean\n", "lacks the columns"), (None, "Cannot read")],
)
def test_a_file_that_is_none_is_named(text, words, tmp_path):
    if text is not None:
        (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(EvaluationError, match=rf"(?s){words}.*|bad\.csv {words}"):
        read_robustness([tmp_path / "bad.csv"])


def test_a_sample_takes_whole_lesions_and_keeps_what_is_rare():
    table = pd.concat([make_table(1400).assign(dx="nv"), make_table(40, prefix="R").assign(dx="df")])
    table["lesion_id"] = table["lesion_id"] + table["dx"]
    few = sample_lesions(table, 100)
    assert few.groupby("lesion_id").size().eq(2).all()
    lesions = few.drop_duplicates("lesion_id")["dx"].value_counts()
    assert lesions["df"] == 5
    assert 95 <= lesions["nv"] <= 100
    pd.testing.assert_frame_equal(few, sample_lesions(table, 100))
    assert len(sample_lesions(table, 10_000)) == len(table)
    assert not np.array_equal(few["image_id"], sample_lesions(table, 100, seed=1)["image_id"])
