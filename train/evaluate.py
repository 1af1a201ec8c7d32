"""What a checkpoint is worth on one part of its own split, with intervals: the evaluation artifact."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from core.data.facts import encode_metadata
from core.data.splits import Split
from core.errors import EvaluationError
from core.evaluate.artifact import FACT_COLUMNS, PROBABILITY_COLUMNS, Evaluation
from core.evaluate.intervals import lesion_bootstrap
from core.evaluate.metrics import METRICS, at_threshold
from core.labels import INDEX
from core.models.checkpoint import Checkpoint
from core.predict.calibration import softmax
from train.predicting import predict_pictures


def evaluate_checkpoint(
    checkpoint: Checkpoint,
    metadata: pd.DataFrame,
    split: Split,
    part: str,
    *,
    name: str,
    views: int = 1,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Return what a checkpoint answers on one part of a split; pictures that are not here are left out.

    Raises:
        EvaluationError: the split is not the one the checkpoint was trained with (its test pictures may have
            been training pictures), or no picture of the part is here.
    """
    if split.hash != checkpoint.manifest.split_hash:
        raise EvaluationError(
            f"Checkpoint {checkpoint.manifest.name} was trained with split "
            f"{checkpoint.manifest.split_hash[:12]}, and this dataset divides as {split.hash[:12]}: its "
            f"{part} pictures may have been trained on. Use the dataset the checkpoint was trained on, or "
            "`score` to answer pictures without judging."
        )
    mine = metadata[(split.of_images(metadata["image_id"]) == part) & metadata["image_path"].notna()]
    if mine.empty:
        raise EvaluationError(
            f"No picture of the {part} split is here. Check that --data holds the image folders."
        )
    paths = [Path(path) for path in mine["image_path"]]
    predicted = predict_pictures(
        checkpoint, paths, encode_metadata(mine), views=views, workers=workers, progress=progress
    )
    readable = [position for position in range(len(mine)) if position not in predicted.unreadable]
    if not readable:
        raise EvaluationError(
            f"None of the {len(mine)} pictures of the {part} split can be read; the first: "
            f"{predicted.unreadable[0]}"
        )
    mine = mine.iloc[readable].reset_index(drop=True)
    probabilities = softmax(predicted.logits[readable], checkpoint.manifest.temperature)
    metrics = dict(METRICS) | {
        point.metric(metric): measure
        for point in checkpoint.manifest.operating_points
        for metric, measure in at_threshold(point.threshold).items()
    }
    truth = mine["dx"].map(INDEX).to_numpy()
    table = mine[list(FACT_COLUMNS)].assign(**dict(zip(PROBABILITY_COLUMNS, probabilities.T, strict=True)))
    return Evaluation(
        name=name,
        checkpoint=checkpoint.reference,
        split=part,
        split_hash=split.hash,
        table=table,
        metrics=lesion_bootstrap(truth, probabilities, mine["lesion_id"], metrics),
        views=views,
        app_version=app_version(),
    )


def app_version() -> str:
    """Return this code's version."""
    try:
        return version("lesionlens")
    except PackageNotFoundError:
        return "0.1"
