"""The operating point: what it catches on test pictures, and what an answer means where disease is rarer."""

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluate.operating import predictive_values
from core.evaluate.sheet import interval_words
from core.labels import MALIGNANT
from core.words import NBSP, NOT_AVAILABLE
from pages.ui import notices
from pages.ui.compare import table
from pages.ui.compare.compared import Compared
from pages.ui.compare.downloads import offer_csv


def draw(compared: Compared) -> None:
    """Draw threshold, sensitivity and specificity of each model, and the prevalence dial."""
    st.markdown(
        f"Rule: **{notices.plain(compared.wish.words)}**. The threshold of each model was chosen on its "
        "validation "
        "pictures; what stands here is what it is worth on the test pictures."
    )
    here = _share_here(compared)
    prevalence = (
        st.slider(
            "Malignant among 100 spots that are looked at",
            0.5,
            50.0,
            round(200 * here) / 2,
            step=0.5,
            format="%.1f %%",
            key="prevalence",
            bind="query-params",
            help="How common malignancy is where the model is used. Sensitivity and specificity are taken "
            "as they are; predictive values follow from them by Bayes' rule.",
        )
        / 100
    )
    st.caption(
        f"{100 * here:.1f}{NBSP}% of these test pictures are malignant, since HAM10000 was gathered from "
        "clinics. "
        "Where people come for screening it is far rarer: turn the dial."
    )
    shown = as_table(compared, prevalence)
    st.dataframe(
        shown,
        column_config={
            "threshold": st.column_config.NumberColumn(format="%.4f"),
            "PPV": table.PERCENT | {"help": "Of suspicious ones, the malignant share."},
            "NPV": table.PERCENT | {"help": "Of the others, the benign share."},
            "false alarms for one found": st.column_config.NumberColumn(format="%.1f"),
        },
        hide_index=True,
        placeholder=NOT_AVAILABLE,
        alt="Threshold, sensitivity, specificity and predictive values of each model at the operating point",
    )
    offer_csv(shown, "This table as CSV", name="operating_point", key="compare_point_csv")
    for reason in compared.lacking.values():
        st.warning(notices.plain(reason), icon=":material/block:")
    st.caption("The address holds the point; the Predict page, opened from the menu, decides by it.")


def as_table(compared: Compared, prevalence: float | None = None) -> pd.DataFrame:
    """Return a row a model; prevalence: the share of malignant pictures, that of these by default."""
    share = _share_here(compared) if prevalence is None else prevalence
    return pd.DataFrame([_row(compared, place, share) for place in range(len(compared.names))])


def _share_here(compared: Compared) -> float:
    return float(MALIGNANT[compared.lineup.truth].mean())


def _row(compared: Compared, place: int, prevalence: float) -> dict[str, object]:
    point = compared.points[place]
    row: dict[str, object] = {"model": compared.names[place]}
    if point is None:
        return row
    sensitivity, specificity, melanoma = (
        found.interval
        for name in ("sensitivity", "specificity", "melanoma_sensitivity")
        if (found := compared.measured(place, name)) is not None
    )
    ppv, npv = predictive_values(sensitivity.value, specificity.value, prevalence)
    return row | {
        "threshold": point.threshold,
        f"sensitivity at the threshold (95{NBSP}%)": interval_words(sensitivity),
        f"specificity at the threshold (95{NBSP}%)": interval_words(specificity),
        f"melanomas caught at the threshold (95{NBSP}%)": interval_words(melanoma),
        "PPV": 100 * ppv,
        "NPV": 100 * npv,
        "false alarms for one found": (1 - ppv) / ppv if ppv and np.isfinite(ppv) else None,
        "on validation: sensitivity": f"{point.sensitivity:.3f} of {point.n_malignant}",
        "on validation: specificity": f"{point.specificity:.3f} of {point.n_benign}",
    }
