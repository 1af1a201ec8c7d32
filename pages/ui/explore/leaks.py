"""Leak meter: what a split rule lets through from training into the test, and what that can be worth."""

from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core import jobs as work
from core.data.leaks import (
    COPY_TARGET,
    RULES,
    TEST_SHARE,
    Worth,
    divide,
    expected_shares,
    measure_worth,
    sibling_shares,
    small_pictures,
)
from core.errors import SplitError
from core.evaluate.intervals import Interval
from core.labels import BY_CODE, CODES
from core.settings import settings
from core.words import NOT_AVAILABLE, proportion, short_name
from pages.ui import charts, jobs, notices, theme
from pages.ui.explore.explored import Explored

_RULE: Final = "explore_leak_rule"
_SEED: Final = "explore_leak_draw"
_TARGET: Final = "explore_leak_copies"
_MOST_COPIES: Final = 6000
_LAST_DRAW: Final = 999
_ROW_PX: Final = 46


def draw(explored: Explored) -> None:
    """Draw the view of what is explored."""
    rule, seed, target = _ask()
    try:
        shares, expected = _shares(
            explored.dataset.key, hash(explored.selection), rule, seed, target, explored.chosen
        )
    except SplitError as problem:
        notices.refuse(problem)
        return
    _draw_shares(shares, expected if rule == "picture" else None, rule)
    st.subheader("What remembering is worth", anchor=False)
    if explored.dataset.has_pictures:
        _draw_worth(explored, rule, seed, target)
    else:
        st.caption(
            ":material/image_not_supported: The shares need facts alone. With pictures, a model that only "
            "remembers is measured here under each rule."
        )


def _ask() -> tuple[str, int, int]:
    """Ask for the rule, the draw and how many copies it makes."""
    rule = st.segmented_control(
        "How is the test set drawn?",
        list(RULES),
        default=next(iter(RULES)),
        required=True,
        format_func=lambda name: RULES[name].title,
        key=_RULE,
        bind="query-params",
    )
    rule = rule or next(iter(RULES))
    st.markdown(RULES[rule].about)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seed = st.number_input(
            "Draw", 0, _LAST_DRAW, 0, key=_SEED, bind="query-params", width=150,
            help="Each number is another random draw, the same for everybody.",
        )  # fmt: skip
        st.button("Draw again", icon=":material/casino:", key="explore_leak_again", on_click=_draw_again)
        target = COPY_TARGET
        if rule == "augmented":
            target = st.slider(
                "Fill each diagnosis up to", 100, _MOST_COPIES, COPY_TARGET, 100,
                key=_TARGET, bind="query-params", width=320,
            )  # fmt: skip
    return rule, int(seed), int(target)


def _draw_again() -> None:
    st.session_state[_SEED] = (int(st.session_state[_SEED]) + 1) % (_LAST_DRAW + 1)


def _draw_shares(shares: pd.DataFrame, expected: pd.Series | None, rule: str) -> None:
    count = int(shares["test"]["all"])
    st.subheader("Test pictures whose lesion is in training too", anchor=False)
    st.markdown(_say_shares(shares, expected))
    st.plotly_chart(
        _bars(shares, expected),
        key=f"explore_leak_chart_{rule}",
        config=charts.CONFIG,
        alt="Test pictures with a sibling in training, by diagnosis; the table below has the numbers.",
    )
    words = f"{count:,} test pictures, {100 * TEST_SHARE:.0f} % of all."
    if expected is not None:
        words += " The line across a bar is the mean over all possible draws, computed exactly."
    st.caption(words)
    with st.expander("The numbers as a table", icon=":material/table_rows:"):
        st.table(_numbers(shares, expected), alt="Siblings by diagnosis")


def _say_shares(shares: pd.DataFrame, expected: pd.Series | None) -> str:
    told = shares.to_dict("index")
    whole = told["all"]
    count, siblings = int(whole["test"]), int(whole["with_sibling"])
    if not siblings:
        return (
            f"**None of {count:,} test pictures** shows a lesion that training has seen. A score on them is "
            "about new lesions."
        )
    worst = max((code for code in CODES if told[code]["test"]), key=lambda code: told[code]["share"])
    at_worst = told[worst]
    said = (
        f"**{proportion(whole['share'])}** of the test pictures ({siblings:,} of {count:,}) show a "
        f"lesion that training has seen, most for {BY_CODE[worst].name.lower()}: "
        f"{proportion(at_worst['share'])} of {int(at_worst['test']):,}."
    )
    if expected is not None:
        said += f" Over all draws the mean is {proportion(expected['all'])}."
    return said


