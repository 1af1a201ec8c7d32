"""The Compare page: its numbers are those of an independent computation, and bad input has a name."""

import io
import re
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as judge

from core.evaluate.artifact import Evaluation, probabilities_of, truth_of, write_isic_csv
from core.evaluate.gathering import EVALUATIONS_FOLDER
from core.evaluate.map_quality import COMPARISONS, PICTURE_COLUMNS, summarise
from core.evaluate.robustness import CLEAN, Condition, rows_of
from core.labels import CODES, INDEX, MALIGNANT
from pages.ui import points
from pages.ui.compare import compared, groups, robust
from pages.ui.compare.views import BRING, VIEWS
from tests.core.evaluate.making import make_evaluation, make_table
from tests.pages.reading import said


@pytest.fixture(autouse=True)
def empty_own_caches():
    yield
    for function in (compared._measured, compared._lined_up, groups._grouped, groups._slices, points._tested):
        function.clear()


@pytest.fixture
def compare(open_page, tmp_path, monkeypatch):
    """Return a function that opens the page with the evaluations of runs alone, the bundled ones away."""
    monkeypatch.setenv("LESIONLENS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("core.evaluate.gathering.EVALUATIONS_FOLDER", tmp_path / "none")

    def compare(*evaluations, **query):
        for number, one in enumerate(evaluations):
            one.save(tmp_path / "runs" / f"run{number}" / "evaluation")
        return open_page("Compare", **query)

    return compare


TWO = (make_evaluation("Alpha", skill=2.5), make_evaluation("Beta", skill=0.5, seed=3))


def frame_with(app, column):
    return next(one.value for one in app.dataframe if column in one.value)


def test_the_first_launch_compares_what_is_bundled(open_page):
    app = open_page("Compare")
    assert not app.exception
    assert not app.error
    names = {Evaluation.load(path.parent).name for path in EVALUATIONS_FOLDER.glob("*/metrics.json")}
    assert set(frame_with(app, "model")["model"]) == names
    assert len(names) >= 2


@pytest.mark.parametrize("view", [*VIEWS, BRING])
def test_every_view_is_drawn_with_two_models_with_one_and_on_histology_alone(compare, view):
    for query in ({}, {"models": "Alpha"}, {"histology": "true"}):
        app = compare(*TWO, show=view, **query)
        assert not app.exception, (view, query)
        assert not app.error, (view, query)


def test_the_numbers_of_the_table_are_those_of_scikit_learn(compare):
    app = compare(*TWO, columns="accuracy", point="sensitivity:0.9")
    app.multiselect(key="columns").set_value(
        ["accuracy", "balanced_accuracy", "macro_auc", "sensitivity"]
    ).run()
    table = frame_with(app, "macro AUC").set_index("model")
    for one in TWO:
        truth, answers = one.truth, one.probabilities
        row = table.loc[one.name]
        assert row["accuracy"] == pytest.approx(judge.accuracy_score(truth, answers.argmax(1)))
        assert row["balanced accuracy"] == pytest.approx(
            judge.balanced_accuracy_score(truth, answers.argmax(1))
        )
        assert row["macro AUC"] == pytest.approx(judge.roc_auc_score(truth, answers, multi_class="ovr"))
        val = one.val[[f"p_{code}" for code in CODES]].to_numpy()
        bad = MALIGNANT[one.val["dx"].map(INDEX)]
        scores = np.sort(val[:, MALIGNANT].sum(1)[bad])
        threshold = scores[-int(np.ceil(0.9 * len(scores)))]
        caught = answers[:, MALIGNANT].sum(1)[MALIGNANT[truth]] >= threshold
        assert row["sensitivity (operating point)"] == pytest.approx(caught.mean())


def test_the_model_that_the_address_names_is_picked_first_and_marked(compare):
    app = compare(*TWO, models="Alpha", checkpoint="local:Beta")
    assert app.multiselect(key="models").value == ["Beta", "Alpha"]
    assert list(frame_with(app, "model")["model"]) == ["► Beta", "Alpha"]
    assert "► marks Beta" in said(app, "caption")
    app.multiselect(key="models").set_value(["Alpha"]).run()
    assert app.multiselect(key="models").value == ["Alpha"]
    app = compare(models="Alpha", checkpoint="run:nobody")
    assert "Nobody has measured run:nobody here" in said(app, "info")
    assert list(frame_with(app, "model")["model"]) == ["Alpha"]


def test_each_diagnosis_has_its_numbers_as_the_challenge_defines_them(compare):
    app = compare(*TWO, show="Per diagnosis", category_number="PPV (above 0.5)")
    table = frame_with(app, "diagnosis").set_index(["model", "diagnosis"])
    for one in TWO:
        for code in ("mel", "df"):
            row, scores = table.loc[one.name, code], one.probabilities[:, INDEX[code]]
            positive = one.truth == INDEX[code]
            ppv = judge.precision_score(positive, scores > 0.5, zero_division=np.nan)
            assert row["PPV (above 0.5)"] == pytest.approx(ppv, nan_ok=True)
            assert row["average precision"] == pytest.approx(judge.average_precision_score(positive, scores))
            assert pd.isna(row["PPV (above 0.5)"]) or re.fullmatch(
                r"[01]\.\d{3} to [01]\.\d{3}", row.iloc[-1]
            )
        mean = judge.balanced_accuracy_score(one.truth, one.probabilities.argmax(1))
        assert f"{one.name} {mean:.3f} (" in said(app, "markdown")


def test_models_that_cannot_be_told_apart_share_a_rank_and_a_pair_is_told_in_words(compare):
    twin = make_evaluation("Twin", skill=2.5, seed=8)
    app = compare(*TWO, twin, show="Pair", pair_a="Alpha", pair_b="Beta", pair_metric="accuracy")
    assert re.search(r"Alpha is better\*\* in accuracy on these 70 lesions, by 0\.\d+", said(app, "info"))
    app = compare(show="Pair", pair_a="Alpha", pair_b="Twin", pair_metric="accuracy")
    assert "No difference could be shown" in said(app, "info")


def test_each_sensitivity_names_the_rule_that_it_decides_by(compare):
    three = {
        "Table": "melanoma sensitivity (operating point)",
        "Per diagnosis": "sensitivity (above 0.5)",
        "Operating point": "melanomas caught at the threshold (95\u00a0%)",
    }
    for view, heading in three.items():
        assert len(frame_with(compare(*TWO, show=view), heading)), view
    app = compare(*TWO, show="Table", rank_by="recall of melanoma (most probable)")
    assert "Decided by: the most probable of the seven diagnoses is the answer." in said(app, "caption")
    app.selectbox(key="rank_by").set_value("melanoma_sensitivity").run()
    assert "Decided by: suspicious from the operating point on" in said(app, "caption")
    assert "the most probable diagnosis" in said(compare(*TWO, show="Mistakes"), "caption")
    sheet = said(compare(*TWO, show="Facts", sheet_of="Alpha"), "markdown")
    for row in ("recall of melanoma (most probable)", "melanoma sensitivity (operating point)"):
        assert f"| {row} |" in sheet
    assert "the point: at least 95 % of malignant validation pictures caught" in sheet


def test_a_pair_says_which_question_each_test_answers_and_no_p_that_was_not_measured(compare):
    app = compare(*TWO, show="Pair", pair_a="Alpha", pair_b="Beta", pair_metric="accuracy")
    assert "p ≤ 0.001" in said(app, "info")
    table = frame_with(app, "A less B (95\u00a0%)").set_index("metric")
    assert table.loc["macro AUC", "p"] == "≤ 0.001"
    # The gap is that of numbers before rounding, with signs that are no hyphens.
    for row in table[table.index != "specificity"].itertuples():
        value = re.match(r"([+−]\d\.\d{3}) \([+−]\d\.\d{3} to [+−]\d\.\d{3}\)$", row[1])[1]
        assert float(value.replace("−", "-")) == pytest.approx(row.A - row.B, abs=0.00051)
    assert "before rounding" in said(app, "caption")
    assert re.search(r"Exact p (<|=) [\d.]+, mid-p (<|=) [\d.]+: they are right", said(app, "markdown"))
    assert "Another question than the table's" in said(app, "caption")


def test_the_pictures_of_an_agreement_are_those_that_it_counts(compare):
    right = [one.probabilities.argmax(1) == one.truth for one in TWO]
    for case, mine in (
        ("only A right", right[0] & ~right[1]),
        ("only B right", ~right[0] & right[1]),
        ("both wrong", ~right[0] & ~right[1]),
    ):
        app = compare(*TWO, show="Pair", pair_a="Alpha", pair_b="Beta", agreement=case)
        assert set(frame_with(app, "image_id")["image_id"]) == set(TWO[0].table["image_id"][mine])


def test_only_histology_counts_when_it_is_asked_for(compare):
    app = compare(*TWO, histology="true")
    histology = int((TWO[0].table["dx_type"] == "histo").sum())
    assert f"{histology} pictures of" in said(app, "caption")


def test_a_model_of_another_split_is_left_out_by_name_and_one_without_val_has_no_threshold(compare):
    app = compare(
        *TWO, make_evaluation("Gamma", split_hash="ffff"), make_evaluation("Delta", val=None, seed=9)
    )
    assert "Gamma is left out" in said(app, "warning").replace("**", "")
    assert "Delta has no validation answers" in said(app, "caption")
    row = frame_with(app, "model").set_index("model").loc["Delta"]
    assert pd.isna(row["specificity (operating point)"])
    assert not pd.isna(row["balanced accuracy"])


def test_the_weights_of_a_model_that_is_not_here_are_said_to_be_away(compare):
    app = compare(*TWO)
    assert set(frame_with(app, "model")["weights"]) == {"not here"}
    assert "not on this machine" in said(compare(show="Facts"), "caption")


def test_a_broken_evaluation_is_refused_by_name_and_the_others_stay(compare, tmp_path):
    TWO[0].save(tmp_path / "runs" / "broken" / "evaluation")
    (tmp_path / "runs" / "broken" / "evaluation" / "predictions.parquet").write_bytes(b"x")
    app = compare(TWO[1])
    assert "broken/evaluation/predictions.parquet" in said(app, "error")
    assert list(frame_with(app, "model")["model"]) == ["Beta"]


def test_without_any_evaluation_the_page_says_what_to_do(compare):
    app = compare()
    assert not app.exception
    assert "No evaluation is here" in said(app, "info")


def test_one_picture_and_a_class_that_nobody_has_show_no_number_and_no_crash(compare):
    one = make_table().iloc[:1]
    for view in VIEWS:
        app = compare(make_evaluation("One", table=one), show=view)
        assert not app.exception, view


def test_an_operating_point_stands_in_the_address_and_rubbish_there_is_ignored(compare):
    app = compare(*TWO, show="Operating point", point="cost:7")
    assert "a missed malignancy costing 7 false alarms" in said(app, "markdown")
    app.selectbox(key="compare_rule").set_value("specificity").run()
    assert app.slider(key="compare_value").value == 80
    assert app.query_params["point"] == ["specificity:0.8"] or app.query_params["point"] == "specificity:0.8"
    app.slider(key="compare_value").set_value(90.0).run()
    assert "specificity:0.9" in app.query_params["point"]
    app = compare(show="Operating point", point="cost:<script>")
    assert "at least 95\u00a0%" in said(app, "markdown")


def test_everything_can_be_taken_away_as_tables(compare):
    app = compare(*TWO, make_evaluation("=Gamma", skill=1.0, seed=5), show="Facts")
    app.button(key="compare_gather").click().run()
    assert not app.exception
    _, content = app.session_state["compare_gathered"]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert {name for name in found if name.endswith(".md")} == {f"facts_{place}.md" for place in (1, 2, 3)}
    tables = {name: pd.read_csv(io.BytesIO(one)) for name, one in found.items() if name.endswith(".csv")}
    assert set(tables) == {
        f"{name}.csv"
        for name in ("comparison", "pairs", "per_diagnosis", "operating_point", "answers", "published")
    }
    # No spreadsheet runs a name that begins like a formula.
    assert list(tables["comparison.csv"]["model"]) == ["Alpha", "Beta", "'=Gamma"]
    expected = judge.accuracy_score(TWO[0].truth, TWO[0].probabilities.argmax(1))
    assert tables["comparison.csv"]["accuracy"][0] == pytest.approx(expected)
    assert len(tables["pairs.csv"]) == 3 * 7
    assert tables["answers.csv"]["Alpha: mel"].to_numpy() == pytest.approx(TWO[0].table["p_mel"])


def test_an_ensemble_has_its_row_at_once(compare):
    app = compare(*TWO)
    app.multiselect(key="compare_members").set_value(["Alpha", "Beta"]).run()
    app.button(key="compare_add_ensemble").click().run()
    assert not app.exception
    table = frame_with(app, "balanced accuracy").set_index("model")
    mean = (TWO[0].probabilities + TWO[1].probabilities) / 2
    expected = judge.balanced_accuracy_score(TWO[0].truth, mean.argmax(1))
    assert table.loc["Mean of Alpha, Beta", "balanced accuracy"] == pytest.approx(expected)


def test_an_ensemble_that_can_no_longer_be_is_left_out_and_the_page_stays(compare):
    app = compare(*TWO, make_evaluation("Gamma", split_hash="ffff"))
    app.session_state["compare_ensembles"] = {"Mean of both": ("Alpha", "Gamma")}
    app.run()
    assert not app.exception
    assert "Mean of both is left out. Gamma was measured on" in said(app, "error")
    assert {"Alpha", "Beta"} <= set(frame_with(app, "model")["model"])


def submit(app, form):
    next(one for one in app.button if form in str(one.form_id)).click().run()


def test_a_file_that_is_no_evaluation_is_refused_by_name_and_a_whole_one_is_compared(compare, tmp_path):
    make_evaluation("Rival", skill=1.5, seed=11).save(tmp_path / "rival")
    names = ("metrics.json", "predictions.parquet", "val.parquet")
    files = [(name, (tmp_path / "rival" / name).read_bytes(), "application/octet-stream") for name in names]
    app = compare(*TWO, show=BRING)
    app.file_uploader(key="compare_files").upload(*files[0])
    submit(app, "artifact")
    assert said(app, "error").startswith("predictions.parquet lacking")
    app.file_uploader(key="compare_files").set_value(files)
    submit(app, "artifact")
    assert "Rival is here" in said(app, "success")
    assert "Rival" in app.multiselect(key="models").options


def test_a_rivals_predictions_stand_beside_ours_without_a_truth_of_their_own(compare, tmp_path):
    rival = make_table(skill=1.5, seed=11)
    write_isic_csv(tmp_path / "rival.csv", rival["image_id"].tolist(), probabilities_of(rival))
    content = (tmp_path / "rival.csv").read_bytes()
    app = compare(*TWO, show=BRING)
    app.file_uploader(key="compare_predictions").upload("rival.csv", content, "text/csv")
    submit(app, "isic")
    assert not app.error
    assert "rival is here: 140 pictures" in said(app, "success")
    app.multiselect(key="models").set_value(["Alpha", "rival"]).run()
    app.segmented_control(key="show").set_value("Table").run()
    table = frame_with(app, "balanced accuracy").set_index("model")
    expected = judge.balanced_accuracy_score(truth_of(rival), probabilities_of(rival).argmax(1))
    assert table.loc["rival", "balanced accuracy"] == pytest.approx(expected)


def test_the_predict_page_decides_by_the_point_of_the_address(open_page):
    plain, strict = (
        open_page("Predict", reader="clinician"),
        open_page("Predict", reader="clinician", point="specificity:0.95"),
    )
    assert not strict.exception
    assert "at least 95\u00a0% of benign validation pictures left alone" in said(strict, "caption")
    assert "benign validation pictures left alone" not in said(plain, "caption")


def test_the_predict_page_says_so_when_the_point_cannot_be_had(open_page, monkeypatch, tmp_path):
    monkeypatch.setattr("core.evaluate.gathering.EVALUATIONS_FOLDER", tmp_path)
    app = open_page("Predict", point="cost:5")
    assert not app.exception
    assert "is not used: No evaluation of bundled:lesionlens-lite0" in said(app, "caption")


def robustness_of(name: str, *, skill: float) -> pd.DataFrame:
    """Return rows of a few conditions, as the command writes them."""
    found = []
    shown = [
        CLEAN,
        *(Condition("corruption", "hair", severity) for severity in (1, 2, 3, 4, 5)),
        *(Condition("corruption", "hair", severity, "hair_removal") for severity in (1, 5)),
        Condition("shortcut", "lesion_blanked", 0),
    ]
    for condition in shown:
        table = make_table(skill=skill - 0.3 * condition.severity)
        answers = truth_of(table), probabilities_of(table), table
        found.append(rows_of(name, condition, *answers, resamples=9))
    return pd.concat(found)


def test_poor_pictures_are_shown_for_those_that_were_measured_and_the_others_are_named(compare, tmp_path):
    (tmp_path / "runs" / "run0").mkdir(parents=True)
    rows = robustness_of("Alpha", skill=2.5)
    rows.to_csv(tmp_path / "runs" / "run0" / "robustness.csv", index=False)
    app = compare(*TWO, show="Poor pictures", poor_by="Hair", poor_metric="accuracy")
    assert not app.exception
    assert "Not measured: Beta" in said(app, "caption")
    # The folder holds no checkpoint of Beta: the command is all that can be offered.
    assert "set LESIONLENS_DATA" in said(app, "caption")
    (words,) = [one.value for one in app.code]
    command = shlex.split(words)
    assert command[command.index("--checkpoint") + 1] == "local:Beta"
    assert command[command.index("--name") + 1] == "Beta"
    # What it writes is where the page looks.
    written = Path(command[-1]) / "robustness.csv"
    written.parent.mkdir()
    robustness_of("Beta", skill=0.5).to_csv(written, index=False)
    assert "Not measured" not in said(app.run(), "caption")
    assert f"n = {TWO[0].n_images} pictures" in said(app, "caption")
    worst = frame_with(app, "pictures").set_index(["pictures", "model"])
    measured = rows[(rows["metric"] == "accuracy") & (rows["pictures"] == "all")]
    measured = measured.set_index(["condition", "severity", "remedy"])
    for words, remedy in (("", ""), (", with hair removal", "hair_removal")):
        shown = worst.loc[(f"Hair, severity 5{words}", "Alpha")]
        expected = measured.loc[("hair", 5, remedy)]
        assert shown["accuracy"] == pytest.approx(expected["value"])
        assert shown.iloc[1] == f"{expected['low']:.3f} to {expected['high']:.3f}"
    assert len(app.get("plotly_chart")) == 2
    assert not app.get("image")
    app.session_state["poor_example"] = True
    app.run()
    captions = [one.captions[0] for one in app.get("image")]
    plain = [f"Hair, severity {severity}" for severity in range(1, 6)]
    assert captions == plain + [f"{words}, with hair removal" for words in plain]


def test_poor_pictures_follow_the_switch_for_histology(compare, tmp_path):
    (tmp_path / "runs" / "run0").mkdir(parents=True)
    rows = robustness_of("Alpha", skill=2.5)
    older = robustness_of("Beta", skill=0.5)
    older = older[older["pictures"] == "all"].drop(columns="pictures")
    rows.to_csv(tmp_path / "runs" / "run0" / "robustness.csv", index=False)
    (tmp_path / "runs" / "run1").mkdir()
    older.to_csv(tmp_path / "runs" / "run1" / "robustness.csv", index=False)
    query = {"show": "Poor pictures", "poor_by": "Hair", "poor_metric": "accuracy"}
    app = compare(*TWO, **query, histology="true")
    assert not app.exception
    assert "Not measured on histology alone: Beta" in said(app, "caption")
    confirmed = TWO[0].table[TWO[0].table["dx_type"] == "histo"]
    n, lesions = len(confirmed), confirmed["lesion_id"].nunique()
    assert f"n = {n} pictures of {lesions} test lesions, confirmed by histology." in said(app, "caption")
    worst = frame_with(app, "pictures").set_index(["pictures", "model"])
    mine = rows[(rows["metric"] == "accuracy") & (rows["pictures"] == "histology")]
    expected = mine[(mine["severity"] == 5) & (mine["remedy"] == "")].iloc[0]
    assert worst.loc[("Hair, severity 5", "Alpha"), "accuracy"] == pytest.approx(expected["value"])
    # Too few lesions have a warning, none a sentence, and neither a verdict.
    rows.loc[rows["pictures"] == "histology", ["n", "n_lesions"]] = [11, 9]
    rows.to_csv(tmp_path / "runs" / "run0" / "robustness.csv", index=False)
    assert "Alpha was measured on 9 lesions, fewer than 20" in said(app.run(), "warning")
    rows.loc[rows["pictures"] == "histology", ["n", "n_lesions", "value"]] = [0, 0, np.nan]
    rows.to_csv(tmp_path / "runs" / "run0" / "robustness.csv", index=False)
    assert "Histology confirmed none of the pictures of Alpha" in said(app.run(), "caption")
    assert "None of these models was measured on poor pictures yet on histology alone" in said(app, "info")


def test_a_number_that_needs_a_diagnosis_that_is_not_there_is_not_defined(compare, tmp_path):
    (tmp_path / "runs" / "run0").mkdir(parents=True)
    rows = robustness_of("Alpha", skill=2.5)
    rows.loc[rows["metric"] == "balanced_accuracy", ["value", "low", "high"]] = np.nan
    rows.to_csv(tmp_path / "runs" / "run0" / "robustness.csv", index=False)
    app = compare(*TWO, show="Poor pictures", poor_by="Hair", poor_metric="balanced_accuracy")
    assert not app.exception
    assert "Alpha has no balanced accuracy on its 140 pictures" in said(app, "info")


def maps_of(name, *, better):
    """Return rows of a model's map quality, as the command writes them."""
    table = pd.DataFrame(
        np.random.default_rng(0).uniform(0.2, 0.4, (30, len(PICTURE_COLUMNS))), columns=PICTURE_COLUMNS
    )
    table["right"] = np.arange(30) % 3 > 0
    table["lesion_id"] = [f"L{number}" for number in range(30)]
    table["dx_type"] = ["histo" if number < 25 else "consensus" for number in range(30)]
    table["inside"] = table["inside_blob"] + better
    return summarise(name, table, resamples=20)


def test_map_quality_is_shown_for_those_that_were_measured_and_the_others_are_named(compare, tmp_path):
    (tmp_path / "runs" / "run0").mkdir(parents=True)
    maps_of("Alpha", better=0.1).to_csv(tmp_path / "runs" / "run0" / "map_quality.csv", index=False)
    app = compare(*TWO, show="Map quality")
    assert not app.exception
    assert not app.error
    assert "Not measured: Beta" in said(app, "caption")
    # The folder holds no checkpoint of Beta: the command is all that can be offered.
    assert "set LESIONLENS_DATA" in said(app, "caption")
    assert "Alpha: better than a blob in the middle by 0.100 (" in said(app, "caption")
    assert "a flat map by " in said(app, "caption")
    assert len(app.get("plotly_chart")) == len(COMPARISONS)
    (command,) = [one.value for one in app.code]
    assert "train maps --checkpoint local:Beta " in command
    # What it writes is where the page looks.
    written = Path(shlex.split(command)[-1]) / "map_quality.csv"
    written.parent.mkdir()
    maps_of("Beta", better=-0.1).to_csv(written, index=False)
    assert "Not measured" not in said(app.run(), "caption")
    assert "Beta: worse than a blob in the middle by 0.100 (" in said(app, "caption")
    app.segmented_control(key="maps_of").set_value("wrong").run()
    assert not app.exception
    assert "n = 10 pictures" in said(app, "caption")


def test_maps_that_have_no_share_are_said_to_be_left_out(compare, tmp_path):
    (tmp_path / "runs" / "run0").mkdir(parents=True)
    rows = maps_of("Alpha", better=0.0)
    shares = rows["measure"].str.startswith(("inside", "rim", "corners"))
    rows.loc[shares & (rows["group"] == "all"), "n"] -= 1
    rows.to_csv(tmp_path / "runs" / "run0" / "map_quality.csv", index=False)
    app = compare(*TWO, show="Map quality", histology="true")
    assert "1 map of Alpha has nothing that speaks for the answer" in said(app, "caption")
    assert re.search(
        r"not told apart from a random order: −?0\.\d+ \(−0\.\d+ to 0\.\d+\), where above",
        said(app, "caption"),
    )
    assert "nothing that speaks for the answer" not in said(
        compare(show="Map quality", maps_of="wrong answers"), "caption"
    )


def test_the_slider_shows_the_point_of_the_address(compare):
    app = compare(*TWO, point="sensitivity:0.57")
    assert [one.value for one in app.slider if one.key == "compare_value"] == [57]
    assert app.query_params["point"] in ("sensitivity:0.57", ["sensitivity:0.57"])


def test_map_quality_follows_the_switch_for_histology(compare, tmp_path):
    (tmp_path / "runs" / "run0").mkdir(parents=True)
    file = tmp_path / "runs" / "run0" / "map_quality.csv"
    rows = maps_of("Alpha", better=0.1)
    rows.to_csv(file, index=False)
    app = compare(*TWO, show="Map quality", histology="true")
    assert not app.exception
    assert "n = 25 pictures of 25 lesions" in said(app, "caption")
    # As a version of this program wrote it that did not tell them apart.
    rows[rows["pictures"] == "all"].drop(columns="pictures").to_csv(file, index=False)
    app = compare(show="Map quality", histology="true")
    assert not app.exception
    assert "The maps of Alpha were measured on all pictures together" in said(app, "info")
    assert not app.get("plotly_chart")
    assert "n = 30 pictures of 30 lesions" in said(compare(show="Map quality"), "caption")


def test_maps_of_few_lesions_are_shown_without_a_verdict(compare, tmp_path):
    (tmp_path / "runs" / "run0").mkdir(parents=True)
    rows = maps_of("Alpha", better=0.1)
    rows.loc[rows["n"] > 0, ["n", "n_lesions", "low", "high"]] = [1, 1, np.nan, np.nan]
    rows.to_csv(tmp_path / "runs" / "run0" / "map_quality.csv", index=False)
    app = compare(*TWO, show="Map quality")
    assert not app.exception
    assert "Alpha: too few lesions to tell from a blob in the middle" in said(app, "caption")
    assert "better than" not in said(app, "caption")


def test_maps_that_nobody_measured_and_a_broken_table_are_said(compare, tmp_path, monkeypatch):
    app = compare(*TWO, show="Map quality")
    assert not app.exception
    assert "The maps of none of these models were measured" in said(app, "info")
    (tmp_path / "runs" / "run0" / "map_quality.csv").write_text("model,group\n")
    assert "map_quality.csv lacks the columns" in said(compare(*TWO, show="Map quality"), "error")


def test_a_table_of_poor_pictures_that_is_none_is_named(compare, tmp_path):
    (tmp_path / "runs" / "run0").mkdir(parents=True)
    (tmp_path / "runs" / "run0" / "robustness.csv").write_text("model,kind\n")
    assert "robustness.csv lacks the columns" in said(compare(*TWO, show="Poor pictures"), "error")


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize(
    ("view", "what", "nobody"),
    [
        ("Poor pictures", "robustness", "None of these models was measured"),
        ("Map quality", "maps", "The maps of none of these models were measured"),
    ],
)
def test_a_model_that_is_here_is_measured_from_the_page_unless_long_work_is_switched_off(
    open_page, tmp_path, monkeypatch, allowed, view, what, nobody
):
    monkeypatch.setenv("LESIONLENS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LESIONLENS_DATA", str(tmp_path))
    monkeypatch.setenv("LESIONLENS_ALLOW_TRAINING", str(allowed).lower())
    monkeypatch.setattr("pages.ui.compare.robust.robustness_files", lambda _: [])
    monkeypatch.setattr("pages.ui.compare.maps.map_quality_files", lambda _: [])
    app = open_page("Compare", show=view, models="lesionlens-lite0")
    assert nobody in said(app, "info")
    keys = [one.key for one in app.button]
    assert (f"job_start_{what}:{what}-lesionlens-lite0-200" in keys) == allowed
    if not allowed:
        assert "switched off on this server" in said(app, "caption")
        assert "--checkpoint bundled:lesionlens-lite0" in app.code[0].value


def test_what_an_older_version_did_not_measure_can_be_added_from_the_page(open_page, tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "robustness-lesionlens-lite0-200"
    folder.mkdir(parents=True)
    robustness_of("lesionlens-lite0", skill=2.5).to_csv(folder / "robustness.csv", index=False)
    monkeypatch.setenv("LESIONLENS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LESIONLENS_DATA", str(tmp_path))
    app = open_page("Compare", show="Poor pictures", models="lesionlens-lite0")
    assert re.search(r"older version measured it without: .*too bright", said(app, "caption"))
    (start,) = [one for one in app.button if str(one.key).startswith("job_start_robustness")]
    assert start.label == "Measure what is new"
    whole = EVALUATIONS_FOLDER.parent / "robustness" / "lesionlens-lite0.csv"
    (folder / "robustness.csv").write_bytes(whole.read_bytes())
    app.run()
    assert "lesionlens-lite0 was measured on 200 lesions" in said(app, "caption")
    assert not [one for one in app.button if str(one.key).startswith("job_start_robustness")]


def test_models_that_were_measured_on_other_pictures_are_told_apart():
    rows = pd.DataFrame({"model": ["a", "b"], "n": [89, 55], "n_lesions": [66, 37]})
    assert robust._say_counts(rows) == (
        "Not measured on the same pictures: a: n = 89 pictures of 66 test lesions; b: n = 55 pictures of "
        "37 test lesions."
    )
    assert robust._say_counts(rows[:1]) == "n = 89 pictures of 66 test lesions."
