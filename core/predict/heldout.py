"""What validation lesions say about an answer: prediction sets that keep a promise, and natural frequencies.

Both are fitted on answers to lesions that the network never learned from (`fit_held_out`), and stored in the
checkpoint. Each lesion counts once, however many pictures it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd

from core.errors import EvaluationError
from core.evaluate.intervals import wilson
from core.labels import CODES, MALIGNANT
from core.predict.calibration import malignancy

COVERAGE: Final = 0.9
SCORE_EDGES: Final = (0.0, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
"""Ends of the ranges in which malignancy probabilities count as alike."""

FEWEST_LESIONS: Final = 20
"""Of fewer lesions with a like score nothing is said: an interval may then be wider than 40 points."""

_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class PredictionSets:
    """From which probability on a diagnosis belongs to the prediction set.

    coverage: the promised share of lesions, of each diagnosis by itself, whose true diagnosis is in the set.
    least: by class, shape (7,); 0 where so few lesions were seen that the diagnosis is never left out.
    n_lesions: validation lesions by class, shape (7,).
    """

    coverage: float
    least: tuple[float, ...]
    n_lesions: tuple[int, ...]

    def of(self, probabilities: np.ndarray) -> np.ndarray:
        """Return which diagnoses belong to the set, bool (..., 7), for probabilities (..., 7)."""
        return np.asarray(probabilities, dtype=np.float64) >= np.array(self.least)

    def always(self) -> tuple[str, ...]:
        """Return the codes that are in every set, for want of lesions to leave them out by."""
        return tuple(code for code, least in zip(CODES, self.least, strict=True) if least <= 0)


@dataclass(frozen=True)
class ScoreRange:
    """Validation lesions whose malignancy probability lies in [low, high); the last holds 1 too."""

    low: float
    high: float
    n_lesions: int
    n_malignant: int

    @property
    def enough(self) -> bool:
        """Whether there are enough lesions to say anything."""
        return self.n_lesions >= FEWEST_LESIONS

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the malignant share."""
        return wilson(self.n_malignant, self.n_lesions)


@dataclass(frozen=True)
class HeldOut:
    """What was fitted on a checkpoint's validation lesions.

    scores: how many lesions of each range of scores were malignant.
    """

    sets: PredictionSets
    scores: tuple[ScoreRange, ...]

    def near(self, score: float) -> ScoreRange:
        """Return the range that a malignancy probability lies in."""
        return next((one for one in self.scores if score < one.high), self.scores[-1])


def fit_held_out(
    probabilities: np.ndarray, truth: np.ndarray, lesion_ids: Sequence[str] | np.ndarray | pd.Series
) -> HeldOut:
    """Fit prediction sets and the table of scores on validation answers.

    Args:
        probabilities: calibrated, rows that sum to 1, shape (N, 7).
        truth: class indices, shape (N,).
        lesion_ids: which pictures show one lesion, shape (N,).

    Raises:
        EvaluationError: there is no picture.
        ValueError: arrays of different lengths.
    """
    probabilities, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(truth)
    lesions, _ = pd.factorize(pd.Series(list(lesion_ids)))
    if not len(probabilities) == len(truth) == len(lesions):
        raise ValueError(f"{len(probabilities)} answers, {len(truth)} truths, {len(lesions)} lesion ids.")
    if len(truth) == 0:
        raise EvaluationError("No validation picture to fit prediction sets on; give the split some.")
    return HeldOut(_fit_sets(probabilities, truth, lesions), _count_scores(probabilities, truth, lesions))


def covered(sets: PredictionSets, probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return whether each picture's true diagnosis is in its set, bool (N,)."""
    return sets.of(probabilities)[np.arange(len(truth)), truth]


def _fit_sets(probabilities: np.ndarray, truth: np.ndarray, lesions: np.ndarray) -> PredictionSets:
    classes = [(probabilities[truth == index, index], lesions[truth == index]) for index in range(len(CODES))]
    return PredictionSets(
        COVERAGE,
        tuple(_least(values, of, COVERAGE) for values, of in classes),
        tuple(len(np.unique(of)) for _, of in classes),
    )


def _least(values: np.ndarray, lesions: np.ndarray, coverage: float) -> float:
    """Return the probability that a class needs to be in the set.

    Split conformal prediction by class (Vovk, Lindsay and Nouretdinov, Mondrian confidence machine, 2003),
    with 1 - p of the true class as nonconformity. Pictures of one lesion are alike, so each of a lesion's n
    pictures weighs 1/n, and the new lesion counts as one more that fits worst (Lee, Barber and Willett,
    Distribution-free inference with hierarchical data, 2023): of K lesions, the smallest q with

        sum over lesions of (share of its pictures with 1 - p <= q) / (K + 1)  >=  coverage.
    """
    if len(values) == 0:
        return 0.0
    _, numbers, counts = np.unique(lesions, return_inverse=True, return_counts=True)
    order = np.argsort(-values, kind="stable")
    mass = np.cumsum(1 / counts[numbers][order]) / (len(counts) + 1)
    enough = np.flatnonzero(mass >= coverage - _ROUNDING)
    return float(values[order[enough[0]]]) if len(enough) else 0.0


def _count_scores(
    probabilities: np.ndarray, truth: np.ndarray, lesions: np.ndarray
) -> tuple[ScoreRange, ...]:
    # A lesion's first picture stands for it: a mean over its pictures would be surer than one picture is.
    _, first = np.unique(lesions, return_index=True)
    scores, malignant = malignancy(probabilities[first]), MALIGNANT[truth[first]]
    places = np.clip(np.searchsorted(SCORE_EDGES, scores, side="right") - 1, 0, len(SCORE_EDGES) - 2)
    return tuple(
        ScoreRange(low, high, int((places == place).sum()), int(malignant[places == place].sum()))
        for place, (low, high) in enumerate(pairwise(SCORE_EDGES))
    )
