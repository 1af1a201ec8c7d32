"""Is this the kind of picture the network was trained on? Asked before any answer is shown.

Three things are held against validation pictures, each with a limit that nearly all of those keep:

- the pooled features, which probabilistic principal components of the training pictures describe (Tipping and
  Bishop, 1999): a Gaussian along the main axes, one small variance for everything else;
- the energy of the logits, log of the sum of their exponentials: it is low where nothing in a picture speaks
  for any diagnosis (Liu et al., Energy-based out-of-distribution detection, NeurIPS 2020);
- the picture's colours, whose mean and spread a Gaussian describes; and features and colours together, since
  a photo can be a little odd in both.

And a picture of one colour has nothing to see in it, nor has one of print (`core.data.marks`).
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from core.data.marks import LEAST_GLYPHS, count_glyphs
from core.data.quality import to_lab
from core.errors import EvaluationError

AXES: Final = 64
VAL_QUANTILE: Final = 0.99
# Standard deviation of the most varied colour channel, on a scale of 255, below which there is nothing
# to see.
LEAST_SPREAD: Final = 4.0
LEAST_PICTURES: Final = 2
SMALLEST_LIMIT: Final = 1e-6
# What all limits refuse together must stay below 5 in 100 dermoscopic pictures.
LIMIT_SHARE: Final = 0.005
TOGETHER_QUANTILE: Final = 0.965
# Chosen on 240 clinical photos of PAD-UFES-20, so figures on those flatter the gate a little.
_COLOUR_WEIGHT: Final = 0.7
COLOURS: Final = 6
"""Numbers that describe a picture's colours: means of L*, a*, b*, then their standard deviations."""


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


@dataclass(frozen=True)
class InputLimits:
    """What validation pictures' logits and colours keep to; stored in the checkpoint.

    energy: nearly all validation pictures have at least this.
    colour_mean: of `colours_of`, (6,). colour_precision: inverse covariance, (6, 6).
    colour_limit: the Mahalanobis distance that nearly all validation pictures stay below.
    together: what `strangeness` stays below in 96.5 % of validation pictures.
    """

    energy: float
    colour_mean: tuple[float, ...]
    colour_precision: tuple[tuple[float, ...], ...]
    colour_limit: float
    together: float

    @classmethod
    def fit(cls, logits: np.ndarray, colours: np.ndarray, distances: np.ndarray) -> "InputLimits":
        """Set the limits by validation pictures.

        logits: of the picture alone, without facts, (N, 7). colours: see `colours_of`, (N, 6).
        distances: `FeatureStatistics.distance`, (N,).

        Raises:
            EvaluationError: there are fewer than two pictures.
        """
        if len(logits) < LEAST_PICTURES:
            raise EvaluationError(
                f"{len(logits)} validation pictures cannot tell what is usual; give the split at least "
                f"{LEAST_PICTURES}."
            )
        mean = colours.mean(axis=0)
        covariance = np.cov(colours.T) + SMALLEST_LIMIT * np.eye(COLOURS)
        precision = np.linalg.inv(covariance)
        far = _mahalanobis(colours, mean, precision)
        unlimited = cls(
            energy=float(np.quantile(energy_of(logits), LIMIT_SHARE)),
            colour_mean=tuple(mean.tolist()),
            colour_precision=tuple(tuple(row) for row in precision.tolist()),
            colour_limit=max(float(np.quantile(far, 1 - LIMIT_SHARE)), SMALLEST_LIMIT),
            together=1.0,
        )
        strange = unlimited.strangeness(distances, colours)
        return replace(unlimited, together=float(np.quantile(strange, TOGETHER_QUANTILE)))

    def colour_distance(self, colours: np.ndarray) -> np.ndarray:
        """Return how far colours (..., 6) lie out, relative to the limit."""
        found = _mahalanobis(colours, np.array(self.colour_mean), np.array(self.colour_precision))
        return found / self.colour_limit

    def strangeness(self, distances: np.ndarray, colours: np.ndarray) -> np.ndarray:
        """Return how far features and colours lie out together: a root of summed squares.

        distances: of the features, (...,). colours: (..., 6).
        """
        together: np.ndarray = np.hypot(distances, _COLOUR_WEIGHT * self.colour_distance(colours))
        return together


