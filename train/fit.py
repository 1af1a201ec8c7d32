"""From a recipe and a dataset to a trained run: what `fit` and `resume` do."""

import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pandas as pd
import timm
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list

from core.data.copies import originals_of
from core.data.preprocessing import Preprocessing
from core.data.readers import read_dataset
from core.data.splits import Split
from core.errors import LesionLensError, RecipeError, RunError
from core.heap import keep_large_blocks
from core.labels import INDEX
from core.models.network import AdditiveNetwork, build_network
from core.models.registry import MODELS, ModelSpec
from core.models.weights import Provenance, pretrained_backbone
from core.runs.folder import RunFolder, Status
from core.settings import settings
from train.asked import Stopped
from train.data import class_frequencies, drawn_frequencies, load_training_parts
from train.display import TerminalDisplay
from train.distil import Teachers, checkpoint_of
from train.failures import explained
from train.feeds import FEEDS
from train.journal import Pulse, Station
from train.loop import load_network, train_network
from train.recipe import Recipe, recipe_from
from train.trackers import check_trackers, end_trackers, start_trackers

FROM_CHECKPOINT: Final = "checkpoint:"
"""Begins a recipe's `weights` that names a whole checkpoint to go on from."""

Then = Callable[[RunFolder], None]


@dataclass(frozen=True)
class Plan:
    """Everything a run's config.json says: enough to go on from, or to do it again.

    class_frequencies: share of each diagnosis among the training pictures, the mix a checkpoint answers for.
    shown_frequencies: the same with augmented copies counted too, from which batches are drawn.
    """

    recipe: Recipe
    data_dir: Path
    preprocessing: Preprocessing
    provenance: Provenance
    split_hash: str
    class_frequencies: tuple[float, ...]
    shown_frequencies: tuple[float, ...]
    commit: str
    started: str
    versions: dict[str, str]
    recipe_name: str = ""

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
                "shown_frequencies": tuple(stored.get("shown_frequencies", stored["class_frequencies"])),
            }
        )

    @property
    def drawn(self) -> np.ndarray:
        """The share of each diagnosis that the loss sees, shape (7,)."""
        return drawn_frequencies(np.array(self.shown_frequencies), self.recipe.balance)


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Return the Accelerator of a run: the GPU where there is one, else the CPU; several under torchrun."""
    cpu = not torch.cuda.is_available()
    keep_large_blocks()
    PartialState(cpu=cpu)  # before anything else, or two ranks both believe they are rank 0
    precision = "bf16" if recipe.precision == "bf16" else "no"
    return Accelerator(cpu=cpu, mixed_precision=precision)


def start(
    recipe: Recipe,
    data_dir: Path,
    name: str,
    display: TerminalDisplay,
    *,
    recipe_name: str = "",
    then: Then | None = None,
) -> RunFolder:
    """Begin a new run and train it to its end; returns its folder.

    then: what is still to be done before the run counts as finished.

    Raises:
        LesionLensError: the data, the weights or the run's name cannot be used.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, when the state was saved.
    """
    accelerator = make_accelerator(recipe)
    check_trackers(recipe)
    metadata = read_dataset(data_dir)
    split = Split.of(metadata, seed=recipe.seed)
    spec = MODELS[recipe.model]
    torch.manual_seed(recipe.seed)
    network, provenance = first_network(recipe, split.hash)
    seen = (split.of_images(metadata["image_id"]) == "train") & metadata["image_path"].notna()
    plan = Plan(
        recipe=recipe,
        data_dir=data_dir.resolve(),
        preprocessing=preprocessing_for(spec, recipe),
        provenance=provenance,
        split_hash=split.hash,
        # A copy says how often its diagnosis is shown, not how often it is met.
        class_frequencies=tuple(class_frequencies(truth_of(metadata[seen & originals_of(metadata).isna()]))),
        shown_frequencies=tuple(class_frequencies(truth_of(metadata[seen]))),
        commit=current_commit(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"torch": torch.__version__, "timm": timm.__version__},
        recipe_name=recipe_name,
    )
    runs_dir = settings().runs_dir
    # A default name holds the time, which processes may read on both sides of a second.
    (name,) = broadcast_object_list([name])
    if accelerator.is_main_process:
        run = RunFolder.create(runs_dir, name)
        split.save(run.path / "split.csv")
        run.write_status(Status.starting())
        run.write_config(plan.to_json())  # last: with it, the folder is a run
    accelerator.wait_for_everyone()
    run = RunFolder.open(runs_dir, name)
    with _telling(run, plan, accelerator, display) as station:
        _start_head(network, plan)
        _train(plan, metadata, split, network, station, resume=False, then=then)
    return run


def resume(name: str, display: TerminalDisplay, *, then: Then | None = None) -> RunFolder:
    """Go on with a run after its last saved step; returns its folder.

    then: what is still to be done before the run counts as finished.

    Raises:
        LesionLensError: there is no such run, another process is training it, or its data is no longer what
            it was.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, when the state was saved.
    """
    run = RunFolder.open(settings().runs_dir, name)
    plan = _plan_of(run)
    accelerator = make_accelerator(plan.recipe)
    check_trackers(plan.recipe)
    if accelerator.is_main_process:
        run.take_over()
    accelerator.wait_for_everyone()
    with _telling(run, plan, accelerator, display) as station:
        metadata = read_dataset(plan.data_dir)
        split = Split.load(run.path / "split.csv")
        if len(split.of_images(metadata["image_id"])) != len(split.table):
            raise RunError(
                f"{plan.data_dir} names {len(metadata)} pictures; run {name} was trained on "
                f"{len(split.table)}. Bring back the dataset as it was, or train anew."
            )
        begun = (run.checkpoints / "last.safetensors").exists()
        torch.manual_seed(plan.recipe.seed)
        first = replace(plan.recipe, weights="none") if begun else plan.recipe
        network, _ = first_network(first, plan.split_hash)
        if begun:
            load_network(run, network)
        else:
            _start_head(network, plan)
        _train(plan, metadata, split, network, station, resume=begun, then=then)
    return run


def _plan_of(run: RunFolder) -> Plan:
    try:
        return Plan.from_json(run.config())
    except (KeyError, TypeError) as problem:
        raise RunError(
            f"Run {run.name} never began, or its config.json is of another version ({problem}): it cannot be "
            "resumed. Train anew."
        ) from problem


def first_network(recipe: Recipe, split_hash: str) -> tuple[AdditiveNetwork, Provenance]:
    """Return the network a recipe begins with, and where its weights came from.

    One that goes on from a checkpoint answers for an even mix of diagnoses.

    Raises:
        RecipeError: it shall go on from a checkpoint of another architecture or another split.
        WeightsError, CheckpointError: the weights cannot be had.
    """
    spec = MODELS[recipe.model]
    dropouts = {
        "drop_rate": recipe.regularise.drop_rate,
        "drop_path_rate": recipe.regularise.drop_path_rate,
    }
    if not recipe.weights.startswith(FROM_CHECKPOINT):
        backbone, provenance = pretrained_backbone(spec, recipe.weights, **dropouts)
        return AdditiveNetwork(spec, backbone), provenance
    checkpoint = checkpoint_of(recipe.weights.removeprefix(FROM_CHECKPOINT), split_hash)
    if checkpoint.manifest.model != recipe.model:
        raise RecipeError(
            f"weights: {checkpoint.reference} is a {checkpoint.manifest.model}, and this recipe trains a "
            f"{recipe.model}. Set model = {checkpoint.manifest.model!r}, or choose other weights."
        )
    network = build_network(recipe.model, **dropouts)
    network.load_state_dict(checkpoint.network.state_dict())
    network.shift_prior(-np.log(np.array(checkpoint.manifest.class_frequencies)))
    return network, Provenance("checkpoint", checkpoint.reference)


def _start_head(network: AdditiveNetwork, plan: Plan) -> None:
    """Let the head begin with the mix of diagnoses that is drawn; what a checkpoint's head knows is kept."""
    if plan.recipe.weights.startswith(FROM_CHECKPOINT):
        network.shift_prior(np.log(plan.drawn))
    else:
        network.start_head(plan.drawn)


