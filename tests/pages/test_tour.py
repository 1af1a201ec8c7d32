"""The tour: every station's link works cold, in each reader's words, and nobody is held at one."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from core.words import READERS
from pages.ui.frame import PAGES
from pages.ui.tour import STATIONS, link_to
from tests.pages.reading import component, said

NUMBERS = range(1, len(STATIONS) + 1)
PATIENT = READERS["patient"]


def opened(open_page, number, reader="patient"):
    link = urlsplit(link_to(number, PAGES, READERS[reader]))
    page = next(title for title, page in PAGES.items() if page.url_path == link.path.removeprefix("./"))
    return open_page(page, **dict(parse_qsl(link.query)))


@pytest.mark.parametrize("number", NUMBERS)
def test_the_link_of_a_station_works_cold(open_page, number):
    app, station = opened(open_page, number), STATIONS[number - 1]
    assert not app.exception
    assert not app.error
    assert app.title[0].value == station.page
    card = component(app, "lesionlens_tour")
    assert (card["title"], card["number"]) == (station.title, f"{number} of {len(STATIONS)}")
    # A value that its widget does not know is dropped, and the station would show something else.
    for name, value in station.query.items():
        if name in app.session_state:
            shown = app.session_state[name]
            assert value == str(shown).lower() or _title(app, name) == value
        else:
            assert app.query_params[name] in (value, [value])
    keys = {element.key for element in app if hasattr(element, "key")}
    assert station.at in keys | {""}


def _title(app, name):
    box = next(element for element in app if getattr(element, "key", None) == name)
    return box.options[box.index] if hasattr(box, "options") and hasattr(box, "index") else box.value


def test_the_stations_show_what_they_speak_of(open_page):
    spoken = {
        "A picture is answered": "Malignancy probability",
        "Were the patient another": "With age alone changed",
        "With a part hidden": "A part hidden",
        "Where the picture was taken": "assumed without a study",
        "When it does not answer": "cannot judge this picture",
    }
    for number, station in enumerate(STATIONS, 1):
        if station.title in spoken:
            assert spoken.pop(station.title) in said(opened(open_page, number))
    assert not spoken


def test_every_reader_is_spoken_to_plainly():
    for station in STATIONS:
        assert set(station.words) == set(READERS)
        for words in station.words.values():
            assert len(words.split()) <= 45
            assert not re.search(r"\b(safe|healthy|amazing|powerful|state of the art)\b", words.lower())


def test_the_number_alone_opens_the_station(open_page):
    app = open_page("Home", tour="3")
    assert not app.exception
    assert app.title[0].value == "Predict"
    assert app.number_input(key="patient_age").value == 60
    assert app.session_state["what_if"] == "other facts"


def test_who_tries_something_out_is_not_put_back(open_page):
    app = opened(open_page, 3)
    app.number_input(key="patient_age").set_value(30).run()
    assert app.number_input(key="patient_age").value == 30
    assert component(app, "lesionlens_tour")["title"] == STATIONS[2].title


@pytest.mark.parametrize(("written", "number"), [("99", len(STATIONS)), ("0", 1), ("-1", 1), ("one", 1)])
def test_nonsense_becomes_the_nearest_station(open_page, written, number):
    app = open_page("Home", tour=written)
    assert not app.exception
    assert component(app, "lesionlens_tour")["title"] == STATIONS[number - 1].title


def test_the_ways_lead_on_back_and_out(open_page):
    first, last = (component(opened(open_page, number), "lesionlens_tour") for number in (1, len(STATIONS)))
    assert first["back"] == ""
    assert first["next"] == link_to(2, PAGES, PATIENT)
    assert last["back"] == link_to(len(STATIONS) - 1, PAGES, PATIENT)
    assert last["next"] == "./predict?reader=patient&picture=upload"
    assert first["leave"] == "./predict?reader=patient"


def test_the_menu_leaves_the_tour(open_page):
    app = opened(open_page, 2, reader="ML")
    assert all("tour=2" not in link.proto.query_string for link in app.sidebar.page_link)
    assert "contour=true" in app.sidebar.page_link[0].proto.query_string


@pytest.mark.parametrize("title", ["Home", "Predict"])
def test_one_button_starts_it(open_page, title):
    assert component(open_page(title), "lesionlens_tour_start")["href"] == link_to(1, PAGES, PATIENT)
