"""Poor pictures: each model under blur, noise, hair and bad light, with and without remedy; shortcuts."""

import re
import shlex
from collections.abc import Sequence
from typing import Final

import pandas as pd
import streamlit as st

from core.data.corruptions import CORRUPTIONS, SHORTCUTS
from core.data.steps import STEPS
from core.errors import EvaluationError
from core.evaluate.artifact import Evaluation
from core.evaluate.curves import Curve
from core.evaluate.gathering import robustness_files
from core.evaluate.intervals import Interval
from core.evaluate.robustness import MEASURED, read_robustness
from core.settings import settings
from core.words import NOT_AVAILABLE
from pages.ui import notices
from pages.ui.compare import figures, table
from pages.ui.compare.compared import Compared
from pages.ui.compare.downloads import offer_csv

_COMMAND: Final = "python -m train robustness --checkpoint {} --data path/to/HAM10000 --out {}"
_ODD: Final = re.compile(r"[^\w.-]+")


def draw(compared: Compared) -> None:
    """Draw a metric over severities, with and without its remedy, and what hidden parts do."""
    rows = _rows()
    if rows is None:
        return
    mine = rows[rows["model"].isin(compared.names)]
    without = [name for name in compared.names if name not in set(rows["model"])]
    if without:
        _say_how([one for one in compared.lineup.evaluations if one.name in without])
    if mine.empty:
        st.info("None of these models was measured on poor pictures.", icon=":material/blur_off:")
        return
    with st.container(horizontal=True):
        condition = st.selectbox(
            "Poor by",
            list(CORRUPTIONS),
            format_func=lambda name: CORRUPTIONS[name].title,
            key="poor_by",
            bind="query-params",
            width=240,
        )
        metric = st.selectbox(
            "Number", MEASURED, format_func=table.title, key="poor_metric", bind="query-params", width=240
        )
    chosen = mine[mine["metric"] == metric]
    _draw_severities(compared, chosen, condition, metric)
    _draw_worst(chosen, metric)
    _draw_shortcuts(compared, chosen, metric)
    offer_csv(mine, "All of it as CSV", name="robustness", key="compare_robustness_csv")


def _say_how(without: Sequence[Evaluation]) -> None:
    """Name the models that were not measured, with the command for the first that has a checkpoint."""
    said = f"Not measured: {notices.plain(', '.join(one.name for one in without))}."
    able = [one for one in without if _is_checkpoint(one.checkpoint)]
    if not able:
        st.caption(said)
        return
    st.caption(f"{said} The command that measures {notices.plain(able[0].name)}:")
    st.code(_command(able[0].checkpoint, able[0].name), language=None, wrap_lines=True)


def _is_checkpoint(reference: str) -> bool:
    """Whether the command can load it: no ensemble, and nothing that was brought as files."""
    return reference.partition(":")[0] in ("bundled", "local", "hf") and " + " not in reference


def _command(reference: str, name: str) -> str:
    """Return the command that measures a checkpoint, into a folder where this view looks."""
    folder = settings().runs_dir / f"robustness-{_ODD.sub('-', name)}"
    return _COMMAND.format(shlex.quote(reference), shlex.quote(str(folder)))


def _rows() -> pd.DataFrame | None:
    try:
        rows = read_robustness(robustness_files(settings().runs_dir))
    except EvaluationError as problem:
        notices.refuse(problem)
        return None
    if rows.empty:
        st.info("Nobody has measured a model on poor pictures yet. The command:", icon=":material/blur_off:")
        st.code(_command("bundled:lesionlens-lite0", "lesionlens-lite0"), language=None, wrap_lines=True)
        return None
    return rows


def _draw_severities(compared: Compared, rows: pd.DataFrame, condition: str, metric: str) -> None:
    corruption = CORRUPTIONS[condition]
    clean = rows[(rows["kind"] == "clean")]
    poor = rows[(rows["kind"] == "corruption") & (rows["condition"] == condition)]
    named = []
    for place, name in enumerate(compared.names):
        for remedy, words in (("", ""), (corruption.remedy or "-", f", with {_remedy(corruption.remedy)}")):
            both = pd.concat([clean, poor])
            line = both[(both["model"] == name) & (both["remedy"] == remedy)].sort_values("severity")
            if len(line) > 1:
                severity, value = line["severity"].to_numpy(float), line["value"].to_numpy(float)
                named.append(
                    (f"{name}{words}", Curve(severity, value, severity), compared.colour(place), None)
                )
    if not named:
        st.info(f"{corruption.title} was not measured.", icon=":material/blur_off:")
        return
    figures.draw(
        figures.curves(named, x="severity (0: as it is)", y=table.title(metric)),
        key="compare_robust",
        alt=f"{table.title(metric)} over severities of {corruption.title.lower()}; the CSV has the numbers",
        file_name=f"robust_{condition}_{metric}",
    )
    n = int(rows["n"].max())
    lesions = int(rows["n_lesions"].max())
    remedy = f" Its remedy: {_remedy(corruption.remedy)}." if corruption.remedy else " It has no remedy here."
    st.caption(f"{corruption.about}{remedy} n = {n:,} pictures of {lesions:,} test lesions.")


def _remedy(name: str | None) -> str:
    return STEPS[name].title.lower() if name else ""


def _draw_worst(rows: pd.DataFrame, metric: str) -> None:
    """Draw the number at the highest severity of everything, beside the clean one."""
    plain = rows[rows["remedy"] == ""]
    clean = plain[plain["kind"] == "clean"].set_index("model")["value"]
    worst = plain[(plain["kind"] == "corruption") & (plain["severity"] == 5)]
    shown = worst.pivot_table(index="condition", columns="model", values="value", sort=False)
    shown = pd.concat([clean.to_frame("as it is").T, shown.rename(index=lambda key: CORRUPTIONS[key].title)])
    with st.expander(
        f"{table.title(metric).capitalize()} at the highest severity", icon=":material/table_rows:"
    ):
        st.dataframe(
            shown,
            column_config={str(name): st.column_config.NumberColumn(format="%.3f") for name in shown},
            placeholder=NOT_AVAILABLE,
            alt=f"{table.title(metric)} of each model on clean pictures and at severity 5 of each corruption",
        )


def _draw_shortcuts(compared: Compared, rows: pd.DataFrame, metric: str) -> None:
    st.subheader("What if the lesion is hidden?", anchor=False)
    parts = rows[(rows["kind"] == "shortcut") | ((rows["kind"] == "clean") & (rows["remedy"] == ""))]
    if not (parts["kind"] == "shortcut").any():
        st.caption("Not measured: this needs the lesion masks.")
        return
    titles = {"clean": "As it is"} | {name: words for name, (words, _) in SHORTCUTS.items()}
    lines = [
        (
            f"{titles[str(row['condition'])]}, {row['model']}",
            Interval(row["value"], row["low"], row["high"], int(row["n"]), int(row["n_lesions"])),
            compared.colour(compared.names.index(str(row["model"]))),
            False,
        )
        for key in titles
        for _, row in parts[parts["condition"] == key].iterrows()
    ]
    figures.draw(
        figures.whiskers(lines),
        key="compare_shortcuts",
        alt=f"{table.title(metric)} with the lesion, the background, or all but the border hidden",
        file_name=f"shortcuts_{metric}",
    )
    st.caption(
        "A model that still does well with the lesion blanked, or with the border alone, has learned "
        "something "
        "about the picture that is not the lesion."
    )
