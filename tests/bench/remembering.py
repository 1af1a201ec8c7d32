"""What predictions cost in memory, asked of the system."""

import gc
import threading
from pathlib import Path

import numpy as np

from core.data.facts import Facts
from core.data.synthetic import draw_lesion
from core.labels import CODES
from core.models.catalog import folder_of
from core.models.checkpoint import load_checkpoint
from core.models.reference import parse_reference
from core.predict.predictor import answer, look
from core.settings import settings

_PICTURES = 20


def watch(reference: str, *, predictions: int) -> None:
    """Print this process's memory while it predicts, each time in a new thread, as the app does."""
    chosen = parse_reference(reference or settings().default_checkpoint)
    random = np.random.default_rng(0)
    pictures = [
        draw_lesion(seed, kind=CODES[seed % 7], size_px=tuple(random.integers(300, 1200, 2).tolist()))
        for seed in range(_PICTURES)
    ]
    _print("libraries and pictures loaded")
    checkpoint = load_checkpoint(folder_of(chosen), reference=str(chosen))
    _print("checkpoint loaded")
    for done in range(predictions + 1):
        if done % 50 == 0:
            gc.collect()
            _print(f"after {done} predictions")
        thread = threading.Thread(
            target=lambda shown: answer(checkpoint, look(checkpoint, shown), Facts()),
            args=(pictures[done % _PICTURES],),
        )
        thread.start()
        thread.join()


def _print(when: str) -> None:
    resident, private = _memory_mb("VmRSS"), _memory_mb("RssAnon")
    print(f"{when:32} {resident:6.0f} MB resident, of which {private:6.0f} MB private")


def _memory_mb(field: str) -> float:
    """Return a memory field of this process as Linux counts it, MB; NaN elsewhere."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    found = next((line for line in lines if line.startswith(f"{field}:")), None)
    return int(found.split()[1]) / 1024 if found else float("nan")
