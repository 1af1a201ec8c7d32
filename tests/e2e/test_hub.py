"""The Hub in a browser: a checkpoint is fetched, asked, and asked again after the network is gone."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import serve, settle
from tests.e2e.everyone import violations
from tests.hub.double import Fault, HubDouble

pytestmark = pytest.mark.browser

REPO = "clinic/lesions"


@pytest.fixture
def hub(checkpoint) -> Iterator[HubDouble]:
    """A Hub with one checkpoint."""
    folder = Path(checkpoint.removeprefix("local:"))
    with HubDouble() as double:
        double.commit(REPO, {path.name: path.read_bytes() for path in folder.iterdir()})
        yield double


@pytest.fixture
def app(app_root, hub, checkpoint, tmp_path):
    """A fresh server with a cache of its own, whose Hub is the double."""
    own = {
        # A machine that is busy with a training takes its time to answer itself.
        "LESIONLENS_HUB_TIMEOUT": "60",
        "LESIONLENS_CHECKPOINT": checkpoint,
        "LESIONLENS_CACHE": str(tmp_path),
        "HF_ENDPOINT": hub.endpoint,
    }
    with serve(app_root, **own) as address:
        yield address


def order(page, name):
    """Open the dialog, name a repository, and press the button."""
    page.get_by_role("button", name="From the Hub").click()
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_role("textbox", name="Repository")
    field.fill(name)
    field.press("Enter")
    dialog.get_by_role("button", name="Fetch it").click()


def test_a_checkpoint_is_fetched_asked_and_asked_again_without_the_network(open_at, app, hub):
    commit = hub.repositories[REPO].refs["main"]
    page = open_at(f"{app}/predict")
    assert hub.requests == []
    hub.fault = Fault("content", kind="stall", name="model.safetensors", times=1)
    order(page, f"hf:{REPO}")
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(re.compile(r"Fetching .*: 3\.\d of [67]\.\d MB, about .* left")).wait_for()
    dialog.get_by_role("button", name="Cancel").wait_for()
    hub.released.set()
    page.wait_for_url(re.compile(f"checkpoint=hf.*{commit}"))
    settle(page)
    page.get_by_text(re.compile("Malignancy probability")).first.wait_for()
    assert dialog.count() == 0
    hub.stop()
    page.get_by_role("spinbutton", name="Drawing no.").fill("12")
    page.get_by_role("spinbutton", name="Drawing no.").press("Enter")
    page.wait_for_url("**drawing_seed=12**")
    settle(page)
    cold = open_at(f"{app}/predict?checkpoint=hf:{REPO}@{commit}")
    cold.get_by_text(re.compile("Malignancy probability")).first.wait_for()
    assert cold.get_by_text("is not on this machine yet").count() == 0
    assert commit in cold.url
    assert cold.get_by_test_id("stException").count() == 0


def test_a_hub_that_is_away_is_told_and_the_page_goes_on_answering(open_at, app, hub):
    hub.stop()
    page = open_at(f"{app}/predict")
    order(page, REPO)
    page.get_by_text(re.compile("cannot be reached")).wait_for()
    page.get_by_text(re.compile("Malignancy probability")).first.wait_for()
    assert page.get_by_role("button", name="Fetch it again").is_enabled()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_dialog_and_the_list_can_be_used_by_everyone(open_at, app, mode):
    page = open_at(app, mode=mode)
    page.get_by_role("button", name="From the Hub").click()
    page.get_by_role("dialog").get_by_role("textbox", name="Repository").wait_for()
    assert violations(page) == []
