"""What is asked of a trainer from outside: to pause, to go on, to stop; by a file or by a signal."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Literal, cast

import torch
from accelerate import Accelerator

from core.runs.folder import RunFolder

Wish = Literal["", "pause", "resume", "stop", "end"]
"""Nothing, or what is asked. "end" is what Ctrl-C and SIGTERM ask: as stop, and quickly."""

_WISHES: Final[tuple[Wish, ...]] = ("", "pause", "resume", "stop", "end")


class Stopped(Exception):
    """Ends the loop after its state was saved.

    quickly: whether whoever asked will not wait for a checkpoint to be made and measured.
    """

    def __init__(self, *, quickly: bool) -> None:
        super().__init__("stopped")
        self.quickly = quickly


class Asked:
    """Looks for requests. Only the first process looks; `agree` tells the others."""

    def __init__(self, run: RunFolder, accelerator: Accelerator) -> None:
        self._path = run.path / "request.json"
        self._accelerator = accelerator
        self._signalled = False

    def wish(self) -> Wish:
        """Return what is asked just now; costs one look at the folder."""
        if self._signalled:
            return "end"
        try:
            wish = json.loads(self._path.read_text(encoding="utf-8"))["wish"]
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        return cast("Wish", wish) if wish in _WISHES else ""

    def done(self) -> None:
        """Take a request away that was answered."""
        if self._accelerator.is_main_process:
            self._path.unlink(missing_ok=True)

    def agree(self, loss: float) -> tuple[float, Wish]:
        """Return the mean loss over all processes, and what the first was asked: the same for all of them."""
        accelerator = self._accelerator
        wish = self.wish() if accelerator.is_main_process else ""
        if accelerator.num_processes == 1:
            return loss, wish
        mine = torch.tensor([loss, float(_WISHES.index(wish))], device=accelerator.device)
        total, asked = accelerator.reduce(mine, reduction="sum").tolist()
        return total / accelerator.num_processes, _WISHES[min(round(asked), len(_WISHES) - 1)]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the first Ctrl-C or SIGTERM as a request; the next one interrupts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}

        def hear(_number: int, _frame: FrameType | None) -> None:
            self._signalled = True
            for one, handler in before.items():
                signal.signal(one, handler)

        for one in before:
            signal.signal(one, hear)
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
