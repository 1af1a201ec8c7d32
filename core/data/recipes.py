"""What a recipe does to pictures, read from its TOML file: enough to show it, without the trainer.

`train.recipe` reads and checks the whole; here only the values that change a picture are looked at.
"""

import tomllib
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter, ValidationError

from core.data.augment import AugmentConfig
from core.data.steps import Flip, Gray, Light, Normalising, Resizing, Rotation, Shear, Zoom
from core.data.store import stored_size
from core.errors import RecipeError
from core.settings import REPOSITORY
from core.words import proportion

RECIPES_FOLDER: Final = REPOSITORY / "train" / "recipes"


@dataclass(frozen=True)
class PictureRecipe:
    """The part of a recipe that pictures feel.

    size: shorter side of the input in use, px. train_sizes: side of the square crops in the first and the
    last epoch, px. frozen: whether its features are computed once, so that nothing is augmented.
    """

    name: str
    model: str
    size: int = 224
    train_sizes: tuple[int, int] = (224, 224)
    gray: bool = False
    frozen: bool = False
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    @property
    def train_size(self) -> int:
        """Side of the last epoch's square crops, px."""
        return self.train_sizes[-1]

    @property
    def stored_size(self) -> tuple[int, int]:
        """Height and width, px, in which the trainer keeps the pictures that it cuts crops from."""
        return stored_size(self.size, *self.train_sizes)


_AUGMENT: Final = TypeAdapter(AugmentConfig)


@cache
def picture_recipes(folder: Path = RECIPES_FOLDER) -> dict[str, PictureRecipe]:
    """Return the recipes of a folder by name, alphabetically.

    Raises:
        RecipeError: one of them cannot be read.
    """
    return {path.stem: _read(path) for path in sorted(folder.glob("*.toml"))}


def _read(path: Path) -> PictureRecipe:
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        known = PictureRecipe(path.stem, str(values["model"]))
        first, last = map(int, values.get("train_sizes", known.train_sizes))
        size = int(values.get("size", known.size))
        return PictureRecipe(
            name=path.stem,
            model=known.model,
            size=size,
            train_sizes=(first, last),
            gray=bool(values.get("gray", known.gray)),
            frozen=values.get("mode") == "frozen",
            augment=_AUGMENT.validate_python(values.get("augment", {})),
        )
    except (OSError, ValueError, TypeError, KeyError, ValidationError) as problem:
        raise RecipeError(
            f"The recipe {path.name} cannot be shown ({problem}). Mend it or remove it."
        ) from problem


@dataclass(frozen=True)
class Drawn:
    """A step as a recipe does it: parameters of one draw, and in words how they are drawn.

    parameters: None where this recipe does not do it.
    """

    parameters: object | None
    words: str


NOT_DONE: Final = Drawn(None, "not in this recipe")


def draw_steps(recipe: PictureRecipe, mean_std: Normalising, *, seed: int) -> dict[str, Drawn]:
    """Return, for each step that a recipe can do, one draw of it; the same for the same seed.

    Draws follow `core.data.transforms`: a zoom keeps an evenly drawn share of the area, factors of light lie
    evenly around 1. Steps that no recipe does (the remedies) are not in the result.
    """
    rng = np.random.default_rng(seed)
    config = recipe.augment
    drawn = {
        "gray": _gray(recipe),
        "resize": Drawn(Resizing(recipe.size), f"always: the shorter side to {recipe.size} px"),
        "normalise": Drawn(
            mean_std, "always: by the mean and deviation its ImageNet weights were trained with"
        ),
        "rotation": _rotation(config, rng),
        "flip": _flip(config, rng),
        "shear": _shear(config, rng),
        "zoom": _zoom(config, rng),
        "light": _light(config, rng),
    }
    if recipe.frozen:
        # Drawn all the same, so that a seed shows the same change whatever the recipe.
        drawn |= dict.fromkeys(
            ("rotation", "flip", "shear", "zoom", "light"),
            Drawn(None, "not in this recipe: its features are computed once, from pictures as they are"),
        )
    return drawn


_percent: Final = partial(proportion, digits=0)


