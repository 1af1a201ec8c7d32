"""Map quality: does the evidence lie on the lesion, and does it matter, over many test pictures?"""

import math
from dataclasses import replace
from typing import Final

import pandas as pd
import streamlit as st

from core.errors import EvaluationError
from core.evaluate.gathering import map_quality_files
from core.evaluate.intervals import Interval
from core.evaluate.map_quality import COMPARISONS, FEWEST_LESIONS, FLAT, GROUPS, Comparison, read_map_quality
from core.evaluate.sheet import interval_words
from core.evaluate.subgroups import ALL, HISTOLOGY
from core.settings import settings
from pages.ui import notices, theme
from pages.ui.compare import figures, measuring
from pages.ui.compare.compared import Compared
from pages.ui.compare.downloads import offer_csv

_OF: Final = {"all": "all pictures", "right": "right answers", "wrong": "wrong answers"}


def draw(compared: Compared) -> None:
    """Draw each measure of the models' maps beside what knows nothing."""
    mine = measured(compared)
    if mine is None:
        return
    without = [name for name in compared.names if name not in set(mine["model"])]
    if without:
        st.caption(f"Not measured: {notices.plain(', '.join(without))}.")
    if mine.empty:
        st.info("The maps of none of these models were measured.", icon=":material/blur_off:")
        measuring.draw(measuring.MAPS, compared.lineup.evaluations, without)
        return
    of_scope = as_table(compared, mine)
    for name in dict.fromkeys(mine["model"]):
        if name not in set(of_scope["model"]):
            st.info(
                f"The maps of {notices.plain(name)} were measured on all pictures together; measured again "
                "below, they are also told on histology alone.",
                icon=":material/filter_alt_off:",
            )
    if of_scope.empty:
        measuring.draw(measuring.MAPS, compared.lineup.evaluations, list(dict.fromkeys(mine["model"])))
        return
    group = st.segmented_control(
        "Maps of", GROUPS, default=GROUPS[0], required=True, format_func=lambda name: _OF[name],
        key="maps_of", bind="query-params",
    )  # fmt: skip
    chosen = of_scope[of_scope["group"] == (group or GROUPS[0])]
    for one in COMPARISONS:
        _draw(compared, chosen, one)
    st.caption(
        "Each map is of the diagnosis the model answered with. A lesion lies in the middle of most pictures, "
        "so a blob in the middle, which knows nothing, is the mark to beat; at the edge, where it has next "
        "to nothing by design, a flat map is. Intervals are over lesions. A map that lies on the lesion "
        "shows where the network looked, not that it was right to. Each model's numbers are of its own "
        "sample of test pictures." + _say_left_out(chosen)
    )
    offer_csv(of_scope, "All of it as CSV", name="map_quality", key="compare_maps_csv")
    with st.expander("Measure a model", icon=":material/play_circle:", expanded=bool(without)):
        measuring.draw(measuring.MAPS, compared.lineup.evaluations, without)


def as_table(compared: Compared, rows: pd.DataFrame) -> pd.DataFrame:
    """Return those of the rows that are of the pictures that count: all, or histology alone."""
    return rows[rows["pictures"] == (HISTOLOGY if compared.histology else ALL)]


def measured(compared: Compared) -> pd.DataFrame | None:
    """Return what was measured of these models' maps; None, and the reason shown, where a file is bad."""
    try:
        rows = read_map_quality(map_quality_files(settings().runs_dir))
    except EvaluationError as problem:
        notices.refuse(problem)
        return None
    return rows[rows["model"].isin(compared.names)]


def _say_left_out(rows: pd.DataFrame) -> str:
    """Say why shares are of fewer pictures than the rest; "" where they are not."""
    said = ""
    for name, mine in rows.groupby("model", sort=False):
        counts = mine.set_index("measure")["n"]
        missing = int(counts["deletion"] - counts["inside"])
        if missing:
            maps, have = ("map", "has") if missing == 1 else ("maps", "have")
            said += (
                f" {missing} {maps} of {notices.plain(str(name))} {have} nothing that speaks for the answer, "
                "so nothing of which a share could be taken: the first three measures are of fewer pictures."
            )
    return said


def _draw(compared: Compared, rows: pd.DataFrame, one: Comparison) -> None:
    st.header(one.title, anchor=False)
    st.caption(one.about)
    several = len(set(rows["model"])) > 1
    lines = []
    for place, name in enumerate(compared.names):
        of_model = {str(row["measure"]): _interval(row) for _, row in rows[rows["model"] == name].iterrows()}
        if not of_model:
            continue
        group, gray = name if several else "", theme.colour("grayColor")
        lines.append(
            figures.Row(
                "its maps" if several else name, of_model[one.own], compared.colour(place), group=group
            )
        )
        lines += [
            figures.Row(words, of_model[baseline], gray, group=group)
            for baseline, words in one.baselines.items()
        ]
        if one.flat is not None:
            known = replace(of_model[one.own], value=one.flat, low=math.nan, high=math.nan)
            lines.append(figures.Row(FLAT, known, gray, group=group))
        against, gain = one.judged(of_model[one.own], of_model[one.gain])
        st.caption(_say_gain(name, gain, against))
    figures.draw(
        figures.whiskers(lines),
        key=f"compare_maps_{one.own}",
        alt=f"{one.title} of each model's maps beside what knows nothing; the CSV has the numbers",
        file_name=f"maps_{one.own}",
    )


def _say_gain(name: str, gain: Interval, against: str) -> str:
    """Say in words whether the maps are better than what knows nothing."""
    if gain.n == 0:
        return f"{notices.plain(name)}: not defined, no map has positive evidence."
    counted = f"n = {gain.n:,} pictures of {gain.n_lesions:,} lesions"
    return notices.plain(f"{name}: {_verdict(gain, against)}; {counted}.")


def _verdict(gain: Interval, against: str) -> str:
    """Return "better than a flat map by 0.242 (0.224 to 0.258)": sizes where the side is sure, else signs."""
    if gain.n_lesions < FEWEST_LESIONS:
        return f"too few lesions to tell from a {against}"
    if gain.low > 0:
        return f"better than a {against} by {interval_words(gain)}"
    if gain.high < 0:
        turned = replace(gain, value=-gain.value, low=-gain.high, high=-gain.low)
        return f"worse than a {against} by {interval_words(turned)}"
    return f"not told apart from a {against}: {interval_words(gain)}, where above zero is better"


def _interval(row: pd.Series) -> Interval:
    return Interval(row["value"], row["low"], row["high"], int(row["n"]), int(row["n_lesions"]))
