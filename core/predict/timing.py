"""How long one answer takes on this machine."""

from typing import TYPE_CHECKING, Final

import numpy as np

from core.data.facts import Facts
from core.data.synthetic import draw_lesion

if TYPE_CHECKING:
    from core.models.checkpoint import Checkpoint

ROUNDS: Final = 7


def median_ms(checkpoint: "Checkpoint", *, rounds: int = ROUNDS) -> float:
    """Return the median ms of a look at a drawn lesion with its answer, after one that warms up."""
    from core.predict.predictor import answer, look

    pixels = draw_lesion(0, kind="nv")
    times = []
    for _ in range(rounds + 1):
        prediction = answer(checkpoint, look(checkpoint, pixels), Facts())
        times.append(sum(prediction.timings_ms.values()))
    return float(np.median(times[1:]))
