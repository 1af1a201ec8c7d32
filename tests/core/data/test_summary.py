"""Summaries: the counts are pandas' own, the sentences are computed, and nothing undefined is a number."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from core.data.counts import bundled_facts
from core.data.facets import COLUMNS, UNKNOWN, Facets
from core.data.selection import KEYS, Selection
from core.data.summary import (
    SUMMARIES,
    UNITS,
    age_by_dx,
    balance_plan,
    by_dx_type,
    by_sex,
    by_site,
    class_balance,
    count,
    coverage,
    crosstab,
    images_per_lesion,
    missing,
    size,
    summarise,
)
from core.labels import CODES, MALIGNANT
from tests.core.data.tables import metadata_tables, table_of

TABLES = metadata_tables(max_lesions=10)


@pytest.fixture(scope="module")
def ham10000() -> pd.DataFrame:
    return bundled_facts()


def row(number, dx="nv", *, lesion=None, dx_type="histo", age=50.0, sex="male", site="back"):
    return (f"i{number}", lesion or f"l{number}", dx, dx_type, age, sex, site, "made", None)


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with each of COLUMNS as text, the words of its facets."""
    facets = Facets.of(table)
    words = {
        column: [facets.columns[column].words[code] for code in facets.columns[column].codes]
        for column in COLUMNS
    }
    return pd.DataFrame(words, index=table.index).assign(lesion_id=table["lesion_id"])


@settings(max_examples=30)
@given(TABLES, st.sampled_from(COLUMNS), st.sampled_from(UNITS))
def test_counts_are_those_of_pandas(table, column, unit):
    groups = named(table).groupby(column)["lesion_id"]
    expected = groups.size() if unit == "images" else groups.nunique()
    counted = count(table, column, unit)
    assert dict(zip(counted[column], counted["count"], strict=True)) == {
        **dict.fromkeys(counted[column], 0),
        **expected.to_dict(),
    }
    total = len(table) if unit == "images" else table["lesion_id"].nunique()
    assert size(table, unit) == total
    if total:
        np.testing.assert_allclose(counted["share"], counted["count"] / total)
    else:
        assert counted["share"].isna().all()


@settings(max_examples=30)
@given(TABLES, st.tuples(st.sampled_from(COLUMNS), st.sampled_from(COLUMNS)), st.sampled_from(UNITS))
def test_crossed_counts_are_those_of_pandas(table, columns, unit):
    index, crossed = columns
    words = named(table)
    words = pd.DataFrame({"row": words[index], "column": words[crossed], "lesion_id": words["lesion_id"]})
    groups = words.groupby(["row", "column"])["lesion_id"]
    expected = (groups.size() if unit == "images" else groups.nunique()).to_dict()
    counts = crosstab(table, index, crossed, unit)
    found = {(row, word): counts.loc[row, word] for row in counts.index for word in counts.columns}
    assert {key: number for key, number in found.items() if number} == expected
    shares = crosstab(table, index, crossed, unit, share="row").to_numpy()
    rows = count(table, index, unit)["count"].to_numpy()
    assert np.isnan(shares[rows == 0]).all()
    np.testing.assert_allclose(shares[rows > 0] * rows[rows > 0, None], counts.to_numpy()[rows > 0])


def test_a_lesion_whose_photos_disagree_counts_for_each_of_their_values():
    table = table_of([row(1, lesion="a", site="back"), row(2, lesion="a", site="trunk"), row(3)])
    by_site_of_lesions = count(table, "site", "lesions").set_index("site")
    assert by_site_of_lesions["count"].to_dict() == {"back": 2, "trunk": 1}
    assert by_site_of_lesions["share"].to_dict() == {"back": 1, "trunk": 0.5}


