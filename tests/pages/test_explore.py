"""Explore, seen from its pages: datasets, the filter in the address, views, and what charts are told."""

import io

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from core.data.cards import LICENCES, cards
from core.data.counts import bundled_facts
from core.data.facets import UNKNOWN, Facets
from core.data.facts import SITES
from core.data.selection import Selection
from core.data.summary import age_by_dx, by_site, class_balance, crosstab
from core.data.synthetic import make_dataset
from core.labels import CODES
from core.words import READERS
from pages.ui.explore import datasets, figures, outline, rows, views
from pages.ui.explore.explored import Explored
from tests.pages.reading import said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("data") / "drawn", images_per_class=3, seed=5, size_px=(24, 32)
    )


@pytest.fixture(scope="module")
def facts():
    return bundled_facts()


@pytest.fixture
def at_this_machine(monkeypatch):
    """AppTest has no client whose address could be asked."""
    monkeypatch.setattr(datasets, "sits_here", lambda: True)


def numbers(app):
    return {metric.label: metric.value for metric in app.metric}


def test_the_first_launch_counts_ham10000_without_a_download(open_page):
    app = open_page("Explore")
    assert not app.exception
    assert numbers(app) == {
        "Images": "10,015",
        "Lesions": "7,470",
        "Malignant images": "1,954",
        "With a picture here": "0",
    }
    assert "14 years older on average than people with nevi" in said(app, "markdown")


def test_a_filter_in_the_address_is_followed_and_its_chip_takes_it_off(open_page):
    app = open_page("Explore", dx="mel", unit="lesions")
    assert not app.exception
    assert (numbers(app)["Lesions"], numbers(app)["Malignant lesions"]) == ("614", "614")
    app.button(key="explore_chip_dx_mel").click().run()
    assert not app.exception
    assert numbers(app)["Lesions"] == "7,470"
    assert "dx" not in app.query_params


def test_what_an_address_says_and_the_dataset_lacks_is_named_and_left_out(open_page):
    app = open_page("Explore", dx="mel,wart", ages="old", site="back")
    assert not app.exception
    assert "wart" in said(app, "warning")
    assert "old" in said(app, "warning")
    assert app.query_params["dx"] == "mel"
    assert "ages" not in app.query_params
    assert numbers(app)["Images"] == "324"


@pytest.mark.parametrize("view", views.VIEWS)
def test_no_view_breaks_when_nothing_passes_the_filter(open_page, folder, monkeypatch, view):
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    app = open_page("Explore", view=view, ages="0-0", dx="mel")
    assert not app.exception
    assert numbers(app)["Images"] == "0"
    if views.VIEWS[view].needs_rows:
        assert "No image passes the filter" in said(app, "info")


@pytest.mark.parametrize("view", [name for name, view in views.VIEWS.items() if view.needs_pictures])
def test_a_view_of_pictures_leads_to_them_where_there_are_none(open_page, view):
    app = open_page("Explore", view=view)
    assert not app.exception
    assert f"{view} needs pictures" in said(app, "info")
    app.button(key="explore_get").click().run()
    assert not app.exception
    assert app.session_state["view"] == "Get data"


def test_a_view_that_does_not_exist_becomes_the_first(open_page):
    app = open_page("Explore", view="Horoscope")
    assert not app.exception
    assert app.session_state["view"] == views.DEFAULT


def test_the_configured_folder_opens_first_and_brings_its_pictures(open_page, folder, monkeypatch):
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    app = open_page("Explore")
    assert not app.exception
    assert app.selectbox(key="dataset").value == "drawn, local folder"
    assert (numbers(app)["Images"], numbers(app)["With a picture here"]) == ("21", "21")


def test_a_configured_folder_that_is_away_is_named_and_the_facts_show(open_page, tmp_path, monkeypatch):
    monkeypatch.setenv("LESIONLENS_DATA", str(tmp_path / "nowhere"))
    app = open_page("Explore")
    assert not app.exception
    assert "nowhere" in said(app, "error")
    assert numbers(app)["Images"] == "10,015"


