"""Per diagnosis: the numbers that the ISIC challenge reports of each diagnosis against the rest."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.evaluate.categories import CATEGORY_METRICS, MEAN, CategoryMetric, category_table
from core.evaluate.intervals import Interval
from core.evaluate.metrics import METRICS
from core.evaluate.sheet import interval_words
from core.labels import CODES, INDEX
from core.words import NBSP, NOT_AVAILABLE, short_name
from pages.ui import notices
from pages.ui.compare import figures, table
from pages.ui.compare.compared import Compared
from pages.ui.compare.downloads import offer_csv


def draw(compared: Compared) -> None:
    """Draw one number of every diagnosis with its intervals, and all of them as a table."""
    chosen = CATEGORY_METRICS[
        st.selectbox(
            "Number",
            list(CATEGORY_METRICS),
            format_func=lambda name: CATEGORY_METRICS[name].title,
            key="category_number",
            bind="query-params",
            width=300,
        )
    ]
    found = {
        (place, code): compared.measure(place, chosen.of(code)).interval
        for code in CODES
        for place in range(len(compared.names))
    }
    rows = [
        figures.Row(
            compared.label(place),
            interval,
            compared.colour(place),
            group=f"{short_name(code)}, {_count(compared, code):,} pictures",
        )
        for (place, code), interval in found.items()
    ]
    figures.draw(
        figures.whiskers(rows),
        key="compare_categories",
        alt=f"{chosen.title} of each diagnosis: "
        + "; ".join(f"{row.group}, {row.name}: {interval_words(row.interval)}" for row in rows),
        file_name=chosen.name,
    )
    st.caption(
        f"{chosen.title[:1].upper()}{chosen.title[1:]}: {chosen.about} Each diagnosis stands against the "
        "rest, as the scorer of the ISIC 2018 challenge defines it: a picture is called what has a "
        "probability above 0.5, and may be called nothing. What is not defined is n/a here; the scorer "
        "counts it as 1."
    )
    _draw_balanced(compared)
    _draw_table(compared, chosen, found)


def _count(compared: Compared, code: str) -> int:
    return int((compared.lineup.truth == INDEX[code]).sum())


def _draw_balanced(compared: Compared) -> None:
    """Say the challenge's goal metric, which is not one of a single diagnosis."""
    goal = METRICS["balanced_accuracy"]
    said = (
        f"{name} {interval_words(compared.measure(place, goal).interval)}"
        for place, name in enumerate(compared.names)
    )
    st.markdown(f"**Balanced multiclass accuracy**, the challenge's goal: {notices.plain('; '.join(said))}.")


def _draw_table(
    compared: Compared, chosen: CategoryMetric, found: Mapping[tuple[int, str], Interval]
) -> None:
    shown = as_table(compared)
    shown[f"{chosen.title}, 95{NBSP}%"] = [
        table.ends(found[place, code]) if (place, code) in found else None
        for place in range(len(compared.names))
        for code in (*CODES, MEAN)
    ]
    st.dataframe(
        shown,
        column_config={
            one.title: st.column_config.NumberColumn(format="%.3f") for one in CATEGORY_METRICS.values()
        },
        hide_index=True,
        placeholder=NOT_AVAILABLE,
        alt="Every number of every diagnosis and model, and their means; the CSV has the same",
    )
    offer_csv(shown, "These numbers as CSV", name="per_diagnosis", key="compare_categories_csv")


def as_table(compared: Compared) -> pd.DataFrame:
    """Return one row a model and diagnosis, and one for their mean, with every number."""
    lineup = compared.lineup
    numbers = [category_table(lineup.truth, answers) for answers in lineup.probabilities]
    return pd.DataFrame(
        {"model": name, "diagnosis": code, "pictures": None if code == MEAN else _count(compared, code)}
        | {CATEGORY_METRICS[key].title: value for key, value in values.items()}
        for name, found in zip(compared.names, numbers, strict=True)
        for code, values in found.items()
    )
