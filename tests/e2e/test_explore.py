"""Explore in a browser: click, filter, follow; by pointer, by keyboard, by link, on a phone."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from core.data.synthetic import draw_dataset, make_dataset
from core.data.writing import PROVENANCE_NAME, UNFINISHED_NAME
from pages.ui.explore.datasets import SYNTHETIC_IMAGES, SYNTHETIC_SEED
from tests.e2e.conftest import serve, settle
from tests.e2e.everyone import faults_on_a_phone, violations

pytestmark = pytest.mark.browser

WAIT_MS = 60_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_dataset(
        tmp_path_factory.mktemp("data") / "drawn", images_per_class=4, seed=3, size_px=(96, 128)
    )


@pytest.fixture(scope="module")
def pictured(app_root, checkpoint, folder):
    """A server with a small dataset that has pictures."""
    with serve(app_root, LESIONLENS_CHECKPOINT=checkpoint, LESIONLENS_DATA=str(folder)) as address:
        yield address


def mark(page: Page, name: str):
    """A mark of a chart, by the beginning of its name."""
    return page.get_by_role("button", name=re.compile(f"^{re.escape(name)}: "))


def images(page: Page):
    return (
        page.get_by_test_id("stMetric").filter(has_text=re.compile("^Images")).get_by_test_id("stMetricValue")
    )


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_the_first_launch_shows_the_true_distributions_of_ham10000(open_at, server):
    page = open_at(f"{server}/explore")
    expect(images(page)).to_have_text("10,015", timeout=WAIT_MS)
    for name, count in (("▲ Melanoma", "1,113"), ("Melanocytic nevus", "6,705"), ("female", "4,552")):
        expect(mark(page, name).first).to_contain_text(count, timeout=WAIT_MS)
    page.get_by_text("People with melanomas are 14 years older").wait_for()
    assert page.get_by_role("button", name=re.compile("^back: 2,192 of 10,015 images")).count() == 2
    assert page.get_by_test_id("stException").count() == 0


def test_a_click_filters_every_chart_and_a_chip_takes_it_off_by_keyboard(open_at, server):
    page = open_at(f"{server}/explore")
    mark(page, "▲ Melanoma").first.click()
    expect(images(page)).to_have_text("1,113", timeout=WAIT_MS)
    expect(mark(page, "female").first).to_contain_text("424", timeout=WAIT_MS)
    assert query(page)["dx"] == ["mel"]
    # The chart that was clicked keeps its other bars.
    expect(mark(page, "Melanocytic nevus").first).to_contain_text("6,705")
    expect(mark(page, "▲ Melanoma").first).to_have_attribute("aria-pressed", "true")

    female = mark(page, "female").first
    female.focus()
    page.keyboard.press("Enter")
    expect(images(page)).to_have_text("424", timeout=WAIT_MS)
    expect(female).to_be_focused()

    chip = page.get_by_role("button", name="Sex: female")
    chip.focus()
    page.keyboard.press("Enter")
    expect(images(page)).to_have_text("1,113", timeout=WAIT_MS)
    assert "sex" not in query(page)
    page.get_by_role("button", name="Clear all").click()
    expect(images(page)).to_have_text("10,015", timeout=WAIT_MS)


def test_ages_are_dragged_cells_and_body_sites_clicked(open_at, server):
    page = open_at(f"{server}/explore")
    first = page.get_by_role("button", name=re.compile("^40 to 44 years"))
    first.scroll_into_view_if_needed()
    first.hover()
    page.mouse.down()
    page.get_by_role("button", name=re.compile("^60 to 64 years")).hover()
    page.mouse.up()
    page.wait_for_url("**ages=40-64**")
    settle(page)
    site = page.locator("g.site").filter(has=page.locator("title", has_text=re.compile("^face: ")))
    site.locator("path").first.click()
    page.wait_for_url("**site=face**")
    settle(page)
    page.get_by_role("button", name="Clear all").click()
    expect(images(page)).to_have_text("10,015", timeout=WAIT_MS)
    cell = page.get_by_role("button", name=re.compile("^face, ▲ Melanoma: 104 of 745"))
    cell.click()
    expect(images(page)).to_have_text("104", timeout=WAIT_MS)
    assert (query(page)["site"], query(page)["dx"]) == (["face"], ["mel"])
    cell.click()
    expect(images(page)).to_have_text("10,015", timeout=WAIT_MS)
    assert query(page) == {}
    # One click is one step, also where it takes off two parts of the filter.
    page.go_back()
    expect(images(page)).to_have_text("104", timeout=WAIT_MS)
    assert (query(page)["site"], query(page)["dx"]) == (["face"], ["mel"])
    page.go_back()
    expect(images(page)).to_have_text("10,015", timeout=WAIT_MS)


def test_a_deep_link_opens_filter_view_and_unit_cold(open_at, app_root, checkpoint, folder):
    with serve(app_root, LESIONLENS_CHECKPOINT=checkpoint, LESIONLENS_DATA=str(folder)) as address:
        page = open_at(f"{address}/explore?view=Gallery&dx=mel&unit=lesions")
        expect(images(page)).to_have_text("4", timeout=WAIT_MS)
        for name in ("Gallery", "lesions"):
            expect(page.get_by_role("radio", name=name, exact=True)).to_be_checked()
        page.get_by_role("button", name="Diagnosis: Melanoma").wait_for()
        assert query(page) == {"view": ["Gallery"], "dx": ["mel"], "unit": ["lesions"]}
        assert page.get_by_test_id("stException").count() == 0


def test_a_click_leads_over_the_gallery_to_an_answer_about_that_picture(open_at, pictured):
    page = open_at(f"{pictured}/explore")
    mark(page, "▲ Melanoma").first.click()
    expect(images(page)).to_have_text("4", timeout=WAIT_MS)
    page.get_by_role("radio", name="Gallery").click()
    page.wait_for_url("**view=Gallery**")
    settle(page)
    thumbnails = page.get_by_role("button", name=re.compile("^(Open )?SYN_"))
    thumbnails.first.wait_for()
    assert thumbnails.count() == 4
    thumbnails.first.click()
    ask = page.get_by_role("link", name="Ask the model")
    ask.wait_for()
    ask.click()
    page.get_by_role("heading", level=1, name="Predict").wait_for()
    settle(page)
    assert query(page)["picture"] == ["dataset"]
    page.get_by_text(re.compile(query(page)["image_id"][0])).first.wait_for()
    assert page.get_by_test_id("stException").count() == 0


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("query_string", ["", "dx=mel&ages=40-64", "view=Card"])
def test_explore_can_be_used_by_everyone(open_at, server, mode, query_string):
    page = open_at(f"{server}/explore?{query_string}", mode=mode)
    assert violations(page) == []


def test_the_filtered_page_fits_a_phone_and_a_finger_filters(open_at, server):
    page = open_at(f"{server}/explore?dx=mel,nv&site=back,lower%20extremity&sex=female", width=390)
    assert faults_on_a_phone(page) == []
    mark(page, "Benign keratosis").first.click()
    page.wait_for_url("**bkl**")


def test_a_set_is_drawn_on_request_and_explored(open_at, app_root, checkpoint, tmp_path):
    # As after a stop: most pictures are there, here small ones that are quickly drawn, and are kept.
    begun = tmp_path / "synthetic" / f".{SYNTHETIC_IMAGES}-seed-{SYNTHETIC_SEED}"
    draw_dataset(begun, images=SYNTHETIC_IMAGES, seed=SYNTHETIC_SEED, size_px=(24, 32), workers=1)
    (begun / "HAM10000_metadata.csv").unlink()
    asked = (begun / PROVENANCE_NAME).rename(begun / UNFINISHED_NAME)
    work = {"command": "synthetic", "images": SYNTHETIC_IMAGES, "seed": SYNTHETIC_SEED, "size": [225, 300]}
    asked.write_text(json.dumps({"work": work}))
    for picture in sorted(begun.rglob("*.jpg"))[::25]:
        picture.unlink()
    with serve(app_root, LESIONLENS_CHECKPOINT=checkpoint, LESIONLENS_CACHE=str(tmp_path)) as address:
        page = open_at(f"{address}/explore?dataset=Synthetic%20pictures")
        page.get_by_role("button", name="Draw them").click()
        expect(images(page)).to_have_text("1,000", timeout=4 * WAIT_MS)
        page.get_by_role("radio", name="Card").click()
        page.get_by_text("Nothing here was ever seen on skin").wait_for()
