"""The views of the Explore page: one is open at a time, and only that one runs. Add one to VIEWS."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import streamlit as st

from pages.ui import notices
from pages.ui.explore import card, distributions, gallery, getting, leaks, map, quality, steps  # noqa: A004
from pages.ui.explore.explored import Explored

KEY: Final = "view"


@dataclass(frozen=True)
class View:
    """One view.

    Attributes:
        title: its name, in the switch and in the address.
        icon: a Material symbol.
        about: what a person finds there.
        draw: draws it.
        needs_pictures: whether facts alone are not enough.
        needs_rows: whether it has nothing to show when no row passes the filter.
    """

    title: str
    icon: str
    about: str
    draw: Callable[[Explored], None]
    needs_pictures: bool = False
    needs_rows: bool = True


VIEWS: Final = {
    view.title: view
    for view in (
        View(
            "Distributions",
            ":material/bar_chart:",
            "What the dataset holds. Click any mark to filter everything by it.",
            distributions.draw,
            needs_rows=False,
        ),
        View(
            "Gallery",
            ":material/photo_library:",
            "The pictures themselves, lesion by lesion.",
            gallery.draw,
            needs_pictures=True,
        ),
        View(
            "Map",
            ":material/scatter_plot:",
            "Pictures that a model finds alike lie close together.",
            map.draw,
            needs_pictures=True,
        ),
        View(
            "Quality",
            ":material/fact_check:",
            "Duplicates, blur, hair, doubtful labels, thin coverage.",
            quality.draw,
            needs_pictures=True,
        ),
        View(
            "Leaks",
            ":material/water_drop:",
            "What a split rule lets through from training into the test.",
            leaks.draw,
        ),
        View(
            "Steps",
            ":material/auto_fix_high:",
            "One picture through every step of preparation.",
            steps.draw,
            needs_rows=False,
        ),
        View("Get data", ":material/download:", "Bring HAM10000 here.", getting.draw, needs_rows=False),
        View(
            "Card",
            ":material/description:",
            "Source, licence, citation, how labels were made, known issues.",
            card.draw,
            needs_rows=False,
        ),
    )
}
DEFAULT: Final = next(iter(VIEWS))


def choose() -> View:
    """Ask which view shall be open."""
    title = st.segmented_control(
        "View",
        list(VIEWS),
        default=DEFAULT,
        required=True,
        key=KEY,
        bind="query-params",
        label_visibility="collapsed",
    )
    return VIEWS[title or DEFAULT]


def draw(view: View, explored: Explored) -> None:
    """Draw a view, or say kindly what it lacks."""
    st.caption(f"{view.icon} {view.about}")
    if view.needs_pictures and not explored.dataset.has_pictures:
        st.info(
            notices.plain(f"{view.title} needs pictures, and none of this dataset are here."),
            icon=":material/image_not_supported:",
        )
        st.button(
            "Get the pictures",
            icon=":material/download:",
            key="explore_get",
            on_click=show,
            args=("Get data",),
        )
        return
    if view.needs_rows and explored.chosen.empty:
        st.info("No image passes the filter. Take off one of its parts above.", icon=":material/filter_alt:")
        return
    view.draw(explored)


def show(title: str) -> None:
    """Open another view: for callbacks."""
    st.session_state[KEY] = title
