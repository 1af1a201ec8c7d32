"""Getting a dataset in a browser: a connection that is cut, going on where it broke, exploring what came."""

import re

import pytest

from tests.e2e.conftest import serve, settle
from tests.e2e.everyone import faults_on_a_phone, violations
from tests.net.double import Fault, FileServer
from tests.net.making import ISIC_STORAGE, fill_isic

pytestmark = pytest.mark.browser

INPUT = f"/{ISIC_STORAGE.removeprefix('https://')}/ISIC2018_Task3_Training_Input.zip"
VIEW = "explore?view=Get+data&explore_from=ISIC+archive"


@pytest.fixture
def mirror():
    """A mirror of the ISIC archive with a tiny HAM10000."""
    with FileServer() as server:
        fill_isic(server, padding=2_000_000)
        yield server


@pytest.fixture
def app(app_root, checkpoint, tmp_path):
    """A fresh server with a cache of its own."""
    with serve(
        app_root, LESIONLENS_CHECKPOINT=checkpoint, LESIONLENS_CACHE=str(tmp_path / "cache")
    ) as address:
        yield address


def order(page, mirror):
    """Name the mirror, accept the licence, and press the button."""
    page.get_by_text("Behind a firewall").click()
    field = page.get_by_role("textbox", name="Address of a mirror")
    field.fill(mirror.address)
    field.press("Enter")
    settle(page)
    page.get_by_text("I have read CC BY-NC 4.0 and accept it").click()
    settle(page)
    page.get_by_role("button", name="Get it", exact=True).click()


def test_a_download_that_was_cut_is_gone_on_with_and_its_dataset_explored(open_at, app, mirror):
    page = open_at(f"{app}/{VIEW}")
    assert page.get_by_role("button", name="Get it", exact=True).is_disabled()
    mirror.faults[INPUT] = Fault("cut")
    order(page, mirror)
    page.get_by_text(re.compile("was cut while ISIC2018_Task3_Training_Input.zip was coming")).wait_for()
    page.get_by_text(re.compile(r"An earlier attempt has left 1\.\d MB to go on from")).wait_for()
    mirror.faults.clear()
    mirror.asked.clear()
    page.get_by_role("button", name="Get it again").click()
    page.get_by_text("ham10000-isic is here: 7 images, 7 with a picture.").wait_for()
    asked = next(asked for asked in mirror.asked if asked.path == INPUT)
    assert asked.range.startswith("bytes=1")
    page.get_by_role("button", name="Explore it").click()
    page.get_by_role("radio", name="Distributions", checked=True).wait_for()
    page.get_by_text("100 % of 7").first.wait_for()
    cold = open_at(f"{app}/explore?dataset=ham10000-isic%2C+fetched&view=Gallery")
    assert cold.get_by_test_id("stException").count() == 0
    cold.get_by_text("100 % of 7").first.wait_for()
    assert cold.get_by_text("needs pictures").count() == 0


def test_a_download_shows_how_far_it_is_and_can_be_cancelled(open_at, app, mirror):
    mirror.faults[INPUT] = Fault("slow")
    page = open_at(f"{app}/{VIEW}")
    order(page, mirror)
    page.get_by_text(re.compile(r"Getting ham10000-isic: [\d.]+ of [\d,.]+ MB.*left")).wait_for()
    assert page.get_by_role("progressbar").count() == 1
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text(re.compile("^Cancelled")).wait_for()
    assert page.get_by_role("button", name="Get it again").is_enabled()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_view_can_be_used_by_everyone_and_fits_a_phone(open_at, server, mode):
    page = open_at(f"{server}/explore?view=Get+data&explore_from=Kaggle", mode=mode)
    assert violations(page) == []
    page = open_at(f"{server}/{VIEW}", mode=mode, width=390)
    assert faults_on_a_phone(page) == []
