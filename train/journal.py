"""What a run tells of itself while it trains: heartbeat and status, events, alarms, the progress bar."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import psutil  # type: ignore[import-untyped]  # its types are a package of their own
import torch
from accelerate import Accelerator

from core.errors import RunError
from core.runs.alarms import Watchman
from core.runs.folder import BEAT_EVERY_S, RunFolder, Status, told_once
from train.display import TerminalDisplay
from train.progress import Progress
from train.recipe import Recipe

LOG_EVERY_STEPS: Final = 10

_MB: Final = 2**20
# A promise of the next heartbeat that a busy machine can keep.
_PATIENCE: Final = 3.0
_FORGET: Final = 0.9


class Pulse:
    """Writes the status of a run: at every change, and else as a heartbeat. Only rank 0 writes."""

    def __init__(self, run: RunFolder, status: Status, accelerator: Accelerator) -> None:
        self.status = replace(status, device=device_name(accelerator))
        self._run = run
        self._writes = accelerator.is_main_process
        self._asked_at = time.monotonic()
        self._longest_gap_s = 0.0
        self._write()

    def tell(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of Status
        """Change the status and write it."""
        self.status = replace(self.status, **changes)
        self._write()

    def beat(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of Status
        """Show that the trainer lives, and how far it is; called often, writes seldom."""
        self.status = replace(self.status, **changes)
        now = time.monotonic()
        self._longest_gap_s = max(now - self._asked_at, _FORGET * self._longest_gap_s)
        self._asked_at = now
        if now - self._beat_at >= BEAT_EVERY_S:
            self._write()

    def _write(self) -> None:
        self._beat_at = time.monotonic()
        if self._writes:
            next_in_s = 2 * BEAT_EVERY_S + _PATIENCE * self._longest_gap_s
            self._run.write_status(self.status, next_in_s=next_in_s)


@dataclass(frozen=True)
class Station:
    """Where a run is trained: its folder, the processes at work, and what it tells of itself through."""

    run: RunFolder
    accelerator: Accelerator
    display: TerminalDisplay
    pulse: Pulse


class Journal:
    """Events, alarms and the progress bar of the loop. Only rank 0 writes."""

    def __init__(self, station: Station, recipe: Recipe, progress: Progress) -> None:
        self._run = station.run
        self._recipe = recipe
        self._accelerator = station.accelerator
        self._world = station.accelerator.num_processes
        self._writes = station.accelerator.is_main_process
        self._display = station.display
        self._pulse = station.pulse
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first answer only begins the counting
        self._watchman = Watchman()
        if self._writes:
            self._run.rewind(progress.epoch, progress.step)
            self._watchman = Watchman(told_once(self._run.events()[0]))
        self._pulse.tell(
            phase="training",
            step=progress.step,
            epoch=progress.epoch,
            best=progress.best if progress.best_epoch else None,
            total_steps=progress.steps * recipe.epochs,
        )

    def start_epoch(self, epoch: int) -> None:
        """Begin counting an epoch (0-based)."""
        self._epoch = epoch + 1
        self._started = time.monotonic()
        self._waited_s = 0.0
        self._losses: list[float] = []

    def step(self, progress: Progress, loss: float, learning_rate: float, waited_s: float) -> None:
        """Count one step; every tenth is logged. Refuses a loss that is not finite."""
        self._losses.append(loss)
        self._waited_s += waited_s
        self._pulse.beat(step=progress.step, epoch=self._epoch)
        finite = bool(np.isfinite(loss))
        if finite and progress.step % LOG_EVERY_STEPS:
            return
        elapsed_s = time.monotonic() - self._started
        images_per_s = len(self._losses) * self._recipe.batch_size * self._world / elapsed_s
        recent = float(np.mean(self._losses[-LOG_EVERY_STEPS:])) if finite else None
        event = {
            "kind": "step",
            "step": progress.step,
            "epoch": self._epoch,
            "loss": recent,
            "learning_rate": learning_rate,
            "images_per_s": images_per_s,
            "wait_share": self._waited_s / elapsed_s,
            **self._machine(),
        }
        self._append(event)
        if recent is None:
            raise RunError(
                f"The loss is {loss} at step {progress.step}. Lower the learning rate and train again, for "
                f"instance with --set optimizer.learning_rate={self._recipe.optimizer.learning_rate / 3:.1g}."
            )
        self._display.step(
            progress.step, self._pulse.status.total_steps, f"loss {recent:.3f}, {images_per_s:.0f} images/s"
        )

    def end_epoch(self, progress: Progress, train_loss: float, scores: dict[str, Any]) -> None:
        """Log what an epoch came to."""
        self._append(
            {
                "kind": "epoch",
                "epoch": progress.epoch,
                "step": progress.step,
                "train_loss": train_loss,
                "train_size_px": self._recipe.train_size(progress.epoch - 1),
                "elapsed_s": progress.elapsed_s,
                "images": progress.images,
                **scores,
            }
        )
        self._pulse.tell(step=progress.step, epoch=progress.epoch, best=progress.best)
        self._display.line(
            f"epoch {progress.epoch}/{self._recipe.epochs}: train loss {train_loss:.3f}, "
            f"val loss {scores['val_loss']:.3f}, balanced accuracy {scores['balanced_accuracy']:.3f} "
            f"(best {progress.best:.3f} in epoch {progress.best_epoch})"
        )

    def pausing(self, asked: Callable[[], bool]) -> None:
        """Wait, with the heartbeat going on, as long as `asked` says so."""
        self._display.line("Paused; `python -m train resume NAME` or the Train page lets it go on.")
        self._pulse.tell(state="paused")
        began = time.monotonic()
        while asked():
            time.sleep(BEAT_EVERY_S / 10)
            self._pulse.beat()
        self._started += time.monotonic() - began  # what was not worked is not counted as work
        self._pulse.tell(state="running")

    def beat(self) -> None:
        """Show that the trainer lives."""
        self._pulse.beat()

    def _append(self, event: dict[str, Any]) -> None:
        if not self._writes:
            return
        self._run.append(event)
        numbers = {key: value for key, value in event.items() if isinstance(value, int | float)}
        self._accelerator.log(
            {f"{event['kind']}/{key}": value for key, value in numbers.items()}, event["step"]
        )
        for alarm in self._watchman.look(event):
            self._run.append(alarm)
            self._display.line(f"{alarm['severity']}: {alarm['words']}")

    def _machine(self) -> dict[str, float]:
        """Return what the step event says of memory, processor and disk."""
        found = {
            "memory_mb": self._process.memory_info().rss / _MB,
            "cpu_percent": self._process.cpu_percent(),
            "disk_free_mb": shutil.disk_usage(self._run.path).free / _MB,
        }
        if self._accelerator.device.type == "cuda":
            found["gpu_memory_mb"] = torch.cuda.max_memory_allocated() / _MB
        return found


def device_name(accelerator: Accelerator) -> str:
    """Return what a run trains on, in words."""
    count = accelerator.num_processes
    several = f"{count} × " if count > 1 else ""
    if accelerator.device.type == "cuda":
        return several + torch.cuda.get_device_name(accelerator.device)
    return f"{several}CPU, {torch.get_num_threads()} threads"