def _numbers(shares: pd.DataFrame, expected: pd.Series | None) -> pd.DataFrame:
    names = ["All" if code == "all" else short_name(code) for code in shares.index]
    table = pd.DataFrame(
        {
            "test pictures": shares["test"].to_numpy(),
            "with a sibling in training": shares["with_sibling"].to_numpy(),
            "share": [proportion(share) for share in shares["share"]],
        },
        index=pd.Index(names, name="diagnosis"),
    )
    if expected is not None:
        table["mean over all draws"] = [proportion(expected[code]) for code in shares.index]
    return table


def _bars(shares: pd.DataFrame, expected: pd.Series | None) -> go.Figure:
    colours = theme.diagnosis_colours() | {"all": theme.colour("grayColor")}
    order = ["all", *CODES]
    rows = list(range(len(order)))
    told = shares.to_dict("index")
    values = [0.0 if np.isnan(told[code]["share"]) else told[code]["share"] for code in order]
    texts = [
        f"{told[code]['with_sibling']:,.0f} of {told[code]['test']:,.0f} · {proportion(told[code]['share'])}"
        for code in order
    ]
    labels = ["All test pictures", *(short_name(code) for code in CODES)]
    figure = go.Figure()
    figure.add_bar(
        y=rows, x=[1] * len(rows), orientation="h", width=0.3, hoverinfo="skip",
        marker_color=theme.rgba(theme.colour("borderColor"), 0.45),
    )  # fmt: skip
    figure.add_bar(
        y=rows, x=values, orientation="h", width=0.3, marker_color=[colours[code] for code in order],
        customdata=list(zip(labels, texts, strict=True)),
        hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    ink = theme.colour("textColor")
    for row, code, label, text in zip(rows, order, labels, texts, strict=True):
        place = {"y": row - 0.17, "yanchor": "bottom", "showarrow": False, "yshift": 1}
        figure.add_annotation(text=label, x=0, xref="paper", xanchor="left", **place)
        figure.add_annotation(text=text, x=1, xref="paper", xanchor="right", **place)
        if expected is not None and np.isfinite(expected[code]):
            mean = float(expected[code])
            figure.add_shape(
                type="line", x0=mean, x1=mean, y0=row - 0.24, y1=row + 0.24, line={"color": ink, "width": 2}
            )
    figure.update_layout(barmode="overlay", height=_ROW_PX * len(rows) + 12, bargap=0)
    figure.update_xaxes(visible=False, range=[0, 1])
    figure.update_yaxes(visible=False, range=[len(rows) - 0.72, -0.72])
    return charts.plain(figure)


def _draw_worth(explored: Explored, rule: str, seed: int, target: int) -> None:
    st.markdown(
        "The model here has nothing to learn: it answers with the diagnosis of the training picture whose "
        "colours are most alike. All it can do is recognise. So what it gains by a rule is gained from leaks."
    )
    chosen, cache_dir = explored.chosen, settings().cache_dir
    key = f"leaks:{explored.dataset.key}:{hash(explored.selection)}:{seed}:{target}"

    def measure(report: work.Report) -> dict[str, Worth]:
        small = small_pictures(chosen, cache_dir=cache_dir, report=report)
        return {
            name: measure_worth(
                chosen, divide(chosen, name, seed=seed, copy_target=target), small, report=report
            )
            for name in RULES
        }

    worths = jobs.draw(
        key,
        "Measuring the leaks",
        measure,
        button="Measure it",
        about=f"Some seconds for all {len(RULES)} rules; the first time, every picture is shrunk before "
        "that, which takes about half a minute for 10,000.",
    )
    if worths is not None:
        _draw_scores(worths, rule)


def _draw_scores(worths: dict[str, Worth], rule: str) -> None:
    st.markdown(_say_worth(worths))
    st.plotly_chart(
        _dots(worths, rule),
        key="explore_leak_scores",
        config=charts.CONFIG,
        alt="Balanced accuracy under each rule with its 95 % interval; the table below has the numbers.",
    )
    st.caption(
        "Balanced accuracy, the mean of the seven recalls: 0.14 is guessing. The lines are 95 % intervals "
        "over lesions. A trained network gains another amount, and the same way."
    )
    with st.expander("The numbers as a table", icon=":material/table_rows:"):
        st.table(_score_table(worths), alt="Balanced accuracy under each rule")


def _say_worth(worths: dict[str, Worth]) -> str:
    fair = worths["lesion"].balanced_accuracy.value
    if not np.isfinite(fair):
        return (
            "A diagnosis has no test picture in this draw, so balanced accuracy is not defined. Draw again."
        )
    gains = [
        _say_gain(RULES[name].title, worths[name].balanced_accuracy, worths["lesion"].balanced_accuracy)
        for name in RULES
        if name != "lesion" and np.isfinite(worths[name].balanced_accuracy.value)
    ]
    said = f"By lesion it scores {fair:.2f}. The same model on other tests: {', '.join(gains)}."
    worth = worths["picture"]
    if worth.compared:
        said += (
            f" With random pictures its mean recall over {len(worth.compared)} diagnoses is "
            f"{proportion(worth.with_sibling)} on test pictures that have a sibling in training "
            f"(n = {worth.n_with:,}) and {proportion(worth.without_sibling)} on those that have none "
            f"(n = {worth.n_without:,})."
        )
    return said


def _say_gain(title: str, score: Interval, fair: Interval) -> str:
    gain = f"{score.value - fair.value:+.2f}".replace("-", "−")
    apart = score.low > fair.high or score.high < fair.low
    return f"**{gain}** by “{title.lower()}”{'' if apart else ' (the intervals overlap)'}"


def _dots(worths: dict[str, Worth], rule: str) -> go.Figure:
    figure = go.Figure()
    ink = theme.colour("textColor")
    for row, (name, worth) in enumerate(worths.items()):
        score = worth.balanced_accuracy
        colour = theme.colour("primaryColor") if name == rule else theme.colour("grayColor")
        figure.add_scatter(
            x=[score.low, score.high], y=[row, row], mode="lines", line={"color": colour, "width": 6},
            opacity=0.45, hoverinfo="skip",
        )  # fmt: skip
        figure.add_scatter(
            x=[score.value], y=[row], mode="markers", marker={"size": 14, "color": colour},
            hovertemplate=f"{RULES[name].title}: {_interval(score)}<extra></extra>",
        )  # fmt: skip
        place = {"y": row - 0.2, "yanchor": "bottom", "showarrow": False, "yshift": 1}
        figure.add_annotation(text=RULES[name].title, x=0, xref="paper", xanchor="left", **place)
        figure.add_annotation(
            text=f"{_interval(score)} · n = {score.n:,}", x=1, xref="paper", xanchor="right", **place
        )
    fair = worths["lesion"].balanced_accuracy.value
    if np.isfinite(fair):
        figure.add_shape(
            type="line", x0=fair, x1=fair, y0=-0.3, y1=len(worths) - 0.6,
            line={"color": ink, "width": 1, "dash": "dot"}, layer="below",
        )  # fmt: skip
    figure.update_layout(height=62 * len(worths) + 34)
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.25, 0.5, 0.75, 1], gridcolor=theme.colour("borderColor"))
    figure.update_yaxes(visible=False, range=[len(worths) - 0.6, -0.75])
    return charts.plain(figure, bottom=24)


