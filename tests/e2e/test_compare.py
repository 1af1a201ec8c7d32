"""The whole journey in a browser: two models, an operating point, a subgroup, a disagreement, a picture."""

import re

import pytest
from playwright.sync_api import Page, expect

from pages.ui.compare.views import BRING, VIEWS
from tests.e2e.conftest import PAINT_MS, choose, serve, settle
from tests.e2e.everyone import faults_on_a_phone, violations


def turn_to(page: Page, view: str) -> None:
    settle(page)  # What appears above a button moves it away under the pointer.
    page.get_by_role("radio", name=view, exact=True).click()
    settle(page)


def test_two_models_are_compared_down_to_one_picture(open_at, app_root, ham10000_folder, tmp_path):
    with serve(
        app_root,
        LESIONLENS_DATA=str(ham10000_folder),
        LESIONLENS_CACHE=str(tmp_path / "cache"),
        LESIONLENS_RUNS=str(tmp_path / "runs"),
    ) as address:
        page = open_at(f"{address}/compare")
        page.get_by_text(re.compile("that all of these models answered")).wait_for()

        choose(page, "Operating point by", "Cost ratio")
        page.wait_for_url("**point=cost**")
        turn_to(page, "Operating point")
        page.get_by_text(re.compile("a missed malignancy costing 10 false alarms")).wait_for()

        turn_to(page, "Subgroups")
        choose(page, "Groups", "Sex")
        page.wait_for_url("**facet=Sex**")
        page.get_by_role("figure", name=re.compile("^accuracy by group")).wait_for()

        turn_to(page, "Pair")
        page.get_by_role("button", name=re.compile(r"^A wrong and B right.*: \d+ of")).click()
        page.wait_for_url("**agreement=only+B+right**")
        settle(page)
        tile = page.get_by_role("button", name=re.compile(r"^ISIC_\d+:")).first
        tile.wait_for()
        tile.click()
        page.wait_for_url("**compare_picture=ISIC_**")
        page.get_by_text(re.compile("^Truth: ")).wait_for()
        page.get_by_text(re.compile("Its weights are not on this machine")).wait_for()
        page.get_by_text(re.compile("Orange speaks for")).wait_for()

        page.get_by_text("Evidence of each model beside the pictures").click()
        page.wait_for_url("**with_maps=true**")
        settle(page)
        # The weights of one of them came with the app: its maps stand beside the pictures.
        expect(page.get_by_role("img", name=re.compile("^Evidence for ")).nth(1)).to_be_visible(
            timeout=PAINT_MS
        )

        turn_to(page, "Mistakes")
        page.get_by_role("button", name=re.compile("Melanoma called Melanocytic nevus:")).first.click()
        page.wait_for_url("**cell=0**mel**nv**")
        expect(
            page.get_by_role("heading", name=re.compile("Melanoma called Melanocytic nevus"))
        ).to_be_visible()
        assert page.get_by_test_id("stException").count() == 0

        # The address goes along to Predict, which decides by its point.
        page.get_by_role("link", name="Predict", exact=True).first.click()
        page.wait_for_url("**/predict?**point=cost**")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_axe_finds_nothing_of_ours_in_any_view(open_at, server, mode):
    page = open_at(f"{server}/compare", mode=mode)
    found = {}
    for view in [*VIEWS, BRING]:
        turn_to(page, view)
        found[view] = violations(page)
    assert found == {view: [] for view in found}


def test_on_a_phone_every_matrix_is_whole_and_no_view_is_wider_than_the_screen(open_at, server):
    page = open_at(f"{server}/compare", width=390)
    for view in VIEWS:
        turn_to(page, view)
        if view == "Mistakes":
            matrices = page.locator(".cross")
            matrices.first.wait_for()
            cut = matrices.evaluate_all("all => all.map(one => one.scrollWidth - one.clientWidth)")
            assert cut == [0] * len(cut)
        assert faults_on_a_phone(page) == [], view
