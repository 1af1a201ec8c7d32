"""An evaluation comes back as it was saved, and a broken one is refused by name."""

import hashlib
import json
import math
import os
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from core.errors import EvaluationError
from core.evaluate.artifact import (
    FACT_COLUMNS,
    METRICS_FILE,
    PREDICTIONS_FILE,
    PROBABILITY_COLUMNS,
    Evaluation,
    probabilities_of,
    truth_of,
    write_isic_csv,
)
from core.evaluate.intervals import lesion_bootstrap
from core.labels import CODES, INDEX
from tests.core.evaluate.test_metrics import draw_answers


def draw_table(n: int = 21) -> pd.DataFrame:
    truth, probabilities = draw_answers(0, n)
    table = pd.DataFrame(
        {
            "image_id": [f"ISIC_{number:07d}" for number in range(n)],
            "lesion_id": [f"HAM_{number // 2:07d}" for number in range(n)],
            "dx": [CODES[index] for index in truth],
            "dx_type": "histo",
            "age_years": [float("nan"), *np.arange(1, n)],
            "sex": [None, *["female"] * (n - 1)],
            "site": "back",
        }
    )
    return table.assign(**dict(zip(PROBABILITY_COLUMNS, probabilities.T, strict=True)))


def draw_evaluation(table: pd.DataFrame | None = None) -> Evaluation:
    table = draw_table() if table is None else table
    return Evaluation(
        name="Lite0",
        checkpoint="bundled:lesionlens-lite0",
        split="test",
        split_hash="0123abcd",
        table=table,
        metrics=lesion_bootstrap(truth_of(table), probabilities_of(table), table["lesion_id"], resamples=10),
        views=4,
        app_version="0.1.0",
    )


def test_an_evaluation_comes_back_as_it_was_saved(tmp_path):
    saved = draw_evaluation()
    saved.save(tmp_path / "new" / "folder")
    loaded = Evaluation.load(tmp_path / "new" / "folder")
    assert repr(replace(loaded, table=saved.table)) == repr(saved)  # NaN is not equal to itself
    pd.testing.assert_frame_equal(loaded.table, saved.table, check_dtype=False)
    np.testing.assert_array_equal(loaded.truth, saved.truth)
    np.testing.assert_array_equal(loaded.probabilities, saved.probabilities)


def test_the_metrics_file_tells_a_reader_where_the_numbers_come_from(tmp_path):
    draw_evaluation().save(tmp_path)
    document = json.loads((tmp_path / METRICS_FILE).read_text())
    assert document["checkpoint"] == "bundled:lesionlens-lite0"
    assert (document["split"], document["split_hash"], document["views"]) == ("test", "0123abcd", 4)
    assert (document["n_images"], document["app_version"]) == (21, "0.1.0")
    assert datetime.fromisoformat(document["date"]).utcoffset().total_seconds() == 0
    assert set(document["metrics"]["accuracy"]) == {"value", "low", "high", "n", "n_lesions"}


def test_an_undefined_metric_is_null_in_the_file_and_nan_when_read(tmp_path):
    table = draw_table()
    draw_evaluation(table[table["dx"] != "df"]).save(tmp_path)
    assert json.loads((tmp_path / METRICS_FILE).read_text())["metrics"]["recall_df"]["value"] is None
    assert math.isnan(Evaluation.load(tmp_path).metrics["recall_df"].value)


def test_saving_again_replaces_and_leaves_nothing_else_behind(tmp_path):
    draw_evaluation().save(tmp_path)
    draw_evaluation(draw_table(28)).save(tmp_path)
    assert Evaluation.load(tmp_path).n_images == 28
    assert sorted(path.name for path in tmp_path.iterdir()) == [METRICS_FILE, PREDICTIONS_FILE]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


def test_a_save_that_fails_leaves_the_earlier_evaluation_as_it_was(tmp_path):
    draw_evaluation().save(tmp_path)
    broken = draw_evaluation(draw_table(28).assign(unwritable=[{1, 2}, "text"] * 14))
    with pytest.raises(Exception, match=r"unwritable|set|convert"):
        broken.save(tmp_path)
    assert Evaluation.load(tmp_path).n_images == 21
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EvaluationError, match=r"Cannot write the evaluation to .*file"):
        draw_evaluation().save(tmp_path / "file")


def spoil(column: str, value: object, row: int = 3) -> pd.DataFrame:
    table = draw_table()
    table[column] = table[column].astype(object)
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (draw_table().drop(columns=["sex", "p_mel"]), r"lacks the columns \['sex', 'p_mel'\]"),
        (draw_table().iloc[:0], "has no rows"),
        (spoil("image_id", None), "no image_id in row 3"),
        (spoil("image_id", "ISIC_0000001"), "image_id 'ISIC_0000001' more than once"),
        (spoil("dx", "naevus"), "dx 'naevus' for image 'ISIC_0000003'"),
        (spoil("dx", None), "for image 'ISIC_0000003'"),
        (spoil("p_nv", -0.1), "outside 0 to 1 for image 'ISIC_0000003'"),
        (spoil("p_nv", float("nan")), "outside 0 to 1 for image 'ISIC_0000003'"),
        (spoil("p_nv", 0.999), "sum to .* for image 'ISIC_0000003'; expected 1"),
        (spoil("p_nv", "much"), "no numbers"),
    ],
)
def test_a_table_that_is_no_evaluation_is_refused_by_its_first_offender(table, words, tmp_path):
    with pytest.raises(EvaluationError, match=words) as refusal:
        replace(draw_evaluation(), table=table).save(tmp_path)
    assert PREDICTIONS_FILE in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_predictions_that_another_save_wrote_are_refused(tmp_path):
    draw_evaluation().save(tmp_path)
    draw_table(28).to_parquet(tmp_path / PREDICTIONS_FILE)
    with pytest.raises(EvaluationError, match=r"predictions.parquet is not the file that metrics.json"):
        Evaluation.load(tmp_path)


