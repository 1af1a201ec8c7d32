"""Is an evidence map worth looking at? Checks that one map can pass or fail.

Each check holds the map against something that knows nothing: a blob in the middle, a random order, a network
with random weights. Lesions lie in the middle and are dark, so a map can look right for no reason.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pandas as pd
import torch
from torch import nn

from core.data.preprocessing import Preprocessing
from core.models.checkpoint import Checkpoint
from core.models.evidence import ImageEvidence
from core.predict.predictor import Look

STEPS: Final = 8
ORDERS: Final = 2
SHIFTS: Final = ((0, 8), (0, -8), (8, 0), (-8, 0))
RIM: Final = 0.1
"""The outer tenth of the picture on each side is its rim."""
CORNER: Final = 0.2
"""A corner is a fifth of each side: the four are 16 % of the picture."""

_BLOB: Final = 0.25
_LEAST_AGREEMENT: Final = 0.5
_LEAST_STABILITY: Final = 0.7
_MOST_TWIN: Final = 0.5

RIM_SHARE: Final = 1 - (1 - 2 * RIM) ** 2
CORNERS_SHARE: Final = (2 * CORNER) ** 2

CHECKS: Final = ("matters", "lesion", "border", "corners", "method", "twin", "shifts")
"""What is checked: that the marked places matter; where they are; and that another method, a random network
and small shifts give what they should."""

State = Literal["passed", "failed", "not measured"]


@dataclass(frozen=True)
class Check:
    """One check and how it went. `core.explain.spoken` says it to each reader.

    name: one of CHECKS. numbers: what came out, in the order in which they are said; NaN where undefined.
    """

    name: str
    numbers: tuple[float, ...]
    state: State


@dataclass(frozen=True)
class Place:
    """Where the lesion is, and who says so.

    mask: bool, of the shape of what the network saw; None where nobody knows.
    source: how a sentence goes on after "inside the lesion", for instance "as the dataset's own mask has it";
        without a mask, the sentence that says why there is none.
    """

    mask: np.ndarray | None
    source: str


NOWHERE: Final = Place(None, "No mask of the lesion is known.")


@dataclass(frozen=True)
class Curves:
    """What the class's logit does while parts of the picture are taken away, or put back.

    shares: of the picture, (STEPS + 1,). deletion, insertion: logits, the map's strongest places going first.
    random_deletion, random_insertion: the mean over ORDERS random orders.
    """

    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray

    def area(self, logits: np.ndarray) -> float:
        """Return the area under one of the curves, (STEPS + 1,): its mean logit over all shares."""
        return float(np.trapezoid(logits, self.shares))

    @property
    def deletion_gain(self) -> float:
        """How much lower the logit is on average than in a random order: above zero is better."""
        return self.area(self.random_deletion) - self.area(self.deletion)

    @property
    def insertion_gain(self) -> float:
        """How much higher the logit is on average than in a random order: above zero is better."""
        return self.area(self.insertion) - self.area(self.random_insertion)


@dataclass(frozen=True)
class Shares:
    """Where a map's positive evidence lies, each as a share of it beside that of a centred Gaussian blob.

    inside, inside_blob: inside the lesion; NaN without a mask.
    rim, rim_blob: in the rim. corners, corners_blob: in the four corners.
    The map's own are NaN where it has no positive evidence.
    """

    inside: float
    inside_blob: float
    rim: float
    rim_blob: float
    corners: float
    corners_blob: float


@dataclass(frozen=True)
class TrustCard:
    """The checks of one map.

    shares: where its positive evidence lies. place: where the lesion is, and who says so.
    agreement: rank correlation of the positive evidence with LayerCAM's map.
    twin: the map of the same class from a network with random weights, (h, w).
    twin_likeness: rank correlation of the map with it. stability: the smallest rank correlation under shifts.
    """

    curves: Curves
    shares: Shares
    place: Place
    agreement: float
    twin: np.ndarray
    twin_likeness: float
    stability: float

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check, in the order of CHECKS."""
        return _checks(self)


def examine(
    checkpoint: Checkpoint, looked: Look, index: int, *, place: Place = NOWHERE, seed: int = 0
) -> TrustCard:
    """Examine the evidence map of one class: about sixty small passes through the network.

    Args:
        checkpoint: its network stays as it is.
        looked: what it saw.
        index: of the class in CODES.
        place: where the lesion is, in `looked.seen`.
        seed: of the random orders and of the twin's weights.
    """
    found = looked.maps[index]
    twin = twin_map(checkpoint, looked.seen, index, seed=seed)
    # Here, as it brings a hundred megabytes of libraries that nothing else of this module needs.
    from core.explain.cam import cam

    other = cam(checkpoint, looked.seen, index, "layercam")
    return TrustCard(
        curves=curves(checkpoint, looked, index, seed=seed),
        shares=shares_of(found, looked.seen.shape[:2], place.mask),
        place=place,
        agreement=rank_correlation(np.maximum(found, 0), _fitted(other, found.shape)),
        twin=twin,
        twin_likeness=rank_correlation(found, twin),
        stability=stability(checkpoint, looked, index),
    )


