"""From a recipe and a dataset to a trained run: what `fit` and `resume` do."""

import subprocess
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch
from accelerate import Accelerator, PartialState

from core.data.preprocessing import Preprocessing
from core.data.readers import read_dataset
from core.data.splits import Split
from core.labels import INDEX
from core.models.network import AdditiveNetwork
from core.models.registry import MODELS, ModelSpec
from core.models.weights import Provenance, pretrained_backbone
from core.runs.folder import RunFolder
from core.settings import settings
from train.data import class_frequencies, drawn_frequencies, load_training_parts
from train.display import TerminalDisplay
from train.feeds import FEEDS
from train.loop import Progress, train_network
from train.recipe import Recipe, recipe_from


@dataclass(frozen=True)
class Plan:
    """Everything a run's config.json says: enough to go on from, or to do it again."""

    recipe: Recipe
    data_dir: Path
    preprocessing: Preprocessing
    provenance: Provenance
    split_hash: str
    class_frequencies: tuple[float, ...]
    commit: str
    started: str
    versions: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return plain data for config.json."""
        return {
            **asdict(self),
            "recipe": self.recipe.to_json(),
            "data_dir": str(self.data_dir),
            "preprocessing": self.preprocessing.to_json(),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Plan":
        """Read what `to_json` wrote."""
        return cls(
            **stored
            | {
                "recipe": recipe_from(stored["recipe"], "config.json"),
                "data_dir": Path(stored["data_dir"]),
                "preprocessing": Preprocessing.from_json(stored["preprocessing"]),
                "provenance": Provenance(**stored["provenance"]),
                "class_frequencies": tuple(stored["class_frequencies"]),
            }
        )


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Return the Accelerator of a run: the GPU where there is one, else the CPU; several under torchrun."""
    cpu = not torch.cuda.is_available()
    PartialState(cpu=cpu)  # before anything else, or two ranks both believe they are rank 0
    precision = "bf16" if recipe.precision == "bf16" else "no"
    return Accelerator(
        cpu=cpu, mixed_precision=precision, gradient_accumulation_steps=recipe.optimizer.accumulate
    )


def start(recipe: Recipe, data_dir: Path, name: str, display: TerminalDisplay) -> RunFolder:
    """Begin a new run and train it to its end; returns its folder.

    Raises:
        LesionLensError: the data, the weights or the run's name cannot be used.
    """
    accelerator = make_accelerator(recipe)
    metadata = read_dataset(data_dir)
    split = Split.of(metadata, seed=recipe.seed)
    spec = MODELS[recipe.model]
    torch.manual_seed(recipe.seed)
    backbone, provenance = pretrained_backbone(
        spec,
        recipe.weights,
        drop_rate=recipe.regularise.drop_rate,
        drop_path_rate=recipe.regularise.drop_path_rate,
    )
    train_rows = metadata[split.of_images(metadata["image_id"]) == "train"]
    plan = Plan(
        recipe=recipe,
        data_dir=data_dir.resolve(),
        preprocessing=preprocessing_for(spec, recipe),
        provenance=provenance,
        split_hash=split.hash,
        class_frequencies=tuple(class_frequencies(truth_of(train_rows))),
        commit=current_commit(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"torch": torch.__version__, "timm": timm.__version__},
    )
    runs_dir = settings().runs_dir
    if accelerator.is_main_process:
        run = RunFolder.create(runs_dir, name)
        run.write_config(plan.to_json())
        split.save(run.path / "split.csv")
    accelerator.wait_for_everyone()
    run = RunFolder.open(runs_dir, name)
    network = AdditiveNetwork(spec, backbone)
    network.start_head(drawn_frequencies(np.array(plan.class_frequencies), recipe.balance))
    _train(plan, metadata, split, network, run, accelerator, display, resume=False)
    return run


def resume(name: str, display: TerminalDisplay) -> RunFolder:
    """Go on with a run after its last whole epoch; returns its folder.

    Raises:
        LesionLensError: there is no such run, or its data is no longer what it was.
    """
    run = RunFolder.open(settings().runs_dir, name)
    plan = Plan.from_json(run.config())
    accelerator = make_accelerator(plan.recipe)
    metadata = read_dataset(plan.data_dir)
    split = Split.load(run.path / "split.csv")
    dropouts = {
        "drop_rate": plan.recipe.regularise.drop_rate,
        "drop_path_rate": plan.recipe.regularise.drop_path_rate,
    }
    begun = (run.checkpoints / "last.safetensors").exists()
    torch.manual_seed(plan.recipe.seed)
    source = "none" if begun else plan.recipe.weights
    backbone, _ = pretrained_backbone(MODELS[plan.recipe.model], source, **dropouts)
    network = AdditiveNetwork(MODELS[plan.recipe.model], backbone)
    if not begun:
        network.start_head(drawn_frequencies(np.array(plan.class_frequencies), plan.recipe.balance))
    if accelerator.is_main_process:
        run.end_torn_line()
    _train(plan, metadata, split, network, run, accelerator, display, resume=begun)
    return run


def _train(
    plan: Plan,
    metadata: pd.DataFrame,
    split: Split,
    network: AdditiveNetwork,
    run: RunFolder,
    accelerator: Accelerator,
    display: TerminalDisplay,
    *,
    resume: bool,
) -> Progress:
    with accelerator.main_process_first():
        train, val = load_training_parts(
            metadata,
            split,
            plan.preprocessing,
            cache_dir=settings().cache_dir,
            progress=display.counting("decoding"),
        )
    feed = FEEDS[plan.recipe.mode](train, val, plan.recipe, plan.preprocessing)
    display.line(
        f"{len(train)} training and {len(val)} validation pictures; weights from {plan.provenance.detail}"
    )
    try:
        progress = train_network(
            network,
            feed,
            recipe=plan.recipe,
            run=run,
            accelerator=accelerator,
            display=display,
            resume=resume,
        )
    except BaseException as problem:
        if accelerator.is_main_process and (run.path / "status.json").exists():
            stopped = isinstance(problem, KeyboardInterrupt)
            state = "stopped" if stopped else "failed"
            run.write_status(
                replace(run.status(), state=state, message=str(problem) or type(problem).__name__)
            )
        raise
    if accelerator.is_main_process:
        run.write_status(replace(run.status(), state="finished"))
    return progress


def preprocessing_for(spec: ModelSpec, recipe: Recipe) -> Preprocessing:
    """Return how this recipe's network wants its pictures: its own ImageNet mean and std."""
    config = timm.get_pretrained_cfg(spec.timm_name)
    return Preprocessing(
        size=recipe.size, mean=config.mean, std=config.std, max_aspect=spec.max_aspect, gray=recipe.gray
    )


def truth_of(metadata: pd.DataFrame) -> np.ndarray:
    """Return class indices (N,) of a metadata table."""
    return np.array(metadata["dx"].map(INDEX), dtype=np.int64)


def current_commit() -> str:
    """Return the commit of the code that runs, or 'unknown' outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
