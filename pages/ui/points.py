"""The operating point of the address, used by an answer: chosen on Compare, decided by on Predict."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import streamlit as st

from core.errors import EvaluationError
from core.evaluate.gathering import evaluation_folders
from core.evaluate.operating import TestedPoint, Wish, measure_point, parse_wish
from core.settings import settings
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
        return _tested(reference, wish)
    except EvaluationError as problem:
        st.caption(
            f":material/info: The operating point of the address ({notices.plain(wish.words)}) is not used: "
            f"{notices.plain(str(problem))}"
        )
        return None


@st.cache_data(ttl="10m", max_entries=32, show_spinner="Choosing the threshold …")
def _tested(reference: str, wish: Wish) -> TestedPoint:
    """Return the point of a checkpoint, from the evaluation that was measured with it.

    Raises:
        EvaluationError: there is no such evaluation here, or it has no validation answers.
    """
    for folder in evaluation_folders(settings().runs_dir):
        evaluation = cache.evaluation(folder)
        if evaluation.checkpoint == reference:
            return measure_point(evaluation, wish)
    raise EvaluationError(f"No evaluation of {reference} is here to choose a threshold by.")
