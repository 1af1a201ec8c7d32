"""The frame that every page draws first: page config, menu, reader, what is installed, disclaimer.

There is no `st.navigation`: on a fresh server whose first visit is a deep link, Streamlit runs a script of
`pages/` without the entry script. So each page is complete in itself. Add one by adding its script to
`pages/` and an entry to PAGES.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import streamlit as st

from core.errors import LesionLensError
from core.words import ATTRIBUTION, DEFAULT_READER, DISCLAIMER, READERS, Reader
from pages.ui import ending, installed, notices, tour

MARK: Final = Path(__file__).parent / "mark.svg"
LOGO: Final = Path(__file__).parent / "logo.svg"


@dataclass(frozen=True)
class Page:
    """One page: its script seen from the entry script's folder, and how the menu speaks of it."""

    title: str
    script: str
    icon: str
    about: str

    @property
    def url_path(self) -> str:
        """The page's path in the address bar; empty for the entry script."""
        return "" if self.script == HOME_SCRIPT else Path(self.script).stem


HOME_SCRIPT: Final = "streamlit_app.py"
PAGES: Final = {
    page.title: page
    for page in (
        Page("Home", HOME_SCRIPT, ":material/home:", "What this is, what is installed, and a short tour."),
        Page("Explore", "pages/explore.py", ":material/travel_explore:", "The diagnoses and the dataset."),
        Page("Train", "pages/train.py", ":material/model_training:", "Watch a model learn, live or again."),
        Page("Predict", "pages/predict.py", ":material/biotech:", "Ask about one picture and see why."),
        Page("Compare", "pages/compare.py", ":material/leaderboard:", "How well the models measured."),
    )
}


# White letters, which Streamlit puts on its chips, cannot be read on a colour that stands out from dark. The
# browser chooses: the server does not know the mode yet when a page is painted for the first time.
_CHIPS: Final = """<style>
[data-testid="stMultiSelect"] span[title], [data-testid="stMultiSelect"] span[title] ~ * {
  color: light-dark(#FFFFFF, #10181B);
}
</style>"""


def page(title: str, *, heading: str | None = None) -> Reader:
    """Draw the frame of a page of PAGES and return who reads it. The first call of every page."""
    ending.prepare()
    this = PAGES[title]
    st.set_page_config(
        page_title="LesionLens" if this.script == HOME_SCRIPT else f"{title} · LesionLens",
        page_icon=str(MARK),
        layout="wide",
        menu_items={"About": f"**LesionLens.** {DISCLAIMER}\n\n{ATTRIBUTION}"},
    )
    st.html(_CHIPS)
    tour.go(title, PAGES)
    st.logo(str(LOGO), size="large", icon_image=str(MARK))
    with st.sidebar:
        reader = _draw_menu()
    st.title(heading or title, anchor=False)
    st.caption(f":material/health_and_safety: {DISCLAIMER}")
    tour.draw(title, PAGES, reader)
    _draw_installed()
    return reader


def link(title: str, label: str) -> None:
    """Draw a link to a page that takes the address's parameters along; it leaves the tour."""
    to = PAGES[title]
    # One that has just been taken off is there without a value until the script runs again.
    given = {name: value for name, value in st.query_params.to_dict().items() if value and name != tour.TOUR}
    st.page_link(to.script, label=label, icon=to.icon, query_params=given or None)


def _draw_menu() -> Reader:
    links = st.container(gap="xsmall")
    name = st.segmented_control(
        "Words for",
        list(READERS),
        default=DEFAULT_READER,
        required=True,
        key="reader",
        bind="query-params",
        help="Changes words and order, never a number or a decision.",
        width="stretch",
    )
    # The links are drawn after the switch, so that they carry the reader chosen just now.
    with links:
        for title, to in PAGES.items():
            link(title, to.title)
    return READERS[name or DEFAULT_READER]


def _draw_installed() -> None:
    try:
        state = installed.state()
    except LesionLensError as problem:
        notices.refuse(problem)
        st.stop()
    with st.sidebar:
        st.markdown("**Installed**")
        for line in (state.checkpoint, state.data):
            icon = ":material/check_circle:" if line.ready else ":material/radio_button_unchecked:"
            st.caption(f"{icon} {notices.plain(line.words)}")
