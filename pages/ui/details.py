"""What stands behind an answer: the picture as the network saw it, the checkpoint, the timings."""

from typing import TYPE_CHECKING, Final

import pandas as pd
import streamlit as st

from core.models.reference import shown
from core.words import ATTRIBUTION, Reader
from pages.ui import notices
from pages.ui.metrics import metrics_table

if TYPE_CHECKING:
    from core.models.checkpoint import Checkpoint
    from core.predict.predictor import Prediction


FOR_ENGINEERS: Final = "For engineers: the model, its test numbers and its times"
"""Where a patient meets words of the trade, and is told so."""


def draw(checkpoint: "Checkpoint", prediction: "Prediction", reader: Reader) -> None:
    """Draw the details, open for those who read models for a living."""
    at_once = reader.name == "ML"
    st.header("Behind the answer", anchor=False)
    with st.expander("What the model saw", icon=":material/crop:", expanded=at_once):
        _draw_seen(prediction)
    if reader.name == "patient":
        with st.expander(FOR_ENGINEERS, icon=":material/build:"):
            _draw_checkpoint(checkpoint)
            _draw_network(checkpoint, prediction)
            _draw_timings(prediction)
        return
    with st.expander(
        f"The checkpoint: {notices.plain(checkpoint.manifest.name)}",
        icon=":material/deployed_code:",
        expanded=at_once,
    ):
        _draw_checkpoint(checkpoint)
    with st.expander("The network, layer by layer", icon=":material/layers:", expanded=at_once):
        _draw_network(checkpoint, prediction)
    with st.expander("How long it took", icon=":material/timer:", expanded=at_once):
        _draw_timings(prediction)


def draw_lacks(checkpoint: "Checkpoint") -> None:
    """Say what a checkpoint that others made does not bring along; nothing for one of ours."""
    if checkpoint.lacks:
        st.warning(
            "**Not made by LesionLens: read its answer with care.**\n"
            + "".join(f"\n- {notices.plain(sentence)}" for sentence in checkpoint.lacks),
            icon=":material/rule:",
        )


def _draw_seen(prediction: "Prediction") -> None:
    height, width = prediction.seen.shape[:2]
    st.image(
        prediction.seen, width=min(width, 360), alt="The picture as the model saw it, cropped and resized"
    )
    st.caption(f"All that the model got: the picture resized and cut to {width} × {height} pixels.")


def _draw_checkpoint(checkpoint: "Checkpoint") -> None:
    reference, manifest, foreign = shown(checkpoint.reference), checkpoint.manifest, bool(checkpoint.lacks)
    st.markdown(notices.plain(manifest.about))
    st.table(
        {
            "Reference": notices.plain(reference),
            "Architecture": notices.plain(manifest.model),
            "Trained on": notices.plain(manifest.data),
            "Licence of the weights": notices.plain(manifest.licence),
            "Split (lesion-grouped), hash": notices.plain(manifest.split_hash[:12]) or "not known",
            "Temperature, fitted on validation": f"{manifest.temperature:.3f}" if not foreign else "none",
        },
        alt="The checkpoint's name, data and licence",
    )
    if manifest.metrics:
        st.markdown(
            "**Measured on the test split**: lesions the model never saw, 95 % intervals over lesions."
        )
        metrics_table(
            pd.DataFrame.from_dict(manifest.metrics, orient="index"), alt="Test metrics with intervals and n"
        )
    else:
        st.caption("This checkpoint carries no test numbers: nobody has measured it.")
    st.caption(ATTRIBUTION)


def _draw_network(checkpoint: "Checkpoint", prediction: "Prediction") -> None:
    from core.explain.layers import layers_of

    evidence = prediction.evidence
    rows, columns = evidence.maps.shape[1:]
    height, width = prediction.seen.shape[:2]
    st.table(
        {
            "Input": f"{width} × {height} pixels, RGB",
            "Weights, fact tables included": f"{checkpoint.network.count_parameters():,}",
            "Ends of its stages, the first first": ", ".join(
                notices.plain(one.title) for one in reversed(layers_of(checkpoint, (height, width)))
            ),
            "Evidence maps": f"{columns} × {rows} places, "
            + (
                "exact: with bias and facts, their means are the logits"
                if evidence.exact
                else "a linear account with a remainder"
            ),
            "Terms of a logit": ", ".join(evidence.terms(0)),
        },
        alt="What the network is made of",
    )
    st.caption("Other methods' maps can be made at any of these layers: look closer, above.")


def _draw_timings(prediction: "Prediction") -> None:
    st.table(
        {
            "Look: one pass through the network, seven maps": f"{prediction.timings_ms['look']:.1f} ms",
            "Answer: facts, probabilities, verdict": f"{prediction.timings_ms['answer']:.1f} ms",
        },
        alt="Time of each step of the answer",
    )
    st.caption("A picture is looked at once; changed facts only need the answer again.")
