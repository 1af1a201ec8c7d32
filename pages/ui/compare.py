"""The parts of the Compare page."""

from typing import Final

import pandas as pd
import streamlit as st

from core.errors import EvaluationError
from pages.ui import cache, charts

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
            st.error(str(problem))
            continue
        st.subheader(evaluation.name, anchor=False)
        lesions = max((interval.n_lesions for interval in evaluation.metrics.values()), default=0)
        st.caption(
            f"{evaluation.checkpoint} · {evaluation.split} · {evaluation.n_images:,} images of {lesions:,} "
            f"lesions · {evaluation.views} view{'s' if evaluation.views > 1 else ''} a picture · "
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
            st.dataframe(
                pd.DataFrame(
                    {
                        "metric": list(evaluation.metrics),
                        "value": [one.value for one in evaluation.metrics.values()],
                        "low": [one.low for one in evaluation.metrics.values()],
                        "high": [one.high for one in evaluation.metrics.values()],
                        "images": [one.n for one in evaluation.metrics.values()],
                        "lesions": [one.n_lesions for one in evaluation.metrics.values()],
                    }
                ),
                hide_index=True,
                column_config={
                    name: st.column_config.NumberColumn(format="%.3f") for name in ("value", "low", "high")
                },
                placeholder="n/a",
                alt=f"All metrics of {evaluation.name} with intervals and n",
            )
