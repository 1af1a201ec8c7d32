"""Train the network that finds the lesion, on a dataset with lesion masks, and measure it.

The masks of HAM10000 are those of Tschandl et al. (Nature Medicine 2020). Pictures of the train part teach,
those of val choose the best epoch and the limits of "no lesion", and those of test are looked at once.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.data.masks import read_mask, read_mask_as_seen
from core.data.pictures import read_picture
from core.data.splits import Split
from core.data.store import Progress
from core.data.synthetic import draw_lesion
from core.errors import DataError, EvaluationError
from core.evaluate.intervals import Interval, interval_over_lesions, weighted_mean, weighted_median
from core.explain.lesion_mask import (
    ENCODER,
    INPUT,
    MaskManifest,
    MaskNetwork,
    build_mask_network,
    save_manifest,
    save_masks,
)
from core.heap import keep_large_blocks
from core.models.registry import MODELS
from core.models.weights import Provenance, pretrained_backbone
from train.data import Part, load_part
from train.display import TerminalDisplay
from train.finish import origin_of

STORED: Final = (144, 192)
"""Training pictures are kept half as large again as the network sees them: the zoom has something to show."""

_OUTPUTS: Final = ((96, 128), (128, 96), (96, 96))
_LEAST_QUANTILE: Final = 0.005


@dataclass(frozen=True)
class MaskRecipe:
    """How the network is trained.

    epochs: times every training picture is drawn. learning_rate: of the decoder; the encoder, which begins
    with ImageNet's weights, gets a quarter of it. corner_share: of the draws that see a corner of the picture
    alone, mostly plain skin: that is how the network learns that there may be no lesion.
    weights: of the encoder, as in recipes.
    """

    epochs: int = 4
    batch_size: int = 32
    learning_rate: float = 2e-3
    corner_share: float = 0.06
    seed: int = 0
    weights: str = "auto"


def fit_masks(
    metadata: pd.DataFrame,
    split: Split,
    masks: Mapping[str, Path],
    out: Path,
    recipe: MaskRecipe,
    *,
    cache_dir: Path,
    display: TerminalDisplay,
) -> MaskManifest:
    """Train and write the network into `out`; every epoch that is the best on val so far is written at once.

    Raises:
        DataError: the dataset has no masks of one of the parts, or no pictures.
    """
    keep_large_blocks()
    with_masks = metadata[metadata["image_path"].notna() & metadata["image_id"].isin(list(masks))]
    for part in ("train", "val", "test"):
        if not (split.of_images(with_masks["image_id"]) == part).any():
            raise DataError(
                f"There is no {part} picture with a lesion mask here. Masks lie anywhere below --data and "
                "are named like their picture, with _segmentation.png at the end."
            )
    pictures = load_part(
        with_masks, split, "train", size=STORED, cache_dir=cache_dir, progress=display.counting("pictures")
    )
    truth = _read_masks(pictures, masks, display)
    data, licence = origin_of(metadata)
    torch.manual_seed(recipe.seed)
    network, provenance = _started(recipe)
    val = with_masks[split.of_images(with_masks["image_id"]) == "val"]
    manifest = MaskManifest(
        about="U-Net on the first five stages of EfficientNet-Lite0: where the lesion is.",
        preprocessing=INPUT,
        least_share=0.0,
        least_certainty=0.0,
        split_hash=split.hash,
        seed=split.seed,
        data=f"{data}; the lesion masks of {len(pictures):,} training pictures",
        licence=licence,
        training={"weights": f"{provenance.source}: {provenance.detail}", "recipe": vars(recipe)},
    )
    best = _train(network, pictures, truth, val, masks, out, recipe, manifest, display)
    return finish_masks(out, best, metadata, masks, display)


def finish_masks(
    out: Path, best: MaskNetwork, metadata: pd.DataFrame, masks: Mapping[str, Path], display: TerminalDisplay
) -> MaskManifest:
    """Measure a network on the test pictures of its own split and write the numbers beside its weights.

    out: the folder that holds it.

    Raises:
        EvaluationError: the dataset divides into other parts than those it was trained with.
    """
    split = Split.of(metadata, seed=best.manifest.seed)
    if split.hash != best.manifest.split_hash:
        raise EvaluationError(
            "The mask network was trained with another split of data than this dataset gives: its test "
            "pictures may have been trained on. Use the dataset it was trained on."
        )
    in_test = split.of_images(metadata["image_id"]) == "test"
    test = metadata[in_test & metadata["image_path"].notna() & metadata["image_id"].isin(list(masks))]
    table = measure_masks(best, test, masks, display.counting("test"))
    measured = {name: vars(one) for name, one in summarise(table).items()}
    manifest = replace(best.manifest, measured=measured)
    save_manifest(out, manifest)
    return manifest


def _train(  # noqa: PLR0913, PLR0917 -- the loop is written out, and this is what it needs
    network: nn.Module,
    pictures: Part,
    truth: np.ndarray,
    val: pd.DataFrame,
    masks: Mapping[str, Path],
    out: Path,
    recipe: MaskRecipe,
    manifest: MaskManifest,
    display: TerminalDisplay,
) -> MaskNetwork:
    optimizer = _optimizer(network, recipe)
    steps = max(1, len(pictures) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warm_then_cosine(steps * recipe.epochs))
    best, best_dice, started = None, -1.0, time.monotonic()
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        total = 0.0
        for step, (batch, wanted) in enumerate(_batches(pictures, truth, recipe, epoch), start=1):
            loss = mask_loss(network(batch), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
            display.step(step, steps, f"epoch {epoch}, loss {total / step:.3f}")
        network.eval()
        found = MaskNetwork(manifest, network)
        table = measure_masks(found, val, masks, display.counting("val"))
        dice = float(table["dice"].mean())
        display.line(f"epoch {epoch}: loss {total / steps:.3f}, val Dice {dice:.3f} (n = {len(table)})")
        if dice > best_dice:
            best_dice = dice
            chosen = replace(
                manifest,
                least_share=float(table["share"].quantile(_LEAST_QUANTILE)),
                least_certainty=float(table["certainty"].quantile(_LEAST_QUANTILE)),
                training=manifest.training
                | {"epoch": epoch, "images": epoch * steps * recipe.batch_size, "val_dice": round(dice, 4)}
                | {"elapsed_s": round(time.monotonic() - started)},
            )
            best = MaskNetwork(save_masks(out, network, chosen, golden=_golden()), _copy_of(network))
    assert best is not None  # noqa: S101 -- at least one epoch was trained
    return best


def measure_masks(
    found_by: MaskNetwork, pictures: pd.DataFrame, masks: Mapping[str, Path], progress: Progress | None = None
) -> pd.DataFrame:
    """Return what the network finds against the true masks: one row a picture.

    Columns image_id, lesion_id, dice, iou, share, certainty. Where nothing is found, certainty is 0.
    """
    rows = []
    for done, row in enumerate(pictures.to_dict("records"), start=1):
        image_id = str(row["image_id"])
        pixels = read_picture(Path(row["image_path"]), name=image_id).pixels
        found = found_by.find(pixels)
        dice, iou = overlap(found.mask, read_mask(masks[image_id], pixels.shape[:2]))
        rows.append((image_id, row["lesion_id"], dice, iou, found.share, np.nan_to_num(found.certainty)))
        if progress is not None:
            progress(done, len(pictures))
    return pd.DataFrame(rows, columns=["image_id", "lesion_id", "dice", "iou", "share", "certainty"])


def overlap(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Return Dice 2|A∩B| / (|A|+|B|) and IoU |A∩B| / |A∪B| of two masks; NaN for two empty ones."""
    both, either = float((found & true).sum()), float((found | true).sum())
    if not either:
        return float("nan"), float("nan")
    return 2 * both / (both + either), both / either


