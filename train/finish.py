"""From a trained run to a checkpoint: choose on val, measure on test, write the folder.

Fitted on val, all of it: the temperature, the operating points, the power of the balanced prior, the limits
of known input, prediction sets and natural frequencies. Test pictures are only counted. Under torchrun all
processes share the pictures, and the first writes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch

from core.data.facts import encode_metadata
from core.data.pictures import read_picture
from core.data.readers import read_dataset
from core.data.splits import Split
from core.data.synthetic import draw_lesion
from core.errors import EvaluationError
from core.evaluate.artifact import Evaluation
from core.files import replacing
from core.labels import CODES
from core.models.card import HAM10000, model_card, with_other_choices
from core.models.catalog import CHECKPOINTS_FOLDER, OF_RUN
from core.models.checkpoint import (
    CARD_FILE,
    Checkpoint,
    Manifest,
    load_checkpoint,
    read_manifest,
    save_checkpoint,
    write_manifest,
)
from core.models.network import AdditiveNetwork, build_network
from core.predict.calibration import choose_prior_power, fit_operating_points, fit_temperature, softmax
from core.predict.heldout import fit_held_out
from core.predict.unknown import FeatureStatistics, InputLimits, colours_of
from core.runs import library
from core.runs.folder import RunFolder
from core.settings import settings
from train.evaluate import evaluate_checkpoint
from train.fit import Plan, truth_of
from train.loop import LAST
from train.predicting import predict_pictures, processes
from train.state import load_state

# Enough to know where features lie: the statistics have 64 axes.
STATISTICS_PICTURES: Final = 3000

DATA: Final = f"{HAM10000} (Tschandl et al., 2018), 80/10/10 by lesion"
LICENCE: Final = f"CC BY-NC 4.0: non-commercial use, as {HAM10000}"
NOT_RECORDED: Final = "not recorded"
# HAM10000's ids follow each other; a copy that training made bears its original's.
_HAM10000_IDS: Final = range(24306, 34321)
_ARCHIVE_ID: Final = re.compile(r"ISIC_(\d{7})(?:_aug\d{2,})?")

Progress = Callable[[str], Callable[[int, int], None]]
"""Given a task's name, returns a callable (done, total)."""


def finish_run(
    run: RunFolder, out: Path, *, name: str, data_dir: Path | None = None, progress: Progress
) -> tuple[Checkpoint, Evaluation]:
    """Write a run's best weights as a checkpoint folder, measured; returns it with its test artifact.

    data_dir: where the dataset lies now, if it has moved since training.

    Raises:
        LesionLensError: the run has no best weights yet, or its data is not what it was.
    """
    plan = Plan.from_json(run.config())
    metadata = read_dataset(data_dir or plan.data_dir)
    split = Split.load(run.path / "split.csv")
    network, trained = best_network(run, plan)
    data, licence = origin_of(metadata)
    manifest = Manifest(
        name=name,
        about=plan.recipe.about,
        model=plan.recipe.model,
        labels=CODES,
        preprocessing=plan.preprocessing,
        uses_facts=plan.recipe.facts,
        temperature=1.0,
        class_frequencies=plan.class_frequencies,
        balanced_power=1.0,
        operating_points=(),
        golden_logits=(),
        split_hash=plan.split_hash,
        data=data,
        licence=licence,
        recipe=plan.recipe.to_json(),
        training={
            **trained,
            "commit": plan.commit,
            "started": plan.started,
            "versions": plan.versions,
            "weights": plan.provenance.detail,
        },
    )
    network.eval().requires_grad_(requires_grad=False)
    raw = Checkpoint("run:" + run.path.name, run.path, manifest, network, None)
    on_val = _predict(raw, _part(metadata, split, "val"), progress("val"))
    train = _part(metadata, split, "train").sample(frac=1, random_state=0).head(STATISTICS_PICTURES)
    on_train = _predict(raw, train, progress("feature statistics"))
    manifest = choose_on_val(manifest, on_val.logits, on_val.truth)
    statistics = FeatureStatistics.fit(on_train.features, on_val.features)
    manifest = _fit_on_val(manifest, raw, statistics, on_val, progress)
    golden = _golden(manifest, seed=plan.recipe.seed)

    def save(measured: Manifest) -> Checkpoint:
        if processes().is_main_process:
            save_checkpoint(
                out, network, measured, golden=golden, statistics=statistics, card=model_card(measured)
            )
        processes().wait_for_everyone()
        return load_checkpoint(out, reference=reference_of(out))

    evaluation = evaluate_checkpoint(
        save(manifest), metadata, split, "test", name=name, progress=progress("test")
    )
    processes().wait_for_everyone()  # nobody may still be reading what is written again now
    metrics: dict[str, dict[str, float | int | None]] = {
        metric: {
            "value": interval.value,
            "low": interval.low,
            "high": interval.high,
            "n_images": interval.n,
            "n_lesions": interval.n_lesions,
        }
        for metric, interval in evaluation.metrics.items()
    }
    return save(replace(manifest, metrics=metrics)), evaluation


