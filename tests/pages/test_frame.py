"""Every page: complete in itself, in the menu, with the reader switch, the state and the disclaimer."""

import pytest

from core.words import DISCLAIMER, READERS
from pages.ui import frame
from tests.pages.reading import said


def test_every_script_in_pages_is_in_the_menu(app_root):
    scripts = {f"pages/{path.name}" for path in (app_root / "pages").glob("*.py")} | {"streamlit_app.py"}
    assert scripts == {page.script for page in frame.PAGES.values()}


@pytest.mark.parametrize("title", frame.PAGES)
def test_a_page_is_complete_when_opened_cold(open_page, title):
    app = open_page(title)
    assert not app.exception
    assert len(app.title) == 1
    assert [link.value for link in app.sidebar.page_link] == list(frame.PAGES)
    assert any(DISCLAIMER in caption.value for caption in app.main.caption)
    assert "Installed" in " ".join(text.value for text in app.sidebar.markdown)


@pytest.mark.parametrize("title", frame.PAGES)
@pytest.mark.parametrize("name", READERS)
def test_a_page_is_drawn_for_each_reader(open_page, title, name):
    app = open_page(title, reader=name)
    assert not app.exception
    assert app.session_state["reader"] == name


@pytest.mark.parametrize("title", frame.PAGES)
def test_a_reader_that_does_not_exist_becomes_the_default(open_page, title):
    app = open_page(title, reader="surgeon")
    assert not app.exception
    assert app.session_state["reader"] == "patient"


def test_the_menu_takes_the_address_parameters_along(open_page):
    app = open_page("Home", reader="ML", patient_age="50")
    assert {link.proto.query_string for link in app.sidebar.page_link} == {"reader=ML&patient_age=50"}


def test_the_reader_stays_when_the_page_changes(open_page):
    app = open_page("Home", reader="clinician")
    app.switch_page("pages/explore.py").run()
    assert not app.exception
    assert app.session_state["reader"] == "clinician"


@pytest.mark.parametrize("title", frame.PAGES)
def test_a_wrong_setting_is_said_by_name(open_page, title, monkeypatch):
    monkeypatch.setenv("LESIONLENS_MAX_UPLOAD_MB", "plenty")
    app = open_page(title)
    assert not app.exception
    assert "LESIONLENS_MAX_UPLOAD_MB" in said(app, "error")


def test_a_data_folder_that_is_none_is_said_and_the_page_lives(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("LESIONLENS_DATA", str(tmp_path / "nowhere"))
    app = open_page("Home")
    assert not app.exception
    assert "nowhere" in said(app, "caption")
