"""The answer to take along: a PDF of one page and a self-contained HTML page, made on a click."""

from typing import TYPE_CHECKING

import streamlit as st

from core.explain import spoken
from core.labels import INDEX
from core.words import Reader
from pages.ui import charts
from pages.ui.inputs import Asked
from pages.ui.predict import lesion

if TYPE_CHECKING:
    from core.models.checkpoint import Checkpoint
    from core.predict.predictor import Prediction
    from core.predict.report import Paper


def draw(checkpoint: "Checkpoint", prediction: "Prediction", asked: Asked, reader: Reader) -> None:
    """Draw the two downloads."""
    st.header("Take it along", anchor=False)
    st.caption(
        "Picture, answer, evidence, facts and the model's limits on one page. Made on your click, kept "
        "nowhere."
    )

    outlines = lesion.drawn_here(asked)

    def paper() -> "Paper":
        from core.predict.report import write_paper

        code = prediction.top_code
        found = prediction.evidence.maps[INDEX[code]]
        painted = charts.overlay(prediction.seen, found, limit=prediction.evidence.scale, opacity=0.7)
        return write_paper(
            prediction,
            painted,
            charts.describe(found, unit=spoken.unit(reader)),
            manifest=checkpoint.manifest,
            lacks=checkpoint.lacks,
            outline=lesion.on_paper(asked, reader, outlines) if prediction.unknown.known else "",
            reader=reader,
        )

    def pdf() -> bytes:
        from core.predict.report import to_pdf

        return to_pdf(paper())

    def page() -> bytes:
        from core.predict.report import to_html

        return to_html(paper()).encode()

    with st.container(horizontal=True):
        st.download_button(
            "PDF, one page", data=pdf, file_name="lesionlens.pdf", mime="application/pdf",
            icon=":material/picture_as_pdf:", on_click="ignore", key="report_pdf",
        )  # fmt: skip
        st.download_button(
            "HTML", data=page, file_name="lesionlens.html", mime="text/html",
            icon=":material/html:", on_click="ignore", key="report_html",
        )  # fmt: skip
