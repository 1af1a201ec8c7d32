"""What watching runs costs the server: a look of the panel, with ten runs of ten thousand steps, and more."""

import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

from core.runs.following import Follower
from core.runs.library import Library
from core.settings import REPOSITORY, settings
from pages.ui.train import curves, panel
from pages.ui.train.curves import Drawn, Look, Options
from tests.bench.measuring import in_turns

RUNS = 10
STEPS = 10_000
EPOCHS = 20
MANY = 1_000
MILLION = 1_000_000

Tasks = dict[str, Callable[[], object]]


def compare(*, rounds: int) -> None:
    """Print what looks at runs cost, on the clock and of this process's processors."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "runs"
        for number in range(RUNS):
            _write(folder / f"run-{number:02d}", steps=STEPS, seed=number)
        many = _many(Path(temporary) / "many")
        print(f"{RUNS} runs of {STEPS:,} step events and {EPOCHS} epochs each, median of {rounds} rounds")
        print("elapsed: on the clock, whatever else runs; work: of this process's processors\n")
        looks = _timed_looks()
        _print(_drawing(folder) | _listing(many) | _rerun(folder), rounds=rounds)
        # The last task of every round laid all runs over each other.
        _print_looks(looks[1::2][1:])
        _print_million(Path(temporary) / "million")


def _write(folder: Path, *, steps: int, seed: int, state: str = "running") -> None:
    """Write a run that this process seems to train, told to its end but for the last epoch."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    began = time.time() - steps
    config = {
        "recipe": {"model": "efficientnet_lite0", "epochs": EPOCHS, "seed": seed},
        "started": "2026-01-01",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    status = {
        "state": state,
        "pid": os.getpid(),
        "host": os.uname().nodename,
        "heartbeat": time.time(),
        "step": steps,
        "total_steps": steps,
        "epoch": EPOCHS,
        "best": 0.7,
    }
    (folder / "status.json").write_text(json.dumps(status), encoding="utf-8")
    losses = 2 * np.exp(-np.arange(steps) / steps * 3) + rng.normal(0, 0.1, steps)
    with (folder / "events.jsonl").open("w", encoding="utf-8") as file:
        for step in range(1, steps + 1):
            event = {
                "time": began + step, "kind": "step", "step": step, "epoch": (step - 1) * EPOCHS // steps + 1,
                "loss": float(losses[step - 1]), "learning_rate": 1e-3, "images_per_s": 40.0,
                "wait_share": 0.01, "memory_mb": 1400.0, "cpu_percent": 180.0,
            }  # fmt: skip
            file.write(json.dumps(event) + "\n")
            if step % (steps // EPOCHS) == 0:
                file.write(json.dumps(_epoch(step * EPOCHS // steps, step, began + step)) + "\n")


def _epoch(number: int, step: int, moment: float) -> dict[str, object]:
    score = 0.7 * (1 - np.exp(-number / 4))
    return {
        "time": moment, "kind": "epoch", "epoch": number, "step": step, "train_loss": 1 / number,
        "val_loss": 1.1 / number, "accuracy": 0.8, "balanced_accuracy": float(score), "macro_auc": 0.9,
        "recall": [float(score)] * 7, "confusion": (10 * np.eye(7, dtype=int)).tolist(),
    }  # fmt: skip


def _drawing(folder: Path) -> Tasks:
    runs = Library(folder).summaries()
    followers = [Follower(run.folder / "events.jsonl") for run in runs]

    def draw() -> object:
        drawn = [
            Drawn(run, follower.look(), STEPS, "#000000")
            for run, follower in zip(runs, followers, strict=True)
        ]
        return curves.figure(drawn, Look(Options(), None))

    def read() -> object:
        return Follower(runs[0].folder / "events.jsonl").look()

    return {
        "a run's events, read for the first time": read,
        "all runs' events, when nothing is new": lambda: [follower.look() for follower in followers],
        "all curves of all runs": draw,
    }


def _many(folder: Path) -> Library:
    for number in range(MANY):
        run = folder / f"run-{number:04d}"
        run.mkdir(parents=True)
        config = {"recipe": {"model": "m"}, "started": "2026-01-01"}
        (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
        status = {"state": "finished", "pid": 0, "host": "h", "heartbeat": 1.0}
        (run / "status.json").write_text(json.dumps(status), encoding="utf-8")
    return Library(folder)


def _listing(many: Library) -> Tasks:
    return {
        f"the list of {MANY:,} runs, for the first time": lambda: Library(many.folder).summaries(),
        f"the list of {MANY:,} runs, when nothing changed": many.summaries,
    }


def _rerun(folder: Path) -> Tasks:
    """Return the whole page's rerun; what refreshes every second or two is a part of it."""
    logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context").setLevel(logging.ERROR)
    os.environ["LESIONLENS_RUNS"] = str(folder)
    settings.cache_clear()
    names = sorted(path.name for path in folder.iterdir())
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=300)
    app.switch_page("pages/train.py")
    app.query_params["run"] = names[0]

    def rerun(others: list[str]) -> None:
        app.query_params["with"] = ",".join(others)
        app.run()
        if app.exception:
            raise RuntimeError(app.exception[0].message)

    return {
        "rerun of the whole page, one run": lambda: rerun([]),
        f"rerun of the whole page, {RUNS} runs laid over": lambda: rerun(names[1:]),
    }


def _timed_looks() -> list[float]:
    """Return a list that fills with the ms of processor time of every look of the panel, which refreshes."""
    found: list[float] = []
    look = panel.look

    def timed(*given: Any) -> None:
        began = time.thread_time()
        try:
            look(*given)
        finally:
            found.append(1000 * (time.thread_time() - began))

    panel.look = timed  # type: ignore[assignment]
    return found


def _print_looks(looks: list[float]) -> None:
    low, middle, high = np.quantile(looks, [0.25, 0.5, 0.75])
    print(
        f"A look of the panel, which is what refreshes, {RUNS} runs laid over: {middle:.1f} ms of work "
        f"({low:.1f} to {high:.1f}, n = {len(looks)})\n"
    )


def _print(tasks: Tasks, *, rounds: int) -> None:
    elapsed = in_turns(tasks, rounds=rounds)
    work = in_turns(tasks, rounds=rounds, clock=time.process_time)
    width = max(map(len, tasks))
    print(f"  {'':{width}}  {'elapsed':>12}  {'work':>12}")
    for name in tasks:
        print(f"  {name:{width}}  {np.median(elapsed[name]):9.2f} ms  {np.median(work[name]):9.2f} ms")
    print()


def _print_million(folder: Path) -> None:
    """Print how a run of a million step events is read and drawn."""
    _write(folder, steps=MILLION, seed=0)
    run = Library(folder.parent).summaries()
    follower = Follower(folder / "events.jsonl")
    began, looks = time.perf_counter(), 1
    while follower.look().unread_bytes:
        looks += 1
    read_s = time.perf_counter() - began
    drawn = [Drawn(next(one for one in run if one.folder == folder), follower.look(), MILLION, "#000000")]
    began = time.perf_counter()
    curves.figure(drawn, Look(Options(), None))
    size_mb = (folder / "events.jsonl").stat().st_size / 2**20
    print(
        f"A million steps ({size_mb:.0f} MB): read in {looks} looks of {read_s / looks:.2f} s, then drawn in "
        f"{1000 * (time.perf_counter() - began):.0f} ms"
    )