def test_another_folder_is_opened_by_its_path_and_refused_by_its_name(
    open_page, folder, tmp_path, at_this_machine
):
    app = open_page("Explore", dataset=datasets.ANY_FOLDER, folder=str(tmp_path / "nowhere"))
    assert not app.exception
    assert "nowhere" in said(app, "error")
    app.text_input(key="folder").set_value(str(folder)).run()
    assert not app.exception
    assert not app.error
    assert numbers(app)["Images"] == "21"


def test_folders_of_this_machine_stay_closed_where_the_setting_says_so(
    open_page, folder, monkeypatch, at_this_machine
):
    monkeypatch.setenv("LESIONLENS_ALLOW_FOLDERS", "no")
    app = open_page("Explore", dataset=datasets.ANY_FOLDER, folder=str(folder))
    assert not app.exception
    assert datasets.ANY_FOLDER not in app.selectbox(key="dataset").options
    assert numbers(app)["Images"] == "10,015"


def test_a_broken_table_is_refused_by_row_and_the_facts_show(open_page, tmp_path, at_this_machine):
    (tmp_path / "HAM10000_metadata.csv").write_text(
        "lesion_id,image_id,dx,dx_type,age,sex,localization\nL1,I1,wart,histo,50,male,back\n"
    )
    app = open_page("Explore", dataset=datasets.ANY_FOLDER, folder=str(tmp_path))
    assert not app.exception
    assert "row 2" in said(app, "error")
    assert numbers(app)["Images"] == "10,015"


def test_an_export_says_its_filter_and_holds_the_chosen_rows(facts):
    selection = Selection().only("dx", ["mel"]).with_ages(40, 64)
    dataset = datasets.Dataset("A set\nof facts", "bundled", facts, None)
    chosen = selection.choose(facts)
    explored = Explored(dataset, selection, chosen, "images", READERS["ML"])
    data = rows.export(explored)
    head = [line for line in data.decode("utf-8-sig").splitlines() if line.startswith("#")]
    assert head[:2] == ["# dataset: A set of facts", f"# filter: {selection.describe()}"]
    assert "Melanoma" in head[1]
    read = pd.read_csv(io.BytesIO(data), comment="#", encoding="utf-8-sig")
    assert len(read) == len(chosen) > 0
    assert set(read["dx"]) == {"mel"}
    assert read["age_years"].between(40, 64).all()


def test_every_site_has_its_place_on_the_body():
    assert set(outline.OUTLINES) == set(SITES)
    left, _, width, height = (float(part) for part in outline.BOX.split())
    for site in SITES:
        for path in outline.paths(site):
            points = np.array([[int(x), int(y)] for x, y in outline._POINT.findall(path)])
            assert points[:, 0].min() >= left, site
            assert points[:, 0].max() <= left + width, site
            assert 0 <= points[:, 1].min() <= points[:, 1].max() <= height, site


@pytest.fixture
def colours(monkeypatch):
    """Colours without a server: charts are asked for outside a page."""
    monkeypatch.setattr(st, "get_option", lambda name: ["#123456"] * (7 if "Categorical" in name else 10))
    monkeypatch.setattr("pages.ui.theme.colour", lambda _: "#123456")


def test_unknown_comes_first_and_warns_and_every_share_has_its_n(facts, colours):
    found = by_site(facts, "images")
    data = figures.bars(found.table, found.table, "site", Selection(), unit="images", n=found.n)
    assert data["rows"][0]["value"] == UNKNOWN
    assert [row["value"] for row in data["rows"] if row["warns"]] == [UNKNOWN]
    for row in data["rows"]:
        assert f"{row['number']} of 10,015 images" in row["words"]


