"""The training loop, written out: read `train_network` from top to bottom."""

import resource
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody reads
from accelerate import Accelerator
from accelerate.utils import gather_object
from timm.models import group_parameters
from timm.utils import ModelEmaV3
from torch import Tensor
from torchvision.transforms import v2

from core.data.preprocessing import Preprocessing
from core.errors import RunError
from core.evaluate.metrics import METRICS, recalls
from core.predict.calibration import softmax
from core.labels import CODES
from core.models.network import AdditiveNetwork
from core.runs.folder import RunFolder, Status
from train.data import Part, batches_of, drawn_frequencies, steps_per_epoch, training_loader
from train.recipe import OptimizerConfig, Recipe
from train.state import load_state, save_state

LOG_EVERY_STEPS = 10


class Display(Protocol):
    """Where progress is shown, for instance a progress bar."""

    def step(self, done: int, total: int, text: str) -> None:
        """Show that `done` of `total` steps are done."""

    def line(self, text: str) -> None:
        """Show one line that stays."""


@dataclass
class Progress:
    """How far a run is; saved with every training state."""

    epoch: int = 0
    step: int = 0
    best: float = -1.0
    best_epoch: int = 0
    elapsed_s: float = 0.0
    images: int = 0


def train_network(
    network: AdditiveNetwork,
    train: Part,
    val: Part,
    *,
    recipe: Recipe,
    preprocessing: Preprocessing,
    run: RunFolder,
    accelerator: Accelerator,
    display: Display,
    resume: bool = False,
) -> Progress:
    """Train with EMA weights judged on val after each epoch; the best of them lies in `checkpoints/best`.

    Only rank 0 writes. With `resume`, goes on after the last whole epoch, with the same draws, augmentations
    and learning rates as a run that was never interrupted.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    steps = steps_per_epoch(len(train), recipe, world)
    total_steps = steps * recipe.epochs
    network.to(accelerator.device, memory_format=torch.channels_last)
    network.freeze_stages(recipe.optimizer.freeze_stages)
    optimizer = torch.optim.AdamW(parameter_groups(network, recipe.optimizer), lr=recipe.optimizer.learning_rate)
    ema = ModelEmaV3(network, decay=recipe.optimizer.ema_decay, use_warmup=True)
    progress = Progress()
    if resume:
        stored = load_state(run.checkpoints / "last.safetensors", parts={"network": network, "ema": ema.module}, optimizer=optimizer)
        progress = Progress(**stored)
    model, wrapped_optimizer = accelerator.prepare(network, optimizer)
    criterion = Criterion(recipe, drawn_frequencies(train.truth, recipe.balance), accelerator.device)
    status = Status.starting(total_steps)
    watched = watch_positions(val, seed=recipe.seed)

    for epoch in range(progress.epoch, recipe.epochs):
        started = time.monotonic()
        # Dropout and mixing are drawn anew from here, so an epoch does not depend on what ran before it.
        torch.manual_seed(recipe.seed * 100_003 + epoch * 1_009 + rank)
        loader = training_loader(train, recipe, epoch, rank=rank, world=world)
        model.train()
        losses: list[float] = []
        waited_s = 0.0
        for pictures, facts, truth, weights, wait_s in timed(loader):
            waited_s += wait_s
            with accelerator.accumulate(model):
                set_learning_rate(optimizer, recipe, progress.step, steps)
                with accelerator.autocast():
                    loss = criterion(model, normalise(pictures, preprocessing, accelerator.device), facts, truth, weights)
                if not torch.isfinite(loss):
                    raise RunError(f"The loss is {loss.item()} at step {progress.step}. Lower the learning rate and train again.")
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), recipe.optimizer.clip_norm)
                wrapped_optimizer.step()
                wrapped_optimizer.zero_grad()
            progress.step += 1
            progress.images += len(truth) * world
            ema.update(accelerator.unwrap_model(model), step=progress.step)
            losses.append(loss.item())
            if accelerator.is_main_process and progress.step % LOG_EVERY_STEPS == 0:
                elapsed = time.monotonic() - started
                rate = len(losses) * recipe.batch_size * world / elapsed
                event = {
                    "kind": "step",
                    "step": progress.step,
                    "epoch": epoch + 1,
                    "loss": float(np.mean(losses[-LOG_EVERY_STEPS:])),
                    "learning_rate": optimizer.param_groups[0]["lr"],
                    "images_per_s": rate,
                    "wait_share": waited_s / elapsed,
                    "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                }
                run.append(event)
                status = replace(status, step=progress.step, epoch=epoch + 1)
                run.write_status(status)
                display.step(progress.step, total_steps, f"loss {event['loss']:.3f}, {rate:.0f} images/s")

        logits = predict_part(ema.module, val, preprocessing, accelerator)
        progress.epoch = epoch + 1
        progress.elapsed_s += time.monotonic() - started
        scores = score(val.truth, logits)
        improved = scores["balanced_accuracy"] > progress.best
        if improved:
            progress.best, progress.best_epoch = scores["balanced_accuracy"], epoch + 1
        if accelerator.is_main_process:
            run.append(
                {
                    "kind": "epoch",
                    "epoch": epoch + 1,
                    "step": progress.step,
                    "train_loss": float(np.mean(losses)),
                    "train_size_px": recipe.train_size(epoch),
                    "elapsed_s": progress.elapsed_s,
                    "images": progress.images,
                    "wait_share": waited_s / (time.monotonic() - started),
                    **scores,
                }
            )
            state = {"network": accelerator.unwrap_model(model), "ema": ema.module}
            if improved:
                save_state(run.checkpoints / "best.safetensors", parts={"ema": ema.module}, optimizer=_no_moments(), progress=vars(progress))
            save_state(run.checkpoints / "last.safetensors", parts=state, optimizer=optimizer, progress=vars(progress))
            record_watch(run, ema.module, val, watched, preprocessing, accelerator.device, epoch + 1)
            status = replace(status, epoch=epoch + 1, best=progress.best)
            run.write_status(status)
            display.line(
                f"epoch {epoch + 1}/{recipe.epochs}: train loss {np.mean(losses):.3f}, val loss {scores['val_loss']:.3f}, "
                f"balanced accuracy {scores['balanced_accuracy']:.3f} (best {progress.best:.3f})"
            )
        if recipe.patience and progress.epoch - progress.best_epoch >= recipe.patience:
            display.line(f"No better validation for {recipe.patience} epochs: stopping.")
            break
    return progress


class Criterion:
    """The training loss: weighted cross-entropy, with the recipe's mixing and logit adjustment."""

    def __init__(self, recipe: Recipe, prior: np.ndarray, device: torch.device) -> None:
        self.smoothing = recipe.regularise.label_smoothing
        self.shift = recipe.balance.logit_adjustment * torch.log(torch.tensor(prior, dtype=torch.float32, device=device))
        mixes: list[v2.Transform] = []
        if recipe.regularise.mixup:
            mixes.append(v2.MixUp(alpha=recipe.regularise.mixup, num_classes=len(CODES)))
        if recipe.regularise.cutmix:
            mixes.append(v2.CutMix(alpha=recipe.regularise.cutmix, num_classes=len(CODES)))
        self.mix = v2.RandomChoice(mixes) if mixes else None

    def __call__(self, model: Any, pixels: Tensor, facts: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
        """Return the mean loss of a batch, a scalar in float32."""
        device = pixels.device
        facts, target, weights = facts.to(device), truth.to(device), weights.to(device, torch.float32)
        if self.mix is not None:
            pixels, target = self.mix(pixels, target)
            facts = torch.full_like(facts, torch.nan)  # a mixed picture has no one patient
        logits = model(pixels, facts).float() + self.shift
        losses = F.cross_entropy(logits, target, reduction="none", label_smoothing=self.smoothing)
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


def set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, step: int, steps_per_epoch: int) -> None:
    """Linear warm-up, then a cosine to zero over the rest of the run."""
    warmup = recipe.optimizer.warmup_epochs * steps_per_epoch
    total = recipe.epochs * steps_per_epoch
    if step < warmup:
        factor = (step + 1) / warmup
    else:
        factor = 0.5 * (1 + np.cos(np.pi * (step - warmup) / max(1, total - warmup)))
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def normalise(pictures: Tensor, preprocessing: Preprocessing, device: torch.device) -> Tensor:
    """Turn uint8 (N, 3, H, W) into network input on the device; the same arithmetic as `Preprocessing.normalise`."""
    pixels = pictures.to(device, torch.float32, memory_format=torch.channels_last)
    if preprocessing.gray:
        pixels = v2.functional.rgb_to_grayscale(pixels, num_output_channels=3)
    mean = torch.tensor(preprocessing.mean, device=device).view(1, 3, 1, 1) * 255
    std = torch.tensor(preprocessing.std, device=device).view(1, 3, 1, 1) * 255
    return (pixels - mean) / std