def _gray(recipe: PictureRecipe) -> Drawn:
    if recipe.gray:
        return Drawn(Gray(), "always")
    if recipe.augment.gray_share:
        return Drawn(Gray(), f"in {_percent(recipe.augment.gray_share)} of the draws")
    return NOT_DONE


def _rotation(config: AugmentConfig, rng: np.random.Generator) -> Drawn:
    degrees = float(rng.uniform(-config.rotate_degrees, config.rotate_degrees))
    if not (config.affine_share and config.rotate_degrees):
        return NOT_DONE
    often = f"in {_percent(config.affine_share)} of the draws"
    words = f"up to ±{config.rotate_degrees:g}°, {often}; drawn: {degrees:+.0f}°"
    return Drawn(Rotation(degrees), words)


def _flip(config: AugmentConfig, rng: np.random.Generator) -> Drawn:
    horizontal, turns = bool(rng.integers(2)), int(rng.integers(4))
    if not (config.flips or config.quarter_turns):
        return NOT_DONE
    turns = turns if config.quarter_turns else 2 * (turns % 2)
    said = f"{'mirrored, ' if horizontal else ''}turned by {90 * turns}°"
    return Drawn(Flip(horizontal, turns), f"all orientations are as likely; drawn: {said}")


def _shear(config: AugmentConfig, rng: np.random.Generator) -> Drawn:
    degrees = float(rng.uniform(-config.shear_degrees, config.shear_degrees))
    if not (config.affine_share and config.shear_degrees):
        return NOT_DONE
    often = f"in {_percent(config.affine_share)} of the draws"
    words = f"up to ±{config.shear_degrees:g}°, {often}; drawn: {degrees:+.1f}°"
    return Drawn(Shear(degrees), words)


def _zoom(config: AugmentConfig, rng: np.random.Generator) -> Drawn:
    share = float(rng.uniform(config.min_scale, 1))
    span = np.log(config.stretch)
    stretch = float(np.exp(rng.uniform(-span, span)))
    if config.min_scale == 1 and config.stretch == 1:
        return NOT_DONE
    words = (
        f"a crop keeps {_percent(config.min_scale)} to {_percent(1)} of the area, its sides "
        f"1 : {config.stretch:.2f} at most; drawn: {_percent(share)}, 1 : {stretch:.2f}"
    )
    return Drawn(Zoom(float(1 / np.sqrt(share)), stretch), words)


def _light(config: AugmentConfig, rng: np.random.Generator) -> Drawn:
    limits = {"brightness": config.brightness, "contrast": config.contrast, "saturation": config.saturation}
    factors = {name: float(rng.uniform(1 - limit, 1 + limit)) for name, limit in limits.items()}
    if not any(limits.values()):
        return NOT_DONE
    said = ", ".join(
        f"{name} ±{_percent(limit)} (drawn {factors[name]:.2f})" for name, limit in limits.items() if limit
    )
    return Drawn(Light(**factors), said)


def training_draws(pixels: np.ndarray, recipe: PictureRecipe, *, count: int, seed: int) -> np.ndarray:
    """Return what the trainer itself would feed of one picture, uint8 (count, s, s, 3): its own code at work.

    Loads torch: not for a page's first paint.
    """
    import torch

    from core.data.preprocessing import cover, to_gray
    from core.data.transforms import augmentation

    stored = torch.from_numpy(cover(pixels, recipe.stored_size)).permute(2, 0, 1)
    augment = augmentation(recipe.augment, recipe.train_size)
    views = []
    with torch.random.fork_rng(devices=[]):
        for number in range(count):
            torch.manual_seed(seed * 1_000 + number)
            views.append(augment(stored).permute(1, 2, 0).numpy())
    drawn = np.stack(views)
    return to_gray(drawn) if recipe.gray else drawn


def normalising_of(model: str) -> Normalising:
    """Return the mean and deviation that a model's ImageNet weights expect. Loads timm."""
    from core.libraries import timm
    from core.models.registry import MODELS

    config = timm.get_pretrained_cfg(MODELS[model].timm_name) if model in MODELS else None
    if config is None:
        return Normalising()
    (red, green, blue), deviations = config.mean, config.std
    return Normalising((red, green, blue), (deviations[0], deviations[1], deviations[2]))
