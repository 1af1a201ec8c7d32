"""What a checkpoint is worth on one part of its own split, with intervals: the evaluation artifact.

Beside the answers it keeps what pages need without the pictures: the answers to the validation pictures, on
which thresholds are chosen, and what the test pictures are like (light, sharpness, skin tone).
"""

from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd

from core.data.facts import encode_metadata
from core.data.pictures import read_picture
from core.data.quality import measure
from core.data.splits import Split
from core.errors import EvaluationError
from core.evaluate.artifact import (
    FACT_COLUMNS,
    PROBABILITY_COLUMNS,
    Evaluation,
    probabilities_of,
    truth_of,
)
from core.evaluate.intervals import lesion_bootstrap
from core.evaluate.metrics import METRICS, at_balanced_prior, at_threshold
from core.evaluate.subgroups import QUALITY_COLUMNS
from core.models.checkpoint import Checkpoint
from core.predict.calibration import softmax
from train.parts import predict_kept
from train.predicting import predict_pictures


def evaluate_checkpoint(  # noqa: PLR0913 -- what is measured, and how
    checkpoint: Checkpoint,
    metadata: pd.DataFrame,
    split: Split,
    part: str,
    *,
    name: str,
    views: int = 1,
    workers: int = 1,
    with_val: bool = True,
    keep: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Return what a checkpoint answers on one part of a split; pictures that are not here are left out.

    with_val: whether val is answered beside test: an artifact keeps it, the metrics do not need it.
    keep: a folder in which answers are kept as they come, see `train.parts`; None keeps none.

    Raises:
        EvaluationError: the split is not the one the checkpoint was trained with (its test pictures may have
            been training pictures), or no picture of the part is here.
    """
    if not checkpoint.manifest.split_hash:
        raise EvaluationError(
            f"Nobody knows which pictures {checkpoint.manifest.name} learned from: some {part} pictures may "
            "be among them. Use `score` to answer pictures without judging."
        )
    if split.hash != checkpoint.manifest.split_hash:
        raise EvaluationError(
            f"Checkpoint {checkpoint.manifest.name} was trained with split "
            f"{checkpoint.manifest.split_hash[:12]}, and this dataset divides as {split.hash[:12]}: its "
            f"{part} pictures may have been trained on. Use the dataset the checkpoint was trained on, or "
            "`score` to answer pictures without judging."
        )
    answer = partial(_answer, checkpoint, metadata, split, views=views, workers=workers, keep=keep)
    table = answer(part, progress=progress)
    val = answer("val", progress=progress) if part == "test" and with_val else None
    manifest = checkpoint.manifest
    balanced = at_balanced_prior(np.array(manifest.class_frequencies), manifest.balanced_power)
    metrics = (
        dict(METRICS)
        | {balanced.name: balanced}
        | {
            point.metric(metric): measure
            for point in manifest.operating_points
            for metric, measure in at_threshold(point.threshold).items()
        }
    )
    return Evaluation(
        name=name,
        checkpoint=checkpoint.reference,
        split=part,
        split_hash=split.hash,
        table=table.join(_qualities(table, metadata)),
        metrics=lesion_bootstrap(truth_of(table), probabilities_of(table), table["lesion_id"], metrics),
        views=views,
        app_version=app_version(),
        model=describe(checkpoint),
        val=val,
    )


def _answer(
    checkpoint: Checkpoint,
    metadata: pd.DataFrame,
    split: Split,
    part: str,
    *,
    views: int,
    workers: int,
    keep: Path | None,
    progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    """Return facts and probabilities of the pictures of a part that are here and can be read."""
    mine = metadata[(split.of_images(metadata["image_id"]) == part) & metadata["image_path"].notna()]
    if mine.empty:
        raise EvaluationError(
            f"No picture of the {part} split is here. Check that --data holds the image folders."
        )
    paths = [Path(path) for path in mine["image_path"]]
    facts = encode_metadata(mine)
    if keep is None:
        predicted = predict_pictures(
            checkpoint, paths, facts, views=views, workers=workers, progress=progress
        )
        logits, unreadable = predicted.logits, predicted.unreadable
    else:
        logits, unreadable = predict_kept(
            checkpoint, paths, facts, keep=keep, views=views, workers=workers, progress=progress
        )
    readable = [position for position in range(len(mine)) if position not in unreadable]
    if not readable:
        raise EvaluationError(
            f"None of the {len(mine)} pictures of the {part} split can be read; the first: {unreadable[0]}"
        )
    mine = mine.iloc[readable].reset_index(drop=True)
    probabilities = softmax(logits[readable], checkpoint.manifest.temperature)
    columns = [name for name in (*FACT_COLUMNS, "source") if name in mine]
    return mine[columns].assign(**dict(zip(PROBABILITY_COLUMNS, probabilities.T, strict=True)))


def _qualities(table: pd.DataFrame, metadata: pd.DataFrame) -> pd.DataFrame:
    """Return what the pictures of a table are like, in its order: columns QUALITY_COLUMNS."""
    paths = metadata.set_index("image_id")["image_path"]
    rows = []
    for image_id in table["image_id"]:
        pixels = read_picture(Path(paths[image_id]), name=image_id).pixels
        measured = measure(pixels)
        rows.append({name: getattr(measured, name) for name in QUALITY_COLUMNS})
    return pd.DataFrame(rows, index=table.index).astype("float32")


def describe(checkpoint: Checkpoint) -> dict[str, object]:
    """Return what is known of a checkpoint's model, by the keys of `core.evaluate.sheet.FIELDS`."""
    manifest = checkpoint.manifest
    return {
        "architecture": manifest.model,
        "about": manifest.about,
        "parameters": sum(one.numel() for one in checkpoint.network.parameters()),
        "size_bytes": sum((checkpoint.folder / name).stat().st_size for name in manifest.files),
        "input_px": manifest.preprocessing.size,
        "uses_facts": manifest.uses_facts,
        "data": manifest.data,
        "licence": manifest.licence,
        "temperature": manifest.temperature,
        "training_images": manifest.training.get("images"),
        "training_s": manifest.training.get("elapsed_s"),
        "training_commit": manifest.training.get("commit"),
        "weights": manifest.training.get("weights"),
    }


def app_version() -> str:
    """Return this code's version."""
    try:
        return version("lesionlens")
    except PackageNotFoundError:
        return "0.1"
