"""What a run is doing, in numbers and in words: the same for a live run, an ended one and a replay."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np

from core.labels import BY_CODE, CODES
from core.runs.folder import LIVE_STATES, Status
from core.runs.following import Telling, ascending
from core.words import NBSP, NOT_AVAILABLE, Reader, proportion

ALWAYS_NEVUS: Final = 0.669
"""Accuracy of answering "nevus" to every picture of HAM10000: 6,705 of 10,015."""

FINE_WAIT: Final = 0.03
"""Share of a step's time that may go into waiting for pictures."""

_RECENT_STEPS: Final = 40


@dataclass(frozen=True)
class Figure:
    """One number of a run: its name, its value in words, what to compare it with, and what it means."""

    name: str
    value: str
    note: str = ""
    about: str = ""


def duration(seconds: float) -> str:
    """Return a span as people say it: 45 s, 12 min, 1 h 31 min, 3 days."""
    if not math.isfinite(seconds):
        return NOT_AVAILABLE
    minutes, hours = round(seconds / 60), seconds / 3600
    if seconds < 90:
        return f"{max(0, round(seconds))}{NBSP}s"
    if minutes < 60:
        return f"{minutes}{NBSP}min"
    if hours < 48:
        return f"{minutes // 60}{NBSP}h {minutes % 60}{NBSP}min"
    return f"{timedelta(seconds=seconds).days}{NBSP}days"


