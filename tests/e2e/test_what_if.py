"""The occlusion brush in a browser: by keyboard and by pointer, into the address and back out of it."""

import re
from itertools import zip_longest
from pathlib import Path
from urllib.parse import urlencode

import pytest

from pages.ui.predict import reasons, whatif
from tests.e2e.conftest import settle
from tests.e2e.everyone import violations

pytestmark = pytest.mark.browser


def test_a_part_is_hidden_by_keyboard_and_by_pointer(open_at, server):
    page = open_at(f"{server}/predict?what_if=a+part+hidden")
    surface = page.get_by_role("application", name="Mark a part of the picture")
    surface.wait_for()
    hide = page.get_by_role("button", name="Hide this part")
    assert hide.is_disabled()

    surface.press("ArrowRight")
    surface.press("Shift+ArrowDown")
    page.get_by_text(re.compile("^Marked: 35 % right")).wait_for()
    surface.press("Enter")
    page.wait_for_url(re.compile(r"changes=hide"))
    page.get_by_text("A part hidden").first.wait_for()
    settle(page)

    area = surface.bounding_box()
    page.mouse.move(area["x"] + 20, area["y"] + 20)
    page.mouse.down()
    page.mouse.move(area["x"] + 90, area["y"] + 70, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Hide all else").click()
    page.wait_for_url(re.compile(r"~keep"))
    settle(page)
    page.get_by_role("button", name="Start over").click()
    page.wait_for_url(re.compile(r"^((?!changes=).)*$"))
    assert page.get_by_test_id("stException").count() == 0


def test_an_outline_is_drawn_by_keyboard_refused_and_cleared(open_at, server):
    page = open_at(f"{server}/predict?closer=the+lesion%27s+shape&draw_outline=true")
    surface = page.get_by_role("application", name="Draw the lesion's outline")
    surface.press(" ")
    for way in (["Shift+ArrowRight"] * 3, ["Shift+ArrowDown"] * 3):
        for key in way:
            surface.press(key)
        surface.press(" ")
    page.get_by_text(re.compile("^Marked: 50 % right, 50 % down")).wait_for()
    surface.press("Enter")
    page.wait_for_url(re.compile("&outline="))
    page.get_by_text("drawn by you").first.wait_for()
    settle(page)
    # Made on the click, away from the page and its address.
    with page.expect_download() as report:
        page.get_by_role("button", name="HTML", exact=False).click()
    assert "drawn by hand" in Path(report.value.path()).read_text(encoding="utf-8")

    surface.press(" ")
    surface.press(" ")
    surface.press(" ")
    page.get_by_role("button", name="Use this outline").click()
    page.get_by_text(re.compile("The outline encloses nothing")).wait_for()
    settle(page)
    # It can be mended.
    assert page.get_by_role("button", name="Last corner away").is_enabled()
    page.get_by_role("button", name="Clear my outline").click()
    page.wait_for_url(re.compile(r"^((?!&outline=).)*$"))
    assert page.get_by_test_id("stException").count() == 0


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_reason_and_every_what_if_can_be_used_by_everyone(open_at, server, mode):
    found = {}
    for reason, change in zip_longest(reasons.VIEWS, whatif.VIEWS):
        query = {name: view for name, view in (("closer", reason), ("what_if", change)) if view}
        page = open_at(f"{server}/predict?{urlencode(query | {'draw_outline': 'true'})}", mode=mode)
        found[reason, change] = violations(page)
    assert {views: one for views, one in found.items() if one} == {}
