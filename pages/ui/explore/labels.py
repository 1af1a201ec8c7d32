"""Labels worth a second look, ranked by a model that has not seen their lesion. No verdicts."""

from typing import Final

import pandas as pd
import streamlit as st

from core import jobs as work
from core.data.copies import originals_of
from core.data.facets import label_of
from core.data.suspects import FOLDS, cross_validate, rank_suspects
from core.predict.features import Extractor, compute_features, imagenet_extractor, stored_features
from core.settings import settings
from core.spreadsheet import to_csv
from core.words import minutes, percent, proportion, short_name
from pages.ui import jobs, theme
from pages.ui.explore import examined, picture, tiles
from pages.ui.explore.datasets import Dataset
from pages.ui.explore.explored import Explored

_SUSPECTS_PAGE: Final = "explore_suspects_page"
# Nobody looks further than this; the download has all.
_MOST: Final = 400


def draw(explored: Explored) -> None:
    """Draw the labels, the least believed first."""
    st.markdown(
        "Pictures that a model would name otherwise when it has not seen their lesion. The model is simple: "
        f"a logistic regression on features in which no diagnosis is, asked in {FOLDS} folds by lesion. "
        "**Most disagreements are its own mistakes.** The order says where to look first, not who is right."
    )
    ranked = _suspects(explored.dataset)
    if ranked is None:
        return
    ranked = ranked[ranked["image_id"].isin(explored.chosen["image_id"])]
    if ranked.empty:
        st.info("No chosen picture has features.", icon=":material/help:")
        return
    issues, right = int(ranked["issue"].sum()), int((ranked["suggested"] == ranked["dx"]).sum())
    proven = int((ranked.loc[ranked["issue"], "dx_type"] == "histo").sum())
    said = (
        f"The model agrees with {proportion(right / len(ranked))} of {len(ranked):,} labels. Confident "
        f"learning (cleanlab) counts {issues:,} as worth a look"
    )
    if issues:
        said += f"; {proportion(proven / issues)} of those are proven by histopathology"
    st.markdown(f"{said}.")
    shown = min(_MOST, len(ranked))
    page = examined.page(_SUSPECTS_PAGE, shown)
    part = ranked.head(shown).iloc[(page - 1) * examined.SHOWN : page * examined.SHOWN]
    _draw_suspects(explored, part)
    examined.draw_pages(_SUSPECTS_PAGE, shown)
    st.download_button(
        "The whole ranking as CSV",
        data=lambda: to_csv(ranked, notes=[explored.selection.describe()], float_format="%.4f"),
        file_name="labels_to_look_at.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="explore_suspects_csv",
    )
    picture.draw_opened(explored, part["image_id"].tolist())


def _draw_suspects(explored: Explored, part: pd.DataFrame) -> None:
    rows = explored.dataset.table.set_index("image_id", drop=False)
    groups = []
    for suspect in part.to_dict("records"):
        how = "" if pd.isna(suspect["dx_type"]) else f", {label_of('dx_type', suspect['dx_type'])}"
        lines = (
            f"model: {short_name(suspect['suggested'])} {percent(suspect['p_suggested'])}",
            f"label: {percent(suspect['p_label'])}{how}",
        )
        colour = theme.diagnosis_colours()[suspect["dx"]]
        groups.append(tiles.Group(rows.loc[[suspect["image_id"]]], short_name(suspect["dx"]), colour, lines))
    tiles.draw(
        groups, key="explore_suspect_tiles", label=f"{len(groups)} labels", masks={}, opened=picture.put
    )


def _suspects(dataset: Dataset) -> pd.DataFrame | None:
    """Return the ranking of all pictures, or draw the job that makes it."""
    by, table, cache_dir = imagenet_extractor(), dataset.table, settings().cache_dir
    count = int(table["image_path"].notna().sum())
    ready = stored_features(table, by, cache_dir=cache_dir) is not None
    first = "" if ready else f"{by.name} looks at each picture first. "
    seconds = count * (0.0 if ready else 0.04) + count * 0.002 + 5
    return jobs.draw(
        f"suspects:{dataset.key}:{len(table)}:{by.key[:12]}",
        "Asking about the labels",
        lambda report: _rank(table, by, report),
        button="Rank the labels",
        about=f"{first}About {minutes(seconds)} on one core; it can be cancelled, and goes on later "
        "where it stopped.",
    )


def _rank(table: pd.DataFrame, by: Extractor, report: work.Report) -> pd.DataFrame:
    # Copies would ask the same lesion many times over.
    pictured = table[table["image_path"].notna()]
    found = compute_features(table, by, cache_dir=settings().cache_dir, report=report)
    asked = pictured[originals_of(pictured).isna()].reset_index(drop=True)
    values = found.of(asked["image_id"].tolist())
    return rank_suspects(asked, cross_validate(asked, values, report=report))