def placed(card: TrustCard, looked: Look, index: int, place: Place) -> TrustCard:
    """Return a card with the lesion in another place: of all checks only where the evidence lies changes.

    looked, index: those that were examined.
    """
    shares = shares_of(looked.maps[index], looked.seen.shape[:2], place.mask)
    return replace(card, shares=shares, place=place)


def shares_of(found: np.ndarray, shape: tuple[int, int], mask: np.ndarray | None) -> Shares:
    """Return where a map's (h, w) positive evidence lies in a picture of this shape (H, W).

    mask: of the lesion, bool (H, W); None where nobody knows.
    """
    blob, rim, corners = centred_blob(found.shape), rim_of(shape), corners_of(shape)
    return Shares(
        inside=share_in(found, mask),
        inside_blob=share_in(blob, mask),
        rim=share_in(found, rim),
        rim_blob=share_in(blob, rim),
        corners=share_in(found, corners),
        corners_blob=share_in(blob, corners),
    )


def curves(checkpoint: Checkpoint, looked: Look, index: int, *, seed: int = 0) -> Curves:
    """Return how the logit falls and rises as places go and come, the map's strongest first.

    After RISE (Petsiuk, Das and Saenko, BMVC 2018): places that go are painted in the median colour, and
    places that come appear on a picture of that colour alone. Random orders are the baseline.
    """
    found = looked.maps[index]
    rng = np.random.default_rng(seed)
    orders = [np.argsort(-found, axis=None), *(rng.permutation(found.size) for _ in range(ORDERS))]
    counts = np.linspace(0, found.size, STEPS + 1).astype(int)
    plain = np.broadcast_to(np.median(looked.seen.reshape(-1, 3), axis=0), looked.seen.shape)
    logits = []
    for order in orders:
        hidden = [_places(order[:count], found.shape, looked.seen.shape[:2]) for count in counts]
        away = [np.where(mask[..., None], plain, looked.seen) for mask in hidden]
        back = [np.where(mask[..., None], looked.seen, plain) for mask in hidden]
        # One batch an order: small enough for any memory.
        logits.append(_logits(checkpoint, [*away, *back], index).reshape(2, STEPS + 1))
    own, others = logits[0], np.mean(logits[1:], axis=0)
    return Curves(counts / found.size, own[0], own[1], others[0], others[1])


def twin_map(checkpoint: Checkpoint, seen: np.ndarray, index: int, *, seed: int = 0) -> np.ndarray:
    """Return the map of the same class from a network of the same shape with random weights, (h, w).

    Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018: a map that a random network gives as well
    shows the picture, and not what was learned.
    """
    generator_state = torch.get_rng_state()
    try:
        torch.manual_seed(seed)
        with checkpoint.lock:
            twin = copy.deepcopy(checkpoint.network).eval()
        with torch.no_grad():
            for part in twin.backbone.modules():
                if callable(reset := getattr(part, "reset_parameters", None)):
                    reset()
                if isinstance(part, nn.BatchNorm2d):
                    # By the picture's own statistics: by fresh ones a deep random network fades to nothing.
                    part.track_running_stats = False
                    part.running_mean = part.running_var = None
            for head in twin.backbone.get_classifier().parameters():
                head.normal_(0, 0.1)
    finally:
        torch.set_rng_state(generator_state)
    with torch.no_grad():
        found: ImageEvidence = twin.look(_batch(checkpoint.manifest.preprocessing, [seen]))
    return found.maps[0, index].numpy()


def stability(checkpoint: Checkpoint, looked: Look, index: int) -> float:
    """Return the smallest rank correlation of the map with those of slightly shifted pictures, moved back."""
    found = looked.maps[index]
    shifted = [np.roll(looked.seen, shift, axis=(0, 1)) for shift in SHIFTS]
    with checkpoint.lock, torch.no_grad():
        maps = checkpoint.network.look(_batch(checkpoint.manifest.preprocessing, shifted)).maps[:, index]
    # A shift of 8 px is a quarter of a place of the map: moved back, it is the same place.
    return min(rank_correlation(found, one) for one in maps.numpy())


