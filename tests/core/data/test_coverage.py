"""Test-data quality assurance: each check finds what was planted; what was not looked at is never fine."""

import io

import numpy as np
import pandas as pd
import pytest

from core.data.coverage import CHECKS, COLUMNS, FEW_LESIONS, LEGEND, Assurance, assure
from core.data.facts import SITES as ALL_SITES
from core.data.inspection import MEASURED
from core.data.readers import read_dataset
from core.data.splits import SPLITS, split_by_lesion
from core.evaluate.intervals import wilson
from core.labels import CODES


def made(per_class=400, **changes):
    """Return a table with so many lesions of each diagnosis, one photo each, facts of all sorts."""
    count = 7 * per_class
    numbers = np.arange(count)
    table = pd.DataFrame(
        {
            "image_id": [f"I{number:05d}" for number in numbers],
            "lesion_id": [f"L{number:05d}" for number in numbers],
            "dx": [CODES[number % 7] for number in numbers],
            "dx_type": "histo",
            "age_years": (numbers // 7 % 18) * 5.0,
            "sex": np.where(numbers // 7 % 2 == 0, "female", "male"),
            "site": [ALL_SITES[number // 7 % 14] for number in numbers],
            "image_path": [f"/pictures/I{number:05d}.jpg" for number in numbers],
        }
    )  # fmt: skip
    return table.assign(**changes)


def looked_at(table, **changes):
    rng = np.random.default_rng(0)
    found = pd.DataFrame(
        {name: rng.normal(0.5, 0.1, len(table)) for name in MEASURED}, index=table["image_id"]
    )
    found["ita_degrees"] = np.resize([70, 50, 35, 20, 0, -50], len(table)).astype(float)
    found["problem"] = pd.Series(pd.NA, index=found.index, dtype="string")
    return found.assign(**changes)


def states(assurance, part="test"):
    said = {}
    for check in assurance.of(part):
        said.setdefault(check.topic, []).append(check.state)
    return said


@pytest.fixture
def table():
    return made()


@pytest.fixture
def parts(table):
    return split_by_lesion(table, seed=0)


def test_a_set_with_everything_asks_for_no_look(table, parts):
    pairs = pd.DataFrame(
        columns=["first", "second", "kind", "apart", "part_first", "part_second"]
    ).assign(splits=pd.Series(dtype=bool))  # fmt: skip
    assurance = assure(table, parts, inspection=looked_at(table), pairs=pairs)
    assert {state for part in SPLITS for found in states(assurance, part).values() for state in found} == {
        "fine"
    }


def test_what_was_not_looked_at_is_unknown_and_never_fine(table, parts):
    found = states(assure(table, parts))
    for topic in ("duplicates", "pictures", "skin tone (ITA)"):
        assert found[topic] == ["unknown"]


def test_a_diagnosis_that_is_missing_or_thin_is_named_with_its_interval(table, parts):
    test = parts == "test"
    thin = table[~(test & (table["dx"] == "df"))]
    bcc = thin[(parts == "test").loc[thin.index] & (thin["dx"] == "bcc")]
    thin = thin.drop(bcc.index[12:])
    assurance = assure(thin, parts.loc[thin.index])
    said = " ".join(check.sentence for check in assurance.of("test") if check.topic == "labels")
    assert "No lesion of dermatofibroma" in said
    low, high = wilson(0.8 * 12, 12)
    assert "Basal cell carcinoma: 12 lesions" in said
    assert f"{low:.2f} to {high:.2f}" in said


def test_malignant_labels_without_histopathology_ask_for_a_look(table, parts):
    table.loc[table["dx"] == "mel", "dx_type"] = "consensus"
    assert "look" in states(assure(table, parts))["truth"]
    table.loc[table["dx"] == "mel", "dx_type"] = "histo"
    table.loc[table["dx"] == "nv", "dx_type"] = "follow_up"
    assert "look" not in states(assure(table, parts))["truth"]


@pytest.mark.parametrize(("column", "value"), [("sex", "male"), ("site", "ear"), ("age_years", 15.0)])
def test_groups_that_are_hardly_there_are_named(table, parts, column, value):
    ages = [10.0, 15.0] if column == "age_years" else [value]
    rare = table[column].isin(ages) & (parts == "test")
    few = table.drop(table.index[rare][FEW_LESIONS - 1 :])
    topic = "age" if column == "age_years" else column
    check = next(one for one in assure(few, parts.loc[few.index]).of("test") if one.topic == topic)
    assert check.state == "look"
    assert f"({FEW_LESIONS - 1})" in check.sentence


def test_unknown_facts_are_counted_and_many_ask_for_a_look(table, parts):
    test = np.flatnonzero(parts == "test")
    table.loc[test[::4], "sex"] = None
    check = next(one for one in assure(table, parts).of("test") if one.topic == "sex")
    assert check.state == "look"
    assert f"25.0\N{NO-BREAK SPACE}% of {len(test):,} images" in check.sentence


def test_a_lesion_in_two_parts_is_a_sibling(table, parts):
    table.loc[table.index[parts == "test"][0], "lesion_id"] = table.loc[parts == "train", "lesion_id"].iloc[0]
    found = assure(table, parts)
    for part in ("train", "test"):
        assert states(found, part)["siblings"] == ["look"]
    assert states(found, "val")["siblings"] == ["fine"]


def test_a_duplicate_across_parts_is_told_on_both_sides_and_one_lesions_photos_are_not(table, parts):
    pairs = pd.DataFrame(
        [
            ("I00001", "I00002", "near copy", "lesions", "train", "test", True),
            ("I00003", "I00004", "near copy", "", "train", "val", True),
            ("I00005", "I00006", "near copy", "lesions", "val", "val", False),
        ],
        columns=["first", "second", "kind", "apart", "part_first", "part_second", "splits"],
    )
    found = assure(table, parts, pairs=pairs)
    assert [states(found, part)["duplicates"] for part in SPLITS] == [["look"], ["fine"], ["look"]]
    sentence = next(one.sentence for one in found.of("test") if one.topic == "duplicates")
    assert sentence.startswith("1 pair ")
    assert "I00001 and I00002" in sentence


def test_pictures_that_are_gone_broken_or_unlike_the_others_are_told(table, parts):
    inspection = looked_at(table)
    test = table.loc[parts == "test", "image_id"]
    inspection.loc[test.iloc[0], "problem"] = "I0.jpg is cut off."
    inspection.loc[test.iloc[: len(test) // 2], "sharpness"] = 0.01
    table.loc[table.index[parts == "test"][1], "image_path"] = None
    found = assure(table, parts, inspection=inspection)
    said = {
        topic: state for topic, state in states(found).items() if topic in ("pictures", "picture quality")
    }
    assert said == {"pictures": ["look", "look"], "picture quality": ["look"]}
    sentences = " ".join(check.sentence for check in found.of("test"))
    assert "I0.jpg is cut off." in sentences
    assert "blurred" in sentences
    assert "picture quality" not in states(found, "train")


def test_counts_add_up_in_every_column_and_part(table, parts):
    found = assure(table, parts, inspection=looked_at(table))
    assert set(found.counts["column"]) == set(COLUMNS)
    sums = found.counts.groupby(["column", "part"])[["images", "share"]].sum()
    for (_, part), row in sums.iterrows():
        assert row["images"] == (parts == part).sum()
        assert row["share"] == pytest.approx(1)


def test_the_report_says_each_check_once_as_csv_and_as_markdown(table, parts):
    found = assure(table, parts, inspection=looked_at(table))
    text, csv = found.to_markdown(title="A | b <script>"), found.to_csv().decode()
    assert "<script>" not in text
    assert text.splitlines()[0] == "# A \\| b &lt;script>"
    for check in found.checks:
        assert check.sentence in text
        assert check.sentence.replace("\N{NO-BREAK SPACE}", " ") in csv
    read = pd.read_csv(io.StringIO(csv), comment="#")
    assert read.columns.tolist() == ["column", "value", "part", "images", "lesions", "share"]
    assert len(read) == len(found.counts)
    assert "It is not skin type" in text
    # Every table says what "5 (3)" is, right before it.
    assert text.count(f"{LEGEND}\n\n| | ") == text.count("## ") - len(found.parts)


def test_parts_that_are_empty_are_left_out(table):
    found = assure(table, pd.Series("train", index=table.index))
    assert found.parts == ("train",)
    assert isinstance(found, Assurance)
    assert found.of("test") == ()


def test_every_check_is_in_the_registry_once():
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS)


def test_the_real_test_part_is_thin_in_the_rare_diagnoses_and_proven_where_malignant(ham10000_folder):
    metadata = read_dataset(ham10000_folder)
    found = assure(metadata, split_by_lesion(metadata, seed=0))
    labels = [check.sentence for check in found.of("test") if check.topic == "labels"]
    assert [sentence.split(":")[0] for sentence in labels][1:] == ["Dermatofibroma", "Vascular lesion"]
    assert states(found)["siblings"] == ["fine"]
    assert "100\N{NO-BREAK SPACE}% of the 196 malignant images" in " ".join(
        check.sentence for check in found.of("test")
    )
