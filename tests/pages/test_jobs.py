"""A job on a page: its button, its result, and a result on the disk that is gone."""

import uuid

import pytest
from streamlit.testing.v1 import AppTest

from core import jobs


def page(key, on_disk):
    import streamlit as st

    from pages.ui import jobs as panel

    found = panel.draw(
        key,
        "Counting",
        lambda report: report(1, 1) or 42,
        button="Count",
        about="It counts.",
        on_disk=on_disk,
    )
    st.markdown(f"found {found}")


@pytest.fixture
def key():
    return uuid.uuid4().hex


def opened(key, *, on_disk=False):
    return AppTest.from_function(page, args=(key, on_disk), default_timeout=30).run()


def test_a_job_is_started_by_its_button_and_gives_its_result(key):
    app = opened(key)
    assert "found None" in app.markdown[-1].value
    app.button[0].click().run()
    assert jobs.find(key).wait(10) == "done"
    assert "found 42" in app.run().markdown[-1].value
    assert not app.button


def test_a_result_that_is_gone_from_the_disk_can_be_made_again(key):
    jobs.start(key, "Counting", lambda _report: 42).wait(10)
    app = opened(key, on_disk=True)
    assert not app.exception
    assert [button.label for button in app.button] == ["Count"]


def test_a_problem_is_shown_and_can_be_tried_again(key):
    def fail(_report):
        raise ValueError("no")

    jobs.start(key, "Counting", fail).wait(10)
    app = opened(key)
    assert "Counting failed unexpectedly" in app.error[0].value
    assert [button.label for button in app.button] == ["Count again"]
