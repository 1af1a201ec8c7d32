"""Train, validation and test by lesion, never by picture.

Photos of one lesion look alike, so a lesion on both sides of a split would leak its answer. Eighteen pairs of
HAM10000 pictures show one lesion under two lesion ids (Abhishek et al., Scientific Data 12:196, 2025); they
are merged before anything is divided. Augmented copies are not divided at all: they belong to training, where
their originals are, so a dataset with copies is split exactly as it is without them.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from core.data.copies import originals_of
from core.errors import SplitError

SPLITS: Final = ("train", "val", "test")
FRACTIONS: Final = (0.8, 0.1, 0.1)

_TWIN_NUMBERS: Final = (
    "0033481-0033421 0033556-0032634 0029152-0033173 0029036-0027027 0027820-0028209 0027689-0032647 "
    "0030906-0024879 0033391-0034186 0025226-0030074 0026087-0025664 0024736-0029748 0024770-0027811 "
    "0027162-0029061 0024602-0032283 0029625-0024629 0030000-0031392 0024437-0031299 0033374-0033417"
)
DUPLICATE_PAIRS: Final = tuple(
    (f"ISIC_{first}", f"ISIC_{second}")
    for first, second in (pair.split("-") for pair in _TWIN_NUMBERS.split())
)
"""Pairs of image ids that show one lesion under two lesion ids."""


def lesion_groups(metadata: pd.DataFrame) -> pd.Series:
    """Return a group name for each row: its lesion, or the merged lesion of a duplicate pair.

    The name is the alphabetically first lesion id of the group, so it does not depend on row order.
    """
    lesion_of = dict(zip(metadata["image_id"], metadata["lesion_id"], strict=True))
    leader: dict[str, str] = {}

    def find(lesion: str) -> str:
        while lesion in leader:
            lesion = leader[lesion]
        return lesion

    for first, second in DUPLICATE_PAIRS:
        if first in lesion_of and second in lesion_of:
            kept, merged = sorted((find(lesion_of[first]), find(lesion_of[second])))
            if kept != merged:
                leader[merged] = kept
    return metadata["lesion_id"].map(find).rename("group")


def split_by_lesion(
    metadata: pd.DataFrame, *, seed: int, fractions: tuple[float, float, float] = FRACTIONS
) -> pd.Series:
    """Return 'train', 'val' or 'test' for each row, with the class shares kept close.

    Each diagnosis is divided by itself: its lesions are shuffled, then dealt out so that the share of its
    *pictures* in each part stays as close to `fractions` as whole lesions allow. Augmented copies do not
    count, and are in 'train'.

    Raises:
        SplitError: the fractions are none, or a copy's original would be outside 'train'.
    """
    if not np.isclose(sum(fractions), 1) or min(fractions) <= 0:
        raise SplitError(f"Split fractions are {fractions}; expected three positive numbers that sum to 1.")
    original = originals_of(metadata)
    is_copy = original.notna()
    dealt = _deal(metadata[~is_copy], np.asarray(fractions), seed).map(dict(enumerate(SPLITS)))
    parts = pd.Series(SPLITS[0], index=metadata.index, name="split").mask(~is_copy, dealt)
    if is_copy.any():
        _refuse_held_out_copies(metadata, original, parts, seed)
    return parts


def _refuse_held_out_copies(metadata: pd.DataFrame, original: pd.Series, parts: pd.Series, seed: int) -> None:
    part_of = dict(zip(metadata["image_id"], parts, strict=True))
    held_out = original.dropna()
    held_out = held_out[held_out.map(part_of) != SPLITS[0]]
    if not held_out.empty:
        raise SplitError(
            f"{held_out.iloc[0]} has augmented copies in training, and seed {seed} holds it out as "
            f"{part_of[held_out.iloc[0]]} ({len(held_out)} such copies). Use the seed that the copies were "
            "made with, or make them anew: python -m train prepare augment."
        )


def folds_by_lesion(metadata: pd.DataFrame, *, k: int, seed: int) -> pd.Series:
    """Return a fold 0..k-1 for each row; folds are as even, stratified and lesion-pure as the split."""
    if k < 2:
        raise SplitError(f"k is {k}; expected at least 2 folds.")
    return _deal(metadata, np.full(k, 1 / k), seed).rename("fold")


def _deal(metadata: pd.DataFrame, fractions: np.ndarray, seed: int) -> pd.Series:
    """Give each lesion group to the part that is furthest below its share of that diagnosis."""
    groups = lesion_groups(metadata)
    # Sorted, so the answer depends on the pictures and the seed, not on the order of rows.
    sizes = metadata.assign(group=groups).groupby(["dx", "group"], sort=True).size()
    rng = np.random.default_rng(seed)
    part_of: dict[str, int] = {}
    for _, lesions in sizes.groupby(level="dx", sort=True):
        names = lesions.index.get_level_values("group").to_numpy()
        counts = lesions.to_numpy()
        order = rng.permutation(len(names))
        filled = np.zeros(len(fractions))
        wanted = fractions * counts.sum()
        for position in order:
            part = int(np.argmax((wanted - filled) / wanted))
            part_of.setdefault(names[position], part)
            filled[part_of[names[position]]] += counts[position]
    return groups.map(part_of)


@dataclass(frozen=True)
class Split:
    """Which picture is in which part, and the hash that proves it.

    table: one row a picture with columns image_id, lesion_id, group, dx, split; sorted by image_id.
    """

    table: pd.DataFrame
    seed: int

    @classmethod
    def of(cls, metadata: pd.DataFrame, *, seed: int) -> "Split":
        """Divide a metadata table by lesion, 80/10/10."""
        columns = metadata[["image_id", "lesion_id"]].assign(
            group=lesion_groups(metadata), dx=metadata["dx"], split=split_by_lesion(metadata, seed=seed)
        )
        return cls(columns.sort_values("image_id", ignore_index=True), seed)

    @property
    def hash(self) -> str:
        """SHA-256 over 'image_id,split' lines in order of image_id.

        Augmented copies are left out, so that what was trained with and without them is seen to have been
        measured on the same pictures.
        """
        table = self.table[originals_of(self.table).isna()]
        lines = (table["image_id"] + "," + table["split"]).str.cat(sep="\n")
        return hashlib.sha256(lines.encode()).hexdigest()

    def of_images(self, image_ids: pd.Series) -> pd.Series:
        """Return the part of each image id, in the order asked; refuses ids the manifest does not hold."""
        parts = image_ids.map(self.table.set_index("image_id")["split"])
        if parts.isna().any():
            stranger = image_ids[parts.isna()].iloc[0]
            raise SplitError(
                f"The split manifest does not hold picture {stranger} (and {int(parts.isna().sum()) - 1} "
                "more); it was made for another dataset. Make a new split, or point to that dataset."
            )
        return parts

    def save(self, path: Path) -> None:
        """Write the manifest as CSV; its first line carries seed and hash."""
        header = f"# lesionlens split, seed {self.seed}, sha256 {self.hash}\n"
        path.write_text(header + self.table.to_csv(index=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read a manifest and check its hash; raises SplitError when it was altered."""
        try:
            header, _, _ = path.read_text(encoding="utf-8").partition("\n")
            seed, claimed = header.removeprefix("# lesionlens split, seed ").split(", sha256 ")
            split = cls(pd.read_csv(path, skiprows=1, dtype=str, keep_default_na=False), int(seed))
            actual = split.hash
        except (OSError, ValueError, KeyError) as problem:
            raise SplitError(f"{path.name} is not a split manifest ({problem}).") from problem
        if actual != claimed:
            raise SplitError(
                f"{path.name} was altered: its pictures give hash {actual[:12]}, not {claimed[:12]}."
            )
        copies = split.table[originals_of(split.table).notna()]
        if not (copies["split"] == SPLITS[0]).all():
            raise SplitError(f"{path.name} was altered: augmented copies belong to training, all of them.")
        return split
