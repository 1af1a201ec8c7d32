"""Several pictures at once: a table with a CSV, and up to four of them side by side."""

import hashlib
from typing import TYPE_CHECKING, Final

import pandas as pd
import streamlit as st

from core import words
from core.data.facts import Facts
from core.errors import LesionLensError
from core.jobs import Report
from core.labels import CODES, INDEX
from core.settings import settings
from core.spreadsheet import guard
from core.words import Reader
from pages.ui import cache, charts, checkpoints, inputs, jobs, notices, points
from pages.ui.inputs import Asked

if TYPE_CHECKING:
    from core.models.checkpoint import Checkpoint
    from core.predict.scoring import NamedPicture

SIDE_BY_SIDE: Final = 4


def draw(checkpoint: "Checkpoint", facts: Facts, reader: Reader) -> None:
    """Ask for pictures and draw their answers."""
    from core.predict.scoring import NamedPicture, unpack

    files = st.file_uploader(
        "Dermoscopic pictures, or zips of them",
        type=[*inputs.SUFFIXES, "zip"],
        accept_multiple_files=True,
        max_upload_size=settings().max_upload_mb,
        key="uploads",
        help=words.PRIVACY,
    )
    if not files:
        st.caption(f":material/lock: {words.PRIVACY} The facts above are taken for every picture.")
        return
    limit = settings().max_upload_mb * 2**20
    try:
        pictures = unpack(
            [NamedPicture(file.name, file.getvalue()) for file in files if file.size <= limit],
            max_bytes=limit,
        )
    except LesionLensError as problem:
        notices.refuse(problem)
        return
    if len(pictures) <= SIDE_BY_SIDE:
        _draw_beside(checkpoint, pictures, facts, reader)
    scores = _scores(checkpoint, pictures, facts)
    if scores is not None:
        _draw_table(scores)


def _scores(
    checkpoint: "Checkpoint", pictures: "tuple[NamedPicture, ...]", facts: Facts
) -> pd.DataFrame | None:
    from core.predict.predictor import DEFAULT_OPERATING_POINT
    from core.predict.scoring import score_pictures

    tested = points.asked_for(checkpoint.reference)
    point = checkpoint.manifest.operating_point(DEFAULT_OPERATING_POINT) if tested is None else tested.point
    threshold = None if point is None else point.threshold
    digest = hashlib.sha256(f"{checkpoint.reference}|{facts}|{threshold}".encode())
    for one in pictures:
        digest.update(one.name.encode() + hashlib.sha256(one.data).digest())

    def work(report: Report) -> pd.DataFrame:
        return score_pictures(
            checkpoint, pictures, [facts] * len(pictures), threshold=threshold, report=report
        )

    return jobs.draw(
        f"scores:{digest.hexdigest()[:24]}",
        "Answering the pictures",
        work,
        button=f"Answer {len(pictures)} pictures",
        about="One look at each picture; it can be cancelled.",
    )


def _draw_table(scores: pd.DataFrame) -> None:
    from core.predict.scoring import isic_csv

    answered = int((scores["problem"] == "").sum())
    above = int(scores["above_threshold"].eq(True).sum())
    judged = scores["above_threshold"].notna().any()
    said = f", {above} above the threshold" if judged else "; this model has no threshold"
    st.markdown(f"**{answered} of {len(scores)} answered{said}.**")
    share = st.column_config.NumberColumn(format="percent")
    # Streamlit's own table has a download too, which guards nothing.
    guarded = {name: scores[name].map(guard) for name in ("image", "problem")}
    st.dataframe(
        scores.assign(**guarded),
        hide_index=True,
        column_order=["image", "malignancy", "above_threshold", "diagnosis", "problem", *CODES],
        column_config={
            **dict.fromkeys((*CODES, "malignancy"), share),
            "above_threshold": st.column_config.CheckboxColumn("above threshold"),
            "problem": st.column_config.TextColumn("why there is no answer", width="medium"),
        },
        alt="The pictures and their answers",
    )
    st.download_button(
        "Download as CSV, in ISIC 2018 columns",
        data=isic_csv(scores),
        file_name="lesionlens-scores.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        disabled=not answered,
    )
    st.caption("The CSV holds the answered pictures only. Sort the table by clicking a column's head.")


def _draw_beside(
    checkpoint: "Checkpoint", pictures: "tuple[NamedPicture, ...]", facts: Facts, reader: Reader
) -> None:
    for column, one in zip(st.columns(len(pictures), gap="medium"), pictures, strict=True):
        with column:
            try:
                _draw_one(checkpoint, one, facts, reader)
            except LesionLensError as problem:
                notices.refuse(problem, icon=":material/broken_image:")


def _draw_one(checkpoint: "Checkpoint", one: "NamedPicture", facts: Facts, reader: Reader) -> None:
    digest = hashlib.sha256(one.data).hexdigest()
    pixels = cache.picture(digest, one.data, one.name).pixels
    found = points.at_address(checkpoints.ask(checkpoint, Asked(pixels, digest, one.name), facts))
    st.image(found.seen, width="stretch", alt=one.name)
    st.markdown(f"**{notices.plain(one.name)}**")
    if not found.unknown.known:
        statement = words.refusal(found.unknown.reasons, reader)
        st.warning(f"**{statement.headline}**\n\n{notices.plain(statement.body)}", icon=":material/help:")
        return
    statement = words.risk(found.malignancy, found.threshold, found.above_threshold, reader)
    (st.warning if statement.tone == "alert" else st.info)(f"**{statement.headline}**\n\n{statement.body}")
    top = found.top_code
    share = words.percent(float(found.probabilities[INDEX[top]]))
    st.caption(f"Most probable: {words.diagnosis_name(top, reader)}, {share}.")
    st.image(
        charts.overlay(found.seen, found.evidence.maps[INDEX[top]], limit=found.evidence.scale, opacity=0.7),
        width="stretch",
        alt=f"Evidence for {words.short_name(top)}. {charts.describe(found.evidence.maps[INDEX[top]])}",
    )
