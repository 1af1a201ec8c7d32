"""What one training run does, as data. Recipes are TOML files in train/recipes; any value can be changed."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from core.data.augment import AugmentConfig, Share
from core.data.metadata import DX_TYPES
from core.data.preprocessing import GRID_PX
from core.errors import RecipeError
from core.models.registry import MODELS

RECIPES_DIR: Final = Path(__file__).parent / "recipes"

_FORBID_UNKNOWN: Final = ConfigDict(extra="forbid")

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
TrainSize = Annotated[int, Field(ge=GRID_PX)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with warm-up and cosine decay to zero.

    learning_rate: of the head; a layer group n groups below it gets layer_decay**n of that.
    facts_scale: learning rate of the fact tables, relative to the head's.
    freeze_stages: how many of timm's coarse layer groups, from the stem, stay as they came.
    accumulate: batches whose gradients are averaged before a step; an epoch's last step may have fewer.
    """

    __pydantic_config__: ClassVar = _FORBID_UNKNOWN
    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 0.05
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    facts_scale: NotNegative = 10.0
    freeze_stages: Whole = 0
    warmup_epochs: NotNegative = 1.0
    clip_norm: Positive = 1.0
    accumulate: Count = 1
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999


@dataclass(frozen=True)
class BalanceConfig:
    """Ways to make rare diagnoses count; all off at zero.

    sampler_power: pictures are drawn with weight frequency**-power; 0 as they are, 1 all diagnoses alike.
    loss_power: each picture's loss is weighted by frequency**-power of its diagnosis.
    logit_adjustment: tau of Menon et al., Long-tail learning via logit adjustment (2021).
    dx_type_weights: loss weight of each way the diagnosis was made, e.g. {histo = 1.0, follow_up = 0.8}.
    """

    __pydantic_config__: ClassVar = _FORBID_UNKNOWN
    sampler_power: Share = 0.5
    loss_power: Share = 0.0
    logit_adjustment: NotNegative = 0.0
    dx_type_weights: dict[str, Positive] = field(default_factory=dict)


@dataclass(frozen=True)
class RegulariseConfig:
    """What keeps the network from learning by heart.

    mixup, cutmix: alpha of the Beta distribution, 0 is off. With either on, every second batch or so is
        mixed: a mixed picture has no one patient, so only the others teach the facts.
    facts_dropout: chance that a fact of a picture is hidden in training, each by itself.
    all_facts_dropout: chance that all facts of a picture are hidden together.
    """

    __pydantic_config__: ClassVar = _FORBID_UNKNOWN
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mixup: NotNegative = 0.0
    cutmix: NotNegative = 0.0
    drop_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    drop_path_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    facts_dropout: Share = 0.2
    all_facts_dropout: Share = 0.2


@dataclass(frozen=True)
class DistilConfig:
    """Learning from other checkpoints; see `train.distil`. Off without teachers.

    teachers: checkpoint references (bundled:, run:, local:, hf:); their answers are averaged.
    weight: the teachers' share of the loss; the rest is the truth's.
    temperature: how much their answers are softened; 1 not at all.
    """

    __pydantic_config__: ClassVar = _FORBID_UNKNOWN
    teachers: tuple[str, ...] = ()
    weight: Share = 0.5
    temperature: Positive = 2.0


