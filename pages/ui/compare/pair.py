"""Two models against each other: is the difference real, and where do they disagree."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluate.pairs import ALPHA, Difference, difference, mcnemar, one_a_lesion, p_words
from core.evaluate.sheet import metric_title
from core.words import NBSP, NOT_AVAILABLE
from pages.ui import notices
from pages.ui.compare import pictures, table
from pages.ui.compare.compared import Compared


def draw(compared: Compared) -> None:
    """Draw the difference in every metric, McNemar's test, and the agreement of the two."""
    pair = choose(compared)
    if pair is None:
        return
    first, second = pair
    name = st.selectbox(
        "In which number", table.ALL_COLUMNS, format_func=metric_title, key="pair_metric",
        bind="query-params", width=300,
    )  # fmt: skip
    found = compare(compared, first, second, name)
    names = notices.plain(compared.names[first]), notices.plain(compared.names[second])
    if found is None or np.isnan(found.value):
        st.info(f"{table.heading(name)} is not defined for both of them here.", icon=":material/block:")
    else:
        st.info(say(compared, name, found, names), icon=":material/balance:")
    _draw_all(compared, first, second)
    _draw_mcnemar(compared, first, second, names)
    if len(compared.names) > 2:
        pictures.draw_all_agreements(compared, first, second)
    pictures.draw_agreement(compared, first, second)


def choose(compared: Compared) -> tuple[int, int] | None:
    """Ask which two; None, and what to do, with fewer than two models."""
    if len(compared.names) < 2:
        st.info("Pick two models above to compare them.", icon=":material/checklist:")
        return None
    with st.container(horizontal=True):
        first = st.selectbox("A", compared.names, key="pair_a", bind="query-params", width=300)
        others = [name for name in compared.names if name != first]
        second = st.selectbox("B", others, key="pair_b", bind="query-params", width=300)
    return compared.names.index(first), compared.names.index(second)


def compare(compared: Compared, first: int, second: int, name: str) -> Difference | None:
    """Return A's number less B's on the same resampled lesions; None where one has none."""
    a, b = compared.measured(first, name), compared.measured(second, name)
    if a is None or b is None:
        return None
    return difference(a.interval.value, b.interval.value, a.draws, b.draws)


def say(compared: Compared, name: str, found: Difference, names: tuple[str, str]) -> str:
    """Say in a sentence whether a difference is real."""
    metric = compared.metric(0, name) or compared.metric(1, name)
    higher = metric is None or metric.higher_is_better
    ahead = names[0] if (found.value > 0) == higher else names[1]
    size = (
        f"{abs(found.value):.3f} (A less B: {_signed(found.value)}, 95{NBSP}%: {_signed(found.low)} to "
        f"{_signed(found.high)})"
    )
    p = p_words(found.p, lowest=found.lowest)
    where = f"on these {compared.lineup.n_lesions:,} lesions"
    if np.isnan(found.p):
        return f"Too few lesions to say whether {names[0]} and {names[1]} differ in {metric_title(name)}."
    if found.p >= ALPHA:
        return (
            f"**No difference could be shown** in {metric_title(name)} {where}: {size}, p {p}. That is no "
            "proof that they are equal; the interval says how far apart they may be."
        )
    return f"**{ahead} is better** in {metric_title(name)} {where}, by {size}, p {p}."


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def differences(compared: Compared, first: int, second: int) -> list[dict[str, object]]:
    """Return a row for each metric of the table's first columns: both numbers, their difference and p."""
    rows: list[dict[str, object]] = []
    for name in table.DEFAULT_COLUMNS:
        a, b = compared.measured(first, name), compared.measured(second, name)
        found = compare(compared, first, second, name)
        if a is None or b is None or found is None:
            continue
        rows.append(
            {
                "metric": metric_title(name),
                "A": a.interval.value,
                "B": b.interval.value,
                "A less B": found.value,
                "from": found.low,
                "to": found.high,
                "p": found.p,
                "p in words": p_words(found.p, lowest=found.lowest).removeprefix("= "),
            }
        )
    return rows


def _draw_all(compared: Compared, first: int, second: int) -> None:
    rows = differences(compared, first, second)
    st.dataframe(
        pd.DataFrame(
            {
                "metric": row["metric"],
                f"A less B (95{NBSP}%)": _with_ends(row),
                "p": row["p in words"],
                "A": row["A"],
                "B": row["B"],
            }
            for row in rows
        ),
        column_config={key: st.column_config.NumberColumn(format="%.3f") for key in ("A", "B")},
        hide_index=True,
        placeholder=NOT_AVAILABLE,
        alt="Each metric of both models, their paired difference with its 95 % interval, and p",
    )
    st.caption(
        "Each row asks how far apart the two are in that number: both are measured on the same resampled "
        "lesions. Differences are taken before rounding, so the last digit may not be that of A less B. p is "
        "the chance of a difference at least as large if there were none; ≤ says that not one of the "
        "resamples reached zero, which so many cannot tell from still less. p is of each row alone: of "
        "twenty such rows one falls below 0.05 by luck, so decide beforehand which one counts. "
        + table.SCROLLS
    )


def _with_ends(row: Mapping[str, object]) -> str:
    value, low, high = (float(str(row[key])) for key in ("A less B", "from", "to"))
    if np.isnan(low):
        return NOT_AVAILABLE if np.isnan(value) else _signed(value)
    return f"{_signed(value)} ({_signed(low)} to {_signed(high)})"


def _draw_mcnemar(compared: Compared, first: int, second: int, names: tuple[str, str]) -> None:
    lineup = compared.lineup
    stands = one_a_lesion(lineup.facts)
    right = lineup.probabilities.argmax(axis=2) == lineup.truth
    found = mcnemar(right[first][stands], right[second][stands])
    st.header("McNemar's test on the answers", anchor=False)
    st.markdown(
        f"On {int(stands.sum()):,} pictures, one a lesion: both right {found.both:,}, only {names[0]} right "
        f"**{found.only_a:,}**, only {names[1]} right **{found.only_b:,}**, both wrong {found.neither:,}. "
        f"Exact p {p_words(found.exact)}, mid-p {p_words(found.mid)}: "
        + (
            "they are right on different shares of pictures."
            if found.mid < ALPHA
            else "no difference in how often they are right could be shown."
        )
    )
    st.caption(
        "Another question than the table's. McNemar's test asks whether the two give the right answer (the "
        "most probable of the seven) equally often: it takes one picture a lesion and counts where one of "
        "them is right and the other wrong. What is common decides most of it, nevi here, while balanced "
        "accuracy gives each diagnosis the same say. So one may show a difference and the other none, and "
        "both be right. mid-p is the exact p made less cautious."
    )
