"""Bring your own: an evaluation of this app, or anyone's predictions in the form of the ISIC challenge."""

from collections.abc import Sequence

import streamlit as st

from core.errors import EvaluationError
from core.evaluate.artifact import Evaluation
from core.evaluate.foreign import read_artifact, read_isic
from pages.ui import hub, notices
from pages.ui.compare.compared import IMPORTED


def draw(known: Sequence[Evaluation]) -> None:
    """Draw both ways to bring one, and what was brought in this session."""
    st.caption(
        "What you bring stays in this session's memory; it is not written anywhere. It is compared with "
        "what has the same pictures and the same truth, and refused by name otherwise."
    )
    left, right = st.columns(2, gap="large")
    with left:
        _draw_isic(known)
    with right:
        _draw_artifact()
    st.header("A published checkpoint", anchor=False)
    st.caption("What it was measured to is enough to compare it; it is kept in the cache folder.")
    hub.fetch_button(only=True)
    _draw_brought()


def _draw_isic(known: Sequence[Evaluation]) -> None:
    st.header("Predictions as CSV", anchor=False)
    with st.form("compare_isic", border=True):
        predictions = st.file_uploader(
            "Predictions: image,MEL,NV,BCC,AKIEC,BKL,DF,VASC", type="csv", key="compare_predictions"
        )
        truth = st.file_uploader(
            "Truth, where the pictures are not ours: the same columns, or image_id,dx",
            type="csv",
            key="compare_truth",
        )
        name = st.text_input("Call it", max_chars=60, key="compare_name", placeholder="the file's name")
        if st.form_submit_button("Compare it", icon=":material/upload_file:"):
            if predictions is None:
                st.info("Choose a predictions CSV first.", icon=":material/upload_file:")
                return
            try:
                found = read_isic(
                    predictions.getvalue(),
                    None if truth is None else truth.getvalue(),
                    name=name.strip() or predictions.name.removesuffix(".csv"),
                    known=known,
                    predictions_name=predictions.name,
                    truth_name="the truth" if truth is None else truth.name,
                )
            except EvaluationError as problem:
                notices.refuse(problem)
                return
            _keep(found)


def _draw_artifact() -> None:
    st.header("An evaluation of this app", anchor=False)
    with st.form("compare_artifact", border=True):
        files = st.file_uploader(
            "metrics.json and predictions.parquet (and val.parquet) of one evaluation",
            type=["json", "parquet"],
            accept_multiple_files=True,
            key="compare_files",
        )
        if st.form_submit_button("Compare it", icon=":material/upload_file:"):
            try:
                _keep(read_artifact({file.name: file.getvalue() for file in files}))
            except EvaluationError as problem:
                notices.refuse(problem)


def _keep(evaluation: Evaluation) -> None:
    st.session_state.setdefault(IMPORTED, []).append(evaluation)
    st.rerun()  # The picker was drawn before it was here.


def _draw_brought() -> None:
    brought = st.session_state.get(IMPORTED, [])
    if not brought:
        return
    st.header("Brought in this session", anchor=False)
    for place, one in enumerate(brought):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(
                f"{notices.plain(one.name)} is here: {one.n_images:,} pictures. Pick it above.",
                icon=":material/check_circle:",
            )
            st.button(
                "Remove",
                key=f"compare_remove_{place}",
                icon=":material/delete:",
                help=f"Removes {notices.plain(one.name)} from this session.",
                on_click=_remove,
                args=(place,),
            )


def _remove(place: int) -> None:
    del st.session_state[IMPORTED][place]
