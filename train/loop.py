"""The training loop, written out: read `train_network` from top to bottom."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody reads
from accelerate import Accelerator
from accelerate.utils import broadcast, broadcast_object_list, gather_object
from timm.models import group_parameters
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torchvision.transforms import v2

from core.evaluate.metrics import METRICS, recalls
from core.labels import CODES
from core.models.network import AdditiveNetwork
from core.predict.calibration import softmax
from core.runs.folder import RunFolder
from train.asked import Asked, Stopped, Wish
from train.data import (
    Batches,
    Part,
    class_frequencies,
    drawn_an_epoch,
    drawn_frequencies,
    steps_per_epoch,
)
from train.distil import Teachers
from train.feeds import Feed
from train.journal import Journal, Station
from train.progress import Progress
from train.recipe import OptimizerConfig, Recipe
from train.state import load_state, save_state

LAST: Final = "last.safetensors"
KEEP_EVERY_S: Final = 600.0
"""How often at least the state is saved: a killed trainer loses no more than this."""
WATCHED: Final = 12
MIXED_SHARE: Final = 0.5
"""Share of batches that mixup or cutmix changes, where a recipe asks for them."""
CONFIDENCE_BINS: Final = 10

Judge = Callable[[int, dict[str, Any]], None]
"""Told an epoch (1-based) and its scores; what it raises ends the training."""


def train_network(
    network: AdditiveNetwork,
    feed: Feed,
    station: Station,
    *,
    recipe: Recipe,
    teachers: Teachers | None = None,
    resume: bool = False,
    judge: Judge | None = None,
) -> Progress:
    """Train with EMA weights judged on val after each epoch; the best of them lies in `checkpoints/best`.

    Only rank 0 writes. With `resume`, goes on after the last step that was saved, with the same draws,
    augmentations and learning rates as a run that was never interrupted.

    judge: of a trial, whose score alone is wanted: it is told each epoch's scores, and no weights are kept.

    Raises:
        RunError: the loss is no longer finite, the state to resume from is damaged, or the disk is full.
        Stopped: somebody asked for it; the state was saved.
    """
    run, accelerator = station.run, station.accelerator
    rank, world = accelerator.process_index, accelerator.num_processes
    learner = Learner(
        network, feed.start(network.to(accelerator.device), accelerator, station.display), recipe
    )
    steps = steps_per_epoch(drawn_an_epoch(feed.train, recipe), recipe, world)
    progress = load_last(run, learner) if resume else Progress()
    progress.in_epochs_of(steps)
    learner.prepare(accelerator)
    journal = Journal(station, recipe, progress)
    asked = Asked(run, accelerator)
    keeper = Keeper(run, learner, progress, writes=accelerator.is_main_process and judge is None)
    criterion = Criterion(recipe, class_frequencies(feed.train.truth), accelerator.device, teachers)
    watched = watch_positions(feed.val, seed=recipe.seed)

    for epoch in range(progress.epoch, recipe.epochs):
        if ending := reason_to_end(recipe, progress):
            station.display.line(ending)
            break
        torch.manual_seed(seed_of(recipe, epoch, 0, rank))
        batches = feed.training(epoch, rank=rank, world=world, skip=progress.within)
        learner.start_epoch()
        journal.start_epoch(epoch)
        with asked.listening():
            for inputs, facts, truth, weights, waited_s in timed(batches):
                # Dropout and mixing are drawn anew from here: a step does not depend on what ran before it.
                torch.manual_seed(seed_of(recipe, epoch, 1 + progress.within, rank))
                learner.set_rate(progress.step, steps)
                # Gradients are never carried over to the next epoch: a resumed run could not know them.
                taken = progress.within + 1
                whole = taken == steps or taken % recipe.optimizer.accumulate == 0
                with learner.gathering(whole=whole) as model:
                    with accelerator.autocast():
                        loss = criterion(
                            model, feed.inputs(inputs, accelerator.device), facts, truth, weights
                        )
                    learner.learn(loss, whole=whole, step=progress.step + 1)
                everywhere, wish = asked.agree(loss.item())
                progress.count(everywhere, len(truth) * world)
                journal.step(progress, everywhere, learner.rate, waited_s)
                if whole:
                    keeper.now_and_then()
                    obey(wish, asked, keeper, journal)

            logits = predict_val(learner.agreed_average(), feed, accelerator, journal.beat)
            scores = score(feed.val.truth, logits)
            train_loss = progress.loss_sum / max(1, progress.within)
            keeper.keep(improved=progress.end_epoch(scores["balanced_accuracy"]))
            if accelerator.is_main_process and judge is None:
                record(run, learner.average, feed, watched, logits, epoch + 1)
            journal.end_epoch(progress, train_loss, scores)
            if judge is not None:
                judge(progress.epoch, scores)
            obey(asked.agree(0.0)[1], asked, keeper, journal)
    return progress


class Learner:
    """A network, its optimizer and the moving average of its weights: turns losses into learning.

    module: the part of the network that is trained, as a feed gives it.
    """

    def __init__(self, network: AdditiveNetwork, module: nn.Module, recipe: Recipe) -> None:
        network.to(memory_format=torch.channels_last)
        if recipe.grad_checkpointing:
            network.backbone.set_grad_checkpointing()
        self._recipe = recipe
        self._model = module
        self.optimizer = torch.optim.AdamW(
            parameter_groups(network, recipe.optimizer), lr=recipe.optimizer.learning_rate
        )
        # What is frozen is its own average.
        head = [network.backbone.get_classifier(), network.facts]
        self._moving = nn.ModuleList([network] if module is network else head)
        self._ema = ModelEmaV3(self._moving, decay=recipe.optimizer.ema_decay, use_warmup=True)
        averages = dict(zip(map(id, self._moving), self._ema.module, strict=True))
        self.average: AdditiveNetwork = copy.deepcopy(network, averages)  # with the averages in their places
        self.state: dict[str, nn.Module] = {"network": network, "ema": self.average}

    def prepare(self, accelerator: Accelerator) -> None:
        """Spread over the processes; after this, the state is loaded no more."""
        self._accelerator = accelerator
        self._model, self._stepper = accelerator.prepare(self._model, self.optimizer)

    @property
    def rate(self) -> float:
        """The head's learning rate now."""
        return float(self.optimizer.param_groups[0]["lr"])

    def set_rate(self, step: int, steps: int) -> None:
        """Set the learning rates of a step (0-based); an epoch has `steps`."""
        set_learning_rate(self.optimizer, self._recipe, step, steps)

    def agreed_average(self) -> AdditiveNetwork:
        """Return the moving average, with the batch statistics that the first process counted."""
        broadcast(list(self.average.buffers()))
        return self.average

    def start_epoch(self) -> None:
        """Go into training mode; validation left it."""
        self._model.train()

    @contextmanager
    def gathering(self, *, whole: bool) -> Iterator[nn.Module]:
        """Give the model; processes exchange gradients only when an optimizer step is whole."""
        with nullcontext() if whole else self._accelerator.no_sync(self._model):
            yield self._model

    def learn(self, loss: Tensor, *, whole: bool, step: int) -> None:
        """Take in the loss of a batch, and with a whole optimizer step change the weights."""
        self._accelerator.backward(loss / self._recipe.optimizer.accumulate)
        if whole:
            self._accelerator.clip_grad_norm_(self._model.parameters(), self._recipe.optimizer.clip_norm)
            self._stepper.step()
            self._stepper.zero_grad()
            self._ema.update(self._moving, step=step)


