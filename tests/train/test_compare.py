"""`compare` prints and writes the numbers of an independent computation, and names what it cannot compare."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from sklearn import metrics as judge
from typer.testing import CliRunner

from core.errors import EvaluationError
from core.labels import MALIGNANT
from tests.core.evaluate.making import make_evaluation
from train.__main__ import app

TWO = (make_evaluation("Alpha", skill=2.5), make_evaluation("Beta", skill=0.5, seed=3, val=None))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("LESIONLENS_RUNS", str(tmp_path / "runs"))
    TWO[0].save(tmp_path / "runs" / "alpha" / "evaluation")
    TWO[1].save(tmp_path / "beta")
    return ["alpha", str(tmp_path / "beta")]


def run(*arguments):
    return CliRunner().invoke(app, ["compare", *arguments], catch_exceptions=False)


def test_two_models_are_ranked_and_their_difference_is_told(folders, tmp_path):
    said = run(*folders, "--out", str(tmp_path / "out"))
    assert said.exit_code == 0
    assert "140 pictures of 70 lesions, test of split 0123abcd" in said.output
    assert said.output.index("1. Alpha") < said.output.index("2. Beta")
    assert "no operating point: Beta has no validation answers" in said.output
    assert "Alpha less Beta in balanced_accuracy: +0." in said.output
    table = pd.read_csv(tmp_path / "out" / "comparison.csv").set_index(["model", "metric"])
    for one in TWO:
        answers = one.probabilities
        assert table.loc[(one.name, "accuracy"), "value"] == pytest.approx(
            judge.accuracy_score(one.truth, answers.argmax(1))
        )
        assert table.loc[(one.name, "malignancy_auc"), "value"] == pytest.approx(
            judge.roc_auc_score(MALIGNANT[one.truth], answers[:, MALIGNANT].sum(1))
        )
    assert ("Beta", "specificity") not in table.index
    rules = table["decided by"]["Alpha"]
    assert rules["recall_mel"] == "most probable"
    assert rules["melanoma_sensitivity"] == "operating point"
    assert pd.isna(rules["malignancy_auc"])
    assert re.search(r"melanoma_sensitivity +[\d.]+ \([\d. to]+\) +operating point\n", said.output)
    pairs = pd.read_csv(tmp_path / "out" / "pairs.csv").set_index("metric")
    values = table["value"]
    assert pairs.loc["accuracy", "A less B"] == pytest.approx(
        values["Alpha", "accuracy"] - values["Beta", "accuracy"]
    )


def test_models_of_undefined_rank_are_not_numbered_and_p_says_that_it_is_uncorrected(folders, tmp_path):
    assert "p (uncorrected) ≤ 0.001" in run(*folders).output
    few = [tmp_path / "few" / one.name for one in TWO]
    for one, folder in zip(TWO, few, strict=True):
        # Without a diagnosis there is no balanced accuracy.
        replace(one, table=one.table[one.table["dx"] != "df"].reset_index(drop=True)).save(folder)
    said = run(*map(str, few)).output
    assert "\nn/a Alpha\n" in said
    assert "\nn/a Beta\n" in said


def test_histology_alone_and_mistakes(folders):
    histology = int((TWO[0].table["dx_type"] == "histo").sum())
    assert f"{histology} pictures of" in run(*folders, "--histology").output
    with pytest.raises(EvaluationError, match="no evaluation nowhere"):
        run("nowhere")
    assert "no operating point 'cost:0'" in run(*folders, "--point", "cost:0").output
