"""A tour of about three minutes over the real pages, with drawn pictures. Add a station to STATIONS.

A station is an address: `?tour=1` and so on, with all that its page needs to show it, so its link works cold,
on a server that has nothing but what comes with the code. The card covers nothing: the page ends
where it begins, it folds away, and everything can be used meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import streamlit as st

from core.words import Reader
from pages.ui.address import whole_number

if TYPE_CHECKING:
    from pages.ui.frame import Page

TOUR: Final = "tour"
"""What the address calls the number of the station."""

_OPENED: Final = "tour_opened"
_HERE: Final = Path(__file__)
_CARD: Final = st.components.v2.component(
    "lesionlens_tour",
    html="""<nav class="tour" aria-label="Tour">
  <details open>
    <summary><span class="number"></span> <strong class="title"></strong></summary>
    <p class="words" tabindex="-1"></p>
  </details>
  <div class="ways"><a class="back">← Back</a> <a class="next"></a> <a class="leave">Leave the tour</a></div>
</nav>
""",
    css=_HERE.with_suffix(".css").read_text(encoding="utf-8"),
    js=_HERE.with_suffix(".js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Station:
    """One stop of the tour.

    page: a title of the menu. query: the address' parameters that make the page show it.
    at: the key of the widget that stands where to look; empty for the top of the page.
    words: what to look at, by the reader's name.
    """

    title: str
    page: str
    query: Mapping[str, str]
    at: str
    words: Mapping[str, str]


_DRAWN: Final = {"picture": "synthetic", "drawing": "Melanoma", "drawing_seed": "11"}
_PATIENT: Final = {"patient_age": "60", "patient_sex": "male", "patient_site": "back"}

STATIONS: Final = (
    Station(
        "A picture is answered",
        "Predict",
        _DRAWN,
        "",
        {
            "patient": "This spot was drawn by a program. The box says whether a doctor should look at a "
            "spot like it. Below it stand all seven things it could be. No answer here can rule cancer out.",
            "clinician": "A drawn lesion. First the malignancy probability against a threshold that was set "
            "on validation data, then the differential of seven diagnoses with a prediction set.",
            "ML": "A drawn input. Seven calibrated probabilities, a class-conditional conformal set, and the "
            "malignant mass against the operating point.",
        },
    ),
    Station(
        "Why it says so",
        "Predict",
        _DRAWN | {"contour": "true"},
        "explained",
        {
            "patient": "Orange parts of the picture speak for this diagnosis, blue parts against it. Choose "
            "another diagnosis to see its own map. Where the model looked need not be where a doctor would.",
            "clinician": "Evidence for and against one diagnosis, region by region, and what it adds up to. "
            "Choose another diagnosis: all maps share one scale, so they can be compared.",
            "ML": "Signed evidence from the same forward pass. Bias, mean of the map and the facts' terms "
            "sum to the logit exactly; hover reads a place, the table below the maps has all seven sums.",
        },
    ),
    Station(
        "Were the patient another",
        "Predict",
        _DRAWN | _PATIENT | {"what_if": "other facts"},
        "what_if",
        {
            "patient": "The same spot on a man of 60, on his back. The lines show how the answer would "
            "change with age, the bars with the place on the body. Change the age at the top and see.",
            "clinician": "Age, sex and site are now given. Each diagnosis' probability over age and over "
            "sites, the picture being the same: how much of the answer is pre-test knowledge.",
            "ML": "Facts are additive tables, so whole curves need no second forward pass. Change one at "
            "the top: only its term moves.",
        },
    ),
    Station(
        "With a part hidden",
        "Predict",
        _DRAWN
        | {"what_if": "a part hidden", "changes": "hide:0.500/0.400/0.700/0.400/0.700/0.600/0.500/0.600"},
        "what_if",
        {
            "patient": "A piece of the spot was painted over, and the answer is asked again: before and "
            "after stand side by side. Drag a box of your own. If little turns an answer, trust neither.",
            "clinician": "A part of the lesion is covered; the table shows what that does. An answer that "
            "lives on without the lesion rests on the skin around it.",
            "ML": "Occlusion in the picture's median colour, before and after. Drag another box or a "
            "polygon, keep or hide, undo, pin: the state stands in the address.",
        },
    ),
    Station(
        "Where the picture was taken",
        "Predict",
        _DRAWN | {"place": "self-check"},
        "place",
        {
            "patient": "Skin cancer is rarer among people who look at their own skin than in a special "
            "clinic. So the same score means less there. The advice does not change.",
            "clinician": "The same score at another pre-test probability. The decision stays where the "
            "threshold was set; what a score means depends on who was examined.",
            "ML": "Prior shift on the malignant odds. Threshold and decision stay: they were set on the "
            "score as it is.",
        },
    ),
    Station(
        "When it does not answer",
        "Predict",
        {"picture": "synthetic", "drawing": "no lesion: a page of text", "drawing_seed": "3"},
        "",
        {
            "patient": "A page of text is no spot on the skin. The model says so, with reasons, and gives no "
            "answer. A photo without a dermatoscope is often refused too.",
            "clinician": "Input unlike the training pictures gets reasons instead of an answer. Not all of "
            "it is caught: about four in ten clinical photos pass, so use dermoscopy only.",
            "ML": "The gate: feature distance, energy, colours, and signs of print. Limits were set on "
            "validation pictures, of which fewer than 5 in 100 are refused.",
        },
    ),
    Station(
        "How it learned",
        "Train",
        {"run": "bundled:lesionlens-lite0"},
        "train_replay",
        {
            "patient": "This is the training of the model you just asked, on record. Press “Watch it "
            "learn”: it found more and more of each kind, and still misses some.",
            "clinician": "The recorded training of this model. Press “Watch it learn”, and follow how "
            "many of each diagnosis it found, and which it kept mixing up.",
            "ML": "The recorded run: curves, confusion, evidence maps by epoch, settings. Press “Watch it "
            "learn” or pick a moment.",
        },
    ),
    Station(
        "How good it is",
        "Compare",
        {},
        "",
        {
            "patient": "What was measured on spots the model never saw. Each number comes with a range and "
            "with how many pictures stand behind it. Even the best row here makes mistakes.",
            "clinician": "Test results with 95 % intervals, ranks that are groups, subgroups, curves and one "
            "operating point for the whole app.",
            "ML": "Models on common test pictures: paired differences, Holm-corrected ranks, calibration, "
            "subgroups and robustness. Bring your own predictions as a CSV.",
        },
    ),
)


def link_to(number: int, pages: Mapping[str, "Page"], reader: Reader) -> str:
    """Return the address of a station, 1 to len(STATIONS), seen from any page."""
    station = STATIONS[number - 1]
    return _link(pages[station.page], reader, {**station.query, TOUR: str(number)})


def go(title: str, pages: Mapping[str, "Page"]) -> None:
    """Open the station that the address asks for, where this is not it: `?tour=3` alone is enough."""
    number = _asked()
    if number is None or st.session_state.get(_OPENED) == number:
        return
    # Once: whoever tries something out at a station is not put back.
    st.session_state[_OPENED] = number
    station, given = STATIONS[number - 1], st.query_params.to_dict()
    if station.page != title or any(given.get(name) != value for name, value in station.query.items()):
        kept = {name: given[name] for name in ("reader",) if name in given}
        st.switch_page(pages[station.page].script, query_params={**kept, **station.query, TOUR: str(number)})


def draw(title: str, pages: Mapping[str, "Page"], reader: Reader) -> None:
    """Draw the card of the station that the address names; nothing without one, or on another page."""
    number = _asked()
    if number is None or STATIONS[number - 1].page != title:
        return
    station, last = STATIONS[number - 1], len(STATIONS)
    _CARD(
        key="tour_card",
        data={
            "number": f"{number} of {last}",
            "title": station.title,
            "words": station.words[reader.name],
            "at": station.at,
            "back": link_to(number - 1, pages, reader) if number > 1 else "",
            "next": link_to(number + 1, pages, reader)
            if number < last
            else _link(pages["Predict"], reader, {"picture": "upload"}),
            "nextTitle": STATIONS[number].title if number < last else "ask about a picture",
            "leave": _link(pages[title], reader, {}),
        },
    )


def start_button(pages: Mapping[str, "Page"], reader: Reader, *, quiet: bool = False) -> None:
    """Draw the way into the tour; nothing for who is on it. quiet: as one thing to do among others."""
    if _asked() is None:
        words = "Take the three-minute tour"
        data = {"href": link_to(1, pages, reader), "words": words, "quiet": quiet}
        _START(key="tour_start", data=data)


def _asked() -> int | None:
    written = st.query_params.get(TOUR)
    return None if written is None else whole_number(written, high=len(STATIONS))


def _link(page: "Page", reader: Reader, query: Mapping[str, str]) -> str:
    # Seen from the page's own folder, so that it also holds behind a path of a proxy. A fresh load, since
    # widgets that are on the page already would not follow a changed address.
    return f"./{page.url_path}?{urlencode({'reader': reader.name, **query})}"


_START: Final = st.components.v2.component(
    "lesionlens_tour_start",
    html='<a class="start"></a>\n',
    css=_HERE.with_suffix(".css").read_text(encoding="utf-8"),
    js="""export default function ({ data, parentElement }) {
  const link = parentElement.querySelector("a")
  link.href = data.href
  link.textContent = data.words
  link.classList.toggle("quiet", data.quiet)
}
""",
)
