"""What a training step eats: pictures drawn by the balance plan, augmented, with facts and loss weights.

Every draw carries its own seed, made from the run's seed and the epoch. So an epoch is the same whatever the
number of worker processes, and a resumed run sees exactly what an uninterrupted one would have seen.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from core.data.facts import encode_metadata
from core.data.preprocessing import Preprocessing
from core.data.splits import Split
from core.data.store import ImageStore, Progress, open_store, stored_size
from core.data.transforms import augmentation
from core.errors import SplitError
from core.labels import CODES, INDEX
from train.recipe import BalanceConfig, Recipe

Batches = Iterable[list[Tensor]]
"""Batches of (inputs, facts (n, 3), class indices (n,), loss weights (n,))."""


@dataclass(frozen=True)
class Part:
    """One part of a split, decoded: row i of every field is one picture.

    rows: into `store.pixels`. truth: class indices. facts: (N, 3), see `encode_facts`.
    """

    metadata: pd.DataFrame
    store: ImageStore
    rows: np.ndarray
    truth: np.ndarray
    facts: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def load_part(
    metadata: pd.DataFrame,
    split: Split,
    name: str,
    *,
    size: tuple[int, int],
    cache_dir: Path,
    progress: Progress | None = None,
) -> Part:
    """Decode one part of a split; pictures that are missing or unreadable are left out."""
    mine = metadata[split.of_images(metadata["image_id"]) == name]
    mine = mine[mine["image_path"].notna()]
    if mine.empty:
        raise SplitError(
            f"No picture of the {name} split is here. Check that --data holds the image folders."
        )
    paths = [Path(path) for path in mine["image_path"]]
    store = open_store(list(mine["image_id"]), paths, cache_dir=cache_dir, size=size, progress=progress)
    mine = mine[mine["image_id"].isin(store.index)].reset_index(drop=True)
    if mine.empty:
        raise SplitError(
            f"None of the {len(paths)} pictures of the {name} split can be read; the first: "
            f"{next(iter(store.unreadable.values()))}"
        )
    return Part(
        metadata=mine,
        store=store,
        rows=mine["image_id"].map(store.index).to_numpy(),
        truth=np.array(mine["dx"].map(INDEX), dtype=np.int64),  # a copy: torch wants it writable
        facts=encode_metadata(mine),
    )


def load_training_parts(
    metadata: pd.DataFrame,
    split: Split,
    recipe: Recipe,
    preprocessing: Preprocessing,
    *,
    cache_dir: Path,
    progress: Progress | None = None,
) -> tuple[Part, Part]:
    """Return train, at a size for augmentation to crop from, and val, as the network sees it."""
    train_size, val_size = stored_sizes(recipe, preprocessing)
    train = load_part(metadata, split, "train", size=train_size, cache_dir=cache_dir, progress=progress)
    val = load_part(metadata, split, "val", size=val_size, cache_dir=cache_dir, progress=progress)
    return train, val


def stored_sizes(recipe: Recipe, preprocessing: Preprocessing) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the (height, width) in which train and val are decoded, px."""
    train = stored_size(recipe.size, *recipe.train_sizes)
    return train, preprocessing.input_shape(*train)


def class_frequencies(truth: np.ndarray) -> np.ndarray:
    """Return the share of each diagnosis, shape (7,); a diagnosis that is absent counts as one picture."""
    counts = np.maximum(np.bincount(truth, minlength=len(CODES)), 1)
    return counts / counts.sum()


def drawing_weights(truth: np.ndarray, balance: BalanceConfig) -> np.ndarray:
    """Return each picture's chance to be drawn, summing to 1."""
    weights = class_frequencies(truth)[truth] ** -balance.sampler_power
    return weights / weights.sum()


def drawn_frequencies(frequencies: np.ndarray, balance: BalanceConfig) -> np.ndarray:
    """Return the share of each diagnosis that the loss sees, shape (7,): drawn more often, weighted more."""
    drawn = frequencies ** (1 - balance.sampler_power - balance.loss_power)
    return drawn / drawn.sum()