def clock(seconds: float) -> str:
    """Return a span as a player shows it: 1:05, 1:31:40."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def time_left_s(telling: Telling, status: Status) -> float:
    """Return the seconds that are left if it goes on as lately; NaN while nobody can tell."""
    steps, times = telling.steps["step"], ascending(telling.steps["time"])
    if status.state != "running" or len(steps) < 3:
        return math.nan
    first = max(0, len(steps) - max(_RECENT_STEPS, len(steps) // 4))
    made, took = float(steps[-1] - steps[first]), float(times[-1] - times[first])
    if made <= 0 or took <= 0:
        return math.nan
    return (status.total_steps - status.step) * took / made


def figures(telling: Telling, status: Status, epochs: int) -> list[Figure]:
    """Return the numbers of the panel, the most wanted first. epochs: how many the recipe wants."""
    return [*_progress(telling, status, epochs), *_machine(telling, status)]


def _progress(telling: Telling, status: Status, epochs: int) -> list[Figure]:
    newest, best = (telling.epochs[-1] if telling.epochs else None), telling.best_epoch()
    score = math.nan if newest is None else newest.get("balanced_accuracy")
    top = math.nan if best is None else best.get("balanced_accuracy")
    return [
        Figure(
            "Step",
            f"{status.step:,}",
            f"of {status.total_steps:,}" if status.total_steps else "",
            "One step: the model answers a batch of pictures, and is changed a little to answer better.",
        ),
        Figure(
            "Epoch",
            f"{status.epoch}",
            f"of {epochs}" if epochs else "",
            "One epoch: as many pictures as the training part has. After it, the model is tried on pictures "
            "it has not learned from.",
        ),
        Figure(
            "Balanced accuracy",
            _decimal(score),
            "validation",
            "The mean over the seven diagnoses of how many of its pictures are answered right, so that rare "
            "ones count as much as nevi.",
        ),
        Figure(
            "Best so far",
            _decimal(top),
            f"in epoch {best.number}" if best is not None else "",
            "The weights of this epoch are what is kept in the end.",
        ),
        Figure(
            "Loss",
            _decimal(_last(telling, "loss")),
            "training",
            "How wrong the model is on its training pictures. Lower is better.",
        ),
    ]


def _machine(telling: Telling, status: Status) -> list[Figure]:
    wait, cpu = _last(telling, "wait_share"), _last(telling, "cpu_percent")
    pace, memory, gpu = (_last(telling, name) for name in ("images_per_s", "memory_mb", "gpu_memory_mb"))
    left = duration(time_left_s(telling, status)) if status.state == "running" else "–"
    waits = "" if math.isnan(wait) else "fine" if wait <= FINE_WAIT else "too much"
    processor = Figure(
        "Processor",
        f"{cpu:.0f}{NBSP}%" if math.isfinite(cpu) else "–",
        "100 % is a core",
        "What the training process uses. No GPU is in use.",
    )
    return [
        Figure("Images a second", f"{pace:.0f}" if math.isfinite(pace) else "–", "learned from"),
        Figure("Time left", left, "at this pace", "If it goes on as it did lately, validation included."),
        Figure(
            "Loader wait",
            f"{100 * wait:.1f}{NBSP}%" if math.isfinite(wait) else "–",
            waits,
            "The share of time in which a step waits for pictures; above 3 %, disk or decoding limit.",
        ),
        Figure("Memory", _gigabytes(memory), "of the trainer", "What the training process holds."),
        processor if math.isnan(gpu) else Figure("GPU memory", _gigabytes(gpu), "at most so far"),
    ]


def _last(telling: Telling, name: str) -> float:
    """Return the newest value of a number of the steps, NaN where there is none."""
    column = telling.steps.get(name)
    return math.nan if column is None or not len(column) else float(column[-1])


def _decimal(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _gigabytes(megabytes: float) -> str:
    return f"{megabytes / 1024:.1f}{NBSP}GB" if math.isfinite(megabytes) else "–"


def narrate(telling: Telling, status: Status, reader: Reader) -> str:
    """Say in two or three sentences how far the model has come and what it finds hard."""
    if telling.is_empty:
        return {
            "running": "The trainer prepares its pictures; the first step follows.",
            "paused": "The run was paused before its first step.",
        }.get(status.state, "The run told nothing of its steps.")
    newest, best = (telling.epochs[-1] if telling.epochs else None), telling.best_epoch()
    if newest is None:
        return (
            "The first round through the pictures. The model starts from what it learned on everyday "
            "photographs, and knows no skin yet; what it is worth shows after this epoch."
        )
    said = [_seen(newest.event, newest.number), _score(newest.get("balanced_accuracy"), reader)]
    if best is not None and best.number < newest.number:
        said.append(
            f"Epoch {best.number} was better ({best.get('balanced_accuracy'):.3f}), so its weights are the "
            "ones that are kept."
        )
    if newest.recall is not None and np.isfinite(newest.recall).any():
        low, high = int(np.nanargmin(newest.recall)), int(np.nanargmax(newest.recall))
        said.append(
            f"Easiest now: {BY_CODE[CODES[high]].name} ({proportion(float(newest.recall[high]))} found); "
            f"hardest: {BY_CODE[CODES[low]].name} ({proportion(float(newest.recall[low]))})."
        )
    return " ".join(said)


def _seen(event: Mapping[str, Any], number: int) -> str:
    images = event.get("images")
    seen = f", {images:,} looks at pictures" if isinstance(images, int) else ""
    return f"After epoch {number}{seen}:"


def _score(value: float, reader: Reader) -> str:
    if not math.isfinite(value):
        return "no score was told."
    if reader.name == "patient":
        return (
            f"shown pictures it has not learned from, it names about {round(100 * value)} in 100 right, each "
            "diagnosis counted alike. Guessing would reach 14."
        )
    return f"balanced accuracy {value:.3f} on validation pictures (guessing: {1 / len(CODES):.3f})."


def headline(status: Status, observed: str, name: str) -> str:
    """Return how a run stands in one sentence, for a screen reader and for a toast."""
    words = {
        "running": f"{name} is training: step {status.step:,} of {status.total_steps:,}.",
        "paused": f"{name} is paused at step {status.step:,}.",
        "finished": f"{name} has finished.",
        "stopped": f"{name} was stopped at step {status.step:,}; its last checkpoint is kept.",
        "failed": f"{name} has failed at step {status.step:,}.",
        "died": f"{name} has died: its process is gone and its last sign of life is old.",
    }
    return words.get(observed, f"{name} is {observed}.")


def is_over(observed: str) -> bool:
    """Whether nothing more will be told unless somebody resumes the run."""
    return observed not in LIVE_STATES