def _interval(one: Interval) -> str:
    if not np.isfinite(one.value):
        return NOT_AVAILABLE
    if not np.isfinite([one.low, one.high]).all():
        return f"{one.value:.2f}"
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def _score_table(worths: dict[str, Worth]) -> pd.DataFrame:
    def recall(value: float, count: int) -> str:
        return f"{proportion(value)} (n = {count:,})" if np.isfinite(value) else NOT_AVAILABLE

    return pd.DataFrame(
        {
            "balanced accuracy": [_interval(one.balanced_accuracy) for one in worths.values()],
            "test pictures": [one.balanced_accuracy.n for one in worths.values()],
            "lesions": [one.balanced_accuracy.n_lesions for one in worths.values()],
            "right, with a sibling": [recall(one.with_sibling, one.n_with) for one in worths.values()],
            "right, without": [recall(one.without_sibling, one.n_without) for one in worths.values()],
        },
        index=pd.Index([RULES[name].title for name in worths], name="rule"),
    )


@st.cache_data(ttl="30m", max_entries=64, show_spinner=False)
def _shares(
    key: str,  # noqa: ARG001 -- with the next one, the key of the cache
    selection: int,  # noqa: ARG001
    rule: str,
    seed: int,
    target: int,
    _chosen: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.Series]:
    shares = sibling_shares(_chosen, divide(_chosen, rule, seed=seed, copy_target=target))
    return shares, expected_shares(_chosen)
