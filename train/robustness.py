"""Measure how a checkpoint bears poor pictures: every corruption, severity and remedy, and hidden parts.

Each condition is one pass over the pictures. Its answers are kept in the output folder, so a run that was
stopped goes on with the condition it was at.
"""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from core.data.corruptions import CORRUPTIONS, SEVERITIES, SHORTCUTS, blank
from core.data.facts import encode_metadata
from core.data.masks import read_mask
from core.data.splits import Split
from core.data.steps import STEPS
from core.errors import EvaluationError
from core.evaluate.robustness import CLEAN, Condition, rows_of, sample_lesions
from core.labels import INDEX
from core.models.checkpoint import Checkpoint
from core.predict.calibration import softmax
from train.predicting import predict_pictures, processes

RESULT_FILE: Final = "robustness.csv"
_PARTS: Final = "parts"
Change = Callable[[np.ndarray, str], np.ndarray]


def conditions(*, shortcuts: bool) -> list[Condition]:
    """Return everything that is measured: clean first, then corruptions with and without their remedy.

    Every remedy is also tried on clean pictures, to see what it costs where nothing needs it.
    """
    remedies = sorted({one.remedy for one in CORRUPTIONS.values() if one.remedy})
    found = [CLEAN, *(Condition("clean", "clean", 0, remedy) for remedy in remedies)]
    for one in CORRUPTIONS.values():
        for severity in SEVERITIES:
            found.append(Condition("corruption", one.name, severity))
            if one.remedy:
                found.append(Condition("corruption", one.name, severity, one.remedy))
    if shortcuts:
        found += [Condition("shortcut", name, 0) for name in SHORTCUTS]
    return found


def measure_robustness(
    checkpoint: Checkpoint,
    metadata: pd.DataFrame,
    split: Split,
    out: Path,
    *,
    name: str,
    masks: dict[str, Path],
    lesions: int,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Measure every condition on test pictures and write `robustness.csv`; returns its rows.

    Args:
        checkpoint: whose answers. metadata: the dataset.
        split: must be the checkpoint's own.
        out: the folder to write; what an interrupted run left there is used.
        name: what the rows call the model.
        masks: the lesion masks that are here, by image id; without any, nothing is hidden.
        lesions: how many test lesions; the mix of diagnoses is kept close.
        progress: called with (conditions done, conditions).

    Raises:
        EvaluationError: another split, no pictures, or an output folder of another measurement.
    """
    if split.hash != checkpoint.manifest.split_hash:
        raise EvaluationError(
            f"Checkpoint {checkpoint.manifest.name} was trained with another split of data than this dataset "
            "gives: its test pictures may have been trained on. Use the dataset it was trained on."
        )
    mine = metadata[(split.of_images(metadata["image_id"]) == "test") & metadata["image_path"].notna()]
    if mine.empty:
        raise EvaluationError("No test picture is here. Check that --data holds the image folders.")
    mine = sample_lesions(mine.reset_index(drop=True), lesions)
    _claim(out, checkpoint, mine)
    todo = conditions(shortcuts=bool(masks))
    rows = []
    for done, condition in enumerate(todo):
        if progress is not None:
            progress(done, len(todo))
        shown = mine[mine["image_id"].isin(masks)] if condition.kind == "shortcut" else mine
        probabilities = _answers(checkpoint, shown, condition, masks, out)
        truth = shown["dx"].map(INDEX).to_numpy()
        rows.append(rows_of(name, condition, truth, probabilities, shown["lesion_id"]))
    table = pd.concat(rows, ignore_index=True)
    if processes().is_main_process:
        table.to_csv(out / RESULT_FILE, index=False, float_format="%.5f")
    if progress is not None:
        progress(len(todo), len(todo))
    return table


def _claim(out: Path, checkpoint: Checkpoint, pictures: pd.DataFrame) -> None:
    """Make the folder this measurement's, or see that it already is."""
    mine = {
        "weights": checkpoint.manifest.files,
        "pictures": zlib.crc32("\n".join(pictures["image_id"]).encode()),
    }
    (out / _PARTS).mkdir(parents=True, exist_ok=True)
    claim = out / "measurement.json"
    if claim.is_file():
        if json.loads(claim.read_text(encoding="utf-8")) != mine:
            raise EvaluationError(f"{out} holds the measurement of another checkpoint or of other pictures.")
    elif processes().is_main_process:
        claim.write_text(json.dumps(mine), encoding="utf-8")


def _answers(
    checkpoint: Checkpoint,
    pictures: pd.DataFrame,
    condition: Condition,
    masks: dict[str, Path],
    out: Path,
) -> np.ndarray:
    """Return the probabilities under a condition, (N, 7), from the folder if they were computed before."""
    part = out / _PARTS / f"{condition.name}.npy"
    if part.is_file():
        return np.asarray(np.load(part, allow_pickle=False))
    predicted = predict_pictures(
        checkpoint,
        [Path(path) for path in pictures["image_path"]],
        encode_metadata(pictures),
        change=change_of(condition, masks),
    )
    if predicted.unreadable:
        place, reason = next(iter(predicted.unreadable.items()))
        raise EvaluationError(f"{pictures['image_id'].iloc[place]} cannot be read: {reason}")
    probabilities = softmax(predicted.logits, checkpoint.manifest.temperature)
    if processes().is_main_process:
        temporary = part.with_suffix(".partial")
        with temporary.open("wb") as file:
            np.save(file, probabilities)
        temporary.replace(part)
    return probabilities


def change_of(condition: Condition, masks: dict[str, Path]) -> Change:
    """Return what a condition does to a picture, given its pixels and its image id.

    The same picture is disturbed alike for every model, and severities of one kind share their draws.
    """

    def change(pixels: np.ndarray, image_id: str) -> np.ndarray:
        if condition.kind == "corruption":
            corruption = CORRUPTIONS[condition.condition]
            pixels = corruption(pixels, condition.severity, seed=zlib.crc32(image_id.encode()))
        elif condition.kind == "shortcut":
            _, hides = SHORTCUTS[condition.condition]
            pixels = blank(pixels, hides(read_mask(masks[image_id], pixels.shape[:2])))
        return STEPS[condition.remedy](pixels) if condition.remedy else pixels

    return change