def _teachers(plan: Plan, device: torch.device) -> Teachers | None:
    distil = plan.recipe.distil
    if not distil.teachers:
        return None
    return Teachers(
        [checkpoint_of(reference, plan.split_hash) for reference in distil.teachers],
        preprocessing=plan.preprocessing,
        prior=plan.drawn,
        temperature=distil.temperature,
        device=device,
    )


def _train(
    plan: Plan,
    metadata: pd.DataFrame,
    split: Split,
    network: AdditiveNetwork,
    station: Station,
    *,
    resume: bool,
    then: Then | None,
) -> None:
    accelerator, display = station.accelerator, station.display
    with accelerator.main_process_first():
        train, val = load_training_parts(
            metadata,
            split,
            plan.recipe,
            plan.preprocessing,
            cache_dir=settings().cache_dir,
            progress=display.counting("decoding"),
        )
    feed = FEEDS[plan.recipe.mode](train, val, plan.recipe, plan.preprocessing)
    display.line(
        f"{len(train)} training and {len(val)} validation pictures; weights from {plan.provenance.detail}"
    )
    ended = "finished"
    try:
        train_network(
            network,
            feed,
            station,
            recipe=plan.recipe,
            teachers=_teachers(plan, accelerator.device),
            resume=resume,
        )
    except Stopped as stopped:
        if stopped.quickly:
            raise KeyboardInterrupt from None
        ended = "stopped"
    if then is not None and (ended == "finished" or (station.run.checkpoints / "best.safetensors").exists()):
        station.pulse.tell(phase="measuring")
        then(station.run)
    station.pulse.tell(state=ended, phase="", message="")
    if ended == "stopped":
        display.line(f"Stopped. Go on with: python -m train resume {station.run.name}")


