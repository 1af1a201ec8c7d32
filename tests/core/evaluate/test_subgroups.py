"""Groups carry n and interval, small ones are marked, and only a planted weakness is found."""

import numpy as np
import pytest

from core.evaluate.artifact import PROBABILITY_COLUMNS
from core.evaluate.lineup import line_up
from core.evaluate.metrics import METRICS
from core.evaluate.subgroups import (
    FACETS,
    FAILURES,
    UNKNOWN,
    by_group,
    divide,
    facets_of,
    gap,
    histology_only,
    worst_slices,
)
from tests.core.evaluate.making import make_evaluation, make_table

ACCURACY = METRICS["accuracy"]


def planted(n=1400):
    """Return a line-up whose second model answers at random for women's faces, and well elsewhere."""
    table = make_table(n, skill=3.0)
    weak = ((table["sex"] == "female") & (table["site"] == "face")).to_numpy()
    columns = list(PROBABILITY_COLUMNS)
    poor = table.copy()
    poor.loc[weak, columns] = make_table(n, skill=0.0, seed=5).loc[weak, columns]
    return line_up([make_evaluation("even", table=table), make_evaluation("poor", table=poor)], resamples=300)


LINEUP = planted()


@pytest.mark.parametrize("name", ["age", "sex", "site", "dx_type"])
def test_a_groups_number_is_the_metric_of_its_pictures(name):
    facet = FACETS[name]
    groups = divide(LINEUP.facts, facet)
    found = by_group(LINEUP, facet, {1: ACCURACY})
    assert {one.name for one in found} == set(groups)
    assert sum(one.interval.n for one in found) == LINEUP.n_images
    for one in found:
        mine = (groups == one.name).to_numpy()
        assert one.interval.value == ACCURACY(LINEUP.truth[mine], LINEUP.probabilities[1][mine])
        assert one.interval.low <= one.interval.value <= one.interval.high


def test_a_weak_group_stands_out_and_an_even_model_has_none():
    found = by_group(LINEUP, FACETS["sex"], {0: ACCURACY, 1: ACCURACY})
    assert not any(one.stands_out for one in found if one.model == 0)
    assert all(one.stands_out for one in found if one.model == 1)  # of two groups both differ from the other


def test_a_group_of_few_lesions_is_small_and_never_stands_out():
    table = make_table(140, skill=3.0).assign(sex=["female"] * 130 + ["male"] * 10)
    lineup = line_up([make_evaluation(table=table)], resamples=50)
    small = {one.name: one for one in by_group(lineup, FACETS["sex"], {0: ACCURACY})}
    assert small["male"].small
    assert not small["male"].stands_out
    assert not small["female"].small


def test_ages_fall_into_bands_in_order_and_what_is_unknown_comes_last():
    table = make_table(14).assign(age_years=[0, 29, 30, 44, 45, 59, 60, 74, 75, 90, np.nan, 1, 2, 3])
    groups = divide(table, FACETS["age"])
    assert groups[:4].tolist() == ["under 30", "under 30", "30 to 44", "30 to 44"]
    assert groups[8:11].tolist() == ["75 and over", "75 and over", UNKNOWN]
    found = by_group(line_up([make_evaluation(table=table)], resamples=5), FACETS["age"], {0: ACCURACY})
    assert [one.name for one in found][::5] == ["under 30", UNKNOWN]


def test_only_facets_that_are_known_are_offered():
    plain = {facet.name for facet in facets_of(make_table())}
    assert plain == {"age", "sex", "site", "dx_type"}
    rich = make_table().assign(ita_degrees=50.0, hair=np.arange(140) / 140)
    assert {"ita", "hair"} <= {facet.name for facet in facets_of(rich)}
    assert divide(rich, FACETS["hair"]).value_counts().between(46, 47).all()
    assert set(divide(rich, FACETS["ita"])) == {"light"}


def test_the_gap_lies_between_best_and_worst_group():
    found = gap(LINEUP, FACETS["site"], 1, ACCURACY)
    assert (found.best, found.worst) == ("back", "face")
    values = {one.name: one.interval.value for one in by_group(LINEUP, FACETS["site"], {1: ACCURACY})}
    assert found.value == pytest.approx(values["back"] - values["face"])
    assert 0 < found.low < found.value < found.high


def test_the_planted_weakness_is_the_worst_slice_and_chance_finds_none():
    found, looked_at = worst_slices(LINEUP, 1, FAILURES["wrong"])
    assert looked_at > 10
    assert set(found[0].features) == {("Sex", "female"), ("Body site", "face")}
    assert found[0].p < 1e-6
    assert found[0].rate == pytest.approx(6 / 7, abs=0.06)
    even, _ = worst_slices(LINEUP, 0, FAILURES["wrong"])
    assert all(one.p > 0.05 for one in even)


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_counts_only_those_that_can_fail(name):
    among, failed = FAILURES[name].of(LINEUP.truth, LINEUP.probabilities[0], 0.4)
    assert among.shape == failed.shape == LINEUP.truth.shape
    assert 0 < failed[among].mean() < 1


def test_histology_alone_is_what_dx_type_says():
    table = make_table()
    assert histology_only(table).sum() == (table["dx_type"] == "histo").sum()
    assert histology_only(table.assign(dx_type=None)).sum() == 0
