"""Train in a browser: start a real run, watch it move, stop and resume it, replay another, compare two."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.data.synthetic import make_dataset
from core.runs import control
from core.runs.folder import LIVE_STATES, RunFolder
from tests.core.runs.making import write_run
from tests.e2e.conftest import serve, settle
from tests.e2e.everyone import faults_on_a_phone, violations

pytestmark = pytest.mark.browser

# A trainer imports torch, reads the pictures and computes their features first.
START_MS = 150_000
RECORDED = "bundled:lesionlens-lite0"
WAIT_MS = 90_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_dataset(
        tmp_path_factory.mktemp("data") / "drawn", images_per_class=16, seed=3, size_px=(96, 128)
    )


def button(page: Page, name: str):
    """A button of the page; Streamlit's own bar has a "Stop" too."""
    return page.get_by_test_id("stMainBlockContainer").get_by_role("button", name=name, exact=True)


def badge(page: Page, words: str | re.Pattern[str]):
    return page.get_by_test_id("stMainBlockContainer").get_by_text(words, exact=True).first


def steps(page: Page) -> list[int]:
    """The number of steps, once for every panel on the screen: while one replaces another, there are two."""
    figure = page.locator(".figure").filter(has=page.get_by_text("Step", exact=True))
    return [int(words.replace(",", "")) for words in figure.locator(".value").all_inner_texts()]


def wait_for_step(page: Page, least: int) -> int:
    deadline = time.monotonic() + START_MS / 1000
    while not (now := steps(page)) or min(now) < least:
        assert time.monotonic() < deadline, f"step {least} was not reached; the page shows {now}"
        page.wait_for_timeout(200)
    return min(now)


def start(page: Page, name: str) -> None:
    """Start a small run that takes long, through the form."""
    page.get_by_role("button", name="New run").click()
    page.wait_for_url("**new=yes**")
    page.get_by_text("What will happen on this machine").wait_for()
    settle(page)
    page.get_by_text("The settings that matter").click()
    for label, value in (("Epochs", "900"), ("Picture size, px", "32")):
        field = page.get_by_role("spinbutton", name=label)
        field.fill(value)
        field.press("Enter")
        page.get_by_text(re.compile(f"differs from the recipe in .*={value}")).wait_for()
    field = page.get_by_role("textbox", name="Name")
    field.fill(name)
    field.press("Enter")
    settle(page)
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(f"**run={name}**")


def test_a_run_is_started_watched_stopped_and_resumed_and_another_replayed(
    open_at, app_root, checkpoint, folder, tmp_path
):
    runs = tmp_path / "runs"
    run = RunFolder(runs / "journey")
    environment = {
        "LESIONLENS_CHECKPOINT": checkpoint,
        "LESIONLENS_DATA": str(folder),
        "LESIONLENS_RUNS": str(runs),
        "LESIONLENS_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    with serve(app_root, **environment) as address:
        page = open_at(f"{address}/train")
        try:
            start(page, "journey")
            first = wait_for_step(page, 1)
            wait_for_step(page, first + 1)
            # The trainer does it when its step has ended: the buttons follow, with nobody touching the page.
            button(page, "Pause").click()
            expect(button(page, "Resume")).to_be_visible(timeout=WAIT_MS)
            button(page, "Resume").click()
            expect(button(page, "Pause")).to_be_visible(timeout=WAIT_MS)
            button(page, "Stop").click()
            expect(badge(page, "stopped")).to_be_visible(timeout=START_MS)
            stopped_at = run.status().step
            assert wait_for_step(page, stopped_at) == stopped_at

            button(page, "Resume").click()
            expect(badge(page, "running")).to_be_visible(timeout=START_MS)
            wait_for_step(page, stopped_at + 1)
        finally:
            if run.path.exists() and run.status().observed() in LIVE_STATES:
                control.stop(run)
        expect(badge(page, "stopped")).to_be_visible(timeout=START_MS)

        page.get_by_role("button", name=re.compile("^lesionlens-lite0, ")).click()
        page.wait_for_url("**run=bundled**lesionlens-lite0**")
        # The address changes first, then the page: a button pressed in between moves under the pointer.
        page.get_by_role("heading", name="lesionlens-lite0", exact=True).wait_for()
        page.get_by_role("button", name=re.compile("^Watch it learn")).click()
        page.get_by_role("button", name=re.compile("Pause")).wait_for()
        expect(badge(page, re.compile("REPLAY$"))).to_be_visible(timeout=WAIT_MS)
        wait_for_step(page, 20)
        page.get_by_role("button", name=re.compile("Pause")).click()
        page.get_by_role("button", name=re.compile("Play")).first.wait_for()
        settle(page)  # Until then the panel of the whole run may stand below that of the replay.
        assert max(steps(page)) < 4500
        page.get_by_role("button", name="End replay").click()
        page.get_by_role("button", name=re.compile("^Watch it learn")).wait_for()
        expect(badge(page, re.compile("REPLAY$"))).to_be_hidden()

        page.get_by_role("button", name="Compare with journey").click()
        page.wait_for_url("**with=journey**")
        page.get_by_role("heading", name="What differs").wait_for()
        assert page.get_by_test_id("stException").count() == 0


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
        assert violations(page) == []
        assert faults_on_a_phone(page) == []