@dataclass(frozen=True)
class Recipe:
    """One training run.

    weights: where the backbone's ImageNet weights come from (`core.models.weights`), or
        "checkpoint:REFERENCE" to go on from a whole checkpoint, head and fact tables included.

    size: shorter side of the input when the model is used, px; a multiple of 32.
    train_sizes: side of the square training crops in the first and the last epoch, px; linear in between,
        in steps of 16. Smaller first is quicker, and a network used at a larger size than it was trained at
        sees lesions at the scale it knows (Touvron et al., Fixing the train-test resolution discrepancy,
        2019).
    mode: "finetune" trains the network; "frozen" computes the backbone's features once and fits the head.
    epoch_images: pictures drawn in an epoch; 0 as many as there are.
    budget_s: no epoch begins that would end after this many seconds of training and validation; 0 no limit.
    patience: epochs without a better validation balanced accuracy before stopping; 0 never stops early.
    workers: processes that prepare pictures.
    grad_checkpointing: compute activations again in the backward pass instead of keeping them: less memory
        for about a third more time.
    trackers: experiment trackers that Accelerate knows, e.g. ["tensorboard"]; their libraries are yours to
        install. What is local lies in the run's `trackers/`.
    """

    __pydantic_config__: ClassVar = _FORBID_UNKNOWN
    model: str
    about: str = ""
    weights: str = "auto"
    mode: Literal["finetune", "frozen"] = "finetune"
    size: Annotated[int, Field(ge=GRID_PX, multiple_of=GRID_PX)] = 224
    train_sizes: tuple[TrainSize, TrainSize] = (224, 224)
    epochs: Count = 10
    batch_size: Count = 32
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: Whole = 0
    epoch_images: Whole = 0
    budget_s: NotNegative = 0.0
    patience: Whole = 0
    workers: Whole = 1
    grad_checkpointing: bool = False
    trackers: tuple[str, ...] = ()
    gray: bool = False
    facts: bool = True
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    regularise: RegulariseConfig = field(default_factory=RegulariseConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    distil: DistilConfig = field(default_factory=DistilConfig)

    def train_size(self, epoch: int) -> int:
        """Return the side of training crops in this epoch (0-based), px."""
        first, last = self.train_sizes
        share = epoch / max(1, self.epochs - 1)
        return 16 * round((first + (last - first) * share) / 16)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain data."""
        return _ADAPTER.dump_python(self, mode="json")


_ADAPTER: Final = TypeAdapter(Recipe)


def available_recipes() -> dict[str, Path]:
    """Return the recipes that come with LesionLens, by name."""
    return {path.stem: path for path in sorted(RECIPES_DIR.glob("*.toml"))}


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name or file, with overrides such as 'epochs=3' or 'optimizer.learning_rate=1e-4'.

    Raises:
        RecipeError: no such recipe, or a value that cannot be; the message names it.
    """
    path = available_recipes().get(name_or_path, Path(name_or_path))
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        known = ", ".join(available_recipes())
        raise RecipeError(
            f"There is no recipe {name_or_path!r}; there are {known}, or give a TOML file."
        ) from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{path.name} is not TOML: {problem}.") from problem
    for override in overrides:
        _apply(values, override)
    return recipe_from(values, path.name)


def recipe_from(values: dict[str, Any], source: str) -> Recipe:
    """Check plain data against Recipe; `source` names it in a refusal."""
    try:
        recipe = _ADAPTER.validate_python(values)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecipeError(
            f"{source}: {where or 'the recipe'}: {first['msg']}; it is {first['input']!r}."
        ) from problem
    if recipe.model not in MODELS:
        raise RecipeError(
            f"{source}: model {recipe.model!r} is not known; expected one of {', '.join(MODELS)}."
        )
    if recipe.distil.teachers and recipe.mode == "frozen":
        raise RecipeError(
            f"{source}: distil.teachers: teachers look at pictures, and frozen mode trains on features. "
            'Set mode = "finetune", or take the teachers out.'
        )
    if unknown := sorted(set(recipe.balance.dx_type_weights) - set(DX_TYPES)):
        raise RecipeError(
            f"{source}: balance.dx_type_weights: {unknown[0]!r} is not known; expected {', '.join(DX_TYPES)}."
        )
    return recipe


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"{override!r} is not an override; write key=value, for instance epochs=3.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string: --set model=resnet18
    *parents, last = key.strip().split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise RecipeError(f"{key!r} cannot be set: {parent!r} is a value, not a section.")
    values[last] = value
