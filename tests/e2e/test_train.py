"""Train in a browser: curves by keyboard, watch images, squares that open, and the forms for everyone."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from core.data.synthetic import make_dataset
from tests.core.runs.making import write_run
from tests.e2e.conftest import serve
from tests.e2e.test_frame import STREAMLITS_OWN

pytestmark = pytest.mark.browser

RECORDED = "bundled:lesionlens-lite0"
WAIT_MS = 90_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_dataset(
        tmp_path_factory.mktemp("data") / "drawn", images_per_class=16, seed=3, size_px=(96, 128)
    )


def test_curves_are_read_and_zoomed_by_keyboard_and_keep_their_zoom(open_at, server):
    page = open_at(f"{server}/train?run={RECORDED}")
    chart = page.get_by_role("group", name=re.compile("^Balanced accuracy by epoch"))
    chart.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text(re.compile("^epoch .*: validation 0[.]4"))).to_have_count(1)
    page.keyboard.press("+")
    back = page.get_by_role("button", name="Show all")
    expect(back).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("radio", name="best").click()
    page.get_by_text("Validation pictures after epoch 13").wait_for()
    expect(back).to_be_visible()
    back.click()
    expect(back).to_be_hidden()


def test_watch_images_are_scrubbed_and_a_square_is_opened(open_at, server):
    page = open_at(f"{server}/train?run={RECORDED}")
    scrub = page.get_by_role("slider", name="Epoch of the watch images")
    scrub.focus()
    page.keyboard.press("Home")
    expect(scrub).to_have_attribute("aria-valuetext", "epoch 1 of 18")
    assert page.get_by_role("img", name=re.compile("Epoch 1: answered")).count() == 12
    page.get_by_role("button", name=re.compile("^▲ Melanoma called Melanocytic nevus: ")).click()
    page.get_by_text("kept no list of them").wait_for()
    # Another part of the page has run again; who looks back is left there.
    expect(scrub).to_have_attribute("aria-valuetext", "epoch 1 of 18")


@pytest.mark.parametrize("query", ["new=yes", "run=failed&with=bundled:lesionlens-lite0,other"])
def test_everyone_can_start_and_compare(open_at, app_root, checkpoint, folder, tmp_path, query):
    write_run(tmp_path / "failed", state="failed", message="No space left on device")
    write_run(tmp_path / "other", recipe={"batch_size": 7})
    environment = {"LESIONLENS_CHECKPOINT": checkpoint, "LESIONLENS_DATA": str(folder)}
    with serve(app_root, **environment, LESIONLENS_RUNS=str(tmp_path)) as address:
        page = open_at(f"{address}/train?{query}")
        violations = Axe().run(page).response["violations"]
        assert [
            f"{violation['id']}: {node['html'][:160]}"
            for violation in violations
            if violation["id"] not in STREAMLITS_OWN
            for node in violation["nodes"]
        ] == []
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
