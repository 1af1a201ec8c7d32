"""The views of the Compare page: one is open at a time, and only that one runs. Add one to VIEWS."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import streamlit as st

from pages.ui.compare import (
    categories,
    curves,
    everything,
    facts,
    groups,
    maps,
    pair,
    pictures,
    point,
    robust,
    table,
)
from pages.ui.compare.compared import Compared

KEY: Final = "show"


@dataclass(frozen=True)
class View:
    """One view: its name in switch and address, a Material symbol, what it answers, and what draws it."""

    title: str
    icon: str
    about: str
    draw: Callable[[Compared], None]


VIEWS: Final = {
    view.title: view
    for view in (
        View(
            "Table",
            ":material/leaderboard:",
            "Which model is better, and can they be told apart?",
            table.draw,
        ),
        View(
            "Pair",
            ":material/balance:",
            "Is the difference between two real, and where do they disagree?",
            pair.draw,
        ),
        View(
            "Curves",
            ":material/show_chart:",
            "How do they do at every threshold, and are they calibrated?",
            curves.draw,
        ),
        View(
            "Per diagnosis",
            ":material/category:",
            "How well is each diagnosis told from the rest?",
            categories.draw,
        ),
        View("Mistakes", ":material/grid_on:", "What is mistaken for what?", pictures.draw_matrices),
        View(
            "Operating point",
            ":material/tune:",
            "What does one threshold catch, and what does it cost?",
            point.draw,
        ),
        View("Subgroups", ":material/groups:", "For whom does it hold?", groups.draw),
        View(
            "Poor pictures",
            ":material/blur_on:",
            "How do they bear blur, noise, hair and bad light?",
            robust.draw,
        ),
        View(
            "Map quality",
            ":material/center_focus_strong:",
            "Does the evidence lie on the lesion, and does it matter?",
            maps.draw,
        ),
        View(
            "Facts",
            ":material/description:",
            "What is known of each model, and what was not measured?",
            facts.draw,
        ),
    )
}
DEFAULT: Final = next(iter(VIEWS))
BRING: Final = "Bring your own"


def choose() -> str:
    """Ask which view shall be open; its title, or BRING."""
    chosen = st.segmented_control(
        "View",
        [*VIEWS, BRING],
        default=DEFAULT,
        required=True,
        key=KEY,
        bind="query-params",
        label_visibility="collapsed",
    )
    return chosen or DEFAULT


def draw(title: str, compared: Compared) -> None:
    """Draw a view."""
    view = VIEWS[title]
    st.caption(f"{view.icon} {view.about}")
    view.draw(compared)
    everything.draw(compared)
