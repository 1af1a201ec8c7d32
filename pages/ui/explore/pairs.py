"""Pictures twice in a dataset: copies, and the same spot of skin under two lesion ids."""

from collections.abc import Callable
from typing import Final

import pandas as pd
import streamlit as st

from core.data.facets import label_of
from core.data.scenes import LEAST_POINTS, find_scenes
from core.data.twins import recall_of_known
from core.settings import settings
from core.spreadsheet import to_csv
from core.words import minutes, short_name
from pages.ui import jobs, theme
from pages.ui.explore import examined, picture, tiles
from pages.ui.explore.datasets import Dataset
from pages.ui.explore.explored import Explored

_PAIRS: Final = "explore_pairs"
_PAIRS_PAGE: Final = "explore_pairs_page"
_WHICH: Final = {
    "other lesions": "Under two lesion ids",
    "other diagnoses": "With two diagnoses",
    "across": "Across the split",
    "all": "All",
}


def draw(explored: Explored) -> None:
    """Draw the pairs."""
    pairs = examined.pairs(explored.dataset)
    if pairs is None:
        st.caption("Copies are found by what one look at each picture notes.")
        examined.draw_inspect(explored.dataset)
        return
    scenes = examined.scenes(explored.dataset)
    st.markdown(_say_pairs(pairs, explored, searched=scenes is not None))
    if scenes is None:
        _draw_search(explored.dataset)
    if pairs.empty:
        return
    which = st.segmented_control(
        "Which pairs",
        list(_WHICH),
        default=next(iter(_WHICH)),
        required=True,
        format_func=_WHICH.__getitem__,
        key=_PAIRS,
        bind="query-params",
        label_visibility="collapsed",
    )
    shown = _which(pairs, which or next(iter(_WHICH)))
    counts = (f"{words.lower()}: {len(_which(pairs, name)):,}" for name, words in _WHICH.items())
    st.caption(f"Pairs {'; '.join(counts)}. The surest come first.")
    here = set(explored.chosen["image_id"])
    if explored.selection:
        shown = shown[shown["first"].isin(here) | shown["second"].isin(here)]
        st.caption(f"{len(shown):,} of them with a picture that passes the filter.")
    if shown.empty:
        st.info("There is no such pair.", icon=":material/check_circle:")
        return
    page = examined.page(_PAIRS_PAGE, len(shown))
    part = shown.iloc[(page - 1) * examined.SHOWN : page * examined.SHOWN]
    _draw_pairs(explored, part)
    examined.draw_pages(_PAIRS_PAGE, len(shown))
    st.download_button(
        "These pairs as CSV",
        data=lambda: to_csv(shown, notes=[explored.selection.describe()]),
        file_name="pairs.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="explore_pairs_csv",
    )
    picture.draw_opened(explored, [*part["first"], *part["second"]])


def _which(pairs: pd.DataFrame, name: str) -> pd.DataFrame:
    picks: dict[str, Callable[[], pd.Series]] = {
        "other lesions": lambda: pairs["apart"] != "",
        "other diagnoses": lambda: pairs["apart"] == "diagnoses",
        "across": lambda: pairs["splits"],
        "all": lambda: pd.Series(data=True, index=pairs.index),
    }
    return pairs[picks[name]()]


def _say_pairs(pairs: pd.DataFrame, explored: Explored, *, searched: bool) -> str:
    kinds = pairs["kind"].value_counts()
    exact = int(kinds.get("same file", 0) + kinds.get("same pixels", 0))
    apart = int((pairs["apart"] != "").sum())
    said = (
        f"{_pair_count(exact)} with the same pixels, {_pair_count(int(kinds.get('near copy', 0)))} of near "
        "copies"
    )
    if searched:
        said += f", {_pair_count(int(kinds.get('same spot', 0)))} that may show the same spot of skin"
    said += f". **{_pair_count(apart)}** under two lesion ids, which splitting by id alone would tear apart."
    found = recall_of_known(pairs, explored.dataset.table)
    if found.known and searched:
        said += (
            f" Of the {found.known} duplicate pairs that were published for this dataset (Abhishek et al., "
            f"2025), {found.found} are among them. The split here keeps all {found.known} together."
        )
    return said


def _pair_count(number: int) -> str:
    return f"{number:,} pair{'s' * (number != 1)}"


def _draw_search(dataset: Dataset) -> None:
    table, cache_dir = dataset.table, settings().cache_dir
    count = int(table["image_path"].notna().sum())
    jobs.draw(
        f"scenes:{dataset.key}:{len(table)}",
        "Comparing the pictures",
        lambda report: find_scenes(table, cache_dir=cache_dir, report=report),
        button="Look for the same spot under other ids",
        about="Another photo of the same skin, with other light, crop or turn, is no copy. It is found by "
        "points that agree: each picture is compared with the twenty most like it. About "
        f"{minutes(count * 0.03)} on one core, once; it can be cancelled, and goes on later.",
        on_disk=True,
    )


def _draw_pairs(explored: Explored, part: pd.DataFrame) -> None:
    rows = explored.dataset.table.set_index("image_id", drop=False)
    colours = theme.diagnosis_colours()
    groups = []
    for pair in part.to_dict("records"):
        both = rows.loc[[pair["first"], pair["second"]]]
        names = dict.fromkeys(short_name(pair[side]) for side in ("dx_first", "dx_second"))
        lesions = dict.fromkeys((pair["lesion_first"], pair["lesion_second"]))
        lines = [_say_score(pair["kind"], pair["score"]), " and ".join(lesions)]
        if pair["splits"]:
            sides = (label_of("split", pair[side]) for side in ("part_first", "part_second"))
            lines.append(" | ".join(sides))
        groups.append(tiles.Group(both, " / ".join(names), colours[pair["dx_first"]], tuple(lines)))
    tiles.draw(groups, key="explore_pair_tiles", label=f"{len(groups)} pairs", masks={}, opened=picture.put)


def _say_score(kind: str, score: float) -> str:
    if kind == "same spot":
        return f"{kind}? {score:.0f} points agree (shown from {LEAST_POINTS})"
    return f"{kind}, likeness {score:.3f}" if kind == "near copy" else kind
