"""One journey for each reader, on the checkpoint that comes with the code, with what axe finds on the way."""

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import expect

from core import words
from core.data.synthetic import draw_lesion
from pages.ui.tour import STATIONS
from tests.e2e.conftest import choose, serve, settle
from tests.e2e.everyone import faults_on_a_phone, violations

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def own_server(app_root):
    with serve(app_root) as address:
        yield address


@pytest.fixture(scope="module")
def picture():
    buffer = io.BytesIO()
    Image.fromarray(draw_lesion(11, kind="mel")).save(buffer, "PNG")
    return {"name": "mine.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def upload(page, picture):
    page.get_by_test_id("stFileUploader").locator("input[type=file]").set_input_files(picture)
    page.get_by_text(re.compile("Malignancy probability")).first.wait_for()
    settle(page)


def test_a_patient_reads_the_answer_and_what_to_do_on_a_phone(open_at, own_server, picture):
    page = open_at(f"{own_server}/predict?picture=upload", width=390)
    upload(page, picture)
    assert page.get_by_text("Have a dermatologist look at this").is_visible()
    assert page.get_by_role("heading", name="What to do next").is_visible()
    assert page.get_by_text("Make an appointment with a dermatologist").is_visible()
    page.get_by_text("How to take a good picture").click()
    page.get_by_text(words.GOOD_PICTURE[0]).wait_for()
    assert faults_on_a_phone(page) == []
    assert violations(page) == []


def test_a_visitor_walks_the_tour_by_keyboard_and_leaves(open_at, own_server):
    page = open_at(f"{own_server}/?reader=clinician", width=390, mode="dark")
    page.get_by_role("link", name="Take the three-minute tour").click()
    card = page.get_by_role("navigation", name="Tour")
    card.get_by_text(STATIONS[0].title).wait_for()
    settle(page)
    expect(card.locator(".words")).to_be_focused()
    assert violations(page) == []
    covers_nothing(page, card, STATIONS[0].at)
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**tour=2**")
    card.get_by_text(STATIONS[1].title).wait_for()
    settle(page)
    expect(page.get_by_role("heading", name="Why?")).to_be_in_viewport()
    card.locator("summary").click()
    expect(card.locator(".words")).to_be_hidden()
    card.get_by_role("link", name="Leave the tour").click()
    page.wait_for_url(re.compile(r"/predict\?reader=clinician$"))
    settle(page)
    assert card.count() == 0


def covers_nothing(page, card, at):
    """The page ends where the card begins, and what a station speaks of is in sight above it."""
    page.wait_for_function(
        "([card, at]) => { const ends = (one) => document.querySelector(one).getBoundingClientRect().bottom;"
        " const { top, height } = card.getBoundingClientRect();"
        " return ends('[data-testid=stMain]') <= top + 1 && height < 0.42 * innerHeight"
        " && (!at || ends('.st-key-' + at) <= top) }",
        arg=[card.element_handle(), at],
    )


@pytest.mark.parametrize("width", [390, 1280])
def test_no_station_of_the_tour_covers_what_it_speaks_of(open_at, own_server, width):
    for number, station in enumerate(STATIONS, 1):
        page = open_at(f"{own_server}/?tour={number}&reader=clinician", width=width)
        card = page.get_by_role("navigation", name="Tour")
        card.get_by_text(station.title).wait_for()
        covers_nothing(page, card, station.at)


def test_a_clinician_weighs_the_answer_and_takes_it_along(open_at, own_server, picture):
    page = open_at(f"{own_server}/predict?picture=upload&reader=clinician", mode="dark")
    upload(page, picture)
    assert page.get_by_text("Malignancy suspected: above the operating point").is_visible()
    assert page.get_by_text(re.compile("a prediction set; it holds the true diagnosis")).is_visible()
    assert page.get_by_text(re.compile("On the test split: sensitivity")).is_visible()
    page.get_by_role("radio", name="general practice").click()
    page.wait_for_url("**place=general**")
    page.get_by_text(re.compile("At a pre-test probability of")).wait_for()
    settle(page)
    assert page.get_by_text("Malignancy suspected: above the operating point").is_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="PDF, one page").click()
    assert saved.value.path().read_bytes().startswith(b"%PDF")
    assert violations(page) == []


def test_an_engineer_holds_methods_side_by_side_and_checks_the_map(open_at, own_server):
    page = open_at(f"{own_server}/predict?reader=ML&closer=other+methods")
    page.get_by_role("img", name=re.compile("^Grad-CAM of Melanoma")).wait_for()
    choose(page, "Layer", "blocks.4")
    page.get_by_text(re.compile("At blocks.4: 112 channels")).wait_for()
    settle(page)
    page.get_by_role("radio", name="can the map be trusted?").click()
    page.get_by_text("Taken away and put back").wait_for()
    settle(page)
    assert page.get_by_text("Ends of its stages, the first first").is_visible()
    assert page.get_by_test_id("stException").count() == 0
    assert violations(page) == []