@settings(max_examples=20, deadline=None)
@given(TABLES, st.sampled_from(UNITS))
@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_of_any_rows_is_a_sentence_without_undefined_numbers(name, table, unit):
    finding = SUMMARIES[name].function(table, unit)
    assert re.fullmatch(r"[A-Z0-9].*\.", finding.sentence), finding.sentence
    assert not re.search(r"\bnan\b|\binf\b|None|n/a", finding.sentence), finding.sentence
    assert finding.n <= size(table, unit)
    assert not np.isinf(finding.table.select_dtypes("number").to_numpy()).any()
    if table.empty:
        assert (finding.sentence, finding.n) == (f"No {unit} are chosen.", 0)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_says_that_there_are_few(name, unit):
    many = table_of([row(number, CODES[number % 7], sex="female") for number in range(30)])
    few = table_of([row(number, CODES[number % 7], sex="female") for number in range(29)])
    assert "Few to go by" not in SUMMARIES[name].function(many, unit).sentence
    assert f"Few to go by: n = 29 {unit}." in SUMMARIES[name].function(few, unit).sentence


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_leaves_aside_keys_that_there_are(name):
    assert set(SUMMARIES[name].columns) <= set(KEYS)


@settings(max_examples=20)
@given(metadata_tables(min_lesions=1), st.sampled_from(UNITS), st.sampled_from(["sex", "site", "dx"]))
def test_summaries_of_a_selection_are_those_of_its_rows_but_for_their_own_column(table, unit, column):
    selection = Selection().only(column, [Facets.of(table).columns[column].words[0]])
    findings = summarise(table, selection, unit)
    assert list(findings) == list(SUMMARIES)
    for name, summary in SUMMARIES.items():
        rows = table if column in summary.columns else selection.choose(table)
        expected = summary.function(rows, unit)
        assert (findings[name].sentence, findings[name].n) == (expected.sentence, expected.n)
        pd.testing.assert_frame_equal(findings[name].table, expected.table)


def test_ham10000_is_two_thirds_nevi(ham10000):
    finding = class_balance(ham10000, "images")
    assert finding.sentence.replace("\N{NO-BREAK SPACE}", " ") == (
        "Nevi are 66.9 % (6,705 of 10,015 images); always answering “nevus” would already be right that "
        "often. Rarest are dermatofibromas: 1.1 % (115 of 10,015)."
    )
    malignant = finding.table.loc[finding.table["malignant"], "count"]
    assert malignant.sum() == 1954
    assert class_balance(ham10000, "lesions").table["count"].sum() == 7470


def test_where_nevi_are_not_commonest_both_are_said(ham10000):
    finding = class_balance(Selection({"site": {"face"}}).choose(ham10000), "lesions")
    assert finding.sentence.startswith("Benign keratoses are 41.3\N{NO-BREAK SPACE}% (194 of 470 lesions); ")
    assert "“nevus” would be right for 13.0\N{NO-BREAK SPACE}% (61 of 470)." in finding.sentence


def test_melanomas_come_later_in_life_than_nevi(ham10000):
    lesions = ham10000.groupby("lesion_id").agg(dx=("dx", "first"), age=("age_years", "mean")).dropna()
    mel, nv = (lesions.loc[lesions["dx"] == code, "age"] for code in ("mel", "nv"))
    finding = age_by_dx(ham10000, "lesions")
    assert f"are {mel.mean() - nv.mean():.0f} years older" in finding.sentence
    assert f"n = {len(mel):,} and {len(nv):,} lesions of known age" in finding.sentence
    half = 1.96 * np.sqrt(mel.var(ddof=0) / len(mel) + nv.var(ddof=0) / len(nv))
    gap = mel.mean() - nv.mean()
    assert f"interval of the difference {gap - half:.1f} to {gap + half:.1f};" in finding.sentence
    ages = finding.table.set_index("dx")
    np.testing.assert_allclose(
        ages.loc["mel", ["q25", "median", "q75"]].astype(float), mel.quantile([0.25, 0.5, 0.75])
    )
    assert ages["n"].sum() + ages["unknown"].sum() == 7470


def test_more_photos_of_the_same_lesions_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    once = [
        row(number, "mel" if number % 2 else "nv", age=float(age))
        for number, age in enumerate(rng.integers(20, 80, 100))
    ]
    again = [(f"{image}-again", *facts) for image, *facts in once]
    single, double = (age_by_dx(table_of(rows), "images").sentence for rows in (once, once + again))
    assert "interval of the difference" in single
    assert double == single.replace("n = 50 and 50", "n = 100 and 100")


