"""What a step eats: balanced, reproducible, and shared evenly between processes."""

import multiprocessing
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from core.data.readers import read_dataset
from core.data.splits import Split
from core.errors import SplitError
from core.labels import CODES
from core.models.registry import MODELS
from train.data import (
    class_frequencies,
    drawing_weights,
    drawn_frequencies,
    draws,
    load_part,
    load_training_parts,
    loss_weights,
    share_of,
    some_facts,
    steps_per_epoch,
    training_loader,
)
from train.fit import preprocessing_for
from train.recipe import BalanceConfig, Recipe, RegulariseConfig, load_recipe


@pytest.fixture
def recipe(tiny) -> Recipe:
    return load_recipe(str(tiny.recipe))


@pytest.fixture
def part(tiny):
    metadata = read_dataset(tiny.data)
    return load_part(metadata, Split.of(metadata, seed=5), "train", size=(225, 300), cache_dir=tiny.cache)


def skewed() -> np.ndarray:
    return np.repeat(np.arange(len(CODES)), [5, 10, 20, 2, 15, 100, 1])


@pytest.mark.parametrize(
    "balance",
    [
        BalanceConfig(0.0),
        BalanceConfig(0.5),
        BalanceConfig(1.0),
        BalanceConfig(0.3, 0.4),
        BalanceConfig(0.0, 1.0),
    ],
)
def test_the_loss_sees_the_shares_that_the_prior_is_put_right_for(balance):
    truth = skewed()
    frequencies = class_frequencies(truth)
    weights = frequencies[truth] ** -balance.loss_power
    seen = np.bincount(truth, weights=drawing_weights(truth, balance) * weights, minlength=len(CODES))
    assert np.allclose(seen / seen.sum(), drawn_frequencies(frequencies, balance))


def test_an_absent_diagnosis_counts_as_one_picture():
    frequencies = class_frequencies(np.array([0, 0, 1]))
    assert frequencies.min() > 0
    assert np.isclose(frequencies.sum(), 1)


def test_loss_weights_have_mean_one_and_follow_how_dx_was_found(part):
    balance = BalanceConfig(0.5, 0.3, dx_type_weights={"follow_up": 0.5})
    weights = loss_weights(part, balance)
    assert np.isclose(np.average(weights, weights=drawing_weights(part.truth, balance)), 1)
    nevi = part.truth == CODES.index("nv")
    kinds = part.metadata["dx_type"].to_numpy()
    halves = weights[nevi & (kinds == "follow_up")][0] / weights[nevi & (kinds == "histo")][0]
    assert np.isclose(halves, 0.5)


def test_an_epoch_is_the_same_whatever_the_number_of_workers(part, recipe):
    alone = list(training_loader(part, recipe, 1, rank=0, world=1))
    helped = list(training_loader(part, replace(recipe, workers=2), 1, rank=0, world=1))
    assert len(alone) == len(helped) == steps_per_epoch(len(part), recipe, 1)
    for one, other in zip(alone, helped, strict=True):
        for tensor, same in zip(one, other, strict=True):
            assert torch.equal(torch.nan_to_num(tensor), torch.nan_to_num(same))


def test_more_workers_than_processors_are_not_started(part, recipe):
    loader = training_loader(part, replace(recipe, workers=500), 0, rank=0, world=1)
    assert loader.num_workers <= multiprocessing.cpu_count()


def test_epochs_and_seeds_draw_differently(part, recipe):
    assert draws(part, recipe, 0) == draws(part, recipe, 0)
    assert draws(part, recipe, 0) != draws(part, recipe, 1)
    assert draws(part, recipe, 0) != draws(part, replace(recipe, seed=6), 0)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_an_epoch_without_overlap(part, recipe, world):
    drawn = draws(part, recipe, 0)
    shares = [share_of(drawn, recipe, rank=rank, world=world) for rank in range(world)]
    steps = steps_per_epoch(len(part), recipe, world)
    assert {len(share) for share in shares} == {steps * recipe.batch_size}
    assert sorted(chain.from_iterable(shares)) == sorted(drawn[: steps * recipe.batch_size * world])


@pytest.mark.parametrize(("pictures", "world"), [(1, 2), (3, 2), (5, 4), (20, 2)])
def test_each_process_has_work_in_an_epoch_smaller_than_a_batch(recipe, pictures, world):
    drawn = [(position, position) for position in range(pictures)]
    shares = [share_of(drawn, recipe, rank=rank, world=world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    assert shares[0]


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"facts_dropout": 0.0, "all_facts_dropout": 0.0}, 1.0),
        ({"facts_dropout": 1.0, "all_facts_dropout": 0.0}, 0.0),
        ({"facts_dropout": 0.0, "all_facts_dropout": 1.0}, 0.0),
        ({"facts_dropout": 0.5, "all_facts_dropout": 0.2}, 0.4),
    ],
)
def test_facts_are_hidden_as_often_as_the_recipe_says(recipe, changes, known):
    torch.manual_seed(0)
    recipe = replace(recipe, regularise=RegulariseConfig(**changes))
    facts = torch.stack([some_facts(torch.ones(3), recipe) for _ in range(1500)])
    assert abs(facts.isfinite().float().mean().item() - known) < 0.05


def test_a_recipe_without_facts_hides_them_all(recipe):
    assert some_facts(torch.ones(3), replace(recipe, facts=False)).isnan().all()


def _altered(metadata: pd.DataFrame, paths: object) -> pd.DataFrame:
    return metadata.assign(image_path=paths)


def test_a_part_without_pictures_is_refused(tiny, tmp_path):
    metadata = read_dataset(tiny.data)
    split = Split.of(metadata, seed=5)
    with pytest.raises(SplitError, match="No picture of the val split is here"):
        load_part(_altered(metadata, pd.NA), split, "val", size=(32, 32), cache_dir=tmp_path)


def test_a_part_of_unreadable_pictures_is_refused_with_the_first_reason(tiny, tmp_path):
    metadata = read_dataset(tiny.data)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    broken = _altered(metadata, str(Path(tmp_path / "broken.jpg")))
    with pytest.raises(SplitError, match=r"can be read; the first: broken\.jpg"):
        load_part(broken, Split.of(metadata, seed=5), "val", size=(32, 32), cache_dir=tmp_path)


@pytest.mark.parametrize(("sizes", "height"), [((32, 64), 225), ((64, 320), 320)])
def test_training_pictures_are_decoded_large_enough_for_the_largest_crop(sizes, height, recipe, tiny):
    metadata = read_dataset(tiny.data)
    larger = replace(recipe, train_sizes=sizes)
    train, val = load_training_parts(
        metadata,
        Split.of(metadata, seed=5),
        larger,
        preprocessing_for(MODELS[recipe.model], larger),
        cache_dir=tiny.cache,
    )
    assert train.store.pixels.shape[1:3] == (height, height * 4 // 3)
    assert val.store.pixels.shape[1] == recipe.size
