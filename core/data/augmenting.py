"""More pictures of rare diagnoses, made once and stored: the client's algorithm without its traps.

Chosen diagnoses are brought to a target count by copies that are turned, mirrored, sheared, zoomed and lit
otherwise; originals and copies lie in one folder with one table. What the document's steps would have gone
wrong with, and what is done here:

- it augments before splitting: here only pictures of the training part are copied, and the split keeps every
  copy in training (`core.data.splits`);
- it numbers a copy "old id + 1", which in HAM10000 is another patient's picture: here a copy bears a suffix;
- it scales to [0, 1] when augmenting and again when training: here levels stay 0 to 255;
- it lists six diagnoses: here any of the seven can be chosen.

On-the-fly augmentation (`core.data.transforms`) stays the default of training: it needs no disk and no
picture is seen twice alike.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from core.data.copies import copy_id, originals_of
from core.data.readers import read_dataset
from core.data.resizing import Size, resized
from core.data.splits import Split
from core.data.steps import Light, Warp, light, warp
from core.data.writing import (
    OutputFolder,
    Progress,
    Task,
    fingerprint,
    picture_names,
    without_broken,
)
from core.errors import DataError
from core.labels import CODES

SPLIT_NAME: Final = "split.csv"
MAX_COPIES: Final = 200
"""Copies of one picture at most: more teach a network that picture, not its diagnosis."""


@dataclass(frozen=True)
class Strength:
    """How far a copy may differ; zero switches a change off. Each is drawn evenly from within its range.

    rotate_degrees, shear_degrees: either way. zoom: a factor from 1 / (1 + zoom) to 1 + zoom.
    brightness, contrast, saturation: factors from 1 - x to 1 + x.
    flips: mirror images and right angles, all eight orientations as likely.

    Raises:
        DataError: a value is outside its range.
    """

    rotate_degrees: float = 30.0
    shear_degrees: float = 8.0
    zoom: float = 0.15
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    flips: bool = True

    def __post_init__(self) -> None:
        limits = {
            "rotate_degrees": 180,
            "shear_degrees": 60,
            "zoom": 2,
            "brightness": 0.9,
            "contrast": 0.9,
            "saturation": 1,
        }
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 0 <= value <= limit:
                raise DataError(f"{name} is {value}; expected 0 to {limit}.")

    def draw(self, rng: np.random.Generator) -> "Change":
        """Return one change."""
        factors = {
            name: float(rng.uniform(1 - getattr(self, name), 1 + getattr(self, name)))
            for name in ("brightness", "contrast", "saturation")
        }
        span = np.log1p(self.zoom)
        geometry = Warp(
            rotate_degrees=float(rng.uniform(-self.rotate_degrees, self.rotate_degrees)),
            shear_degrees=float(rng.uniform(-self.shear_degrees, self.shear_degrees)),
            zoom=float(np.exp(rng.uniform(-span, span))),
            flip=self.flips and bool(rng.integers(2)),
            quarter_turns=int(rng.integers(4)) if self.flips else 0,
        )
        return Change(geometry, Light(**factors))


@dataclass(frozen=True)
class Change:
    """What was done to make one copy."""

    geometry: Warp
    light: Light

    def apply(self, pixels: np.ndarray, size: Size | None = None) -> np.ndarray:
        """Return the changed picture, uint8 (H, W, 3); at `size` if one is given."""
        smaller = pixels if size is None else resized(pixels, size, gray=False)
        return light(warp(smaller, self.geometry), self.light)

    def columns(self) -> dict[str, object]:
        """Return the change as columns of a table, rounded as people read them."""
        values = asdict(self.geometry) | asdict(self.light)
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}


@dataclass(frozen=True)
class Plan:
    """Which copies are to be made, before any is.

    copies: one row a copy: image_id, augmented_from, dx, number, and its `change`.
    before, after: training pictures of each diagnosis. skipped: diagnosis -> why it gets none.
    """

    copies: pd.DataFrame
    before: dict[str, int]
    after: dict[str, int]
    skipped: dict[str, str]


def plan_copies(
    metadata: pd.DataFrame,
    parts: pd.Series,
    *,
    targets: Mapping[str, int],
    strength: Strength | None = None,
    seed: int = 0,
) -> Plan:
    """Decide which training pictures are copied, how often and how; the same for the same arguments.

    parts: 'train', 'val' or 'test' for each row. targets: training pictures each diagnosis shall have.

    A picture's copies depend on the seed, its own id and their number alone, so a larger target adds copies
    and changes none. Copies are spread evenly: no picture has two more than another of its diagnosis.

    Raises:
        DataError: a target is for no diagnosis or not positive, a target needs over MAX_COPIES copies of one
            picture, or the dataset holds copies already.
    """
    if unknown := sorted(set(targets) - set(CODES)):
        raise DataError(f"There is no diagnosis {unknown[0]!r} to augment; expected {', '.join(CODES)}.")
    if wrong := [code for code, count in targets.items() if count < 1]:
        raise DataError(f"The target for {wrong[0]} is {targets[wrong[0]]}; expected 1 or more.")
    if (originals_of(metadata).notna()).any():
        raise DataError(
            "The dataset holds augmented copies already; augment the dataset they were made from."
        )
    usable = metadata[(parts == "train") & metadata["image_path"].notna()]
    before = {code: int((usable["dx"] == code).sum()) for code in CODES}
    rows: list[dict[str, object]] = []
    skipped: dict[str, str] = {}
    for code, target in targets.items():
        if reason := _why_not(code, before[code], target):
            skipped[code] = reason
            continue
        mine = usable[usable["dx"] == code].sort_values("image_id")
        rows += _copies_of(mine, target - len(mine), strength or Strength(), seed)
    copies = pd.DataFrame(rows, columns=["image_id", "augmented_from", "dx", "number", "change"])
    added = copies["dx"].value_counts()
    after = {code: before[code] + int(added.get(code, 0)) for code in CODES}
    return Plan(copies, before, after, skipped)


def _why_not(code: str, count: int, target: int) -> str:
    if not count:
        return "no training picture of it is here"
    if count >= target:
        return f"{count:,} training pictures are already there; the target is {target:,}"
    if target > count * (MAX_COPIES + 1):
        raise DataError(
            f"{code} has {count} training pictures; {target:,} would take over {MAX_COPIES} copies of each. "
            f"Choose {count * (MAX_COPIES + 1):,} or fewer."
        )
    return ""


def _copies_of(pictures: pd.DataFrame, count: int, strength: Strength, seed: int) -> list[dict[str, object]]:
    names = pictures["image_id"].tolist()
    each, more = divmod(count, len(names))
    # Whose turn comes first must not follow the ids, which follow the clinics.
    order = sorted(names, key=lambda name: _seed(seed, name, 0))
    often = dict.fromkeys(names, each) | dict.fromkeys(order[:more], each + 1)
    return [
        {
            "image_id": copy_id(name, number),
            "augmented_from": name,
            "dx": pictures["dx"].iloc[0],
            "number": number,
            "change": strength.draw(np.random.default_rng(_seed(seed, name, number))),
        }
        for name in names
        for number in range(1, often[name] + 1)
    ]


def _seed(seed: int, name: str, number: int) -> int:
    return int.from_bytes(sha256(f"{seed}\0{name}\0{number}".encode()).digest()[:8], "big")


@dataclass(frozen=True)
class Augmented:
    """What became of it. before, after: training pictures of each diagnosis.

    skipped: diagnosis -> why it got no copies. unreadable: one sentence for each picture that cannot be read;
    its row stays, without a picture and without copies, so `after` may be short of the target.
    """

    images: int
    copies: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    skipped: Mapping[str, str]
    unreadable: tuple[str, ...]
    split_hash: str
    left_out: Mapping[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return what is to be said, one sentence a line."""
        changed = [
            f"{code}: {self.before[code]:,} training pictures became {self.after[code]:,}."
            for code in CODES
            if self.before[code] != self.after[code]
        ]
        return [
            f"{self.images:,} images, {self.copies:,} of them augmented copies, all in training.",
            *changed,
            *(f"{code}: no copies, {reason}." for code, reason in self.skipped.items()),
            *(f"Left out, {reason}: {count:,}." for reason, count in self.left_out.items()),
            *(f"Unreadable: {reason}" for reason in self.unreadable),
            f"Split {self.split_hash[:12]}, the same as without the copies.",
        ]


