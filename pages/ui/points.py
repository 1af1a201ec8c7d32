"""The operating point of the address, used by an answer: chosen on Compare, decided by on Predict."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from core.errors import EvaluationError
from core.evaluate.artifact import METRICS_FILE
from core.evaluate.operating import TestedPoint, Wish, measure_point, parse_wish
from core.models.reference import shown
from pages.ui import cache, notices

if TYPE_CHECKING:
    from core.predict.predictor import Prediction

POINT: Final = "point"
"""What the address calls the operating point."""


def at_address(prediction: "Prediction") -> "Prediction":
    """Return the answer decided at the operating point that the address asks for.

    Without one it stays as it is; so it does where it cannot be had, and the reason is shown.
    """
    tested = asked_for(prediction.checkpoint)
    if tested is None:
        return prediction
    return replace(
        prediction,
        operating_point=tested.point,
        above_threshold=prediction.malignancy >= tested.point.threshold,
        sensitivity=tested.sensitivity,
        specificity=tested.specificity,
    )


def asked_for(reference: str) -> TestedPoint | None:
    """Return the point that the address asks for, for a checkpoint; None, with the reason shown, without."""
    wish = parse_wish(st.query_params.get(POINT))
    if wish is None:
        return None
    try:
        folder = _folder(reference)
        return _tested(folder, cache.stamp(folder / METRICS_FILE), wish)
    except EvaluationError as problem:
        st.caption(
            f":material/info: The operating point of the address ({notices.plain(wish.words)}) is not used: "
            f"{notices.plain(str(problem))}"
        )
        return None


def _folder(reference: str) -> Path:
    """Return the evaluation of a checkpoint that fits an answer: of the test split, one view, with val.

    Raises:
        EvaluationError: there is none here.
    """
    for folder, evaluation in cache.measured([reference]):
        # Probabilities averaged over views have other thresholds than those of one look.
        if evaluation.split == "test" and evaluation.views == 1 and evaluation.val is not None:
            return folder
    raise EvaluationError(
        f"No evaluation of {shown(reference)} with one view and validation answers is here to choose a "
        "threshold by."
    )


@st.cache_data(ttl="10m", max_entries=32, show_spinner="Choosing the threshold …")
def _tested(folder: Path, written: int, wish: Wish) -> TestedPoint:  # noqa: ARG001 -- a key of the cache
    return measure_point(cache.evaluation(folder), wish)
