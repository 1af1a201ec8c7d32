"""Measure how a checkpoint bears poor pictures: every corruption, severity and remedy, and hidden parts.

Each condition is one pass over the pictures. Its answers are kept in the output folder, so a run that was
stopped goes on with the condition it was at.
"""

import json
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from accelerate.utils import broadcast_object_list

from core.data.corruptions import CORRUPTIONS, SEVERITIES, SHORTCUTS, blank
from core.data.facts import encode_metadata
from core.data.masks import read_mask
from core.data.pictures import read_picture
from core.data.splits import Split
from core.data.steps import STEPS
from core.data.synthetic import draw_lesion
from core.errors import EvaluationError
from core.evaluate.gathering import ROBUSTNESS_FILE
from core.evaluate.robustness import CLEAN, Condition, rows_of, sample_lesions
from core.files import replacing
from core.labels import CODES, INDEX
from core.models.checkpoint import Checkpoint
from core.predict.calibration import softmax
from core.runs import measuring
from core.runs.folder import write_atomically
from train.predicting import predict_pictures, processes, refuse_another_split

_PARTS: Final = "parts"
_CLAIM: Final = "measurement.json"
_TRIAL_PX: Final = (150, 200)
"""Height and width of the drawn lesion on which is seen what a condition does; see `_deed`."""

_TELL_EVERY_S: Final = 0.5
_TRIED: Final = 8
"""Pictures that are looked at to see how long one takes."""

Change = Callable[[np.ndarray, str], np.ndarray]