@dataclass(frozen=True)
class Augmentation:
    """What is asked for.

    targets: diagnosis -> training pictures it shall have. seed: of the copies.
    split_seed: of the split whose training part is copied; a recipe's `seed`.
    size: what every picture is brought to; None leaves originals as they are.
    """

    targets: Mapping[str, int]
    strength: Strength = field(default_factory=Strength)
    seed: int = 0
    split_seed: int = 0
    size: Size | None = None


def augment_dataset(
    source: Path,
    out: Path,
    asked: Augmentation,
    *,
    layout: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Augmented:
    """Write a dataset with augmented copies of training pictures: originals, copies, one table, its split.

    Raises:
        DataError: the dataset cannot be read, a target cannot be met, or the folder cannot be written.
    """
    table = read_dataset(source, layout).sort_values("image_id", ignore_index=True)
    parts = Split.of(table, seed=asked.split_seed).of_images(table["image_id"])
    plan = plan_copies(table, parts, targets=asked.targets, strength=asked.strength, seed=asked.seed)
    work = {
        "command": "augment",
        "source": str(source.resolve()),
        "data": fingerprint(table),
        "targets": dict(asked.targets),
        "split_seed": asked.split_seed,
        "strength": asdict(asked.strength),
        "seed": asked.seed,
        "size": None if asked.size is None else str(asked.size),
    }
    with OutputFolder(out, work=work, inputs=[source]) as folder:
        if (done := folder.finished) is not None:
            return Augmented(**(done | {"unreadable": tuple(done["unreadable"])}))
        whole = _with_copies(table, plan)
        suffix = None if asked.size is None else ".jpg"
        names = picture_names(whole, suffix=suffix).where(whole["image_path"].notna())
        tasks = _tasks(whole, names, plan, asked.size)
        failures = folder.write_pictures(tasks, workers=workers, progress=progress)
        kept, unreadable = without_broken(whole, names, failures)
        # A copy is nothing without its picture.
        gone = kept["image_id"].isin(plan.copies["image_id"]) & kept["image_path"].isna()
        unreadable = tuple(
            reason for reason in unreadable if reason.partition(":")[0] not in set(kept["image_id"][gone])
        )
        kept = kept[~gone].reset_index(drop=True)
        after = Split.of(kept, seed=asked.split_seed)
        result = Augmented(
            images=len(kept),
            copies=int(originals_of(kept).notna().sum()),
            before=plan.before,
            after=_training_counts(kept, after),
            skipped=plan.skipped,
            unreadable=unreadable,
            split_hash=after.hash,
            left_out=table.attrs.get("left_out", {}),
        )
        after.save(folder.path / SPLIT_NAME)
        folder.finish(kept, extra=_provenance(kept, plan), result=asdict(result))
        return result


def _with_copies(table: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return originals and copies in the order of their ids; a copy has its original's facts and path."""
    facts = table.set_index("image_id").loc[plan.copies["augmented_from"]].reset_index(drop=True)
    copies = facts.assign(image_id=plan.copies["image_id"].to_numpy())[table.columns]
    both = pd.concat([table, copies.astype(table.dtypes.to_dict())])
    return both.sort_values("image_id", ignore_index=True)


def _tasks(whole: pd.DataFrame, names: pd.Series, plan: Plan, size: Size | None) -> list[Task]:
    change_of = dict(zip(plan.copies["image_id"], plan.copies["change"], strict=True))
    # An original is copied as it is, unless all pictures shall have one size.
    plain = None if size is None else partial(resized, size=size, gray=False)
    return [
        Task(Path(path), name, partial(change_of[row].apply, size=size) if row in change_of else plain)
        for row, path, name in zip(whole["image_id"], whole["image_path"], names, strict=True)
        if isinstance(name, str)
    ]


def _training_counts(table: pd.DataFrame, split: Split) -> dict[str, int]:
    training = table[(split.of_images(table["image_id"]) == "train") & table["image_path"].notna()]
    return {code: int((training["dx"] == code).sum()) for code in CODES}


def _provenance(table: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return where each row came from: augmented_from, number, and one column for each part of its change."""
    changes = [change.columns() for change in plan.copies["change"]]
    made = pd.DataFrame(changes, index=plan.copies["image_id"]).assign(
        augmented_from=plan.copies["augmented_from"].to_numpy(), number=plan.copies["number"].to_numpy()
    )
    first = ["augmented_from", "number"]
    ordered = made[first + [column for column in made.columns if column not in first]]
    return ordered.reindex(table["image_id"]).set_axis(table.index, axis="index")
