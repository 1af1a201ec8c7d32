"""What the app shows of a recipe is what the trainer reads from it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.augment import AugmentConfig
from core.data.recipes import PictureRecipe, draw_steps, normalising_of, picture_recipes, training_draws
from core.data.steps import STEPS, Normalising
from core.data.synthetic import draw_lesion
from core.errors import RecipeError
from core.models.registry import MODELS
from train.data import stored_sizes
from train.fit import preprocessing_for
from train.recipe import available_recipes, load_recipe


@pytest.mark.parametrize("name", available_recipes())
def test_a_recipe_is_shown_with_the_values_that_the_trainer_reads(name):
    shown, read = picture_recipes()[name], load_recipe(name)
    assert (shown.model, shown.size, shown.gray, shown.augment) == (
        read.model,
        read.size,
        read.gray,
        read.augment,
    )
    assert shown.train_sizes == read.train_sizes
    preprocessing = preprocessing_for(MODELS[read.model], read)
    assert shown.stored_size == stored_sizes(read, preprocessing)[0]
    assert shown.frozen == (read.mode == "frozen")


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), name=st.sampled_from(sorted(available_recipes())))
def test_draws_lie_within_the_recipe_and_come_again_with_their_number(seed, name):
    recipe = picture_recipes()[name]
    drawn = draw_steps(recipe, Normalising(), seed=seed)
    assert drawn == draw_steps(recipe, Normalising(), seed=seed)
    assert set(drawn) <= set(STEPS)
    assert {step.name for step in STEPS.values() if step.kind != "remedy"} == set(drawn)
    if rotation := drawn["rotation"].parameters:
        assert abs(rotation.degrees) <= recipe.augment.rotate_degrees
    if zoom := drawn["zoom"].parameters:
        assert 1 <= zoom.factor <= recipe.augment.min_scale**-0.5 + 1e-9
        assert 1 / recipe.augment.stretch - 1e-9 <= zoom.stretch <= recipe.augment.stretch + 1e-9


def test_pictures_are_kept_large_enough_for_the_input_and_for_every_epochs_crops():
    for values in ({"size": 384}, {"train_sizes": (384, 224)}, {"train_sizes": (224, 384)}):
        assert PictureRecipe("x", "resnet18", **values).stored_size == (384, 512)


def test_what_a_recipe_switches_off_is_not_done():
    still = AugmentConfig(
        min_scale=1,
        stretch=1,
        flips=False,
        quarter_turns=False,
        affine_share=0,
        brightness=0,
        contrast=0,
        saturation=0,
    )
    drawn = draw_steps(PictureRecipe("still", "resnet18", augment=still), Normalising(), seed=0)
    done = {name for name, one in drawn.items() if one.parameters is not None}
    assert done == {"resize", "normalise"}


def test_gray_is_always_sometimes_or_never():
    def words(**values):
        return draw_steps(PictureRecipe("x", "resnet18", **values), Normalising(), seed=0)["gray"].words

    assert words() == "not in this recipe"
    assert words(gray=True) == "always"
    assert words(augment=AugmentConfig(gray_share=0.25)) == "in 25\N{NO-BREAK SPACE}% of the draws"


def test_training_draws_are_the_trainers_own_and_come_again():
    recipe = PictureRecipe("x", "resnet18", train_sizes=(48, 48))
    pixels = draw_lesion(1, kind="nv", size_px=(90, 120))
    draws = training_draws(pixels, recipe, count=3, seed=5)
    assert draws.shape == (3, 48, 48, 3)
    assert draws.dtype == np.uint8
    np.testing.assert_array_equal(draws, training_draws(pixels, recipe, count=3, seed=5))
    assert (draws[0] != draws[1]).any()
    in_gray = PictureRecipe("x", "resnet18", train_sizes=(48, 48), gray=True)
    gray = training_draws(pixels, in_gray, count=1, seed=5)
    assert (gray[..., 0] == gray[..., 2]).all()


def test_a_models_mean_and_deviation_are_those_of_its_weights():
    assert normalising_of("efficientnet_lite0") == Normalising((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert normalising_of("resnet18") == Normalising()
    assert normalising_of("nobody") == Normalising()


@pytest.mark.parametrize(
    "content",
    ["model = ", "model = 'x'\ntrain_sizes = []", "epochs = 3", "model = 'x'\n[augment]\nhue_shift = 1"],
)
def test_a_recipe_that_cannot_be_shown_is_refused_by_name(tmp_path, content):
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(RecipeError, match=r"mine\.toml cannot be shown"):
        picture_recipes(tmp_path)