@pytest.mark.parametrize("file", [PREDICTIONS_FILE, METRICS_FILE])
@pytest.mark.parametrize("content", [None, b"", b"\x00garbage", b"[]"])
def test_a_missing_or_unreadable_file_is_named(file, content, tmp_path):
    draw_evaluation().save(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(EvaluationError, match=file):
        Evaluation.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"split": None}, "'split'"),
        ({"views": "four"}, "'views'"),
        ({"metrics": 3}, "'metrics'"),
        ({"metrics": {"accuracy": {"value": 1.0}}}, "'low'"),
    ],
)
def test_a_metrics_file_with_a_wrong_entry_is_refused_by_the_entry(change, words, tmp_path):
    draw_evaluation().save(tmp_path)
    document = json.loads((tmp_path / METRICS_FILE).read_text())
    (tmp_path / METRICS_FILE).write_text(json.dumps(document | change))
    with pytest.raises(EvaluationError, match=f"metrics.json lacks or misstates .*{words}"):
        Evaluation.load(tmp_path)


@pytest.mark.parametrize("column", FACT_COLUMNS + PROBABILITY_COLUMNS)
def test_every_column_of_an_evaluation_is_required(column, tmp_path):
    with pytest.raises(EvaluationError, match=column):
        replace(draw_evaluation(), table=draw_table().drop(columns=column)).save(tmp_path)


def test_the_challenge_file_has_the_challenges_columns_in_its_order(tmp_path):
    probabilities = np.array([[0.01, 0.02, 0.03, 0.04, 0.5, 0.3, 0.1], np.full(7, 1 / 7)])
    write_isic_csv(tmp_path / "out" / "predictions.csv", ["ISIC_1", "ISIC_2"], probabilities)
    lines = (tmp_path / "out" / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"
    assert lines[1] == "ISIC_1,0.5,0.3,0.02,0.01,0.03,0.04,0.1"
    assert sum(map(float, lines[2].split(",")[1:])) == pytest.approx(1, abs=1e-6)
    assert os.listdir(tmp_path / "out") == ["predictions.csv"]  # noqa: PTH208 -- names only


def test_the_challenge_file_keeps_ids_that_look_like_numbers(tmp_path):
    write_isic_csv(tmp_path / "p.csv", ["007"], np.eye(7)[[INDEX["mel"]]])
    assert (tmp_path / "p.csv").read_text().splitlines()[1].startswith("007,1,0")


def test_the_challenge_file_keeps_ids_that_a_spreadsheet_would_run(tmp_path):
    write_isic_csv(tmp_path / "p.csv", ["-d", "=e"], np.eye(7)[:2])
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["image", "-d", "=e"]


def test_the_challenge_file_refuses_an_image_twice_and_rows_that_do_not_fit(tmp_path):
    with pytest.raises(EvaluationError, match=r"p.csv would hold image 'a' more than once"):
        write_isic_csv(tmp_path / "p.csv", ["a", "a"], np.full((2, 7), 1 / 7))
    with pytest.raises(ValueError, match="shape"):
        write_isic_csv(tmp_path / "p.csv", ["a"], np.full((2, 7), 1 / 7))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pd.DataFrame({"image_id": ["same"] * 50_001}), "50,001 rows"),
        (pd.DataFrame([[0] * 101], columns=[f"c{number}" for number in range(101)]), "101 columns"),
    ],
)
def test_a_small_file_of_a_large_table_is_refused_before_it_is_unfolded(table, words, monkeypatch):
    content = table.to_parquet(None, index=False)
    monkeypatch.setattr(pd, "read_parquet", None)
    metrics = json.dumps({"predictions_sha256": hashlib.sha256(content).hexdigest()}).encode()
    with pytest.raises(EvaluationError, match=f"{PREDICTIONS_FILE} has {words}"):
        Evaluation.from_files({METRICS_FILE: metrics, PREDICTIONS_FILE: content})


def test_a_table_of_another_sum_is_not_read_at_all(monkeypatch):
    monkeypatch.setattr(pd, "read_parquet", None)
    with pytest.raises(EvaluationError, match="is not the file that"):
        Evaluation.from_files({METRICS_FILE: b"{}", PREDICTIONS_FILE: b"garbage"})


@pytest.mark.parametrize("change", ["table", "val", "split_hash", "model"])
def test_evaluations_share_a_digest_only_when_they_are_the_same(change):
    one = replace(draw_evaluation(), val=draw_table())
    assert replace(one).digest == one.digest
    other = draw_table()
    other.loc[0, "site"] = "face"
    changes = {"table": other, "val": other, "split_hash": "ffff", "model": {"about": "another"}}
    assert replace(one, **{change: changes[change]}).digest != one.digest
