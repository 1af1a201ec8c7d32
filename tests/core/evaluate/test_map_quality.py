"""Map quality over pictures: gains have the sign that people read, and files are read or refused."""

import os

import numpy as np
import pandas as pd
import pytest

from core.errors import EvaluationError
from core.evaluate.gathering import map_quality_files
from core.evaluate.intervals import Interval
from core.evaluate.map_quality import (
    COLUMNS,
    COMPARISONS,
    GROUPS,
    PICTURE_COLUMNS,
    read_map_quality,
    summarise,
)
from core.explain.trust import CORNERS_SHARE, RIM_SHARE


def pictures(count=40):
    """Return pictures whose maps beat what knows nothing by 0.2 or 0.5, two of a lesion."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: rng.uniform(0.2, 0.4, count) for name in PICTURE_COLUMNS})
    table["image_id"] = [f"P{number}" for number in range(count)]
    table["lesion_id"] = [f"L{number // 2}" for number in range(count)]
    table["dx_type"] = np.where(np.arange(count) < count // 2, "histo", "follow_up")
    table["right"] = np.arange(count) % 4 > 0
    table["inside"] = table["inside_blob"] + 0.2
    table["rim"] = table["rim_blob"] - 0.2
    table["corners"] = table["corners_blob"] + 0.2
    table["deletion"] = table["deletion_random"] - 0.5
    table["insertion"] = table["insertion_random"] + 0.5
    return table


def of_all(table):
    return table[table["pictures"] == "all"]


def values(table, group="all"):
    mine = of_all(table)
    return mine[mine["group"] == group].set_index("measure")["value"]


def test_above_zero_the_map_is_better_whichever_way_the_measure_runs():
    found = values(summarise("m", pictures(), resamples=50))
    gains = {one.gain: found[one.gain] for one in COMPARISONS}
    assert gains == pytest.approx(
        {
            "inside_gain": 0.2,
            "rim_gain": 0.2,
            "corners_gain": -0.2,
            "deletion_gain": 0.5,
            "insertion_gain": 0.5,
        }
    )


def test_right_and_wrong_answers_are_all_answers_and_lesions_are_counted():
    table = summarise("m", pictures(), resamples=50)
    inside = table[table["measure"] == "inside"]
    assert of_all(inside).set_index("group")["n"].to_dict() == {"all": 40, "right": 30, "wrong": 10}
    assert set(of_all(table)[of_all(table)["group"] == "all"]["n_lesions"]) == {20}
    histology = inside[inside["pictures"] == "histology"].set_index("group")
    assert histology["n"].to_dict() == {"all": 20, "right": 15, "wrong": 5}
    confirmed = pictures().query("dx_type == 'histo'")["inside"]
    assert histology.loc["all", "value"] == pytest.approx(confirmed.mean())
    assert list(table["group"].unique()) == list(GROUPS)
    assert values(table)["inside"] == pytest.approx(pictures()["inside"].mean())
    assert (table["low"] <= table["value"] + 1e-9).all()
    assert (table["value"] <= table["high"] + 1e-9).all()


def test_a_map_without_positive_evidence_is_left_out_of_shares_alone():
    mine = pictures()
    mine.loc[:3, ["inside", "rim", "corners"]] = np.nan
    found = of_all(summarise("m", mine, resamples=50))
    n = found[found["group"] == "all"].set_index("measure")["n"]
    assert n["inside"] == n["inside_gain"] == 36
    assert n["deletion"] == 40


def test_without_wrong_answers_nothing_is_said_of_them():
    found = summarise("m", pictures().assign(right=1), resamples=50)
    assert values(found, "wrong").isna().all()
    assert set(found[found["group"] == "wrong"]["n"]) == {0}


def test_files_are_read_together_and_the_last_word_counts(tmp_path):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    summarise("m", pictures(), resamples=20).to_csv(first, index=False)
    other = pd.concat([summarise(name, pictures(8), resamples=20) for name in ("m", "k")])
    other.to_csv(second, index=False)
    found = read_map_quality([first, second])
    assert set(found["model"]) == {"m", "k"}
    assert found[(found["model"] == "m") & (found["measure"] == "rim")]["n"].max() == 8
    assert read_map_quality([]).empty


def test_a_model_may_be_called_whatever_somebody_calls_it(tmp_path):
    names = ["run #2", "#x", "# y", "nan", "001", "a,b"]
    table = pd.concat([summarise(name, pictures(8), resamples=20) for name in names])
    (tmp_path / "a.csv").write_text("# measured by a test\n" + table.to_csv(index=False))
    found = read_map_quality([tmp_path / "a.csv"])
    assert list(found["model"].unique()) == names
    assert found["value"].to_numpy() == pytest.approx(table["value"].to_numpy(), nan_ok=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model,group\nm,all\n", "lacks the columns"),
        (",".join(COLUMNS) + "\nm,some,rim,1,1,1,1,1\n", "has the groups"),
        ("", "Cannot read"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path, text, words):
    (tmp_path / "odd.csv").write_text(text)
    with pytest.raises(EvaluationError, match=words) as refused:
        read_map_quality([tmp_path / "odd.csv"])
    assert "odd.csv" in str(refused.value)


def test_what_is_bundled_and_what_lies_below_the_runs_is_found(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "map_quality.csv").touch()
    found = map_quality_files(tmp_path)
    assert found[-1] == tmp_path / "mine" / "map_quality.csv"
    bundled = read_map_quality(found[:-1])
    assert "lesionlens-lite0" in set(bundled["model"])
    everywhere = of_all(bundled)
    assert everywhere[everywhere["group"] == "all"]["n_lesions"].min() >= 150


def test_what_somebody_measured_here_counts_and_the_newer_of_two(tmp_path):
    for place, (folder, count) in enumerate({"a": 16, "b": 8}.items()):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "map_quality.csv"
        summarise("lesionlens-lite0", pictures(count), resamples=20).to_csv(file, index=False)
        os.utime(file, (1000 - place, 1000 - place))
    found = read_map_quality(map_quality_files(tmp_path))
    assert found[found["model"] == "lesionlens-lite0"]["n"].max() == 16


def test_at_the_edge_maps_are_judged_by_what_a_flat_map_has_there(tmp_path):
    flats = {one.own: one.flat for one in COMPARISONS if one.flat is not None}
    assert flats == pytest.approx({"rim": RIM_SHARE, "corners": CORNERS_SHARE})
    one = next(one for one in COMPARISONS if one.own == "corners")
    against, gain = one.judged(Interval(0.056, 0.047, 0.066, 278, 206), Interval(-0.01, -0.02, -0.004, 9, 9))
    assert against == "flat map"
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.104, 0.094, 0.113))
    assert (gain.n, gain.n_lesions) == (278, 206)
    others = [one for one in COMPARISONS if one.flat is None]
    mine = Interval(0.5, 0.4, 0.6, 3, 3)
    assert all(one.judged(gain, mine)[1] == mine for one in others)
