"""Run folders as a trainer writes them, made in a moment for tests of what reads them."""

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.labels import CODES

STARTED = "2026-01-02T10:00:00+00:00"
BEGAN = 1767348000.0
STEPS_AN_EPOCH = 100


def step_event(step: int, **more: Any) -> dict[str, Any]:
    """Return the event of a step, a second after the one before."""
    return {
        "time": BEGAN + step,
        "kind": "step",
        "step": step,
        "epoch": (step - 1) // STEPS_AN_EPOCH + 1,
        "loss": 2 / (1 + step / 50),
        "learning_rate": 1e-3,
        "images_per_s": 32.0,
        "wait_share": 0.01,
        "memory_mb": 1024.0,
    } | more


def epoch_event(epoch: int, score: float = 0.5, **more: Any) -> dict[str, Any]:
    """Return the event of an epoch whose confusion has 10 pictures a diagnosis, `score` of them right."""
    right = round(10 * score)
    confusion = np.eye(len(CODES), dtype=int) * right
    confusion[:, CODES.index("nv")] += 10 - right
    return {
        "time": BEGAN + epoch * STEPS_AN_EPOCH + 0.5,
        "kind": "epoch",
        "epoch": epoch,
        "step": epoch * STEPS_AN_EPOCH,
        "train_loss": 1 / epoch,
        "val_loss": 1.2 / epoch,
        "accuracy": score + 0.1,
        "balanced_accuracy": score,
        "images": 3200 * epoch,
        "recall": (confusion.diagonal() / 10).tolist(),
        "confusion": confusion.tolist(),
    } | more


def events(epochs: int, *, every: int = 10) -> list[dict[str, Any]]:
    """Return what a run of so many epochs tells; the score peaks in the last epoch but one."""
    told: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        first = (epoch - 1) * STEPS_AN_EPOCH
        told += [step_event(step) for step in range(first + every, first + STEPS_AN_EPOCH + 1, every)]
        told.append(epoch_event(epoch, 0.1 * (epoch if epoch < epochs else max(1, epochs - 2))))
    return told


def write_events(path: Path, told: Sequence[dict[str, Any]]) -> None:
    """Append events to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in told)


def write_run(
    folder: Path,
    *,
    epochs: int = 3,
    state: str = "finished",
    recipe: dict[str, Any] | None = None,
    **status: Any,
) -> Path:
    """Write a run of some epochs as it lies on a disk afterwards, with watch images and answers."""
    folder.mkdir(parents=True)
    config = {
        "recipe": {"model": "efficientnet_lite0", "epochs": epochs, "about": "A test."} | (recipe or {}),
        "data_dir": "HAM10000",
        "split_hash": "0" * 64,
        "started": STARTED,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    stored = {
        "state": state,
        "pid": 0,
        "host": socket.gethostname(),
        "heartbeat": BEGAN + STEPS_AN_EPOCH * epochs + 1,
        "step": STEPS_AN_EPOCH * epochs,
        "total_steps": STEPS_AN_EPOCH * epochs,
        "epoch": epochs,
        "best": 0.1 * max(1, epochs - 1),
        "message": "",
    }
    (folder / "status.json").write_text(json.dumps(stored | status), encoding="utf-8")
    write_events(folder / "events.jsonl", events(epochs))
    (folder / "watch").mkdir()
    (folder / "val").mkdir()
    for epoch in range(1, epochs + 1):
        write_watch(folder, epoch)
        write_answers(folder, epoch)
    return folder


def write_watch(folder: Path, epoch: int, *, images: int = 12) -> None:
    """Write watch images whose evidence grows with the epochs."""
    rng = np.random.default_rng(0)
    truth = np.arange(images) % len(CODES)
    maps = rng.normal(0, epoch, (images, len(CODES), 3, 4)).astype(np.float16)
    logits = np.where(np.arange(len(CODES)) == truth[:, None], float(epoch), 0.0).astype(np.float32)
    ids = np.array([f"IMG_{at:04d}" for at in range(images)])
    np.savez(
        folder / "watch" / f"epoch_{epoch:04d}.npz", image_ids=ids, truth=truth, maps=maps, logits=logits
    )


def write_answers(folder: Path, epoch: int) -> None:
    """Write answers that fit the confusion of `epoch_event`'s first score: all nevi."""
    truth = np.repeat(np.arange(len(CODES)), 10)
    logits = np.zeros((len(truth), len(CODES)), dtype=np.float16)
    logits[:, CODES.index("nv")] = np.linspace(1, 3, len(truth))
    ids = np.array([f"VAL_{at:04d}" for at in range(len(truth))])
    np.savez(folder / "val" / f"epoch_{epoch:04d}.npz", image_ids=ids, truth=truth, logits=logits)
