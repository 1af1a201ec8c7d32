"""The same score where malignant lesions are more common or rarer. Add a place by adding one to PLACES.

A calibrated probability holds for the mix of lesions that it was calibrated on. How common malignancy is
elsewhere is an assumption, said with its source; that lesions of one kind look alike everywhere is another.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from core.labels import MALIGNANT


@dataclass(frozen=True)
class Place:
    """Where pictures are taken.

    share: of lesions that are malignant, 0 to 1; None is the share in the checkpoint's own training data.
    source: where the share comes from, said beside every number made with it.
    """

    name: str
    share: float | None
    source: str


PLACES: Final = {
    place.name: place
    for place in (
        Place(
            "specialist clinic",
            None,
            "as in the training pictures of this model, which come from specialist clinics",
        ),
        Place(
            "general practice",
            1 / 11,
            "assumed: in a Dutch registry of lesions that patient or doctor suspected, ten were benign for "
            "each malignant one in 2010 (Koelink et al., BMC Family Practice 2014, 15:29)",
        ),
        Place(
            "self-check",
            0.01,
            "assumed without a study: people photograph spots that nobody has suspected, so malignancy must "
            "be rarer than in general practice",
        ),
    )
}
DEFAULT_PLACE: Final = "specialist clinic"


def trained_share(class_frequencies: np.ndarray) -> float | None:
    """Return the malignant share of training data, for how common each diagnosis was, shape (7,).

    A checkpoint made by others does not say: none are given, and the share is None.
    """
    if len(class_frequencies) == 0:
        return None
    frequencies = np.asarray(class_frequencies, dtype=np.float64)
    return float(frequencies[MALIGNANT].sum() / frequencies.sum())


def moved(probability: float, *, share: float, to: float) -> float:
    """Return what a probability of malignancy becomes where the malignant share is another.

    Bayes with the same likelihoods: odds · (to / (1 - to)) / (share / (1 - share)) (Saerens, Latinne and
    Decaestecker, Neural Computation 14, 2002).

    Raises:
        ValueError: a share that is not between 0 and 1.
    """
    if not (0 < share < 1 and 0 < to < 1):
        raise ValueError(f"Shares are {share} and {to}; expected above 0 and below 1.")
    positive = probability * to / share
    return positive / (positive + (1 - probability) * (1 - to) / (1 - share))
