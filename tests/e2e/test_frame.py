"""The frame in a browser: cold deep links, the menu, both modes, and what axe finds."""

import pytest

from pages.ui.frame import PAGES
from tests.e2e.conftest import serve, settle
from tests.e2e.everyone import faults_on_a_phone, violations

pytestmark = pytest.mark.browser

PAINTED = {"light": "rgb(255, 255, 255)", "dark": "rgb(16, 24, 27)"}


@pytest.mark.parametrize("title", PAGES)
def test_a_deep_link_works_cold_on_a_fresh_server(open_at, app_root, checkpoint, title):
    query = "reader=clinician&patient_age=50"
    with serve(app_root, LESIONLENS_CHECKPOINT=checkpoint) as address:
        page = open_at(f"{address}/{PAGES[title].url_path}?{query}")
        assert page.url == f"{address}/{PAGES[title].url_path}?{query}"
        for entry in PAGES:
            page.get_by_test_id("stSidebar").get_by_role("link", name=entry).wait_for()
        assert page.get_by_text("Not a medical device").first.is_visible()
        assert page.get_by_role("radio", name="clinician", checked=True).count() == 1
        assert page.get_by_test_id("stException").count() == 0
        assert page.title().endswith("LesionLens")


def test_the_menu_takes_the_reader_and_the_facts_along(open_at, server):
    page = open_at(f"{server}/?patient_age=50")
    page.get_by_role("radio", name="ML").click()
    page.wait_for_url("**reader=ML**")
    settle(page)
    page.get_by_test_id("stSidebar").get_by_role("link", name="Explore").click()
    page.get_by_role("heading", level=1, name="Explore").wait_for()
    settle(page)
    assert "reader=ML" in page.url
    assert "patient_age=50" in page.url
    assert page.get_by_role("radio", name="ML", checked=True).count() == 1


@pytest.mark.parametrize("mode", PAINTED)
def test_every_page_can_be_used_by_everyone(open_at, server, mode):
    found = []
    for title, entry in PAGES.items():
        page = open_at(f"{server}/{entry.url_path}", mode=mode)
        found += [f"{title}: {violation}" for violation in violations(page)]
    assert found == []
    app = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    assert page.evaluate(app) == PAINTED[mode]


def test_every_page_fits_a_phone(open_at, server):
    for entry in PAGES.values():
        page = open_at(f"{server}/{entry.url_path}", width=390)
        assert faults_on_a_phone(page) == [], entry.title
