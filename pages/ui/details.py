"""What stands behind an answer: the picture as the network saw it, the checkpoint, the timings."""

from typing import TYPE_CHECKING

import streamlit as st

from core.words import Reader
from pages.ui.checkpoints import Chosen

if TYPE_CHECKING:
    from core.predict.predictor import Prediction


def draw(checkpoint: Chosen, prediction: "Prediction", reader: Reader) -> None:
    """Draw the details, open for those who read models for a living."""
    open_at_first = reader.name == "ML"
    st.subheader("Behind the answer", anchor=False)
    with st.expander("What the network saw", icon=":material/crop:", expanded=open_at_first):
        height, width = prediction.seen.shape[:2]
        st.image(
            prediction.seen,
            width=min(width, 320),
            alt="The picture as the network saw it, cropped and resized",
        )
        st.caption(f"The whole of what the network got: cropped and resized to {width} × {height} pixels.")
    with st.expander("How long it took", icon=":material/timer:", expanded=open_at_first):
        st.table(
            {
                "step": list(prediction.timings_ms),
                "time": [f"{elapsed_ms:.1f} ms" for elapsed_ms in prediction.timings_ms.values()],
            },
            alt="Time of each step of the answer",
        )
    st.caption(checkpoint.title)
