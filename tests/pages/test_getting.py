"""Get data, as the page says it: licence before button, keys forgotten, a dataset that can be explored."""

import time
from pathlib import Path

import pytest
import streamlit as st

from core import jobs
from core.data.getting import SOURCES, find
from core.settings import settings
from pages.ui.explore.getting import JOB
from tests.net.making import kaggle_zip, zip_of
from tests.pages.reading import said


@pytest.fixture(autouse=True)
def no_job():
    """Let no test see what another one has got."""
    jobs.forget(JOB)
    yield
    if (job := jobs.find(JOB)) is not None:
        job.cancel()
        job.wait(30)
    jobs.forget(JOB)


@pytest.fixture
def open_getting(open_page, monkeypatch):
    """Return a function that opens the view at a source, by default for somebody at this machine."""

    def come_from(address):
        monkeypatch.setattr(type(st.context), "ip_address", property(lambda _: address))

    def open_getting(source, *, visitor=None, **query):
        come_from(visitor)
        return open_page("Explore", view="Get data", explore_from=SOURCES[source].title, **query)

    return open_getting


def press(app, label):
    """Press a button by what stands on it."""
    (button,) = [button for button in app.button if button.label == label]
    assert not button.disabled, f"{label} cannot be pressed"
    button.click()
    return app.run()


def accept(app, source):
    app.checkbox(key=f"explore_accepted_{source}").check()
    return app.run()


def finish(app):
    """Wait for the job, and let the page follow."""
    job = jobs.find(JOB)
    assert job is not None
    job.wait(60)
    return app.run()


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_opens_with_its_licence_and_a_button_that_waits_for_it(name, open_getting):
    app = open_getting(name)
    assert not app.exception
    words = said(app)
    source = SOURCES[name]
    assert source.about in words
    assert "Licence and attribution" in words
    if source.licence:
        assert source.licence.credit in words
        assert source.licence.cite in words
    (button,) = [button for button in app.button if button.label == "Get it"]
    assert button.disabled
    (button,) = [button for button in accept(app, name).button if button.label == "Get it"]
    assert not button.disabled


def test_the_room_that_is_needed_and_free_is_said(open_getting):
    words = said(open_getting("dataverse"))
    assert "Needs about 5.6 GB meanwhile" in words
    assert "free in the cache folder" in words


def test_a_zip_becomes_a_dataset_that_can_be_explored(open_getting, tmp_path):
    archive = tmp_path / "clinic.zip"
    archive.write_bytes(kaggle_zip())
    app = open_getting("zip")
    app.text_input(key="explore_where_zip").input(str(archive))
    app = finish(press(accept(app.run(), "zip"), "Get it"))
    assert "clinic is here: 7 images, 7 with a picture." in said(app, "success")
    assert "a twin of another member: 7" in said(app, "caption")
    app = press(app, "Explore it")
    assert not app.exception
    assert app.selectbox(key="dataset").value == "clinic, fetched"
    assert app.session_state["view"] == "Distributions"
    assert jobs.find(JOB) is None


def test_what_is_here_already_is_listed_and_opens(open_getting, tmp_path):
    archive = tmp_path / "clinic.zip"
    archive.write_bytes(kaggle_zip())
    app = open_getting("zip")
    app.text_input(key="explore_where_zip").input(str(archive))
    press(finish(press(accept(app.run(), "zip"), "Get it")), "Get another")
    app = open_getting("dataverse")
    assert "clinic: 7 images, 7 with a picture · from A zip" in said(app, "markdown")
    assert press(app, "Explore").selectbox(key="dataset").value == "clinic, fetched"


def test_a_refusal_is_shown_with_its_cure_and_can_be_tried_again(open_getting, tmp_path):
    archive = tmp_path / "evil.zip"
    archive.write_bytes(zip_of({"../../evil.jpg": b"x"}))
    app = open_getting("zip")
    app.text_input(key="explore_where_zip").input(str(archive))
    app = finish(press(accept(app.run(), "zip"), "Get it"))
    assert "evil.zip holds '../../evil.jpg', which would be written outside" in said(app, "error")
    archive.write_bytes(kaggle_zip())
    app = finish(press(app, "Get it again"))
    assert "evil is here" in said(app, "success")


def test_what_failed_at_one_source_is_not_said_of_another(open_getting, tmp_path):
    app = open_getting("zip")
    app.text_input(key="explore_where_zip").input(str(tmp_path / "nowhere.zip"))
    app = finish(press(accept(app.run(), "zip"), "Get it"))
    assert "nowhere.zip" in said(app, "error")
    app.segmented_control(key="explore_from").set_value("kaggle")
    assert not app.run().error


def test_a_key_for_one_source_is_never_offered_to_another(open_getting):
    app = open_getting("kaggle")
    app.text_input(key="explore_get_key_kaggle").input("KGAT_secret")
    app.run().segmented_control(key="explore_from").set_value("hub")
    assert [field.value for field in app.run().text_input if field.proto.type == field.proto.PASSWORD] == [""]


