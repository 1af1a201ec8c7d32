"""Measures a few real steps of a recipe on a dataset: how long the whole run will take on this machine."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import psutil  # type: ignore[import-untyped]  # its types are a package of their own
import torch
from accelerate import Accelerator

from core.data.pictures import read_picture
from core.data.preprocessing import Preprocessing
from core.data.readers import read_dataset
from core.data.splits import Split
from core.data.store import is_stored
from core.models.network import AdditiveNetwork
from core.models.registry import MODELS
from core.runs.estimate import Estimate
from core.settings import settings
from train.data import Part, available_cpus, class_frequencies, load_part, steps_per_epoch, stored_sizes
from train.display import TerminalDisplay
from train.feeds import FEEDS, Feed
from train.finish import STATISTICS_PICTURES
from train.fit import first_network, make_accelerator, preprocessing_for
from train.journal import device_name
from train.loop import WATCHED, Criterion, Learner, predict_val, timed
from train.recipe import Recipe

SAMPLE: Final = 96
"""Pictures that are really decoded."""
MEASURED_STEPS: Final = 4
UNSURE: Final = 0.15
"""By how much at least a total may be off; a busy machine is worse."""

# What is not measured: starting the processes that decode, resampling the metrics, writing the checkpoint.
_POOL_S: Final = 2.0
_METRICS_S: Final = 6.0


def measure(recipe: Recipe, data_dir: Path) -> Estimate:
    """Return what a recipe will take on a dataset.

    Raises:
        LesionLensError: the dataset cannot be used.
    """
    accelerator = make_accelerator(recipe)
    metadata = read_dataset(data_dir)
    split = Split.of(metadata, seed=recipe.seed)
    preprocessing = preprocessing_for(MODELS[recipe.model], recipe)
    sizes = dict(zip(("train", "val"), stored_sizes(recipe, preprocessing), strict=True))
    with_picture = metadata[metadata["image_path"].notna()]
    part_of = split.of_images(with_picture["image_id"])
    counts = part_of.value_counts().reindex(["train", "val", "test"], fill_value=0)
    missing = sum(
        int(counts[name]) for name, size in sizes.items() if not _stored(with_picture[part_of == name], size)
    )
    starting_s = time.time() - psutil.Process().create_time()

    torch.manual_seed(recipe.seed)
    # Random weights cost as much time as any.
    network, _ = first_network(replace(recipe, weights="none"), split.hash)
    with tempfile.TemporaryDirectory() as temporary:
        parts, decode_s = _decoded(with_picture, split, sizes, Path(temporary))
        few = replace(recipe, epoch_images=recipe.batch_size * (MEASURED_STEPS + 1))
        feed = FEEDS[recipe.mode](*parts, few, preprocessing)
        steps, features_s = _steps(network, feed, few, accelerator)
        took_s = _seconds(lambda: predict_val(network, feed, accelerator))
        forward_s = _forward_s(network, feed, accelerator)
    finish_s = per_finished_picture_s(
        _reading_s(with_picture, preprocessing), forward_s, on_cpu=accelerator.device.type == "cpu"
    )

    total = recipe.epochs * steps_per_epoch(recipe.epoch_images or int(counts["train"]), recipe, 1)
    per_step = float(np.mean(steps))
    validated = took_s / len(parts[1]) * int(counts["val"]) + WATCHED * forward_s
    # Val is looked at to calibrate, and again with what was written, as its evaluation keeps both parts.
    finished = 2 * int(counts["val"]) + int(counts["test"]) + min(int(counts["train"]), STATISTICS_PICTURES)
    whole = {
        "validation_s": recipe.epochs * validated,
        "decoding_s": _POOL_S + missing * decode_s / available_cpus() if missing else 0.0,
        "features_s": features_s * int(counts["train"] + counts["val"]),
        "finishing_s": _METRICS_S + finished * finish_s,
        "starting_s": starting_s,
    }
    sum_s = total * per_step + sum(whole.values())
    spread = max(UNSURE, (max(steps) - min(steps)) / 2 / per_step)
    return Estimate(
        seconds_per_step=per_step,
        steps=total,
        epochs=recipe.epochs,
        **whole,
        total_s=sum_s,
        low_s=sum_s * max(0.0, 1 - spread),
        high_s=sum_s * (1 + spread),
        mode=recipe.mode,
        size=recipe.size,
        train_sizes=recipe.train_sizes,
        pictures=int(counts["train"]),
        epoch_images=recipe.epoch_images or int(counts["train"]),
        device=device_name(accelerator),
    )


def per_finished_picture_s(reading_s: float, forward_s: float, *, on_cpu: bool) -> float:
    """Return the seconds that one picture takes where one process reads while another looks.

    reading_s: of one processor. forward_s: of all of them, or of the accelerator, which reading does not use.
    """
    looking_s = forward_s + reading_s / available_cpus() if on_cpu else forward_s
    return max(reading_s, looking_s)


def _stored(part: pd.DataFrame, size: tuple[int, int]) -> bool:
    paths = [Path(path) for path in part["image_path"]]
    return is_stored(list(part["image_id"]), paths, cache_dir=settings().cache_dir, size=size)


def _decoded(
    metadata: pd.DataFrame, split: Split, sizes: Mapping[str, tuple[int, int]], cache_dir: Path
) -> tuple[tuple[Part, Part], float]:
    """Return a sample of train and of val, and the seconds that decoding one picture took."""
    parts = []
    began = time.perf_counter()
    for name, size in sizes.items():
        mine = metadata[split.of_images(metadata["image_id"]) == name]
        sample = mine.sample(min(len(mine), SAMPLE // 2), random_state=0)
        # Few enough for one process: starting others would be measured instead.
        parts.append(load_part(sample, split, name, size=size, cache_dir=cache_dir))
    elapsed_s = time.perf_counter() - began
    return (parts[0], parts[1]), elapsed_s / sum(map(len, parts))


def _steps(
    network: AdditiveNetwork, feed: Feed, recipe: Recipe, accelerator: Accelerator
) -> tuple[list[float], float]:
    """Return seconds of single steps, at the first and the last size, and of a frozen backbone's features."""
    began = time.perf_counter()
    module = feed.start(network.to(accelerator.device), accelerator, TerminalDisplay(quiet=True))
    started_s = time.perf_counter() - began
    learner = Learner(network, module, recipe)
    learner.prepare(accelerator)
    criterion = Criterion(recipe, class_frequencies(feed.train.truth), accelerator.device)
    taken: list[float] = []
    for epoch in {0, recipe.epochs - 1}:
        began = time.perf_counter()
        ends = []
        for inputs, facts, truth, weights, _ in timed(feed.training(epoch, rank=0, world=1)):
            with learner.gathering(whole=True) as model:
                with accelerator.autocast():
                    loss = criterion(model, feed.inputs(inputs, accelerator.device), facts, truth, weights)
                learner.learn(loss, whole=True, step=1)
            loss.item()  # a GPU is waited for
            ends.append(time.perf_counter())
        if recipe.mode == "frozen":  # drawing an epoch costs more than its steps
            taken.append((ends[-1] - began) / len(ends))
        else:  # the first step waits for the processes that prepare pictures to start
            taken += np.diff(ends).tolist()
    return taken, started_s / (len(feed.train) + len(feed.val)) if recipe.mode == "frozen" else 0.0


def _forward_s(network: AdditiveNetwork, feed: Feed, accelerator: Accelerator) -> float:
    """Return the seconds that looking at one picture takes, evidence maps included."""
    network.eval()
    positions = np.arange(min(len(feed.val), 32))
    pictures = feed.pictures(positions, accelerator.device)
    with torch.no_grad():
        network.look(pictures)  # the first look sets things up
        began = time.perf_counter()
        network.look(pictures).logits.cpu()  # a GPU is waited for
        return (time.perf_counter() - began) / len(positions)


def _reading_s(metadata: pd.DataFrame, preprocessing: Preprocessing) -> float:
    """Return the seconds that reading one picture for the finished checkpoint takes."""
    paths = [Path(path) for path in metadata["image_path"].sample(min(len(metadata), 24), random_state=1)]

    def read() -> None:
        for path in paths:
            preprocessing.normalise(preprocessing.fit(read_picture(path, name=path.name).pixels))

    return _seconds(read) / len(paths)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
