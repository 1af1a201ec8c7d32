"""Is this the kind of picture the network was trained on? Asked before any answer is shown.

The network's pooled features of the training pictures are described by probabilistic principal components
(Tipping and Bishop, 1999): a Gaussian along the main axes, one small variance for everything else. A picture
whose features lie further out than nearly all validation pictures' is not like them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

AXES: Final = 64
VAL_QUANTILE: Final = 0.99
# Standard deviation of the most varied colour channel, on a scale of 255, below which there is nothing
# to see.
LEAST_SPREAD: Final = 4.0


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
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    rest: float
    limit: float

    @classmethod
    def fit(cls, train: np.ndarray, val: np.ndarray) -> "FeatureStatistics":
        """Describe training features (N, K); the limit comes from validation features (M, K)."""
        mean = train.mean(axis=0, dtype=np.float64)
        centred = train - mean
        covariance = centred.T @ centred / len(train)
        variances, vectors = np.linalg.eigh(covariance)
        count = min(AXES, len(variances) - 1, max(1, len(train) // 4))
        rest = max(float(variances[:-count].mean()), 1e-9)
        main = np.maximum(variances[: -count - 1 : -1], rest)
        unlimited = cls(mean, vectors[:, : -count - 1 : -1].T.copy(), main, rest, 1.0)
        return cls(
            unlimited.mean,
            unlimited.axes,
            main,
            rest,
            float(np.quantile(unlimited.distance(val), VAL_QUANTILE)),
        )

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Return the Mahalanobis distance, relative to the limit, of features (..., K)."""
        centred = features - self.mean
        along = centred @ self.axes.T
        outside = np.maximum((centred**2).sum(axis=-1) - (along**2).sum(axis=-1), 0)
        squared = (along**2 / self.variances).sum(axis=-1) + outside / self.rest
        return np.sqrt(squared) / self.limit


def judge(seen: np.ndarray, features: np.ndarray, statistics: FeatureStatistics | None) -> Verdict:
    """Return whether a picture can be answered.

    seen: what the network saw, uint8 (h, w, 3). features: its pooled features (K,).
    """
    distance = float("nan") if statistics is None else float(statistics.distance(features))
    reasons = []
    if float(seen.std(axis=(0, 1)).max()) < LEAST_SPREAD:
        reasons.append("The picture is blank: it has one colour nearly everywhere.")
    if distance > 1:
        reasons.append(
            "The picture is not like the dermoscopic pictures this model learned from: its features lie "
            f"{distance:.1f} times as far out as 99 in 100 of them."
        )
    return Verdict(tuple(reasons), distance)
