"""The parts of the Compare page."""

from dataclasses import asdict
from typing import Final

import pandas as pd
import streamlit as st

from core.errors import EvaluationError
from core.words import NOT_AVAILABLE
from pages.ui import cache, charts, notices

HEADLINES: Final[tuple[str, ...]] = (
    "balanced_accuracy",
    "macro_auc",
    "melanoma_auc",
    "malignancy_auc",
    "macro_f1",
    "accuracy",
)


def draw_evaluations() -> None:
    """Draw every bundled evaluation; say so when there is none."""
    folders = cache.bundled_evaluations()
    if not folders:
        st.info(
            "No evaluation is bundled with this version. The command below measures a checkpoint.",
            icon=":material/hourglass_empty:",
        )
    for folder in folders:
        try:
            evaluation = cache.evaluation(folder)
        except EvaluationError as problem:
            notices.refuse(problem)
            continue
        st.header(notices.plain(evaluation.name), anchor=False)
        lesions = max((interval.n_lesions for interval in evaluation.metrics.values()), default=0)
        st.caption(
            f"{notices.plain(f'{evaluation.checkpoint} · {evaluation.split}')} · "
            f"{evaluation.n_images:,} images of {lesions:,} lesions · "
            f"{evaluation.views} view{'s' if evaluation.views > 1 else ''} a picture · "
            f"measured {evaluation.date[:10]}"
        )
        headlines = {name: evaluation.metrics[name] for name in HEADLINES if name in evaluation.metrics}
        st.plotly_chart(
            charts.intervals(headlines),
            key=f"compare_{folder.name}",
            config=charts.CONFIG,
            alt="Headline metrics with 95 % intervals; the same numbers stand in the table below.",
        )
        with st.expander("All metrics, with n", icon=":material/table_rows:"):
            metrics_table(
                pd.DataFrame({name: asdict(one) for name, one in evaluation.metrics.items()}).T,
                alt=f"All metrics of {evaluation.name} with intervals and n",
            )


def metrics_table(metrics: pd.DataFrame, *, alt: str) -> None:
    """Draw metrics, one a row: value, low and high, then how many pictures and lesions stand behind it."""
    table = metrics.rename(columns={"n": "images", "n_images": "images", "n_lesions": "lesions"})
    table.index = pd.Index(table.index.str.replace("_", " "), name="metric")
    st.dataframe(
        table.astype(float),
        column_config={
            name: st.column_config.NumberColumn(format="%.3f" if name in ("value", "low", "high") else "%d")
            for name in table.columns
        },
        placeholder=NOT_AVAILABLE,
        alt=alt,
    )