def seed_of(recipe: Recipe, epoch: int, step: int, rank: int) -> int:
    """Return the seed of what is drawn at random at a step of an epoch, another one for each process."""
    return ((recipe.seed * 100_003 + epoch) * 1_000_003 + step) * 1_009 + rank


def reason_to_end(recipe: Recipe, progress: Progress) -> str:
    """Return why no further epoch shall begin, as a sentence; empty when one shall."""
    if recipe.patience and progress.epoch - progress.best_epoch >= recipe.patience:
        return f"No better validation for {recipe.patience} epochs: stopping."
    if not recipe.budget_s or not progress.epoch:
        return ""
    # Every process must come to the same end, and each has its own clock.
    (elapsed_s,) = broadcast_object_list([progress.elapsed_s])
    each_s = elapsed_s / progress.epoch
    if elapsed_s + each_s <= recipe.budget_s:
        return ""
    return (
        f"{elapsed_s:.0f} s of {recipe.budget_s:.0f} s are used, and an epoch takes {each_s:.0f} s: stopping."
    )


def obey(wish: Wish, asked: Asked, keeper: "Keeper", journal: Journal) -> None:
    """Do what is asked between two steps: pause until asked to go on, or save and raise Stopped."""
    if wish == "pause":
        keeper.keep()
        journal.pausing(lambda: asked.agree(0.0)[1] == "pause")
        keeper.skip_time()
        wish = asked.agree(0.0)[1]
    if wish in ("stop", "end"):
        keeper.keep()
        asked.done()
        raise Stopped(quickly=wish == "end")
    if wish == "resume":
        asked.done()


