"""The image store against a plain ImageFolder with Pillow: images a second, and how long steps wait."""

import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from core.data.store import open_store
from core.data.transforms import augmentation
from core.labels import CODES
from core.models.network import build_network
from tests.bench.feeding import drawn, pictures_in
from train.data import Part, training_loader
from train.loop import timed
from train.recipe import Recipe, load_recipe

Loader = Callable[[int], Iterable[list[Tensor]]]
"""Gives the batches of an epoch: (uint8 pictures, ...)."""


def compare(folder: Path | None, *, count: int, size: int, workers: int, rounds: int) -> None:
    """Print images a second of both loaders alone, and the share of a training step that waits for them.

    Both change pictures in the same way. What differs is where a picture comes from: a row of the store, or
    a JPEG that is decoded anew each time.
    """
    recipe = replace(load_recipe("lite0"), train_sizes=(size, size), workers=workers)
    with tempfile.TemporaryDirectory() as temporary:
        paths = pictures_in(folder, count) if folder else drawn(Path(temporary), count)
        loaders = {
            "ImageFolder + Pillow": _image_folder(paths, Path(temporary) / "folder", recipe, size),
            "image store": _store(paths, Path(temporary) / "cache", recipe),
        }
        step = _training_step(recipe)
        rates: dict[str, list[float]] = {name: [] for name in loaders}
        waits: dict[str, list[float]] = {name: [] for name in loaders}
        for turn in range(rounds):
            for name, loader in loaders.items():
                rates[name].append(_rate(loader(turn)))
                waits[name].append(_waiting(loader(turn), step))
    print(
        f"{count} pictures to {size} px, batches of {recipe.batch_size}, {workers} worker(s), {rounds} rounds"
    )
    print(f"  {'':22}  {'alone':>14}  {'steps wait':>10}")
    for name in loaders:
        print(f"  {name:22}  {np.median(rates[name]):7.0f} images/s  {np.median(waits[name]):9.1%}")
    ratio = np.median(np.array(rates["image store"]) / np.array(rates["ImageFolder + Pillow"]))
    print(f"  the store is {ratio:.1f} times as fast")


def _image_folder(paths: list[Path], folder: Path, recipe: Recipe, size: int) -> Loader:
    for position, path in enumerate(paths):
        place = folder / CODES[position % len(CODES)]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{position}.jpg").symlink_to(path.resolve())
    dataset = ImageFolder(
        folder, transform=v2.Compose([v2.PILToTensor(), augmentation(recipe.augment, size)])
    )
    return lambda _: DataLoader(
        dataset, recipe.batch_size, shuffle=True, drop_last=True, num_workers=recipe.workers
    )


def _store(paths: list[Path], cache_dir: Path, recipe: Recipe) -> Loader:
    names = [f"{position}" for position in range(len(paths))]
    part = Part(
        metadata=pd.DataFrame({"image_id": names, "dx_type": "histo"}),
        store=open_store(names, paths, cache_dir=cache_dir),
        rows=np.arange(len(paths)),
        truth=np.arange(len(paths)) % len(CODES),
        facts=np.full((len(paths), 3), np.nan, dtype=np.float32),
    )
    return lambda epoch: training_loader(part, recipe, epoch, rank=0, world=1)


def _training_step(recipe: Recipe) -> Callable[[Tensor], None]:
    network = build_network(recipe.model)
    network.freeze_stages(recipe.optimizer.freeze_stages)
    network.train()
    optimizer = torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], lr=1e-4)

    def step(pictures: Tensor) -> None:
        loss = (
            network(pictures.float().div(255).contiguous(memory_format=torch.channels_last)).square().mean()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _rate(batches: Iterable[list[Tensor]]) -> float:
    """Return images a second after the first batch, which waits for the workers to start."""
    counts, times = [], []
    for batch in batches:
        counts.append(len(batch[0]))
        times.append(time.perf_counter())
    return sum(counts[1:]) / (times[-1] - times[0])


def _waiting(batches: Iterable[list[Tensor]], step: Callable[[Tensor], None]) -> float:
    """Return the share of time that training steps wait, after the first batch."""
    waited = []
    began = 0.0
    for *batch, waited_s in timed((*batch[:2], *batch[:2]) for batch in batches):
        began = began or time.perf_counter()
        waited.append(waited_s)
        step(batch[0])
    return sum(waited[1:]) / (time.perf_counter() - began)