def predict_part(network: AdditiveNetwork, part: Part, preprocessing: Preprocessing, accelerator: Accelerator) -> np.ndarray:
    """Return logits (N, 7) of a whole part with facts; processes share the work and all get the whole."""
    network.eval()
    found = []
    shares = batches_of(part, 32, rank=accelerator.process_index, world=accelerator.num_processes)
    with torch.no_grad():
        for positions, pictures in shares:
            pixels = normalise(pictures.permute(0, 3, 1, 2), preprocessing, accelerator.device)
            with accelerator.autocast():
                logits = network(pixels, torch.from_numpy(part.facts[positions]).to(accelerator.device))
            found.append((positions, logits.float().cpu().numpy()))
    everything = gather_object(found) if accelerator.num_processes > 1 else found
    logits = np.empty((len(part), len(CODES)), dtype=np.float32)
    for positions, values in everything:
        logits[positions] = values
    return logits


def score(truth: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """Return what is logged of a validation: loss, balanced accuracy, recalls and confusion matrix.

    These are uncalibrated and without intervals; `train.finish` measures the finished checkpoint.
    """
    probabilities = softmax(logits)
    confusion = np.zeros((len(CODES), len(CODES)), dtype=int)
    np.add.at(confusion, (truth, probabilities.argmax(axis=1)), 1)
    recall = recalls(truth, probabilities, np.ones(len(truth)))
    return {
        "val_loss": METRICS["log_loss"](truth, probabilities),
        "accuracy": METRICS["accuracy"](truth, probabilities),
        "balanced_accuracy": METRICS["balanced_accuracy"](truth, probabilities),
        "macro_auc": METRICS["macro_auc"](truth, probabilities),
        "recall": [None if np.isnan(value) else float(value) for value in recall],
        "confusion": confusion.tolist(),
    }


def timed(loader: Iterable[list[Tensor]]) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, float]]:
    """Yield batches with the seconds the step waited for each."""
    batches = iter(loader)
    while True:
        asked = time.monotonic()
        try:
            pictures, facts, truth, weights = next(batches)
        except StopIteration:
            return
        yield pictures, facts, truth, weights, time.monotonic() - asked