def load_network(run: RunFolder, network: AdditiveNetwork) -> None:
    """Load the weights that were saved last, before a feed computes features with a frozen backbone."""
    load_state(run.checkpoints / LAST, parts={"network": network})


def load_last(run: RunFolder, learner: Learner) -> Progress:
    """Load the last state that was saved; returns how far that was."""
    return Progress(**load_state(run.checkpoints / LAST, parts=learner.state, optimizer=learner.optimizer))


class Keeper:
    """Saves what to go on from, and the EMA weights when they are the best so far. Only rank 0 writes."""

    def __init__(self, run: RunFolder, learner: Learner, progress: Progress, *, writes: bool) -> None:
        self._folder = run.checkpoints
        self._learner = learner
        self._progress = progress
        self._writes = writes
        self._counted_at = self._kept_at = time.monotonic()

    def now_and_then(self) -> None:
        """Save in the middle of an epoch if that was not done for long."""
        if time.monotonic() - self._kept_at >= KEEP_EVERY_S:
            self.keep()

    def keep(self, *, improved: bool = False) -> None:
        """Save now."""
        self._count_time()
        self._kept_at = time.monotonic()
        if not self._writes:
            return
        so_far = asdict(self._progress)
        if improved:
            best = self._folder / "best.safetensors"
            save_state(best, parts={"ema": self._learner.average}, progress=so_far)
        last = self._folder / LAST
        save_state(last, parts=self._learner.state, optimizer=self._learner.optimizer, progress=so_far)

    def skip_time(self) -> None:
        """Leave out what has passed since the last saving: nobody worked."""
        self._counted_at = time.monotonic()

    def _count_time(self) -> None:
        now = time.monotonic()
        self._progress.elapsed_s += now - self._counted_at
        self._counted_at = now


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
    """Return what is logged of a validation: loss, balanced accuracy, recalls, calibration, confusion matrix.

    These are uncalibrated and without intervals; `train.finish` measures the finished checkpoint. What a
    small validation part leaves undefined is None; balanced accuracy is then the mean recall of the
    diagnoses it has. `reliability` are ten bins of confidence, equally wide: pictures, mean confidence and
    share of right answers.
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
        "predicted_share": (confusion.sum(axis=0) / max(1, len(truth))).tolist(),
        "val_ece": defined(METRICS["ece"](truth, probabilities)),
        "reliability": reliability(truth, probabilities),
    }


def reliability(truth: np.ndarray, probabilities: np.ndarray) -> list[list[float | None]]:
    """Return (pictures, mean confidence, share of right answers) of each bin of confidence."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * CONFIDENCE_BINS).astype(int), CONFIDENCE_BINS - 1)
    rows: list[list[float | None]] = []
    for one in range(CONFIDENCE_BINS):
        inside = bins == one
        count = int(inside.sum())
        means = [float(values[inside].mean()) if count else None for values in (confidence, right)]
        rows.append([count, *means])
    return rows


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


def record(
    run: RunFolder, network: AdditiveNetwork, feed: Feed, watched: np.ndarray, logits: np.ndarray, epoch: int
) -> None:
    """Write the answers to val, and what the network makes of the watch images now.

    Of the watch images that is: half-precision maps (12, 7, h, w), and logits without facts.
    """
    names = feed.val.metadata["image_id"].to_numpy(dtype=str)
    run.write_val(epoch, image_ids=names, truth=feed.val.truth, logits=logits)
    network.eval()
    with torch.no_grad():
        evidence = network.look(feed.pictures(watched, next(network.parameters()).device))
    run.write_watch(
        epoch,
        image_ids=names[watched],
        truth=feed.val.truth[watched],
        maps=evidence.maps.cpu().numpy().astype(np.float16),
        logits=evidence.logits.cpu().numpy().astype(np.float32),
    )
