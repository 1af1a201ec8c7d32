"""The leak meter: what a rule of splitting lets through from training into the test, and what that is worth.

A picture in the test leaks its answer when training holds a sibling: another photo of its lesion, or a copy
of itself. The shares need facts alone. What they can be worth shows a model that only remembers: it answers
with the diagnosis of the training picture that is most alike in a few colours. No label shaped those colours.

Add a rule by adding a function to RULES.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import lgamma
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from core.data.splits import lesion_groups, split_by_lesion
from core.data.store import open_store
from core.errors import SplitError
from core.evaluate.intervals import Interval, lesion_bootstrap
from core.evaluate.metrics import METRICS
from core.jobs import Report
from core.labels import CODES, INDEX

TEST_SHARE: Final = 0.2
COPY_TARGET: Final = 1500
"""Copies bring each rarer diagnosis to this many pictures, unless told otherwise."""

SMALL_SIZE: Final = (24, 32)
_LAYOUT: Final = (6, 8)
_LEVELS: Final = 6
_ROWS: Final = 512
_RESAMPLES: Final = 400
_MOST_TURN_DEGREES: Final = 30.0


@dataclass(frozen=True)
class Division:
    """Which pictures a rule trains on and which it tests on.

    Attributes:
        rows: positions in the metadata table, shape (M,); a copy bears the position of its original.
        copy: which copy of it, 0 for the picture itself, shape (M,).
        test: whether it is in the test, bool, shape (M,).
    """

    rows: np.ndarray
    copy: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Rule:
    """One way of dividing a dataset."""

    name: str
    title: str
    about: str
    divide: Callable[[pd.DataFrame, int, int], Division]


def _by_picture(metadata: pd.DataFrame, seed: int, copy_target: int) -> Division:
    del copy_target
    rows = np.arange(len(metadata))
    return Division(rows, np.zeros_like(rows), _draw_test(len(rows), seed))


def _by_lesion(metadata: pd.DataFrame, seed: int, copy_target: int) -> Division:
    del copy_target
    rest = (1 - TEST_SHARE) / 2
    parts = split_by_lesion(metadata, seed=seed, fractions=(rest, rest, TEST_SHARE))
    rows = np.arange(len(metadata))
    return Division(rows, np.zeros_like(rows), (parts == "test").to_numpy())


def _augment_then_split(metadata: pd.DataFrame, seed: int, copy_target: int) -> Division:
    codes = metadata["dx"].to_numpy(dtype=object)
    rows, copies = [np.arange(len(metadata))], [np.zeros(len(metadata), dtype=np.int64)]
    for code in CODES:
        originals = np.flatnonzero(codes == code)
        wanted = copy_target - len(originals)
        if len(originals) == 0 or wanted <= 0:
            continue
        order = np.random.default_rng([seed, INDEX[code]]).permutation(originals)
        made = np.arange(wanted)
        rows.append(order[made % len(order)])
        copies.append(1 + made // len(order))
    all_rows, all_copies = np.concatenate(rows), np.concatenate(copies)
    return Division(all_rows, all_copies, _draw_test(len(all_rows), seed))


def _draw_test(count: int, seed: int) -> np.ndarray:
    test = np.zeros(count, dtype=bool)
    test[np.random.default_rng(seed).permutation(count)[: _test_size(count)]] = True
    return test


def _test_size(count: int) -> int:
    return round(TEST_SHARE * count)


RULES: Final[Mapping[str, Rule]] = {
    rule.name: rule
    for rule in (
        Rule(
            "picture",
            "Random pictures",
            "Each picture is dealt by itself, 80 to training and 20 to the test: what most notebooks do.",
            _by_picture,
        ),
        Rule(
            "lesion",
            "By lesion",
            "All photos of a lesion stay together, known duplicates too: what LesionLens does.",
            _by_lesion,
        ),
        Rule(
            "augmented",
            "Augment, then split",
            "Rare diagnoses are first filled up with turned and mirrored copies, then all pictures are dealt "
            "one by one: the order of steps in the project's first plan.",
            _augment_then_split,
        ),
    )
}


def divide(metadata: pd.DataFrame, rule: str, *, seed: int = 0, copy_target: int = COPY_TARGET) -> Division:
    """Divide a metadata table by a rule of RULES.

    copy_target: to how many pictures copies bring each diagnosis that has fewer; only "augmented" makes any.

    Raises:
        SplitError: there is no such rule, or too little to divide.
    """
    if rule not in RULES:
        raise SplitError(f"There is no rule {rule!r}; expected one of {', '.join(RULES)}.")
    if len(metadata) < 5:
        raise SplitError(f"{len(metadata)} pictures cannot be divided; expected at least 5.")
    return RULES[rule].divide(metadata, seed, copy_target)


def has_sibling(metadata: pd.DataFrame, division: Division) -> np.ndarray:
    """Return whether training holds the same lesion, for each test picture of a division, bool (T,).

    The known duplicate pairs count as one lesion. Copies of a picture are photos of its lesion and count.
    """
    groups = pd.factorize(lesion_groups(metadata))[0][division.rows]
    return np.isin(groups[division.test], groups[~division.test])


def sibling_shares(metadata: pd.DataFrame, division: Division) -> pd.DataFrame:
    """Return the test pictures with a sibling in training, by diagnosis and for all.

    Index: CODES, then "all". Columns: test (pictures), with_sibling, share (NaN without test pictures).
    """
    told = has_sibling(metadata, division)
    codes = metadata["dx"].to_numpy(dtype=object)[division.rows[division.test]]
    rows = [(int((codes == code).sum()), int(told[codes == code].sum())) for code in CODES]
    table = pd.DataFrame(
        [*rows, (len(told), int(told.sum()))], index=[*CODES, "all"], columns=["test", "with_sibling"]
    )
    table["share"] = table["with_sibling"] / table["test"].where(table["test"] > 0)
    return table


def expected_shares(metadata: pd.DataFrame) -> pd.Series:
    """Return the sibling share of "picture", averaged over all its draws, exactly; index CODES and "all".

    A test picture of a lesion with m photos has none in training when the other m - 1 are drawn for the test
    too: one minus C(N - m, T - m) / C(N - 1, T - 1) for N pictures of which T are tested.
    """
    groups = lesion_groups(metadata)
    photos = groups.map(groups.value_counts()).to_numpy(dtype=np.int64)
    count, tested = len(metadata), _test_size(len(metadata))
    alone = {
        int(number): np.exp(_log_choose(count - number, tested - number) - _log_choose(count - 1, tested - 1))
        if number <= tested
        else 0.0
        for number in np.unique(photos)
    }
    shares = pd.Series([1 - alone[int(number)] for number in photos], index=metadata["dx"].to_numpy())
    each = shares.groupby(level=0).mean().reindex(CODES)
    return pd.concat([each, pd.Series({"all": shares.mean()})])


def _log_choose(count: int, taken: int) -> float:
    return lgamma(count + 1) - lgamma(taken + 1) - lgamma(count - taken + 1)


@dataclass(frozen=True)
class SmallPictures:
    """A few pixels of each picture of a table: `pixels` is uint8 (N, 24, 32, 3), `here` says which exist."""

    pixels: np.ndarray
    here: np.ndarray


def small_pictures(metadata: pd.DataFrame, *, cache_dir: Path, report: Report | None = None) -> SmallPictures:
    """Return the small pictures of a table, decoded once and kept in the cache folder.

    Raises:
        StoreError: there are none, one is gone, or the cache folder cannot be written.
    """
    has_path = metadata["image_path"].notna().to_numpy(dtype=bool)
    shown = metadata[has_path]

    def tell(done: int, total: int) -> None:
        if report is not None:
            report(done, total, unit="pictures")

    # One process: started from a page, another would run the page's script again. Threads are the store's
    # business, and a picture takes two milliseconds.
    store = open_store(
        shown["image_id"].tolist(),
        [Path(path) for path in shown["image_path"]],
        cache_dir=cache_dir,
        size=SMALL_SIZE,
        workers=1,
        progress=tell,
    )
    pixels = np.zeros((len(metadata), *SMALL_SIZE, 3), dtype=np.uint8)
    pixels[has_path] = store.pixels
    here = has_path.copy()
    here[has_path] = [name not in store.unreadable for name in store.image_ids]
    return SmallPictures(pixels, here)


@dataclass(frozen=True)
class Worth:
    """What the nearest picture as a model scores on the test pictures of a division.

    Attributes:
        balanced_accuracy: of all test pictures, with its interval over lesions.
        with_sibling, without_sibling: the share of right answers among test pictures that have a sibling in
            training and among those that have none, averaged over the diagnoses that have both; NaN if none.
        n_with, n_without: how many test pictures of these diagnoses those are.
        compared: the diagnoses that have both.
    """

    balanced_accuracy: Interval
    with_sibling: float
    without_sibling: float
    n_with: int
    n_without: int
    compared: tuple[str, ...]


def measure_worth(
    metadata: pd.DataFrame, division: Division, small: SmallPictures, *, report: Report | None = None
) -> Worth:
    """Answer each test picture by its nearest training pictures, and score the answers."""
    kept = small.here[division.rows]
    division = Division(division.rows[kept], division.copy[kept], division.test[kept])
    vectors = picture_vectors(_pixels_of(division, small.pixels))
    truth = metadata["dx"].map(INDEX).to_numpy(dtype=np.int64)[division.rows]
    test = division.test
    answers = _answer(vectors[~test], truth[~test], vectors[test], report)
    lesions = lesion_groups(metadata).to_numpy(dtype=object)[division.rows[test]]
    metric = {"balanced_accuracy": METRICS["balanced_accuracy"]}
    scored = lesion_bootstrap(truth[test], np.eye(len(CODES))[answers], lesions, metric, resamples=_RESAMPLES)
    right = answers == truth[test]
    told = has_sibling(metadata, division)
    both = [
        index for index in range(len(CODES))
        if told[truth[test] == index].any() and not told[truth[test] == index].all()
    ]  # fmt: skip
    return Worth(
        scored["balanced_accuracy"],
        _mean_recall(right, truth[test], told, both),
        _mean_recall(right, truth[test], ~told, both),
        int((told & np.isin(truth[test], both)).sum()),
        int((~told & np.isin(truth[test], both)).sum()),
        tuple(CODES[index] for index in both),
    )


def _mean_recall(right: np.ndarray, truth: np.ndarray, which: np.ndarray, classes: list[int]) -> float:
    if not classes:
        return float("nan")
    return float(np.mean([right[which & (truth == index)].mean() for index in classes]))


def picture_vectors(pixels: np.ndarray) -> np.ndarray:
    """Return what the model remembers of small pictures, uint8 (N, 24, 32, 3): float32 (N, 360).

    The layout of colours on 6 × 8 fields, and how often each of 6 × 6 × 6 colours occurs; both have length 1.
    """
    count, height, width, _ = pixels.shape
    rows, columns = _LAYOUT
    fields = pixels.reshape(count, rows, height // rows, columns, width // columns, 3)
    layout = fields.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)
    layout -= layout.mean(axis=1, keepdims=True)
    layout /= np.maximum(np.linalg.norm(layout, axis=1, keepdims=True), 1e-6)
    levels = (pixels.astype(np.int64) * _LEVELS) // 256
    colour = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
    place = np.arange(count)[:, None] * _LEVELS**3 + colour.reshape(count, -1)
    often = np.bincount(place.ravel(), minlength=count * _LEVELS**3).reshape(count, -1)
    histogram = np.sqrt(often / (height * width), dtype=np.float32)
    return np.hstack([layout, histogram]).astype(np.float32)


def _pixels_of(division: Division, pixels: np.ndarray) -> np.ndarray:
    """Return the small pictures of a division; copies are turned and mirrored."""
    shown = pixels[division.rows]
    for position in np.flatnonzero(division.copy):
        shown[position] = _turned(shown[position], int(division.rows[position]), int(division.copy[position]))
    return shown


def _turned(picture: np.ndarray, row: int, copy: int) -> np.ndarray:
    from PIL import Image

    generator = np.random.default_rng([row, copy])
    angle = float(generator.uniform(-_MOST_TURN_DEGREES, _MOST_TURN_DEGREES))
    if generator.random() < 0.5:
        picture = picture[:, ::-1]
    if generator.random() < 0.5:
        picture = picture[::-1]
    image = Image.fromarray(np.ascontiguousarray(picture))
    mean = tuple(int(level) for level in picture.reshape(-1, 3).mean(axis=0))
    return np.asarray(image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=mean))


def _answer(known: np.ndarray, truth: np.ndarray, asked: np.ndarray, report: Report | None) -> np.ndarray:
    """Return the class of the nearest known vector of each asked one, shape (T,)."""
    squares = (known**2).sum(axis=1)
    nearest = np.empty(len(asked), dtype=np.int64)
    for start in range(0, len(asked), _ROWS):
        block = asked[start : start + _ROWS]
        nearest[start : start + _ROWS] = (squares - 2 * block @ known.T).argmin(axis=1)
        if report is not None:
            report(start + len(block), len(asked), unit="pictures", note="asking the nearest")
    return truth[nearest]