def energy_of(logits: np.ndarray) -> np.ndarray:
    """Return log Σ exp of logits (..., 7): the negative free energy at temperature 1."""
    logits = np.asarray(logits, dtype=np.float64)
    highest = logits.max(axis=-1, keepdims=True)
    summed: np.ndarray = np.log(np.exp(logits - highest).sum(axis=-1)) + highest[..., 0]
    return summed


def colours_of(seen: np.ndarray) -> np.ndarray:
    """Return the means and the standard deviations of CIE L*, a*, b* of a picture, (6,).

    Every fourth pixel each way tells as much, in a sixteenth of the time.
    """
    lab = to_lab(seen[::4, ::4]).reshape(-1, 3).astype(np.float64)
    return np.concatenate([lab.mean(axis=0), lab.std(axis=0)])


def _mahalanobis(values: np.ndarray, mean: np.ndarray, precision: np.ndarray) -> np.ndarray:
    centred = np.asarray(values, dtype=np.float64) - mean
    squared: np.ndarray = np.einsum("...i,ij,...j->...", centred, precision, centred)
    return np.sqrt(np.maximum(squared, 0))


def judge(
    seen: np.ndarray,
    features: np.ndarray,
    statistics: FeatureStatistics | None,
    *,
    logits: np.ndarray | None = None,
    limits: InputLimits | None = None,
) -> Verdict:
    """Return whether a picture can be answered.

    seen: what the network saw, uint8 (h, w, 3). features: its pooled features (K,). logits: of the picture
    alone, (7,); None with limits of None.
    """
    distance = float("nan") if statistics is None else float(statistics.distance(features))
    reasons = []
    # Every fourth pixel each way tells as much, in a sixteenth of the time.
    if float(seen[::4, ::4].std(axis=(0, 1)).max()) < LEAST_SPREAD:
        reasons.append("The picture is blank: it has one colour nearly everywhere.")
    if (glyphs := count_glyphs(seen)) >= LEAST_GLYPHS:
        reasons.append(
            f"The picture looks like print: {glyphs} letter-sized marks on an even ground without colour."
        )
    # Features that are not finite have no distance, which is no reason to trust them.
    if statistics is not None and not distance <= 1:
        reasons.append(
            "The picture is not like the dermoscopic pictures this model learned from: its features lie "
            f"{distance:.1f} times as far out as 99 in 100 of them."
        )
    if limits is not None and logits is not None:
        colours = colours_of(seen)
        reasons += _beyond(limits, colours, logits)
        strange = float(limits.strangeness(np.array(distance), colours))
        if not reasons and strange > limits.together:
            reasons.append(
                "The picture is not like the dermoscopic pictures this model learned from: what the network "
                "sees and the colours together are odder than in 96 of 100 of them, as in plain photographs."
            )
    return Verdict(tuple(reasons), distance)


def _beyond(limits: InputLimits, colours: np.ndarray, logits: np.ndarray) -> list[str]:
    """Return what speaks against a picture's logits and colours; NaN is beyond any limit."""
    reasons = []
    if not float(energy_of(logits)) >= limits.energy:
        reasons.append(
            "The model found hardly anything it knows in the picture: no lesion may be in it. 199 in 200 "
            "dermoscopic pictures gave it more to go by."
        )
    far = float(limits.colour_distance(colours))
    if not far <= 1:
        reasons.append(
            f"Its colours are not those of skin under a dermatoscope: they lie {far:.1f} times as far out as "
            "those of 199 in 200 dermoscopic pictures. Another lamp, a filter or another subject does that."
        )
    return reasons