def conditions(*, masks: bool) -> list[Condition]:
    """Return everything that is measured: clean first, then corruptions with and without their remedy.

    Every remedy is also tried on clean pictures, to see what it costs where nothing needs it. masks: whether
    there are any; without them no lesion can be hidden, but all except the border can.
    """
    remedies = sorted({one.remedy for one in CORRUPTIONS.values() if one.remedy})
    found = [CLEAN, *(Condition("clean", "clean", 0, remedy) for remedy in remedies)]
    for one in CORRUPTIONS.values():
        for severity in SEVERITIES:
            found.append(Condition("corruption", one.name, severity))
            if one.remedy:
                found.append(Condition("corruption", one.name, severity, one.remedy))
    hidden = [Condition("shortcut", name, 0) for name in SHORTCUTS]
    return found + [one for one in hidden if masks or not one.needs_mask]


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
        out: the folder to write; what an interrupted run left there is used. See `core.runs.measuring`.
        name: what the rows call the model.
        masks: the lesion masks that are here, by image id; without any, no lesion is hidden.
        lesions: how many test lesions; the mix of diagnoses is kept close.
        progress: called with (pictures done, pictures), those of all conditions.

    Raises:
        EvaluationError: another split, no pictures, an output folder of another measurement, or somebody
            asked the measurement to stop.
        RunError: another process measures into this folder.
    """
    refuse_another_split(checkpoint, split)
    mine = metadata[(split.of_images(metadata["image_id"]) == "test") & metadata["image_path"].notna()]
    if mine.empty:
        raise EvaluationError("No test picture is here. Check that --data holds the image folders.")
    mine = sample_lesions(mine.reset_index(drop=True), lesions)
    if not processes().is_main_process:
        return _measure(checkpoint, mine, masks, out, name, progress)
    lock = measuring.claim(out)
    try:
        _claim(out, checkpoint, mine, masks)
        table = _measure(checkpoint, mine, masks, out, name, progress)
        write_atomically(out / ROBUSTNESS_FILE, table.to_csv(index=False, float_format="%.5f"))
    finally:
        measuring.forget_stop(out)
        lock.release()
    return table


def _measure(
    checkpoint: Checkpoint,
    mine: pd.DataFrame,
    masks: dict[str, Path],
    out: Path,
    name: str,
    progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    with_mask = mine[mine["image_id"].isin(masks)]
    pictures = {
        condition: with_mask if condition.needs_mask else mine
        for condition in conditions(masks=not with_mask.empty)
    }
    missing = [one for one, shown in pictures.items() if _kept(out, one, len(shown)) is None]
    tally = _Tally(out, pictures, _costs(checkpoint, pictures, missing, masks), progress)
    rows = []
    for condition, shown in pictures.items():
        tally.begin(condition)
        probabilities = _answers(checkpoint, shown, condition, masks, out, tally)
        truth = shown["dx"].map(INDEX).to_numpy()
        rows.append(rows_of(name, condition, truth, probabilities, shown))
        tally(len(shown), len(shown))
    return pd.concat(rows, ignore_index=True)


class _Tally:
    """Counts pictures over all conditions, tells the folder and the caller, and ends when it is asked to.

    costs: seconds a picture of each condition that is still to be measured; others cost nothing.
    """

    def __init__(
        self,
        out: Path,
        pictures: Mapping[Condition, pd.DataFrame],
        costs: Mapping[Condition, float],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._out = out
        self._costs = costs
        self._sizes = {one: len(shown) for one, shown in pictures.items()}
        self._all_s = sum(costs.get(one, 0.0) * size for one, size in self._sizes.items())
        self._progress = progress
        self._before = 0
        self._before_s = 0.0
        self._now: Condition | None = None
        self._told = 0.0

    def begin(self, condition: Condition) -> None:
        """Go on to the next condition."""
        if self._now is not None:
            size = self._sizes[self._now]
            self._before += size
            self._before_s += self._costs.get(self._now, 0.0) * size
        self._now = condition

    def __call__(self, done: int, _total: int) -> None:
        """Count the pictures of this condition; raises EvaluationError when somebody asked to stop."""
        if self._now is None or not processes().is_main_process:
            return
        if measuring.asked_to_stop(self._out):
            raise EvaluationError("Stopped, as somebody asked. The same command goes on where it was.")
        done_s = self._before_s + self._costs.get(self._now, 0.0) * done
        pictures, total = self._before + done, sum(self._sizes.values())
        if time.monotonic() - self._told > _TELL_EVERY_S or pictures == total:
            self._told = time.monotonic()
            share = done_s / self._all_s if self._all_s else pictures / total
            measuring.tell(self._out, measuring.Standing(share, pictures, total, self._now.words))
        if self._progress is not None:
            self._progress(pictures, total)


def _costs(
    checkpoint: Checkpoint,
    pictures: Mapping[Condition, pd.DataFrame],
    missing: Sequence[Condition],
    masks: dict[str, Path],
) -> dict[Condition, float]:
    """Return the seconds that one picture takes under each condition, by trying the first of each.

    Hairs take ten times as long to draw and to remove as a picture to darken: counting pictures alone would
    promise too much. One process prepares pictures while another looks at them: the slower one counts.
    """
    if not missing:
        return {}
    look_s = _looking_s(checkpoint, pictures[missing[0]])
    preprocessing = checkpoint.manifest.preprocessing
    found = {}
    for condition in missing:
        row = pictures[condition].iloc[0]
        change = change_of(condition, masks)
        began = time.perf_counter()
        pixels = read_picture(Path(row["image_path"]), name=row["image_id"]).pixels
        preprocessing.normalise(preprocessing.fit(change(pixels, str(row["image_id"]))))
        found[condition] = max(time.perf_counter() - began, look_s)
    return found


def _looking_s(checkpoint: Checkpoint, pictures: pd.DataFrame) -> float:
    """Return the seconds that the network takes for one picture of a batch."""
    few = pictures.head(_TRIED)
    paths, facts = [Path(path) for path in few["image_path"]], encode_metadata(few)
    predict_pictures(checkpoint, paths[:1], facts[:1])  # the first look sets things up
    began = time.perf_counter()
    predict_pictures(checkpoint, paths, facts)
    return (time.perf_counter() - began) / len(few)


def _claim(out: Path, checkpoint: Checkpoint, pictures: pd.DataFrame, masks: Mapping[str, Path]) -> None:
    """Make the folder this measurement's, or see that it already is.

    What is kept there are probabilities: whatever decides them belongs to the claim. What each condition did
    to a picture is noted too: what does something else by now is measured again, and all others stay.
    """
    mine = {
        "weights": checkpoint.manifest.files,
        "temperature": checkpoint.manifest.temperature,
        "pictures": _sum(pictures["image_id"]),
        "facts": zlib.crc32(encode_metadata(pictures).tobytes()),
        "masks": _sum(pictures["image_id"][pictures["image_id"].isin(masks)]),
    }
    (out / _PARTS).mkdir(parents=True, exist_ok=True)
    deeds = {one.name: _deed(one) for one in conditions(masks=True)}
    known = _known(out, mine)
    for name, deed in deeds.items():
        if known.get(name) != deed:
            (out / _PARTS / f"{name}.npy").unlink(missing_ok=True)
    write_atomically(out / _CLAIM, json.dumps(mine | {"conditions": deeds}))


def _known(out: Path, mine: Mapping[str, object]) -> dict[str, int]:
    """Return what the conditions of a folder's earlier runs did to the trial picture, by their names."""
    claim = out / _CLAIM
    if not claim.is_file():
        return {}
    try:
        theirs = json.loads(claim.read_text(encoding="utf-8"))
        # Older versions counted themselves, and noted no conditions: what they measured is measured again.
        theirs.pop("version", None)
        known = dict(theirs.pop("conditions", {}))
    except (OSError, ValueError, TypeError, AttributeError) as problem:
        raise EvaluationError(
            f"{claim} cannot be read, so what is there cannot be gone on with. Write into another folder, or "
            "delete that one."
        ) from problem
    if theirs != mine:
        raise EvaluationError(
            f"{out} holds the measurement of another checkpoint, or of other pictures, facts or masks. Write "
            "into another folder, or delete that one."
        )
    return known