def share_in(evidence: np.ndarray, mask: np.ndarray | None) -> float:
    """Return the share of the positive evidence (h, w) inside a mask (H, W); NaN without either."""
    positive = np.maximum(evidence, 0)
    if mask is None or positive.sum() <= 0:
        return float("nan")
    rows, columns = positive.shape
    height, width = mask.shape
    parts = mask[: height // rows * rows, : width // columns * columns]
    covered = parts.reshape(rows, height // rows, columns, width // columns).mean(axis=(1, 3))
    return float((positive * covered).sum() / positive.sum())


def rim_of(shape: tuple[int, int]) -> np.ndarray:
    """Return the rim of a picture, bool (H, W)."""
    height, width = shape
    down, right = round(RIM * height), round(RIM * width)
    rim = np.ones(shape, dtype=bool)
    rim[down : height - down, right : width - right] = False
    return rim


def corners_of(shape: tuple[int, int]) -> np.ndarray:
    """Return the four corners of a picture, bool (H, W)."""
    height, width = shape
    down, right = round(CORNER * height), round(CORNER * width)
    corners = np.ones(shape, dtype=bool)
    corners[down : height - down] = False
    corners[:, right : width - right] = False
    return corners


def centred_blob(shape: tuple[int, int]) -> np.ndarray:
    """Return a Gaussian blob in the middle, (h, w), a quarter of each side wide: it knows nothing."""
    rows, columns = ((np.arange(side) + 0.5) / side - 0.5 for side in shape)
    blob: np.ndarray = np.exp(-(rows[:, None] ** 2 + columns[None, :] ** 2) / (2 * _BLOB**2))
    return blob


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation of two maps of one shape; NaN where one is flat.

    Equal values share the mean of their ranks: half of a map that only shows what speaks for it is zero.
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    # Not by scipy.stats, which takes 45 MB of memory for it.
    first_ranks, second_ranks = (pd.Series(values.ravel()).rank() for values in (first, second))
    return float(np.corrcoef(first_ranks, second_ranks).item(1))


def _logits(checkpoint: Checkpoint, pictures: Sequence[np.ndarray], index: int) -> np.ndarray:
    batch = _batch(checkpoint.manifest.preprocessing, pictures)
    with checkpoint.lock, torch.no_grad():
        return checkpoint.network(batch)[:, index].numpy()


def _batch(preprocessing: Preprocessing, pictures: Sequence[np.ndarray]) -> torch.Tensor:
    pixels = preprocessing.normalise(np.stack(pictures).astype(np.uint8))
    return torch.from_numpy(pixels).to(memory_format=torch.channels_last)


def _places(chosen: np.ndarray, grid: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Return where places of a map lie in the picture, bool (H, W)."""
    mask = np.zeros(grid, dtype=bool)
    mask.flat[chosen] = True
    rows = np.arange(shape[0]) * grid[0] // shape[0]
    columns = np.arange(shape[1]) * grid[1] // shape[1]
    return mask[rows[:, None], columns[None, :]]


def _fitted(other: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a map at another resolution, by means over its parts."""
    rows, columns = shape
    height, width = other.shape
    parts = other[: height // rows * rows, : width // columns * columns]
    return parts.reshape(rows, height // rows, columns, width // columns).mean(axis=(1, 3))


def _checks(card: TrustCard) -> tuple[Check, ...]:
    """Return the checks of a card, by the names and in the order of CHECKS."""
    curves_, shares, twin = card.curves, card.shares, card.twin_likeness
    gains = (curves_.deletion_gain, curves_.insertion_gain)
    flat = float("nan") if card.place.mask is None else float(card.place.mask.mean())
    # A blob in the middle has next to nothing at the edge: what lies there is judged against a flat map.
    return (
        Check("matters", gains, _state(min(gains) > 0, *gains)),
        Check(
            "lesion",
            (shares.inside, shares.inside_blob, flat),
            _state(shares.inside >= shares.inside_blob, shares.inside),
        ),
        Check("border", (shares.rim, shares.rim_blob, RIM_SHARE), _state(shares.rim < RIM_SHARE, shares.rim)),
        Check(
            "corners",
            (shares.corners, shares.corners_blob, CORNERS_SHARE),
            _state(shares.corners < CORNERS_SHARE, shares.corners),
        ),
        Check("method", (card.agreement,), _state(card.agreement >= _LEAST_AGREEMENT, card.agreement)),
        Check("twin", (twin,), _state(abs(twin) < _MOST_TWIN, twin)),
        Check("shifts", (card.stability,), _state(card.stability >= _LEAST_STABILITY, card.stability)),
    )


def _state(passed: bool, *measured: float) -> State:
    if not all(np.isfinite(measured)):
        return "not measured"
    return "passed" if passed else "failed"
