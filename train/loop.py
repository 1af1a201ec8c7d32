"""The training loop, written out: read `train_network` from top to bottom."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import psutil  # type: ignore[import-untyped]  # its types are a package of their own
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody reads
from accelerate import Accelerator
from accelerate.utils import broadcast, gather_object
from timm.models import group_parameters
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torchvision.transforms import v2

from core.errors import RunError
from core.evaluate.metrics import METRICS, recalls
from core.labels import CODES
from core.models.network import AdditiveNetwork
from core.predict.calibration import softmax
from core.runs.folder import RunFolder, Status
from train.data import Batches, Part, class_frequencies, drawn_frequencies, steps_per_epoch
from train.display import TerminalDisplay
from train.distil import Teachers
from train.feeds import Feed
from train.recipe import OptimizerConfig, Recipe
from train.state import load_state, save_state

LOG_EVERY_STEPS: Final = 10
BEAT_EVERY_S: Final = 10.0
"""How often at most a heartbeat is written, in training and in validation."""
WATCHED: Final = 12
MIXED_SHARE: Final = 0.5
"""Share of batches that mixup or cutmix changes, where a recipe asks for them."""


@dataclass
class Progress:
    """How far a run is; saved with every training state."""

    epoch: int = 0
    step: int = 0
    best: float = -1.0
    best_epoch: int = 0
    elapsed_s: float = 0.0
    images: int = 0

    def end_epoch(self, balanced_accuracy: float, elapsed_s: float) -> bool:
        """Count a whole epoch; returns whether it was the best so far."""
        self.epoch += 1
        self.elapsed_s += elapsed_s
        improved = balanced_accuracy > self.best
        if improved:
            self.best, self.best_epoch = balanced_accuracy, self.epoch
        return improved


def train_network(
    network: AdditiveNetwork,
    feed: Feed,
    *,
    recipe: Recipe,
    run: RunFolder,
    accelerator: Accelerator,
    display: TerminalDisplay,
    teachers: Teachers | None = None,
    resume: bool = False,
) -> Progress:
    """Train with EMA weights judged on val after each epoch; the best of them lies in `checkpoints/best`.

    Only rank 0 writes. With `resume`, goes on after the last whole epoch, with the same draws, augmentations
    and learning rates as a run that was never interrupted.

    Raises:
        RunError: the loss is no longer finite, the state to resume from is damaged, or the disk is full.
    """
    network.to(accelerator.device)
    network.to(memory_format=torch.channels_last)
    module = feed.start(network, accelerator, display)
    optimizer = torch.optim.AdamW(
        parameter_groups(network, recipe.optimizer), lr=recipe.optimizer.learning_rate
    )
    ema = ModelEmaV3(network, decay=recipe.optimizer.ema_decay, use_warmup=True)
    state = {"network": network, "ema": ema.module}
    steps = steps_per_epoch(len(feed.train), recipe, accelerator.num_processes)
    progress = load_last(run, state, optimizer, steps) if resume else Progress()
    model, stepper = accelerator.prepare(module, optimizer)
    journal = Journal(run, recipe, steps * recipe.epochs, accelerator, display, progress)
    criterion = Criterion(recipe, class_frequencies(feed.train.truth), accelerator.device, teachers)
    watched = watch_positions(feed.val, seed=recipe.seed)

    for epoch in range(progress.epoch, recipe.epochs):
        if recipe.patience and epoch - progress.best_epoch >= recipe.patience:
            display.line(f"No better validation for {recipe.patience} epochs: stopping.")
            break
        started = time.monotonic()
        # Dropout and mixing are drawn anew from here, so an epoch does not depend on what ran before it.
        torch.manual_seed(recipe.seed * 100_003 + epoch * 1_009 + accelerator.process_index)
        batches = feed.training(epoch, rank=accelerator.process_index, world=accelerator.num_processes)
        model.train()
        journal.start_epoch(epoch)
        for inputs, facts, truth, weights, waited_s in timed(batches):
            set_learning_rate(optimizer, recipe, progress.step, steps)
            progress.step += 1
            progress.images += len(truth) * accelerator.num_processes
            # Gradients are never carried over to the next epoch: a resumed run could not know them.
            whole = progress.step % steps == 0 or progress.step % steps % recipe.optimizer.accumulate == 0
            with nullcontext() if whole else accelerator.no_sync(model):
                with accelerator.autocast():
                    loss = criterion(model, feed.inputs(inputs, accelerator.device), facts, truth, weights)
                accelerator.backward(loss / recipe.optimizer.accumulate)
            if whole:
                accelerator.clip_grad_norm_(model.parameters(), recipe.optimizer.clip_norm)
                stepper.step()
                stepper.zero_grad()
                ema.update(network, step=progress.step)
            journal.step(progress, loss.item(), optimizer.param_groups[0]["lr"], waited_s)

        # Each process counted batch statistics of its own pictures; all of them judge one network.
        broadcast(list(ema.module.buffers()))
        logits = predict_val(ema.module, feed, accelerator, journal.beat)
        scores = score(feed.val.truth, logits)
        improved = progress.end_epoch(scores["balanced_accuracy"], time.monotonic() - started)
        if accelerator.is_main_process:
            keep(run, state, optimizer, progress, improved=improved)
            record_watch(run, ema.module, feed, watched, accelerator.device, epoch + 1)
            journal.end_epoch(progress, scores)
    return progress


def load_last(
    run: RunFolder, state: dict[str, nn.Module], optimizer: torch.optim.Optimizer, steps: int
) -> Progress:
    """Load the state after the last whole epoch into modules and optimizer; returns how far that was."""
    stored = load_state(run.checkpoints / "last.safetensors", parts=state, optimizer=optimizer)
    # The step is counted again, in case the run goes on with another number of processes.
    return Progress(**stored | {"step": stored["epoch"] * steps})


def keep(
    run: RunFolder,
    state: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    *,
    improved: bool,
) -> None:
    """Save what to go on from, and the EMA weights when they are the best so far."""
    if improved:
        save_state(
            run.checkpoints / "best.safetensors", parts={"ema": state["ema"]}, progress=asdict(progress)
        )
    save_state(
        run.checkpoints / "last.safetensors", parts=state, optimizer=optimizer, progress=asdict(progress)
    )


class Journal:
    """What a run tells of itself while it trains: events, status and the progress bar. Only rank 0 writes."""

    def __init__(
        self,
        run: RunFolder,
        recipe: Recipe,
        total_steps: int,
        accelerator: Accelerator,
        display: TerminalDisplay,
        progress: Progress,
    ) -> None:
        self._run = run
        self._recipe = recipe
        self._world = accelerator.num_processes
        self._writes = accelerator.is_main_process
        self._display = display
        best = progress.best if progress.best_epoch else None
        self._status = Status.starting(total_steps, step=progress.step, epoch=progress.epoch, best=best)
        self._write_status()
        if self._writes:
            run.rewind(progress.epoch)

    def start_epoch(self, epoch: int) -> None:
        """Begin counting an epoch (0-based)."""
        self._epoch = epoch + 1
        self._started = time.monotonic()
        self._waited_s = 0.0
        self._losses: list[float] = []

    def step(self, progress: Progress, loss: float, learning_rate: float, waited_s: float) -> None:
        """Count one step; every tenth is logged. Refuses a loss that is not finite."""
        if not np.isfinite(loss):
            raise RunError(
                f"The loss is {loss} at step {progress.step}. Lower the learning rate and train again."
            )
        self._losses.append(loss)
        self._waited_s += waited_s
        self._status = replace(self._status, step=progress.step, epoch=self._epoch)
        self.beat()
        if not self._writes or progress.step % LOG_EVERY_STEPS:
            return
        elapsed_s = time.monotonic() - self._started
        images_per_s = len(self._losses) * self._recipe.batch_size * self._world / elapsed_s
        recent = float(np.mean(self._losses[-LOG_EVERY_STEPS:]))
        self._run.append(
            {
                "kind": "step",
                "step": progress.step,
                "epoch": self._epoch,
                "loss": recent,
                "learning_rate": learning_rate,
                "images_per_s": images_per_s,
                "wait_share": self._waited_s / elapsed_s,
                "memory_mb": psutil.Process().memory_info().rss / 2**20,
            }
        )
        self._display.step(
            progress.step, self._status.total_steps, f"loss {recent:.3f}, {images_per_s:.0f} images/s"
        )

    def end_epoch(self, progress: Progress, scores: dict[str, Any]) -> None:
        """Log what an epoch came to."""
        train_loss = float(np.mean(self._losses))
        self._run.append(
            {
                "kind": "epoch",
                "epoch": progress.epoch,
                "step": progress.step,
                "train_loss": train_loss,
                "train_size_px": self._recipe.train_size(progress.epoch - 1),
                "elapsed_s": progress.elapsed_s,
                "images": progress.images,
                **scores,
            }
        )
        self._status = replace(self._status, step=progress.step, epoch=progress.epoch, best=progress.best)
        self._write_status()
        self._display.line(
            f"epoch {progress.epoch}/{self._recipe.epochs}: train loss {train_loss:.3f}, "
            f"val loss {scores['val_loss']:.3f}, balanced accuracy {scores['balanced_accuracy']:.3f} "
            f"(best {progress.best:.3f} in epoch {progress.best_epoch})"
        )

    def beat(self) -> None:
        """Show that the trainer lives, and how far it is; called often, writes seldom."""
        if time.monotonic() - self._beat_at >= BEAT_EVERY_S:
            self._write_status()

    def _write_status(self) -> None:
        self._beat_at = time.monotonic()
        if self._writes:
            self._run.write_status(self._status)


class Criterion:
    """The training loss: weighted cross-entropy, with the recipe's mixing, logit adjustment and teachers."""

    def __init__(
        self,
        recipe: Recipe,
        frequencies: np.ndarray,
        device: torch.device,
        teachers: Teachers | None = None,
    ) -> None:
        self.teachers = teachers
        self.taught_share = recipe.distil.weight
        prior = torch.tensor(
            drawn_frequencies(frequencies, recipe.balance), dtype=torch.float32, device=device
        )
        self.smoothing = recipe.regularise.label_smoothing
        self.shift = recipe.balance.logit_adjustment * prior.log()
        mixes: list[v2.Transform] = []
        if recipe.regularise.mixup:
            mixes.append(v2.MixUp(alpha=recipe.regularise.mixup, num_classes=len(CODES)))
        if recipe.regularise.cutmix:
            mixes.append(v2.CutMix(alpha=recipe.regularise.cutmix, num_classes=len(CODES)))
        self.mix = v2.RandomChoice(mixes) if mixes else None

    def __call__(
        self, model: nn.Module, inputs: Tensor, facts: Tensor, truth: Tensor, weights: Tensor
    ) -> Tensor:
        """Return the mean loss of a batch, a scalar in float32."""
        device = inputs.device
        facts, target, weights = facts.to(device), truth.to(device), weights.to(device, torch.float32)
        if self.mix is not None and torch.rand(()) < MIXED_SHARE:
            inputs, target = self.mix(inputs, target)
            facts = torch.full_like(facts, torch.nan)  # a mixed picture has no one patient
        logits = model(inputs, facts).float() + self.shift
        losses = F.cross_entropy(logits, target, reduction="none", label_smoothing=self.smoothing)
        if self.teachers is not None:
            taught = self.teachers.loss(logits, inputs, facts)
            losses = (1 - self.taught_share) * losses + self.taught_share * taught
        return (losses * weights).mean()


