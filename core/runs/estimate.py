"""How long a run will take on this machine, measured from a few real steps, and recipes that fit a budget.

Measuring needs torch, so it happens in the trainer's own process: `python -m train estimate`.
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import RunError
from core.jobs import Report
from core.settings import REPOSITORY

BUDGETS_S: Final = {"one minute": 60.0, "coffee": 600.0, "night": 8 * 3600.0}
"""Presets: how long a run may take in all, in seconds."""

SMALLEST_PX: Final = 32
LEAST_EPOCHS: Final = 3
LEAST_IMAGES: Final = 256

_STEP_PX: Final = 32
_MARGIN: Final = 0.9
_POLL_S: Final = 0.1
_TIMEOUT_S: Final = 600.0


@dataclass(frozen=True)
class Estimate:
    """What a run will take, seconds; parts sum to `total_s`.

    Attributes:
        seconds_per_step: one training step, mean over the sizes of the run.
        steps: of the whole run.
        epochs: of the whole run; stopping early is not foreseen.
        validation_s: all validations together.
        decoding_s: bringing pictures to the store that are not in it yet.
        features_s: computing the features of a frozen backbone, once.
        finishing_s: calibrating and measuring the finished checkpoint.
        starting_s: until the first picture is read: libraries, dataset, weights.
        total_s, low_s, high_s: the sum, and what it may be by the spread of what was measured.
        mode, size, train_sizes: of the recipe that was measured.
        pictures: how many training pictures there are.
        epoch_images: how many are shown in an epoch.
        device: what it was measured on.
    """

    seconds_per_step: float
    steps: int
    epochs: int
    validation_s: float
    decoding_s: float
    features_s: float
    finishing_s: float
    starting_s: float
    total_s: float
    low_s: float
    high_s: float
    mode: str
    size: int
    train_sizes: tuple[int, int]
    pictures: int
    epoch_images: int
    device: str

    @property
    def fixed_s(self) -> float:
        """What it takes however short the training is."""
        return self.decoding_s + self.features_s + self.finishing_s + self.starting_s

    @property
    def epoch_s(self) -> float:
        """What an epoch takes, with its validation."""
        return (self.steps * self.seconds_per_step + self.validation_s) / self.epochs


def estimate(
    recipe: str, data_dir: Path, overrides: Sequence[str] = (), report: Report | None = None
) -> Estimate:
    """Measure a few real steps of a recipe on a dataset, and return what the whole run will take.

    report: told now and then; what it raises ends the measuring.

    Raises:
        RunError: the trainer could not measure; the message is its own.
    """
    changes = [word for override in overrides for word in ("--set", override)]
    command = [sys.executable, "-m", "train", "estimate", "--json", "--data", str(data_dir), *changes]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - this project's own program
            [*command, "--", recipe], cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        )
        try:
            _wait(process, report)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            lines = errors.read().decode(errors="replace").strip().splitlines()
            raise RunError(lines[-1] if lines else f"Measuring {recipe} ended with {process.returncode}.")
        return from_json(json.loads(output.read().splitlines()[-1]))


def from_json(stored: dict[str, Any]) -> Estimate:
    """Read an estimate from plain data."""
    first, last = stored["train_sizes"]
    return Estimate(**stored | {"train_sizes": (first, last)})


def _wait(process: subprocess.Popen[bytes], report: Report | None) -> None:
    began = time.monotonic()
    while process.poll() is None:
        time.sleep(_POLL_S)
        elapsed_s = time.monotonic() - began
        if report is not None:
            report(elapsed_s, None, unit="s", note="Measuring a few real steps")
        if elapsed_s > _TIMEOUT_S:
            raise RunError(
                f"Measuring took longer than {_TIMEOUT_S:.0f} s and was ended. Is the machine busy?"
            )


def budget_overrides(measured: Estimate, budget_s: float) -> tuple[str, ...]:
    """Return overrides with which the recipe takes about `budget_s` in all, measuring included.

    First fewer epochs, then fewer pictures an epoch, then smaller pictures, whose cost goes by their area.
    What fits already is left as it is. Other numbers of epochs change what is learned, so a result with a
    budget is not the recipe's.

    Raises:
        RunError: even the smallest form does not fit; the message says what it takes.
    """
    if measured.total_s <= budget_s:
        return ()
    for size in range(measured.size, SMALLEST_PX - 1, -_STEP_PX):
        shrunk = (size / measured.size) ** 2
        fixed_s = (
            measured.decoding_s + measured.starting_s + shrunk * (measured.features_s + measured.finishing_s)
        )
        # Steps of a frozen backbone see features, whatever the pictures' size.
        validation_s = measured.validation_s / measured.epochs
        epoch_s = measured.epoch_s if measured.mode == "frozen" else measured.epoch_s * shrunk
        left_s = _MARGIN * budget_s - fixed_s
        if left_s >= LEAST_EPOCHS * epoch_s:
            epochs = min(measured.epochs, math.floor(left_s / epoch_s))
            return (f"epochs={epochs}", *_sizes(measured, size))
        if measured.mode == "frozen":
            continue
        spare_s = left_s / LEAST_EPOCHS - shrunk * validation_s
        images = math.floor(spare_s / ((epoch_s - shrunk * validation_s) / measured.epoch_images))
        if images >= LEAST_IMAGES:
            return (f"epochs={LEAST_EPOCHS}", f"epoch_images={images}", *_sizes(measured, size))
    least_s = (
        measured.decoding_s
        + measured.starting_s
        + (SMALLEST_PX / measured.size) ** 2 * (measured.features_s + measured.finishing_s)
    )
    least = _words(max(least_s / _MARGIN, budget_s + 1))
    raise RunError(
        f"{_words(budget_s)} is too little: reading the pictures, learning a little and measuring the result "
        f"take at least about {least} here. Choose a longer time, or a recipe with a smaller model."
    )


def _sizes(measured: Estimate, size: int) -> tuple[str, ...]:
    if size == measured.size:
        return ()
    first, last = (max(SMALLEST_PX, round(one * size / measured.size)) for one in measured.train_sizes)
    return (f"size={size}", f"train_sizes=[{first}, {last}]")


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
