"""Tables to take away: CSV in which no text can be taken for a formula."""

import pandas as pd
import streamlit as st

from core.spreadsheet import to_csv


def offer_csv(table: pd.DataFrame, label: str, *, name: str, key: str) -> None:
    """Offer a table as `name`.csv."""
    st.download_button(
        label,
        data=lambda: to_csv(table),
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=key,
    )