@contextmanager
def _telling(
    run: RunFolder, plan: Plan, accelerator: Accelerator, display: TerminalDisplay
) -> Iterator[Station]:
    """Give what a run tells of itself through, and leave word of whatever ends it."""
    station = Station(run, accelerator, display, Pulse(run, run.status(), accelerator))
    if accelerator.is_main_process:
        display.log_to(run.log)
    display.beat_with(station.pulse.beat)
    start_trackers(accelerator, plan.recipe, run.path / "trackers", run.name)
    try:
        yield station
    except BaseException as problem:
        display.close()
        known = explained(problem, plan.recipe, plan.data_dir)
        _tell_of(known, station)
        if known is problem:
            raise
        raise known from problem
    finally:
        end_trackers(accelerator)
        display.beat_with(None)


def _tell_of(problem: BaseException, station: Station) -> None:
    """Leave word of what ended a run; a disk that is too full for it must not hide the problem itself."""
    if not station.accelerator.is_main_process:
        return
    stopped = isinstance(problem, KeyboardInterrupt)
    known = isinstance(problem, LesionLensError)
    message = str(problem) if known else f"Unexpected: {type(problem).__name__}: {problem}. See log.txt."
    with suppress(RunError):
        if not (stopped or known):
            for line in "".join(traceback.format_exception(problem)).splitlines():
                station.run.log(line)
        station.run.log("stopped" if stopped else f"failed: {message}")
    with suppress(RunError):
        state = "stopped" if stopped else "failed"
        station.pulse.tell(state=state, phase="", message="" if stopped else message)
    if stopped:
        station.display.line(f"Stopped. Go on with: python -m train resume {station.run.name}")


def preprocessing_for(spec: ModelSpec, recipe: Recipe) -> Preprocessing:
    """Return how this recipe's network wants its pictures: its own ImageNet mean and std."""
    config = timm.get_pretrained_cfg(spec.timm_name)
    if config is None:
        raise RecipeError(f"timm does not know {spec.timm_name}: update timm, or choose another model.")
    mean, std = (
        cast("tuple[float, float, float]", tuple(channels)) for channels in (config.mean, config.std)
    )
    return Preprocessing(recipe.size, mean, std, max_aspect=spec.max_aspect, gray=recipe.gray)


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
