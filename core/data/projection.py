"""Features of many numbers brought down to two, so that they can be drawn: what looks alike lies together.

Add a way by adding one entry to PROJECTIONS.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from core.apart import compute_apart
from core.errors import DataError
from core.jobs import Report, silent

_CHUNK: Final = 4096
# What UMAP is given: more components carry noise and cost time.
_UMAP_COMPONENTS: Final = 50
_LEAST_PICTURES: Final = 3


@dataclass(frozen=True)
class Projected:
    """Where each picture lies.

    Attributes:
        points: float32, shape (N, 2), in the order of the features; NaN for pictures without features.
        explained: the share of the features' variance along each axis; empty where that means nothing.
        n: how many pictures have a place.
    """

    points: np.ndarray
    explained: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class Projection:
    """One way to bring features (N, K) to (N, 2).

    Attributes:
        title: what people call it.
        about: what its picture means and does not mean, in a sentence or two.
        function: from features to places; the report may raise to stop it.
        slow: whether a page must not wait for it.
        package: the Python module it needs beyond the app's own; None if it needs none.
        install: what to install for it.
    """

    title: str
    about: str
    function: Callable[[np.ndarray, Report], Projected]
    slow: bool = False
    package: str | None = None
    install: str = ""

    @property
    def is_here(self) -> bool:
        """Whether what it needs is installed."""
        return self.package is None or find_spec(self.package) is not None


def pca(features: np.ndarray, report: Report = silent) -> Projected:
    """Return features (N, K) along their two main axes; rows with NaN stay without a place.

    An axis's sign is chosen so that its largest weight is positive: the same picture on every machine.

    Raises:
        DataError: fewer than three pictures have features.
    """
    report(0)
    usable = _usable(features)
    mean, axes, shares = _main_axes(features, usable, 2)
    points = _along(features, usable, mean, axes)
    # A network of one number a picture, or pictures all alike, leave no second axis.
    points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])), constant_values=0.0)
    return Projected(_placed(points, usable), tuple(float(share) for share in shares), int(usable.sum()))


def umap(features: np.ndarray, report: Report = silent) -> Projected:
    """Return features (N, K) as UMAP arranges their 50 main components (McInnes, Healy and Melville, 2018).

    It runs in a process of its own, so that what `report` raises ends it at once.

    Raises:
        DataError: fewer than three pictures have features, the package is not installed, or it failed.
    """
    usable = _usable(features)
    if not PROJECTIONS["umap"].is_here:
        raise DataError("This map needs a package: pip install umap-learn, or choose PCA.")
    mean, axes, _ = _main_axes(features, usable, _UMAP_COMPONENTS)
    components = _along(features, usable, mean, axes)
    try:
        points = compute_apart(f"{__name__}:arrange_by_umap", components, report=report)
    except ChildProcessError as problem:
        raise DataError(f"UMAP could not arrange the pictures ({problem}). Choose PCA.") from problem
    return Projected(_placed(points, usable), (), len(points))


def arrange_by_umap(components: np.ndarray) -> np.ndarray:
    """Return where UMAP puts components (N, K): float32, shape (N, 2). It cannot be stopped."""
    with warnings.catch_warnings():
        # What it misses for parts of it that are not used here is nobody's business.
        warnings.simplefilter("ignore", ImportWarning)
        package: Any = import_module("umap")
    neighbours = min(15, len(components) - 1)
    # A seed makes it repeatable, which costs its second thread: said here, or it warns.
    reducer = package.UMAP(n_neighbors=neighbours, min_dist=0.1, random_state=0, n_jobs=1, init="pca")
    return np.asarray(reducer.fit_transform(components), dtype=np.float32)


def _usable(features: np.ndarray) -> np.ndarray:
    usable = np.isfinite(features[:, 0])
    if usable.sum() < _LEAST_PICTURES:
        raise DataError(
            f"{int(usable.sum())} pictures have features; at least {_LEAST_PICTURES} make a map. "
            "Choose more pictures."
        )
    return usable


def _main_axes(
    features: np.ndarray, usable: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean (K,), axes (count, K) and their shares of the variance.

    In pieces: half-precision features of a hundred thousand pictures must not be widened all at once.
    """
    width = features.shape[1]
    total, products, n = np.zeros(width), np.zeros((width, width)), int(usable.sum())
    for piece in _pieces(features, usable):
        total += piece.sum(axis=0, dtype=np.float64)
    mean = total / n
    for piece in _pieces(features, usable):
        centred = piece - mean.astype(np.float32)
        products += centred.T @ centred
    variances, vectors = np.linalg.eigh(products / n)
    axes = vectors[:, ::-1][:, : min(count, width)].T
    strongest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), strongest])[:, None]
    shares = np.maximum(variances[::-1][: len(axes)], 0) / max(float(variances.sum()), 1e-12)
    return mean, axes, shares


def _along(features: np.ndarray, usable: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    weights, offset = axes.T.astype(np.float32), mean.astype(np.float32)
    return np.concatenate([(piece - offset) @ weights for piece in _pieces(features, usable)])


def _pieces(features: np.ndarray, usable: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the usable rows, widened to float32 piece by piece."""
    for start in range(0, len(features), _CHUNK):
        stop = start + _CHUNK
        yield np.asarray(features[start:stop], dtype=np.float32)[usable[start:stop]]


def _placed(points: np.ndarray, usable: np.ndarray) -> np.ndarray:
    placed = np.full((len(usable), 2), np.nan, dtype=np.float32)
    placed[usable] = points
    return placed


PROJECTIONS: Final = {
    "pca": Projection(
        "PCA",
        "The two directions in which the features differ most. Distances are true as far as two directions "
        "can show them; groups that differ in a third one lie on top of each other.",
        pca,
    ),
    "umap": Projection(
        "UMAP",
        "Neighbours stay neighbours. Distances between groups, their sizes and the axes mean nothing.",
        umap,
        slow=True,
        package="umap",
        install="umap-learn",
    ),
}