def parameter_groups(network: AdditiveNetwork, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Return AdamW's groups: learning rates by depth, no decay for biases, norms and fact tables."""
    depth_of: dict[str, int] = {}
    matcher = network.backbone.group_matcher(coarse=False)
    for depth, names in enumerate(group_parameters(network.backbone, matcher).values()):
        depth_of |= dict.fromkeys(names, depth)
    deepest = max(depth_of.values())
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in network.backbone.named_parameters():
        if parameter.requires_grad:
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            rate = config.learning_rate * config.layer_decay ** (deepest - depth_of[name])
            groups.setdefault((rate, decay), []).append(parameter)
    facts_rate = config.learning_rate * config.facts_scale
    groups.setdefault((facts_rate, 0.0), []).extend(network.facts.parameters())
    # The head first, so that what is logged as the learning rate is the head's.
    ordered = sorted(groups.items(), key=lambda item: abs(item[0][0] - config.learning_rate))
    return [
        {"params": members, "lr": rate, "base_lr": rate, "weight_decay": decay}
        for (rate, decay), members in ordered
    ]


def set_learning_rate(
    optimizer: torch.optim.Optimizer, recipe: Recipe, step: int, steps_per_epoch: int
) -> None:
    """Linear warm-up, then a cosine to zero over the rest of the run."""
    warmup = recipe.optimizer.warmup_epochs * steps_per_epoch
    total = recipe.epochs * steps_per_epoch
    if step < warmup:
        factor = (step + 1) / warmup
    else:
        factor = 0.5 * (1 + np.cos(np.pi * (step - warmup) / max(1, total - warmup)))
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def predict_val(
    network: AdditiveNetwork, feed: Feed, accelerator: Accelerator, beat: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Return logits (N, 7) of the validation part with facts; processes share the work, all get the whole."""
    network.eval()
    module = feed.module(network)
    found = []
    with torch.no_grad():
        for positions, inputs in feed.validation(
            rank=accelerator.process_index, world=accelerator.num_processes
        ):
            facts = torch.from_numpy(feed.val.facts[positions]).to(accelerator.device)
            with accelerator.autocast():
                logits = module(feed.inputs(inputs, accelerator.device), facts)
            found.append((positions, logits.float().cpu().numpy()))
            beat()
    everything = gather_object(found) if accelerator.num_processes > 1 else found
    together = np.empty((len(feed.val), len(CODES)), dtype=np.float32)
    for positions, values in everything:
        together[positions] = values
    return together


def score(truth: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """Return what is logged of a validation: loss, balanced accuracy, recalls and confusion matrix.

    These are uncalibrated and without intervals; `train.finish` measures the finished checkpoint. What a
    small validation part leaves undefined is None; balanced accuracy is then the mean recall of the
    diagnoses it has.
    """
    probabilities = softmax(logits)
    confusion = np.zeros((len(CODES), len(CODES)), dtype=int)
    np.add.at(confusion, (truth, probabilities.argmax(axis=1)), 1)
    recall = recalls(truth, probabilities, np.ones(len(truth)))
    return {
        "val_loss": METRICS["log_loss"](truth, probabilities),
        "accuracy": METRICS["accuracy"](truth, probabilities),
        "balanced_accuracy": float(np.nanmean(recall)),
        "macro_auc": defined(METRICS["macro_auc"](truth, probabilities)),
        "recall": [defined(value) for value in recall],
        "confusion": confusion.tolist(),
    }


def defined(value: float) -> float | None:
    """Return a number as JSON can hold it: None where it is not defined."""
    return None if np.isnan(value) else float(value)


def timed(batches: Batches) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, float]]:
    """Yield batches with the seconds the step waited for each."""
    iterator = iter(batches)
    while True:
        asked = time.monotonic()
        batch = next(iterator, None)
        if batch is None:
            return
        inputs, facts, truth, weights = batch
        yield inputs, facts, truth, weights, time.monotonic() - asked


def watch_positions(val: Part, *, seed: int, count: int = WATCHED) -> np.ndarray:
    """Return the positions of the watch images: one of each diagnosis there is, then more, one a lesion."""
    firsts = val.metadata.groupby("lesion_id", sort=True).head(1).index.to_numpy()
    shuffled = np.random.default_rng(seed).permutation(firsts)
    rank_in_class = val.metadata.loc[shuffled].groupby("dx", sort=False).cumcount().to_numpy()
    return shuffled[np.argsort(rank_in_class, kind="stable")][:count]


def record_watch(
    run: RunFolder,
    network: AdditiveNetwork,
    feed: Feed,
    positions: np.ndarray,
    device: torch.device,
    epoch: int,
) -> None:
    """Write what the network makes of the watch images now: half-precision maps (12, 7, h, w), and logits."""
    network.eval()
    with torch.no_grad():
        evidence = network.look(feed.pictures(positions, device))
    run.write_watch(
        epoch,
        image_ids=feed.val.metadata["image_id"].to_numpy(dtype=str)[positions],
        truth=feed.val.truth[positions],
        maps=evidence.maps.cpu().numpy().astype(np.float16),
        logits=evidence.logits.cpu().numpy().astype(np.float32),
    )