@pytest.mark.parametrize(("lesions", "told"), [(29, False), (30, True)])
def test_an_interval_is_told_of_enough_lesions_however_many_their_photos(lesions, told):
    photos = [
        (f"{dx}{lesion}-{photo}", f"{dx}{lesion}", dx, None, 40.0 + lesion, None, None, None, None)
        for dx, number in (("mel", lesions), ("nv", 40))
        for lesion in range(number)
        for photo in range(3)
    ]
    assert ("interval" in age_by_dx(table_of(photos), "images").sentence) == told


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row(1, "mel", age=None)], "Of 1 image, no age is known."),
        (
            [row(1, "mel", age=40)],
            "People with melanomas are 40 years old on average (n = 1 image of known age).",
        ),
        (
            [row(1, "mel", age=40), row(2, "nv", age=40.2)],
            "People with nevi are as old on average as people with melanomas: 40 against 40 years (n = 1 and",
        ),
        (
            [row(1, "df", age=20), row(2, "bcc", age=70), row(3, "nv", age=40)],
            "People with basal cell carcinomas are 50 years older on average than people with dermatofib",
        ),
    ],
)
def test_ages_are_compared_as_far_as_they_are_known(rows, words):
    assert words in age_by_dx(table_of(rows), "images").sentence


def test_sexes_are_told_with_what_is_malignant_of_each(ham10000):
    finding = by_sex(ham10000, "images")
    table = finding.table.set_index("sex")
    assert table["count"].to_dict() == {"female": 4552, "male": 5406, UNKNOWN: 57}
    expected = ham10000["dx"].isin(np.array(CODES)[MALIGNANT])[ham10000["sex"] == "male"]
    assert table.loc["male", "malignant_share"] == expected.mean()
    assert f"({expected.sum():,} of 5,406) of male images" in finding.sentence


def test_the_worst_site_has_enough_images_to_be_told():
    rows = [row(number, site="back") for number in range(60)]
    rows += [row(number, "mel" if number < 80 else "nv", site="chest") for number in range(60, 100)]
    rows += [row(number, "mel", site="ear") for number in range(100, 110)]
    sentence = by_site(table_of(rows), "images").sentence
    assert sentence.startswith("Most images are from the back: 54.5\N{NO-BREAK SPACE}% (60 of 110).")
    assert (
        "at least 30 images, the chest has the largest malignant share: 50.0\N{NO-BREAK SPACE}% (20 of 40)"
        in sentence
    )


def test_no_site_is_called_worst_where_nothing_is_malignant():
    rows = [row(number, site="back" if number < 40 else "chest") for number in range(80)]
    assert "malignant" not in by_site(table_of(rows), "images").sentence


def test_how_a_diagnosis_was_established_gives_it_away(ham10000):
    finding = by_dx_type(ham10000, "images")
    assert "All 3,704 images by follow-up are nevi" in finding.sentence
    assert "all 1,954 malignant images are by histopathology" in finding.sentence
    only = finding.table.set_index("dx_type")["only_dx"]
    assert only["follow_up"] == "nv"
    assert pd.isna(only["histo"])


@settings(max_examples=40)
@given(metadata_tables(min_lesions=2))
def test_the_ranking_by_dx_type_is_worth_its_auc(table):
    table = table[table["dx_type"].notna()]
    malignant = table["dx"].isin(np.array(CODES)[MALIGNANT])
    assume(malignant.nunique() == 2)
    shares = malignant.groupby(table["dx_type"]).transform("mean")
    assert (
        f"an AUC of {roc_auc_score(malignant, shares):.2f} (n = {len(table)})"
        in by_dx_type(table, "images").sentence
    )


def test_a_random_split_leaks_as_often_as_is_said(ham10000):
    table = images_per_lesion(ham10000, "lesions").table
    assert table["lesions"].sum() == 7470
    assert table["images"].sum() == 10015
    said = float(re.search(r"about ([\d.]+)", images_per_lesion(ham10000, "images").sentence)[1])
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        in_test = rng.random(len(ham10000)) < 0.2
        in_training = set(ham10000.loc[~in_test, "lesion_id"])
        found.append(100 * ham10000.loc[in_test, "lesion_id"].isin(in_training).mean())
    assert np.mean(found) == pytest.approx(said, abs=0.5)