def origin_of(metadata: pd.DataFrame) -> tuple[str, str]:
    """Return what data a table shows and under which licence, as far as the ids of its images tell."""
    ids = [str(image_id) for image_id in metadata["image_id"]]
    archived = [_ARCHIVE_ID.fullmatch(image_id) for image_id in ids]
    if ids and all(found and int(found[1]) in _HAM10000_IDS for found in archived):
        return DATA, LICENCE
    if ids and all(image_id.startswith("SYN_") for image_id in ids):
        return "synthetic pictures, drawn by a program", NOT_RECORDED
    return NOT_RECORDED, NOT_RECORDED


def reference_of(folder: Path) -> str:
    """Return how people name the checkpoint in this folder."""
    resolved = folder.resolve()
    if resolved.parent == CHECKPOINTS_FOLDER:
        return f"bundled:{resolved.name}"
    if resolved.name == OF_RUN and resolved.parents[1] == settings().runs_dir.resolve():
        return str(library.reference_of(resolved.parent))
    return f"local:{resolved}"


def best_network(run: RunFolder, plan: Plan) -> tuple[AdditiveNetwork, dict[str, float]]:
    """Return the run's best EMA weights, answering with HAM10000's own prior, and what training them took.

    That is their epoch, and pictures shown and seconds of the whole run: what came after the best epoch was
    needed to know that it was the best.

    Balanced drawing taught the network another prior than the data's. The difference is known exactly, so it
    is put right in the bias, where the evidence shows it: log(data prior) - log(drawn prior).
    """
    network = build_network(plan.recipe.model)
    stored = load_state(run.checkpoints / "best.safetensors", parts={"ema": network})
    frequencies = np.array(plan.class_frequencies)
    # With logit adjustment the loss already took (1 - tau) of the drawn prior away.
    drawn = plan.drawn ** (1 - plan.recipe.balance.logit_adjustment)
    network.shift_prior(np.log(frequencies / drawn))
    whole = load_state(run.checkpoints / LAST, parts={})
    return network, {"epoch": stored["epoch"], "images": whole["images"], "elapsed_s": whole["elapsed_s"]}


def choose_on_val(manifest: Manifest, logits: np.ndarray, truth: np.ndarray) -> Manifest:
    """Return the manifest with what decisions stand on, fitted on val logits (N, 7)."""
    temperature = fit_temperature(logits, truth)
    probabilities = softmax(logits, temperature)
    return replace(
        manifest,
        temperature=temperature,
        operating_points=fit_operating_points(probabilities, truth),
    )


