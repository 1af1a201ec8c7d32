"""Gallery and map in a browser: by keyboard and pointer, to the model, and from a lasso to the filter."""

import math

import pytest
from playwright.sync_api import expect

from core.data.readers import read_dataset
from core.data.synthetic import make_dataset
from core.predict.features import checkpoint_extractor, compute_features
from tests.e2e.conftest import press_until, serve, settle
from tests.e2e.everyone import faults_on_a_phone, violations

WAIT_MS = 60_000


@pytest.fixture(scope="module")
def place(tmp_path_factory, app_root, checkpoint):
    """A server with a small dataset whose features are computed; yields its address and the table."""
    home = tmp_path_factory.mktemp("pictures")
    folder = make_dataset(home / "set", images_per_class=4, seed=1)
    table = read_dataset(folder)
    by = checkpoint_extractor(folder_of(checkpoint), checkpoint)
    compute_features(table, by, cache_dir=home / "cache")
    environment = {
        "LESIONLENS_DATA": str(folder),
        "LESIONLENS_CACHE": str(home / "cache"),
        "LESIONLENS_CHECKPOINT": checkpoint,
    }
    with serve(app_root, **environment) as address:
        yield address, table


def folder_of(reference):
    from core.models import catalog
    from core.models.reference import parse_reference

    return catalog.folder_of(parse_reference(reference))


def test_from_the_gallery_by_keyboard_to_the_picture_and_to_the_model(place, open_at):
    address, table = place
    page = open_at(f"{address}/explore?view=Gallery&dx=mel")
    first = page.locator(".photo").first
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Melanoma", exact=True).wait_for()
    page.wait_for_url("**explore_open=**")
    opened = page.url.split("explore_open=")[1].split("&")[0]
    assert (table.loc[table["image_id"] == opened, "dx"] == "mel").all()
    dialog.get_by_role("link", name="Ask the model").click()
    page.wait_for_url("**/predict?**")
    settle(page)
    assert page.get_by_label("Image id").input_value() == opened


def test_every_picture_of_the_gallery_says_what_it_shows(place, open_at):
    address, table = place
    page = open_at(f"{address}/explore?view=Gallery", width=390)
    page.locator(".photo img").first.wait_for()
    said = page.locator(".photo img").evaluate_all("all => all.map((one) => one.alt)")
    assert len(said) >= 24
    assert all(any(name in words for name in table["image_id"]) for words in said)
    assert faults_on_a_phone(page) == []


def test_closing_a_picture_takes_it_out_of_the_address(place, open_at):
    address, table = place
    page = open_at(f"{address}/explore?view=Gallery&explore_open={table['image_id'].iloc[0]}")
    page.get_by_role("dialog").get_by_text(table["image_id"].iloc[0]).wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function("!location.search.includes('explore_open')")


def test_the_map_shows_a_picture_on_hover_and_a_lasso_filters_everything(place, open_at):
    address, table = place
    page = open_at(f"{address}/explore?view=Map")
    field = page.get_by_role("application")
    field.scroll_into_view_if_needed()
    press_until(field, "ArrowRight", page.locator(".card img"))
    assert any(name in page.locator(".card").inner_text() for name in table["image_id"])
    box = field.bounding_box()
    page.get_by_role("button", name="Draw around").click()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for step in range(1, 40):
        turn = -3 * math.pi / 4 + step * math.pi / 20
        page.mouse.move(
            middle[0] + 0.35 * box["width"] * math.cos(turn),
            middle[1] + 0.35 * box["height"] * math.sin(turn),
        )
    page.mouse.up()
    page.wait_for_url("**images=**")
    page.get_by_role("button", name="picked image").wait_for()
    settle(page)
    chosen = int(page.get_by_role("button", name="picked image").inner_text().split()[-3])
    assert 0 < chosen < len(table)
    assert page.get_by_role("application").get_attribute("aria-label").startswith(f"Map of {chosen} picture")


def test_enter_opens_the_picture_on_the_map(place, open_at):
    address, _ = place
    page = open_at(f"{address}/explore?view=Map")
    press_until(page.get_by_role("application"), "ArrowDown", page.locator(".card b"))
    page.keyboard.press("Enter")
    page.wait_for_url("**explore_open=**")
    page.get_by_role("dialog").get_by_role("button", name="Find similar").click()
    page.wait_for_url("**explore_like=**")
    # The dialog holds pictures with notes too: those of other lesions, which are less alike.
    expect(page.get_by_role("dialog")).to_have_count(0, timeout=WAIT_MS)
    expect(page.locator(".photo .note").first).to_have_text("1.00", timeout=WAIT_MS)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(
    "query", ["view=Gallery", "view=Gallery&explore_show=Diagnoses", "view=Map", "view=Gallery&explore_open="]
)
def test_gallery_and_map_can_be_used_by_everyone(place, open_at, mode, query):
    address, table = place
    if query.endswith("="):
        query += table["image_id"].iloc[0]
    page = open_at(f"{address}/explore?{query}", mode=mode)
    assert violations(page) == []