def loss_weights(part: Part, balance: BalanceConfig) -> np.ndarray:
    """Return each picture's loss weight, with mean 1 over drawn pictures."""
    weights = class_frequencies(part.truth)[part.truth] ** -balance.loss_power
    weights = weights * part.metadata["dx_type"].map(balance.dx_type_weights).fillna(1.0).to_numpy(
        dtype=float
    )
    return weights / np.average(weights, weights=drawing_weights(part.truth, balance))


class TrainingPictures(Dataset[tuple[Tensor, Tensor, int, float]]):
    """Augmented pictures, one a draw: (uint8 (3, s, s), facts (3,), class index, loss weight)."""

    def __init__(self, part: Part, recipe: Recipe, size: int) -> None:
        self.part = part
        self.recipe = recipe
        self.augment = augmentation(recipe.augment, size)
        self.weights = loss_weights(part, recipe.balance)

    def __getitem__(self, draw: tuple[int, int]) -> tuple[Tensor, Tensor, int, float]:
        """Return the picture of a draw (position, seed)."""
        position, seed = draw
        pixels = torch.from_numpy(np.array(self.part.store.pixels[self.part.rows[position]]))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            picture = self.augment(pixels.permute(2, 0, 1))
            facts = some_facts(torch.from_numpy(self.part.facts[position]), self.recipe)
        return picture, facts, int(self.part.truth[position]), float(self.weights[position])


def some_facts(facts: Tensor, recipe: Recipe) -> Tensor:
    """Return facts of pictures (..., 3) with some of them hidden, as the recipe says; NaN is hidden."""
    dropout = recipe.regularise
    hidden = torch.rand(facts.shape) < dropout.facts_dropout
    everything = torch.rand(facts.shape[:-1]) < (dropout.all_facts_dropout if recipe.facts else 1.0)
    return facts.masked_fill(hidden | everything.unsqueeze(-1), torch.nan)


def draws(part: Part, recipe: Recipe, epoch: int) -> list[tuple[int, int]]:
    """Return the (position, seed) of every picture of an epoch; the same for the same seed and epoch."""
    rng = np.random.default_rng((recipe.seed, epoch))
    count = drawn_an_epoch(part, recipe)
    positions = rng.choice(len(part), size=count, p=drawing_weights(part.truth, recipe.balance))
    seeds = rng.integers(2**62, size=count)
    return list(zip(positions.tolist(), seeds.tolist(), strict=True))


def drawn_an_epoch(part: Part, recipe: Recipe) -> int:
    """Return how many pictures are drawn in an epoch."""
    return recipe.epoch_images or len(part)


def training_loader(
    part: Part, recipe: Recipe, epoch: int, *, rank: int, world: int, skip: int = 0
) -> Batches:
    """Return this process's share of an epoch, in batches of `recipe.batch_size`; all shares are as long.

    skip: how many batches, from the first, were taken before.
    """
    workers = min(recipe.workers, available_cpus())
    return DataLoader(
        TrainingPictures(part, recipe, recipe.train_size(epoch)),
        batch_size=recipe.batch_size,
        sampler=share_of(draws(part, recipe, epoch), recipe, rank=rank, world=world)[
            skip * recipe.batch_size :
        ],
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )


def share_of(drawn: list[tuple[int, int]], recipe: Recipe, *, rank: int, world: int) -> list[tuple[int, int]]:
    """Return one process's draws of an epoch; every process gets as many, so none waits for another.

    With fewer pictures than processes some draws are taken twice, since each process needs one.
    """
    usable = drawn[: steps_per_epoch(len(drawn), recipe, world) * recipe.batch_size * world]
    each = max(1, len(usable) // world)
    return [usable[index % len(usable)] for index in range(rank, each * world, world)]


def available_cpus() -> int:
    """Return how many processors this process may use: more workers than that only wait for each other."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def steps_per_epoch(pictures: int, recipe: Recipe, world: int) -> int:
    """Return how many batches each process takes in an epoch; a small dataset gives one short batch."""
    return max(1, pictures // (recipe.batch_size * world))


def batches_of(
    part: Part, batch_size: int, *, rank: int = 0, world: int = 1
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield (positions, uint8 pictures (n, h, w, 3)) of this process's share of a part, in order."""
    mine = np.arange(len(part))[rank::world]
    for start in range(0, len(mine), batch_size):
        positions = mine[start : start + batch_size]
        yield positions, torch.from_numpy(np.stack([part.store.pixels[row] for row in part.rows[positions]]))
