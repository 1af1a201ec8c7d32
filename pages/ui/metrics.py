"""Metrics of one model as a table."""

import pandas as pd
import streamlit as st

from core.words import NOT_AVAILABLE


def metrics_table(metrics: pd.DataFrame, *, alt: str) -> None:
    """Draw metrics, one a row: value, low and high, then how many pictures and lesions stand behind it."""
    table = metrics.rename(columns={"n": "images", "n_images": "images", "n_lesions": "lesions"})
    table.index = pd.Index(table.index.str.replace("_", " "), name="metric")
    st.dataframe(
        table.astype(float),
        # The longest name, and on a phone the value still beside it.
        column_config={"metric": st.column_config.Column(width=235)}
        | {
            name: st.column_config.NumberColumn(format="%.3f" if name in ("value", "low", "high") else "%d")
            for name in table.columns
        },
        placeholder=NOT_AVAILABLE,
        alt=alt,
    )
