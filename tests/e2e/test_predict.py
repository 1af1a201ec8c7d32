"""The whole journey in a browser: a real picture, its answer, its map, and a what-if."""

import re

import pytest
from playwright.sync_api import expect

from core import words
from core.data.readers import read_dataset
from tests.e2e.conftest import choose, serve, settle

pytestmark = [pytest.mark.browser, pytest.mark.real_data]


def test_a_real_picture_is_uploaded_answered_and_explained(open_at, app_root, ham10000_folder):
    table = read_dataset(ham10000_folder)
    picture = table[(table["dx"] == "mel") & table["image_path"].notna()]["image_path"].iloc[0]
    with serve(app_root) as address:
        page = open_at(f"{address}/predict?picture=upload")
        assert page.get_by_text("Bring a picture").is_visible()
        page.get_by_test_id("stFileUploader").locator("input[type=file]").set_input_files(picture)
        page.get_by_text(re.compile("Malignancy probability")).first.wait_for()
        settle(page)
        assert page.get_by_text(words.READERS["patient"].probabilities_title).is_visible()
        evidence = page.get_by_role("figure", name=re.compile("^Evidence for"))
        evidence.wait_for()
        assert page.get_by_test_id("stException").count() == 0

        choose(page, "Explain", "Melanoma")
        page.wait_for_url("**explained=Melanoma**")
        page.get_by_text("Explaining Melanoma").wait_for()
        settle(page)

        sum_in_words = page.get_by_text(re.compile("starting value.*sum")).last
        before = sum_in_words.inner_text()
        age = page.get_by_role("spinbutton", name="Age in years")
        age.fill("85")
        age.press("Enter")
        page.wait_for_url("**patient_age=85**")
        # The address changes first; the new answer follows when the script has run.
        expect(sum_in_words).not_to_have_text(before, timeout=30_000)