def watch_positions(val: Part, *, seed: int, count: int = 12) -> np.ndarray:
    """Return the positions of the watch images: one of each diagnosis there is, then more, one a lesion."""
    firsts = val.metadata.groupby("lesion_id", sort=True).head(1).index.to_numpy()
    shuffled = np.random.default_rng(seed).permutation(firsts)
    rank_in_class = val.metadata.loc[shuffled].groupby("dx", sort=False).cumcount().to_numpy()
    return shuffled[np.argsort(rank_in_class, kind="stable")][:count]


def record_watch(
    run: RunFolder,
    network: AdditiveNetwork,
    val: Part,
    positions: np.ndarray,
    preprocessing: Preprocessing,
    device: torch.device,
    epoch: int,
) -> None:
    """Write what the network makes of the watch images now: maps (12, 7, h, w) and logits, in half precision."""
    pictures = torch.from_numpy(np.stack([val.store.pixels[row] for row in val.rows[positions]]))
    with torch.no_grad():
        evidence = network.look(normalise(pictures.permute(0, 3, 1, 2), preprocessing, device))
    np.savez_compressed(
        run.watch / f"epoch_{epoch:04d}.npz",
        image_ids=val.metadata["image_id"].to_numpy(dtype=str)[positions],
        truth=val.truth[positions],
        maps=evidence.maps.cpu().numpy().astype(np.float16),
        logits=evidence.logits.cpu().numpy().astype(np.float32),
    )


def _no_moments() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.0)
