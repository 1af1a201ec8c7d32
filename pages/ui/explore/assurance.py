"""Test-data quality assurance: what each part of a split can be trusted for. No verdicts."""

from functools import partial
from typing import Final

import pandas as pd
import streamlit as st

from core.data.coverage import COLUMNS, LEGEND, Assurance, Check, assure
from core.data.facets import label_of
from core.data.quality import ITA_LIMITS
from core.data.splits import SPLITS
from pages.ui import notices
from pages.ui.explore import examined
from pages.ui.explore.datasets import Dataset
from pages.ui.explore.explored import Explored

_PART: Final = "explore_part"
_KEEP: Final = "30m"
_ICONS: Final = {
    "fine": (":material/check_circle:", "green"),
    "look": (":material/visibility:", "orange"),
    "unknown": (":material/help:", "gray"),
}


def draw(explored: Explored) -> None:
    """Draw what was checked of a part of the split, and who is in it."""
    dataset = explored.dataset
    if "split" not in dataset.table:
        st.info(
            "This dataset has no split here, so there are no parts to check.", icon=":material/call_split:"
        )
        return
    part = st.segmented_control(
        "Part of the split",
        SPLITS,
        default="test",
        required=True,
        format_func=lambda name: label_of("split", name).capitalize(),
        key=_PART,
        bind="query-params",
    )
    inspection = examined.inspection(dataset)
    assurance = _assured(
        dataset.key,
        inspection is not None,
        examined.scenes(dataset) is not None,
        dataset.table,
        inspection,
        examined.pairs(dataset),
    )
    checks = assurance.of(part or "test")
    if not checks:
        st.info("This part of the split is empty.", icon=":material/call_split:")
        return
    looks = sum(check.state == "look" for check in checks)
    rows = dataset.table[dataset.table["split"] == part]
    st.markdown(
        f"{label_of('split', part or 'test').capitalize()}: {len(rows):,} images of "
        f"{rows['lesion_id'].nunique():,} lesions, whole part, whatever the filter says. "
        f"**{looks} of {len(checks)}** findings ask for a look; none is a verdict."
    )
    for check in sorted(checks, key=lambda check: ("look", "unknown", "fine").index(check.state)):
        _draw_check(check)
    if inspection is None:
        st.caption("Picture quality, skin tone and duplicates join in once the pictures were measured.")
        examined.draw_inspect(dataset)
    st.subheader("Who is in each part", anchor=False)
    st.caption("Images, and lesions in brackets.")
    _draw_counts(assurance)
    _draw_downloads(assurance, dataset)


def _draw_check(check: Check) -> None:
    icon, colour = _ICONS[check.state]
    st.markdown(f":{colour}-badge[{icon} {check.topic}] {notices.plain(check.sentence)}")


def _draw_counts(assurance: Assurance) -> None:
    for column, title in COLUMNS.items():
        table = assurance.table(column)
        if table.empty:
            continue
        with st.expander(title, icon=":material/table_rows:", expanded=column == "dx"):
            shown = table.rename(columns=lambda name: label_of("split", name))
            st.table(shown, alt=f"{title} in each part of the split")
            st.caption(LEGEND)
            if column == "ita_band":
                st.caption(ITA_LIMITS)


def _draw_downloads(assurance: Assurance, dataset: Dataset) -> None:
    with st.container(horizontal=True):
        for label, name, mime, made in (
            (
                "Report as Markdown",
                "test_data_report.md",
                "text/markdown",
                partial(assurance.to_markdown, title=dataset.name),
            ),
            ("Counts as CSV", "test_data_report.csv", "text/csv", assurance.to_csv),
        ):
            st.download_button(
                label, data=made, file_name=name, mime=mime, icon=":material/download:", on_click="ignore",
                key=f"explore_report_{name}",
            )  # fmt: skip


@st.cache_resource(ttl=_KEEP, max_entries=8, show_spinner="Checking the split …")
def _assured(
    key: str,  # noqa: ARG001 -- with the next two, the key of the cache
    inspected: bool,  # noqa: ARG001
    searched: bool,  # noqa: ARG001
    _table: pd.DataFrame,
    _inspection: pd.DataFrame | None,
    _pairs: pd.DataFrame | None,
) -> Assurance:
    return assure(_table, _table["split"], inspection=_inspection, pairs=_pairs)
