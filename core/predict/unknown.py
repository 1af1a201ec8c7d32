"""Is this the kind of picture the network was trained on? Asked before any answer is shown.

The network's pooled features of the training pictures are described by probabilistic principal components
(Tipping and Bishop, 1999): a Gaussian along the main axes, one small variance for everything else. A picture
whose features lie further out than nearly all validation pictures' is not like them.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from core.errors import EvaluationError

AXES: Final = 64
VAL_QUANTILE: Final = 0.99
# Standard deviation of the most varied colour channel, on a scale of 255, below which there is nothing
# to see.
LEAST_SPREAD: Final = 4.0
LEAST_PICTURES: Final = 2
SMALLEST_LIMIT: Final = 1e-6


@dataclass(frozen=True)
class Verdict:
    """Whether a picture is like the training pictures, and if not, why: sentences for people.

    distance: how far out, relative to the limit; 1 is the limit, NaN when the checkpoint cannot tell.
    """

    reasons: tuple[str, ...]
    distance: float

    @property
    def known(self) -> bool:
        """Whether there is nothing against answering."""
        return not self.reasons


@dataclass(frozen=True)
class FeatureStatistics:
    """Where the training pictures' features lie.

    mean: (K,). axes: orthonormal rows (A, K). variances: along the axes, (A,). rest: variance of each other
    direction. limit: the distance that 99 % of validation pictures stay below.

    Arrays are float32 and the axes hold half-precision values, which is how a checkpoint stores them: the
    limit is measured with the very numbers that it is later compared by.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    rest: float
    limit: float

    @classmethod
    def fit(cls, train: np.ndarray, val: np.ndarray) -> "FeatureStatistics":
        """Describe training features (N, K); the limit comes from validation features (M, K).

        Raises:
            EvaluationError: there are fewer than two of either, or one is not finite.
        """
        for name, features in (("training", train), ("validation", val)):
            if len(features) < LEAST_PICTURES or not np.isfinite(features).all():
                raise EvaluationError(
                    f"The {len(features)} {name} features cannot be described: at least {LEAST_PICTURES} "
                    "were expected, all finite."
                )
        mean = train.mean(axis=0, dtype=np.float64)
        centred = train - mean
        covariance = centred.T @ centred / len(train)
        variances, vectors = np.linalg.eigh(covariance)
        count = min(AXES, len(variances) - 1, max(1, len(train) // 4))
        rest = max(float(variances[:-count].mean()), 1e-9)
        main = np.maximum(variances[: -count - 1 : -1], rest).astype(np.float32)
        axes = vectors[:, : -count - 1 : -1].T.astype(np.float16, order="C").astype(np.float32)
        unlimited = cls(mean.astype(np.float32), axes, main, float(np.float32(rest)), 1.0)
        limit = float(np.quantile(unlimited.distance(val), VAL_QUANTILE))
        return replace(unlimited, limit=float(np.float32(max(limit, SMALLEST_LIMIT))))

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Return the Mahalanobis distance, relative to the limit, of features (..., K)."""
        centred = np.asarray(features, dtype=np.float64) - self.mean
        along = centred @ self.axes.T.astype(np.float64)
        # What the axes leave over is subtracted before it is squared: the difference of two large squares
        # would drown it, since it is divided by a small variance.
        outside = ((centred - along @ self.axes) ** 2).sum(axis=-1)
        squared = (along**2 / self.variances).sum(axis=-1) + outside / self.rest
        return np.sqrt(squared) / self.limit


def judge(seen: np.ndarray, features: np.ndarray, statistics: FeatureStatistics | None) -> Verdict:
    """Return whether a picture can be answered.

    seen: what the network saw, uint8 (h, w, 3). features: its pooled features (K,).
    """
    distance = float("nan") if statistics is None else float(statistics.distance(features))
    reasons = []
    # Every fourth pixel each way tells as much, in a sixteenth of the time.
    if float(seen[::4, ::4].std(axis=(0, 1)).max()) < LEAST_SPREAD:
        reasons.append("The picture is blank: it has one colour nearly everywhere.")
    # Features that are not finite have no distance, which is no reason to trust them.
    if statistics is not None and not distance <= 1:
        reasons.append(
            "The picture is not like the dermoscopic pictures this model learned from: its features lie "
            f"{distance:.1f} times as far out as 99 in 100 of them."
        )
    return Verdict(tuple(reasons), distance)
