"""Measure a checkpoint's evidence maps over many test pictures: where evidence lies, and whether it matters.

What was measured of a picture is written at once, so a run that was stopped goes on in the same folder.
"""

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from core.data.facts import Facts
from core.data.masks import read_mask_as_seen
from core.data.pictures import read_picture
from core.data.splits import Split
from core.errors import EvaluationError
from core.evaluate.gathering import MAP_QUALITY_FILE
from core.evaluate.map_quality import PICTURE_COLUMNS, summarise
from core.evaluate.robustness import sample_lesions
from core.explain.trust import curves, shares_of
from core.heap import keep_large_blocks
from core.labels import INDEX
from core.models.checkpoint import Checkpoint
from core.predict.predictor import answer, look
from core.runs import measuring
from core.runs.folder import write_atomically
from train.predicting import processes, refuse_another_split

RESULT_FILE: Final = MAP_QUALITY_FILE


def measure_maps(
    checkpoint: Checkpoint,
    metadata: pd.DataFrame,
    split: Split,
    masks: Mapping[str, Path],
    out: Path,
    *,
    name: str,
    lesions: int,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Measure the maps of test pictures and write `map_quality.csv`; returns its rows.

    Args:
        checkpoint: whose maps. metadata: the dataset.
        split: must be the checkpoint's own.
        masks: the lesion masks that are here, by image id; only pictures that have one are measured.
        out: the folder to write; what an interrupted run left there is used. See `core.runs.measuring`.
        name: what the rows call the model.
        lesions: how many test lesions; the mix of diagnoses is kept close.
        progress: called with (pictures done, pictures).

    Raises:
        EvaluationError: another split, no pictures with masks, several processes, or somebody asked the
            measurement to stop.
        RunError: another process measures into this folder, or it cannot be written.
    """
    if processes().num_processes > 1:
        raise EvaluationError("Maps are measured by one process. Start the same command without torchrun.")
    refuse_another_split(checkpoint, split)
    in_test = split.of_images(metadata["image_id"]) == "test"
    mine = metadata[in_test & metadata["image_path"].notna() & metadata["image_id"].isin(list(masks))]
    if mine.empty:
        raise EvaluationError(
            "No test picture with a lesion mask is here. Masks lie anywhere below --data and are named like "
            "their picture, with _segmentation.png at the end."
        )
    mine = sample_lesions(mine.reset_index(drop=True), lesions)
    lock = measuring.claim(out)
    try:
        table = summarise(name, _measure_all(checkpoint, mine, masks, out, progress))
        write_atomically(out / RESULT_FILE, table.to_csv(index=False, float_format="%.5f"))
    finally:
        measuring.forget_stop(out)
        lock.release()
    return table


def _measure_all(
    checkpoint: Checkpoint,
    mine: pd.DataFrame,
    masks: Mapping[str, Path],
    out: Path,
    progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    """Return a row a picture, by PICTURE_COLUMNS; what was measured before is not measured again."""
    # Every picture wants the same large batches again.
    keep_large_blocks()
    # Named by the weights: another checkpoint in the same folder goes on with nothing of this one.
    known = out / f"pictures-{_short(checkpoint)}.jsonl"
    todo = mine[~mine["image_id"].isin(_kept(known)["image_id"])]
    with known.open("a", encoding="utf-8") as file:
        for done, row in enumerate(todo.to_dict("records")):
            _count(out, len(mine) - len(todo) + done, len(mine), progress)
            measured = _measure(checkpoint, row, masks[row["image_id"]])
            # The line break first: it ends a line that a killed run left torn.
            file.write("\n" + json.dumps(measured))
            file.flush()
    _count(out, len(mine), len(mine), progress)
    kept = _kept(known)
    return kept[kept["image_id"].isin(mine["image_id"])]


def _count(out: Path, done: int, total: int, progress: Callable[[int, int], None] | None) -> None:
    """Tell the folder and the caller; raises EvaluationError when somebody asked to stop."""
    measuring.tell(out, measuring.Standing(done / total, done, total, "Evidence maps"))
    if progress is not None:
        progress(done, total)
    if done < total and measuring.asked_to_stop(out):
        raise EvaluationError("Stopped, as somebody asked. The same command goes on where it was.")


def _short(checkpoint: Checkpoint) -> str:
    return hashlib.sha256(checkpoint.identity.partition("|")[2].encode()).hexdigest()[:12]


def _measure(checkpoint: Checkpoint, row: Mapping[Hashable, Any], mask: Path) -> dict[str, object]:
    """Return what is measured of one picture, by PICTURE_COLUMNS."""
    pixels = read_picture(Path(str(row["image_path"])), name=str(row["image_id"])).pixels
    looked = look(checkpoint, pixels)
    index = int(answer(checkpoint, looked, _facts(row)).probabilities.argmax())
    shape = looked.seen.shape[:2]
    inside = read_mask_as_seen(mask, shape)
    found = curves(checkpoint, looked, index)
    return {
        "image_id": row["image_id"],
        "lesion_id": row["lesion_id"],
        "dx_type": None if pd.isna(row["dx_type"]) else row["dx_type"],
        "right": int(index == INDEX[str(row["dx"])]),
        **vars(shares_of(looked.maps[index], shape, inside)),
        "inside_flat": float(inside.mean()),
        "deletion": found.area(found.deletion),
        "deletion_random": found.area(found.random_deletion),
        "insertion": found.area(found.insertion),
        "insertion_random": found.area(found.random_insertion),
    }


def _facts(row: Mapping[Hashable, Any]) -> Facts:
    age, sex, site = (None if pd.isna(row[key]) else row[key] for key in ("age_years", "sex", "site"))
    return Facts(None if age is None else float(age), sex, site)


def _kept(file: Path) -> pd.DataFrame:
    """Return what was measured before; columns PICTURE_COLUMNS.

    A torn line is left out, and one of a time when less was measured: that picture is measured again.
    """
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and row.keys() >= set(PICTURE_COLUMNS):
            rows.append(row)
    return pd.DataFrame(rows, columns=list(PICTURE_COLUMNS)).drop_duplicates("image_id")