def test_bars_of_a_filtered_chart_keep_their_scale_and_mark_the_whole(facts, colours):
    selection = Selection().only("sex", ["female"]).only("dx", ["mel"])
    whole = class_balance(facts, "images")
    found = class_balance(selection.choose(facts, but="dx"), "images")
    data = figures.bars(found.table, whole.table, "dx", selection, unit="images", n=found.n)
    by_value = {row["value"]: row for row in data["rows"]}
    assert [value for value, row in by_value.items() if row["picked"]] == ["mel"]
    assert [value for value, row in by_value.items() if row["dim"]] == [
        row["value"] for row in data["rows"] if row["value"] != "mel"
    ]
    # The track is 100 %, whatever is the largest.
    assert by_value["nv"]["ghost"] == pytest.approx(6705 / 10015)
    assert by_value["mel"]["length"] == pytest.approx(424 / 4552)
    assert sum(row["length"] for row in data["rows"]) == pytest.approx(1)


@pytest.mark.parametrize("as_shares", [True, False])
def test_the_colours_of_a_cross_table_end_at_a_whole_row_or_at_the_largest_count(facts, colours, as_shares):
    counts = crosstab(facts, "sex", "dx", "images")
    sizes = counts.to_numpy().sum(axis=1)
    data = figures.cross(counts, Selection(), unit="images", sizes=sizes, as_shares=as_shares)
    ends = (
        {"high": "100\N{NO-BREAK SPACE}% of a row", "low": "0"}
        if as_shares
        else {"high": f"{counts.to_numpy().max():,} images", "low": "0"}
    )
    assert {key: data["scale"][key] for key in ends} == ends


def test_two_photos_of_a_lesion_taken_years_apart_are_one_age(facts):
    table = facts.head(2).assign(lesion_id="one", dx="mel", age_years=[40.0, 60.0]).reset_index(drop=True)
    table.attrs = {}
    facets = Facets.of(table)
    assert figures.age_counts(facets, "lesions", 18).sum() == 1 == age_by_dx(facets, "lesions").n
    assert figures.age_counts(facets, "lesions", 18)[:, 10].sum() == 1  # 50 years, the mean


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "n = 9,958 images of known age"),
        ({"dx": "mel"}, "n = 9,958 images of known age, 1,111 of them chosen"),
        ({"sex": "female", "dx": "mel"}, "n = 4,548 images of known age, 424 of them chosen"),
        ({"ages": "40-64", "dx": "mel"}, "n = 9,958 images of known age, 467 of them chosen"),
    ],
)
def test_the_age_chart_says_what_it_stands_on_and_how_much_of_it_is_chosen(open_page, query, expected):
    app = open_page("Explore", **query)
    captions = [caption.value.replace("\N{NO-BREAK SPACE}", " ") for caption in app.caption]
    assert expected in captions


@pytest.mark.parametrize("unit", ["images", "lesions"])
def test_age_bins_count_everyone_of_known_age_once(facts, unit):
    facets = Facets.of(facts)
    counts = figures.age_counts(facets, unit, figures.age_bins(facets))
    known = facts[facts["age_years"].notna()]
    expected = known if unit == "images" else known.drop_duplicates("lesion_id")
    assert counts.shape == (7, 18)
    assert counts.sum() == len(expected)
    assert counts.sum(axis=1).tolist() == [int((expected["dx"] == code).sum()) for code in CODES]


def test_a_crossed_cell_says_both_names_its_count_and_its_rows_n(facts, colours):
    counts = crosstab(facts, "site", "dx", "images")
    sizes = counts.to_numpy().sum(axis=1)
    data = figures.cross(counts, Selection(), unit="images", sizes=sizes, as_shares=True)
    face = next(row for row in data["rows"] if row["value"] == "face")
    cell = next(cell for cell in face["cells"] if cell["value"] == "mel")
    assert cell["words"].startswith("face, ▲ Melanoma: 104 of 745 images in this row, 14.0")
    assert "745" in face["name"]


def test_every_licence_belongs_to_a_card_and_every_card_says_what_is_wrong():
    assert set(LICENCES) <= set(cards())
    for name, card in cards().items():
        assert card.labels.strip().startswith("- "), name
        assert card.issues.strip().startswith("- "), name
