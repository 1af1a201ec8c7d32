"""Everything of a comparison to take away: the tables of all views as one zip, and the format of charts."""

import io
import zipfile
from itertools import combinations
from typing import Final

import pandas as pd
import streamlit as st

from core.labels import CODES
from core.spreadsheet import to_csv
from pages.ui.compare import categories, facts, figures, maps, pair, point, robust, table
from pages.ui.compare.compared import Compared

_GATHERED: Final = "compare_gathered"


def draw(compared: Compared) -> None:
    """Offer all tables and facts sheets as one zip, and ask how charts are saved."""
    with st.expander("Take it away", icon=":material/download:"):
        st.segmented_control(
            "Charts are saved as",
            list(figures.FORMATS),
            default=figures.FORMATS[0],
            required=True,
            key=figures.FORMAT,
            format_func=str.upper,
            help="By the camera at the corner of each chart: SVG can be edited and printed at any size, PNG "
            "fits everywhere.",
        )
        wanted = (compared.key, str(compared.wish))
        if st.button(
            "Gather all tables",
            icon=":material/inventory_2:",
            key="compare_gather",
            help="Every number with its interval, the pair tests, each diagnosis, every answer, poor "
            "pictures, maps and the facts sheets, for the models that are picked. Takes some seconds.",
        ):
            st.session_state[_GATHERED] = (wanted, gather(compared))
        made, content = st.session_state.get(_GATHERED, (None, b""))
        if made == wanted:
            st.download_button(
                f"Everything as one zip, {len(content) / 1e6:.1f} MB",
                data=content,
                file_name="comparison.zip",
                mime="application/zip",
                icon=":material/folder_zip:",
                on_click="ignore",
                key="compare_zip",
            )


def gather(compared: Compared) -> bytes:
    """Return a zip of every table as CSV and of each model's facts sheet."""
    tables = {
        "comparison": table.as_table(compared, list(table.ALL_COLUMNS)),
        "pairs": _pairs(compared),
        "per_diagnosis": categories.as_table(compared),
        "operating_point": point.as_table(compared),
        "answers": _answers(compared),
        "published": table.published_table(),
        "poor_pictures": _poor_pictures(compared),
        "map_quality": _map_quality(compared),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, one in tables.items():
            if one is not None and not one.empty:
                archive.writestr(f"{name}.csv", to_csv(one))
        for place in range(len(compared.names)):
            archive.writestr(f"facts_{place + 1}.md", facts.sheet_of(compared, place))
    return content.getvalue()


def _pairs(compared: Compared) -> pd.DataFrame:
    rows = []
    for first, second in combinations(range(len(compared.names)), 2):
        for row in pair.differences(compared, first, second):
            rows.append({"A model": compared.names[first], "B model": compared.names[second]} | row)
    return pd.DataFrame(rows)


def _answers(compared: Compared) -> pd.DataFrame:
    """Return every picture's facts with the probabilities of every model."""
    lineup = compared.lineup
    columns = {
        f"{name}: {code}": lineup.probabilities[place, :, index]
        for place, name in enumerate(compared.names)
        for index, code in enumerate(CODES)
    }
    return pd.concat([lineup.facts, pd.DataFrame(columns)], axis=1)


def _map_quality(compared: Compared) -> pd.DataFrame | None:
    rows = maps.measured(compared)
    return None if rows is None else maps.as_table(compared, rows)


def _poor_pictures(compared: Compared) -> pd.DataFrame | None:
    rows = robust.measured(compared)
    return None if rows is None else robust.as_table(compared, rows)
