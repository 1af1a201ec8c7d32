"""Recipes: those that come with the app load, and a wrong one is refused by the key that is wrong."""

import re

import pytest

from core.errors import RecipeError
from core.models.registry import MODELS
from train.recipe import available_recipes, load_recipe, recipe_from


@pytest.mark.parametrize("name", available_recipes())
def test_a_recipe_loads_and_says_what_it_is_for(name):
    recipe = load_recipe(name)
    header = available_recipes()[name].read_text(encoding="utf-8").splitlines()[:4]
    assert [line.split(":")[0] for line in header] == ["# Purpose", "# Command", "# Time", "# Result"]
    assert all(line.partition(":")[2].strip() for line in header)
    assert f"python -m train fit {name} --data DIR" in header[1]
    assert recipe.model in MODELS
    assert recipe.about
    assert recipe_from(recipe.to_json(), "config.json") == recipe


def test_overrides_reach_every_level_and_every_type(tmp_path):
    recipe = load_recipe(
        "lite0",
        [
            "epochs=3",
            "optimizer.learning_rate=1e-4",
            "model=resnet18",
            'about="a = b"',
            "facts=false",
            "train_sizes=[64, 96]",
            "balance.dx_type_weights.histo=0.5",
        ],
    )
    assert (recipe.epochs, recipe.optimizer.learning_rate, recipe.model) == (3, 1e-4, "resnet18")
    assert (recipe.about, recipe.facts, recipe.train_sizes) == ("a = b", False, (64, 96))
    assert recipe.balance.dx_type_weights == {"histo": 0.5}
    assert recipe.augment == load_recipe("lite0").augment


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("epochs=three", "epochs"),
        ("epochs=0", "epochs"),
        ("batch_size=-1", "batch_size"),
        ("size=100", "size"),
        ("train_sizes=[8, 64]", "train_sizes.0"),
        ("train_sizes=[64]", "train_sizes"),
        ("precision=fp16", "precision"),
        ("mode=magic", "mode"),
        ("colour=red", "colour"),
        ("augment.hue_shift=1", "augment.hue_shift"),
        ("augment.min_scale=0", "augment.min_scale"),
        ("augment.flips=perhaps", "augment.flips"),
        ("optimizer.learning_rate=-1", "optimizer.learning_rate"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate"),
        ("optimizer.momentum=0.9", "optimizer.momentum"),
        ("optimizer=1", "optimizer"),
        ("balance.sampler_power=2", "balance.sampler_power"),
        ("balance.dx_type_weights.guess=1", "dx_type_weights: 'guess'"),
        ("regularise.facts_dropout=1.5", "regularise.facts_dropout"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(override, named):
    with pytest.raises(RecipeError, match=rf"lite0\.toml: .*{re.escape(named)}"):
        load_recipe("lite0", [override])


@pytest.mark.parametrize("override", ["epochs", "=3", ""])
def test_what_is_no_override_is_refused(override):
    with pytest.raises(RecipeError, match="is not an override; write key=value"):
        load_recipe("lite0", [override])


def test_a_value_has_no_keys_below_it():
    with pytest.raises(RecipeError, match="'epochs' is a value, not a section"):
        load_recipe("lite0", ["epochs.first=3"])


def test_an_unknown_model_is_refused_with_those_there_are():
    with pytest.raises(RecipeError, match=r"model 'resnet9000' is not known; expected one of .*resnet152"):
        load_recipe("lite0", ["model=resnet9000"])


def test_an_unknown_recipe_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(RecipeError, match=r"no recipe 'lite9'; there are .*lite0"):
        load_recipe("lite9")


@pytest.mark.parametrize("content", [b"model = ", b"\xff\xfe\x00", b"epochs = 3 epochs"])
def test_a_file_that_is_not_toml_is_refused_by_name(tmp_path, content):
    (tmp_path / "mine.toml").write_bytes(content)
    with pytest.raises(RecipeError, match=r"mine\.toml is not TOML"):
        load_recipe(str(tmp_path / "mine.toml"))


def test_a_recipe_without_a_model_is_refused(tmp_path):
    (tmp_path / "mine.toml").write_text("epochs = 3\n")
    with pytest.raises(RecipeError, match=r"mine\.toml: model: "):
        load_recipe(str(tmp_path / "mine.toml"))


def test_training_crops_grow_from_the_first_size_to_the_last():
    recipe = load_recipe("lite0", ["train_sizes=[128, 208]", "epochs=6"])
    sizes = [recipe.train_size(epoch) for epoch in range(6)]
    assert (sizes[0], sizes[-1]) == (128, 208)
    assert sizes == sorted(sizes)
    assert all(size % 16 == 0 for size in sizes)