def summarise(table: pd.DataFrame) -> dict[str, Interval]:
    """Return mean and median of Dice and IoU with 95 % intervals over lesions."""
    return {
        f"{name} {word}": interval_over_lesions(table[name].to_numpy(), table["lesion_id"], statistic)
        for name in ("dice", "iou")
        for word, statistic in (("mean", weighted_mean), ("median", weighted_median))
    }


def mask_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return cross-entropy plus soft Dice (Milletari, Navab, Ahmadi, V-Net, 3DV 2016); both (N, 1, h, w)."""
    found = logits.sigmoid()
    both = (found * wanted).sum(dim=(1, 2, 3))
    # The one added on both sides makes an empty mask that is found empty perfect.
    dice = (2 * both + 1) / (found.sum(dim=(1, 2, 3)) + wanted.sum(dim=(1, 2, 3)) + 1)
    return functional.binary_cross_entropy_with_logits(logits, wanted) + (1 - dice).mean()


def _started(recipe: MaskRecipe) -> tuple[nn.Module, Provenance]:
    """Return a network whose encoder begins with ImageNet's weights, and where those came from."""
    network = build_mask_network()
    backbone, provenance = pretrained_backbone(MODELS[ENCODER], recipe.weights)
    encoder: nn.Module = network.encoder.model  # type: ignore[assignment, union-attr]  # as smp builds it
    held = backbone.state_dict()
    encoder.load_state_dict({name: held[name] for name in encoder.state_dict()})
    return network.to(memory_format=torch.channels_last), provenance


def _optimizer(network: nn.Module, recipe: MaskRecipe) -> torch.optim.Optimizer:
    encoder = [one for name, one in network.named_parameters() if name.startswith("encoder.")]
    rest = [one for name, one in network.named_parameters() if not name.startswith("encoder.")]
    return torch.optim.AdamW(
        [{"params": encoder, "lr": recipe.learning_rate / 4}, {"params": rest, "lr": recipe.learning_rate}],
        weight_decay=0.01,
    )