def _deed(condition: Condition) -> int:
    """Return a sum of what a condition makes of one drawn lesion: another one, and it does something else."""
    pixels = draw_lesion(1, kind="nv", size_px=_TRIAL_PX)
    mask = np.zeros(_TRIAL_PX, dtype=bool)
    mask[50:100, 60:140] = True
    return zlib.crc32(_changed(pixels, condition, mask, seed=1).tobytes())


def _sum(image_ids: pd.Series) -> int:
    return zlib.crc32("\n".join(image_ids).encode())


def _answers(
    checkpoint: Checkpoint,
    pictures: pd.DataFrame,
    condition: Condition,
    masks: dict[str, Path],
    out: Path,
    tally: _Tally,
) -> np.ndarray:
    """Return the probabilities under a condition, (N, 7), from the folder if they were computed before."""
    kept = _kept(out, condition, len(pictures))
    if kept is not None:
        return kept
    predicted = predict_pictures(
        checkpoint,
        [Path(path) for path in pictures["image_path"]],
        encode_metadata(pictures),
        change=change_of(condition, masks),
        progress=tally,
    )
    if predicted.unreadable:
        place, reason = next(iter(predicted.unreadable.items()))
        raise EvaluationError(f"{pictures['image_id'].iloc[place]} cannot be read: {reason}")
    probabilities = softmax(predicted.logits, checkpoint.manifest.temperature)
    if processes().is_main_process:
        with replacing(_part(out, condition)) as part, part.open("wb") as file:
            np.save(file, probabilities)
    return probabilities


def _kept(out: Path, condition: Condition, count: int) -> np.ndarray | None:
    """Return the probabilities (count, 7) that the folder holds; None where they must be measured.

    The first process decides for all: each may see another disk, and they measure together.
    """
    found = _read_part(_part(out, condition), count) if processes().is_main_process else None
    (found,) = broadcast_object_list([found])
    return found


def _read_part(part: Path, count: int) -> np.ndarray | None:
    try:
        found = np.asarray(np.load(part, allow_pickle=False))
    except (OSError, EOFError, ValueError):  # not measured yet, or cut short
        return None
    return found if found.shape == (count, len(CODES)) else None


def _part(out: Path, condition: Condition) -> Path:
    return out / _PARTS / f"{condition.name}.npy"


def change_of(condition: Condition, masks: dict[str, Path]) -> Change:
    """Return what a condition does to a picture, given its pixels and its image id.

    The same picture is disturbed alike for every model, and severities of one kind share their draws.
    """

    def change(pixels: np.ndarray, image_id: str) -> np.ndarray:
        height, width = pixels.shape[:2]
        needed = condition.needs_mask
        mask = read_mask(masks[image_id], (height, width)) if needed else np.zeros((height, width), bool)
        return _changed(pixels, condition, mask, seed=zlib.crc32(image_id.encode()))

    return change


def _changed(pixels: np.ndarray, condition: Condition, mask: np.ndarray, *, seed: int) -> np.ndarray:
    """Return what a condition makes of a picture; mask: where the lesion is, bool (H, W)."""
    if condition.kind == "corruption":
        pixels = CORRUPTIONS[condition.condition](pixels, condition.severity, seed=seed)
    elif condition.kind == "shortcut":
        pixels = blank(pixels, SHORTCUTS[condition.condition].hides(mask))
    return STEPS[condition.remedy](pixels) if condition.remedy else pixels