def test_a_visitor_uses_neither_this_servers_key_nor_its_network(open_getting, monkeypatch):
    from core.data import getting

    orders = []
    monkeypatch.setattr(getting, "get", lambda _source, order, _means, **_: orders.append(order))
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_of_the_owner")
    app = open_getting("kaggle", visitor="192.0.2.7")
    assert "found on this machine" not in said(app, "caption")
    finish(press(accept(app, "kaggle"), "Get it"))
    assert [order.stored_key for order in orders] == [False]
    app = open_getting("dataverse", visitor="192.0.2.7")
    assert "Address of a mirror" not in [field.label for field in app.text_input]


def test_a_mirror_that_is_no_address_is_refused(open_getting):
    app = open_getting("isic")
    app.text_input(key="explore_get_mirror").input("mirror")
    app = finish(press(accept(app.run(), "isic"), "Get it"))
    assert "is no address of a mirror" in said(app, "error")


def test_a_key_is_forgotten_as_soon_as_it_is_used(open_getting, monkeypatch):
    from core.data import getting

    given = []

    def hold(source, order, means, **_):
        given.append(order.key)
        while True:
            means.report(0)
            time.sleep(0.05)

    monkeypatch.setattr(getting, "get", hold)
    app = open_getting("kaggle")
    assert (
        app.text_input(key="explore_get_key_kaggle").proto.type
        == app.text_input(key="explore_get_key_kaggle").proto.PASSWORD
    )
    app.text_input(key="explore_get_key_kaggle").input("KGAT_secret")
    app = press(accept(app.run(), "kaggle"), "Get it")
    assert app.text_input(key="explore_get_key_kaggle").value == ""
    assert app.session_state["explore_get_key_kaggle"] == ""
    assert given == ["KGAT_secret"]
    job = jobs.find(JOB)
    held = next(cell.cell_contents for cell in job._work.__closure__ if isinstance(cell.cell_contents, list))
    assert held == []


def test_names_from_a_zip_are_shown_as_they_stand(open_getting, tmp_path):
    archive = tmp_path / "x.zip"
    archive.write_bytes(zip_of({"![](http://elsewhere/x.png)/../a.jpg": b"x"}))
    app = open_getting("zip")
    app.text_input(key="explore_where_zip").input(str(archive))
    app = finish(press(accept(app.run(), "zip"), "Get it"))
    assert "\\!\\[\\]" in app.error[0].value


def test_a_shared_server_says_who_brings_datasets(open_getting, monkeypatch):
    monkeypatch.setenv("LESIONLENS_ALLOW_TRAINING", "no")
    settings.cache_clear()
    app = open_getting("dataverse")
    assert "python -m train prepare get" in said(app, "info")
    assert not [button for button in app.button if button.label == "Get it"]


@pytest.mark.parametrize(("allowed", "visitor"), [("no", None), ("yes", "192.0.2.7")])
def test_paths_of_this_machine_are_only_for_who_sits_at_it(allowed, visitor, open_getting, monkeypatch):
    monkeypatch.setenv("LESIONLENS_ALLOW_FOLDERS", allowed)
    settings.cache_clear()
    app = open_getting("dataverse", visitor=visitor)
    (where,) = [group for group in app.segmented_control if group.label == "Where from"]
    assert where.options == [SOURCES[name].title for name in ("dataverse", "isic", "kaggle", "hub")]


def test_a_dataset_got_by_hand_is_found_by_the_picker(open_getting, tmp_path, open_page):
    archive = tmp_path / "clinic.zip"
    archive.write_bytes(kaggle_zip())
    app = open_getting("zip")
    app.text_input(key="explore_where_zip").input(str(archive))
    finish(press(accept(app.run(), "zip"), "Get it"))
    root = settings().cache_dir / "datasets"
    assert find(root, "clinic") is not None
    assert {path.name for path in Path(root).iterdir()} == {"clinic"}
    assert "clinic, fetched" in open_page("Explore").selectbox(key="dataset").options


def test_a_key_that_is_on_this_machine_is_mentioned_and_not_shown(open_getting, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_of_the_owner")
    app = open_getting("kaggle")
    assert "One was found on this machine" in said(app, "caption")
    assert app.text_input(key="explore_get_key_kaggle").value == ""


def test_both_licences_of_kaggles_copy_stand_there_before_it_is_asked_for(open_page):
    app = open_page("Explore", view="Get data", explore_from="Kaggle")
    words = said(app, "markdown")
    for name, address in (("CC BY-NC 4.0", "by-nc/4.0"), ("CC BY-NC-SA 4.0", "by-nc-sa/4.0")):
        assert f"[{name}](https://creativecommons.org/licenses/{address}/)" in words
    box = app.checkbox(key="explore_accepted_kaggle")
    assert box.label == "I have read CC BY-NC 4.0 and CC BY-NC-SA 4.0 and accept both"
    box.check()
    # What was accepted of HAM10000 says nothing of another dataset.
    app.text_input(key="explore_where_kaggle").input("somebody/another").run()
    assert "creativecommons.org" not in said(app, "markdown")
    assert not app.checkbox(key="explore_accepted_kaggle_other").value
    assert app.button(key="explore_get_locked").disabled