def _warm_then_cosine(steps: int) -> Callable[[int], float]:
    """Return the learning rate at each step, as a part of the highest: up over a twentieth, then down."""

    def rate(step: int) -> float:
        risen = min(1.0, (step + 1) / max(1.0, 0.05 * steps))
        return risen * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))

    return rate


def _batches(
    pictures: Part, truth: np.ndarray, recipe: MaskRecipe, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (network input, wanted mask) of every picture, in an order of the epoch's own."""
    rng = np.random.default_rng((recipe.seed, epoch))
    order = rng.permutation(len(pictures))
    size = min(recipe.batch_size, len(order))
    for start in range(0, len(order) - size + 1, size):
        chosen = order[start : start + size]
        pixels = torch.from_numpy(np.stack([pictures.store.pixels[row] for row in pictures.rows[chosen]]))
        yield augmented(
            pixels.permute(0, 3, 1, 2).float() / 255,
            torch.from_numpy(truth[chosen])[:, None].float(),
            rng,
            corner_share=recipe.corner_share,
        )


def augmented(
    pixels: Tensor, masks: Tensor, rng: np.random.Generator, *, corner_share: float
) -> tuple[Tensor, Tensor]:
    """Turn, zoom, mirror and tint pictures (N, 3, H, W) of 0 to 1, and their masks (N, 1, H, W) alike.

    Returns network input (N, 3, h, w) of one of three shapes and masks of 0 or 1 (N, 1, h, w).
    """
    count, (height, width) = len(pixels), pixels.shape[-2:]
    shape = _OUTPUTS[int(rng.integers(len(_OUTPUTS)))]
    turn, zoom = rng.uniform(-math.pi, math.pi, count), rng.uniform(0.7, 1.15, count)
    shift, mirror = rng.uniform(-0.12, 0.12, (count, 2)), rng.choice([-1, 1], (count, 2))
    corner = rng.random(count) < corner_share
    zoom[corner] = 0.45
    shift[corner] = 0.55 * rng.choice([-1, 1], (int(corner.sum()), 2))
    # Places are counted from -1 to 1 on each axis; a turn needs them in one unit.
    tall, wide = height / min(height, width), width / min(height, width)
    down, along = mirror[:, 0] * shape[0] / min(shape), mirror[:, 1] * shape[1] / min(shape)
    cos, sin = np.cos(turn) * zoom, np.sin(turn) * zoom
    back = np.stack(
        [
            np.stack([cos * along, -sin * down, shift[:, 0] * wide], axis=1) / wide,
            np.stack([sin * along, cos * down, shift[:, 1] * tall], axis=1) / tall,
        ],
        axis=1,
    )
    grid = functional.affine_grid(torch.from_numpy(back).float(), [count, 1, *shape], align_corners=False)
    moved = functional.grid_sample(
        torch.cat([pixels, masks], dim=1), grid, padding_mode="reflection", align_corners=False
    )
    tinted = _tinted(moved[:, :3], rng)
    mean, std = (torch.tensor(one)[:, None, None] for one in (INPUT.mean, INPUT.std))
    seen = ((tinted - mean) / std).contiguous(memory_format=torch.channels_last)
    return seen, (moved[:, 3:] >= 0.5).float()


def _tinted(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Return pictures in other light: gain, contrast and a gain of each channel."""
    count = len(pixels)
    gain = rng.uniform(0.8, 1.2, (count, 1, 1, 1)) * rng.uniform(0.93, 1.07, (count, 3, 1, 1))
    contrast = torch.from_numpy(rng.uniform(0.75, 1.25, (count, 1, 1, 1))).float()
    lit = pixels * torch.from_numpy(gain).float()
    middle = lit.mean(dim=(1, 2, 3), keepdim=True)
    return ((lit - middle) * contrast + middle).clamp(0, 1)


def _read_masks(pictures: Part, masks: Mapping[str, Path], display: TerminalDisplay) -> np.ndarray:
    """Return the true masks of a part at the stored size, bool (N, *STORED)."""
    count = display.counting("masks")
    truth = np.zeros((len(pictures), *STORED), dtype=bool)
    for place, image_id in enumerate(pictures.metadata["image_id"]):
        truth[place] = read_mask_as_seen(masks[image_id], STORED)
        count(place + 1, len(pictures))
    return truth


def _golden() -> np.ndarray:
    """Return a drawing: no picture of a dataset may travel with the weights."""
    return draw_lesion(0, kind="nv", size_px=(150, 200))


def _copy_of(network: nn.Module) -> nn.Module:
    copied = build_mask_network()
    copied.load_state_dict(network.state_dict())
    return copied.eval().to(memory_format=torch.channels_last)