def test_lesions_with_one_image_each_cannot_leak():
    assert images_per_lesion(table_of([row(1), row(2)]), "images").sentence.startswith(
        "Each of 2 lesions has one image."
    )


def test_what_is_missing_comes_first_and_in_order(ham10000):
    finding = missing(ham10000, "images")
    assert next(iter(SUMMARIES)) == "missing"
    assert finding.table["column"].tolist()[:4] == ["image_path", "site", "age_band", "sex"]
    assert finding.table["count"].tolist()[:4] == [10015, 234, 57, 57]
    assert "site 2.3\N{NO-BREAK SPACE}% (234)" in finding.sentence
    assert "39 images with age 0 may be infants" in finding.sentence
    # All pictures away is a dataset of facts, not a gap.
    assert "Picture" not in finding.sentence


def test_some_pictures_missing_is_said():
    table = table_of([row(number) for number in range(40)])
    table.loc[3, "image_path"] = "/a.jpg"
    assert "Pictures are missing for 97.5\N{NO-BREAK SPACE}% (39 of 40)." in missing(table, "images").sentence


def test_thin_combinations_are_counted(ham10000):
    finding = coverage(ham10000, "lesions")
    lesions = ham10000.assign(band=ham10000["age_years"] // 10).dropna(subset=["age_years", "sex"])
    sizes = lesions.groupby(["dx", "sex", "band"])["lesion_id"].nunique()
    cells = 7 * 2 * 9
    thin = cells - (sizes >= 10).sum()
    assert f"Of {cells} combinations" in finding.sentence
    assert f"{thin} have fewer than 10 lesions and {cells - len(sizes)} of these none" in finding.sentence
    assert finding.table.to_numpy().sum() == sizes.sum()
    assert finding.n == lesions["lesion_id"].nunique()


def test_copies_multiply_images_and_not_lesions(ham10000):
    finding = balance_plan(ham10000)
    plan = finding.table.set_index("dx")
    assert (plan["images"] + plan["extra"] == 6705).all()
    np.testing.assert_allclose(plan["repeats"] * plan["images"], 6705)
    assert "every image of dermatofibromas would be seen 58.3 times as often as now" in finding.sentence
    assert "115 images of only 73 lesions" in finding.sentence


def test_a_target_that_is_reached_needs_no_copies(ham10000):
    finding = balance_plan(ham10000, target=115)
    assert (finding.table["extra"] == 0).all()
    assert finding.sentence == "Every diagnosis that is here has at least 115 images already."


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_weights_draw_as_many_as_before_in_another_mix(ham10000, power):
    plan = balance_plan(ham10000, power=power).table
    assert plan["drawn_share"].sum() == pytest.approx(1)
    assert (plan["weight"] * plan["images"]).sum() == pytest.approx(10015)
    shares = plan["images"] / 10015
    expected = {0.0: shares, 0.5: np.sqrt(shares) / np.sqrt(shares).sum(), 1.0: np.full(7, 1 / 7)}[power]
    np.testing.assert_allclose(plan["drawn_share"], expected)


def test_a_diagnosis_without_images_cannot_be_copied():
    finding = balance_plan(table_of([row(number, "mel" if number % 3 else "nv") for number in range(60)]))
    plan = finding.table.set_index("dx")
    assert plan.loc["df", ["repeats", "weight", "drawn_share"]].isna().all()
    assert plan.loc["df", "extra"] == 0
    assert "There is nothing to copy of actinic keratoses, " in finding.sentence
    assert finding.sentence.endswith("dermatofibromas and vascular lesions.")


def test_a_share_is_rounded_to_nothing_or_all_only_where_it_is():
    rows = [row(number) for number in range(3000)] + [row(3000, "mel")]
    sentence = class_balance(table_of(rows), "images").sentence.replace("\N{NO-BREAK SPACE}", " ")
    assert "Nevi are > 99.9 % (3,000 of 3,001 images)" in sentence
    assert "Rarest are melanomas: < 0.1 % (1 of 3,001)." in sentence
    assert (
        "Nevi are 100\N{NO-BREAK SPACE}% (1 of 1 images)"
        in class_balance(table_of([row(1)]), "images").sentence
    )