def calibrate(
    checkpoint: Checkpoint, metadata: pd.DataFrame, split: Split, *, progress: Progress
) -> Manifest:
    """Fit prediction sets, natural frequencies, input limits and the balanced prior's power; write them.

    Weights, temperature and thresholds stay as they are.

    Raises:
        EvaluationError: the split is not the one that the checkpoint was trained with.
    """
    if split.hash != checkpoint.manifest.split_hash:
        raise EvaluationError(
            f"This dataset does not divide as checkpoint {checkpoint.manifest.name} was trained: its val "
            "pictures may be training pictures. Give --data the dataset it was trained on."
        )
    on_val = _predict(checkpoint, _part(metadata, split, "val"), progress("val"))
    statistics = checkpoint.statistics
    if statistics is None:
        raise EvaluationError(
            f"Checkpoint {checkpoint.manifest.name} has no feature statistics; make it again with `finish`."
        )
    fitted = _fit_on_val(checkpoint.manifest, checkpoint, statistics, on_val, progress)
    if processes().is_main_process:
        before = read_manifest(checkpoint.folder)
        after = replace(
            before, held_out=fitted.held_out, limits=fitted.limits, balanced_power=fitted.balanced_power
        )
        write_manifest(checkpoint.folder, after)
        card = checkpoint.folder / CARD_FILE
        if card.is_file():
            told = with_other_choices(card.read_text(encoding="utf-8"), before, after)
            with replacing(card) as part:
                part.write_text(told, encoding="utf-8")
    return fitted


def _fit_on_val(
    manifest: Manifest,
    checkpoint: Checkpoint,
    statistics: FeatureStatistics,
    on_val: "_Known",
    progress: Progress,
) -> Manifest:
    """Return the manifest with prediction sets, natural frequencies, input limits and the prior's power."""
    probabilities = softmax(on_val.logits, manifest.temperature)
    colours, tell = [], progress("colours")
    for done, path in enumerate(on_val.paths, 1):
        seen = manifest.preprocessing.fit(read_picture(path, name=path.name).pixels)
        colours.append(colours_of(seen))
        tell(done, len(on_val.paths))
    pooled = torch.from_numpy(on_val.features).to(next(checkpoint.network.parameters()).device)
    with torch.no_grad():
        alone = checkpoint.network.from_features(pooled).float().cpu().numpy()
    return replace(
        manifest,
        held_out=fit_held_out(probabilities, on_val.truth, on_val.lesion_ids),
        balanced_power=choose_prior_power(probabilities, on_val.truth, np.array(manifest.class_frequencies)),
        limits=InputLimits.fit(alone, np.array(colours), statistics.distance(on_val.features)),
    )


def _part(metadata: pd.DataFrame, split: Split, name: str) -> pd.DataFrame:
    chosen = (split.of_images(metadata["image_id"]) == name) & metadata["image_path"].notna()
    return metadata[chosen].reset_index(drop=True)


@dataclass(frozen=True)
class _Known:
    """Answers to pictures whose diagnosis is known: logits (N, 7), features (N, K), class indices (N,)."""

    logits: np.ndarray
    features: np.ndarray
    truth: np.ndarray
    lesion_ids: np.ndarray
    paths: tuple[Path, ...]


def _predict(checkpoint: Checkpoint, part: pd.DataFrame, progress: Callable[[int, int], None]) -> _Known:
    """Return what a checkpoint answers to the readable pictures of a part."""
    paths = [Path(path) for path in part["image_path"]]
    predicted = predict_pictures(checkpoint, paths, encode_metadata(part), progress=progress)
    readable = [position for position in range(len(part)) if position not in predicted.unreadable]
    return _Known(
        predicted.logits[readable],
        predicted.features[readable],
        truth_of(part)[readable],
        part["lesion_id"].to_numpy()[readable],
        tuple(paths[position] for position in readable),
    )


def _golden(manifest: Manifest, *, seed: int) -> np.ndarray:
    """Return a drawn lesion as the network sees it: nobody's skin, so it may travel with the checkpoint."""
    return manifest.preprocessing.fit(draw_lesion(seed, kind="mel"))
