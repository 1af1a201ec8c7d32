"""Start, pause, resume, stop and delete runs, from a page or the command line.

A trainer is a process of its own: it outlives the browser and the app. What somebody asks of it is one small
file in its run folder, which it looks at after every step, so that asking works over a shared folder too.

A paused run has saved its state, keeps its process and its memory, and goes on at once when asked. The next
in the queue waits for it; stop it instead to make room. A stopped run has saved its state after the step it
was at, and made a checkpoint of its best weights if it had any; resuming it loses nothing.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from core.errors import RecipeError, RunError
from core.runs import queue
from core.runs.folder import LIVE_STATES, RunFolder, checked_name, write_atomically
from core.settings import REPOSITORY, settings

TRASH: Final = ".trash"

Wish = Literal["pause", "resume", "stop"]

_CHECK_TIMEOUT_S: Final = 120


def submit(
    recipe: str,
    *,
    data_dir: Path,
    name: str | None = None,
    overrides: Sequence[str] = (),
    budget_s: float | None = None,
    checked: bool = False,
) -> str:
    """Put a run into the queue, which starts it when this machine is free; returns the run's name.

    recipe: name of a recipe, or a TOML file.
    name: of the run; by default recipe and time.
    overrides: values of the recipe to change, "key=value".
    budget_s: no epoch is begun that would end after this many seconds of training; None for no limit.
    checked: whether `resolved_recipe` has taken these values already: asking the trainer takes seconds.

    Raises:
        RunError: training is switched off here, the name is taken, or the dataset is not there.
        RecipeError: the recipe or an override cannot be.
    """
    check_allowed()
    runs_dir = settings().runs_dir
    if not data_dir.is_dir():
        raise RunError(f"There is no folder {data_dir}. Choose the folder of a dataset.")
    if budget_s is not None:
        overrides = (*overrides, f"budget_s={budget_s:g}")
    if (file := Path(recipe)).suffix == ".toml":
        recipe = str(file.absolute())
    if not checked:
        resolved_recipe(recipe, overrides)
    name = checked_name(name or _free_name(runs_dir, Path(recipe).stem))
    if (runs_dir / name).exists():
        raise RunError(f"There is already a run {name!r} in {runs_dir}. Choose another name.")
    queue.add(runs_dir, queue.Queued(name, recipe, data_dir.absolute(), tuple(overrides), time.time()))
    queue.ensure_worker(runs_dir)
    return name


def resolved_recipe(recipe: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return all values of a recipe, with overrides, as the trainer understands them.

    Raises:
        RecipeError: there is no such recipe, or a value cannot be; the message names it.
    """
    changes = [word for override in overrides for word in ("--set", override)]
    command = [sys.executable, "-m", "train", "show", "--json", *changes, "--", recipe]
    try:
        shown = subprocess.run(  # noqa: S603 - this project's own program
            command, cwd=REPOSITORY, capture_output=True, text=True, timeout=_CHECK_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise RunError(f"The trainer could not be asked about {recipe!r} ({problem}).") from problem
    if shown.returncode:
        raise RecipeError(shown.stderr.strip() or f"The recipe {recipe!r} cannot be used.")
    resolved: dict[str, Any] = json.loads(shown.stdout)
    return resolved


def pause(run: RunFolder) -> None:
    """Ask a running run to save its state after this step and wait; raises RunError when it does not run."""
    check_allowed()
    _ask(run, "pause", when=("running",))


def stop(run: RunFolder) -> None:
    """Ask a running or paused run to save its state after this step and end, keeping everything.

    Raises:
        RunError: it does not run.
    """
    check_allowed()
    _ask(run, "stop", when=LIVE_STATES)


def resume(run: RunFolder) -> None:
    """Let a paused run go on; put one that stopped, failed or died into the queue, to go on where it was.

    Raises:
        RunError: it is running, has finished, or waits already.
    """
    check_allowed()
    state = state_of(run)
    if state == "paused":
        _ask(run, "resume", when=("paused",))
        return
    if state in ("running", "finished"):
        said = "is running" if state == "running" else "has finished: train again under another name"
        raise RunError(f"Run {run.name} {said}.")
    config = run.config()
    if "recipe" not in config:
        raise RunError(f"Run {run.name} never began, so there is nothing to resume. Submit it again.")
    item = queue.Queued(
        run.name,
        str(config.get("recipe_name", "")),
        Path(config["data_dir"]),
        submitted=time.time(),
        what="resume",
    )
    queue.add(run.path.parent, item)
    queue.ensure_worker(run.path.parent)


def delete(run: RunFolder) -> Path:
    """Move a run to the trash folder beside it; returns where it lies now.

    Raises:
        RunError: it is being trained, waits, is not one of this machine's runs, or cannot be moved.
    """
    check_allowed()
    runs_dir = run.path.parent
    if runs_dir.resolve() != settings().runs_dir.resolve():
        raise RunError(f"{run.path} is not a run of {settings().runs_dir}; only those can be deleted.")
    if state_of(run) in LIVE_STATES:
        raise RunError(f"Run {run.name} is being trained. Stop it first, then delete it.")
    if any(item.name == run.name for item in queue.waiting(runs_dir)):
        raise RunError(f"Run {run.name} waits in the queue. Take it out there first, then delete it.")
    trashed = runs_dir / TRASH / f"{run.name}-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}"
    try:
        trashed.parent.mkdir(exist_ok=True)
        run.path.rename(trashed)
    except OSError as problem:
        raise RunError(
            f"Run {run.name} could not be moved to {trashed.parent} ({problem.strerror or problem}). "
            "Nothing was deleted."
        ) from problem
    return trashed


def restore(trashed: Path) -> RunFolder:
    """Take a run back out of the trash, under its old name; raises RunError when that is taken."""
    check_allowed()
    if trashed.parent.name != TRASH or not (trashed / "config.json").is_file():
        raise RunError(f"{trashed} is not a deleted run.")
    name = trashed.name.rsplit("-", 3)[0]
    back = trashed.parent.parent / name
    if back.exists():
        raise RunError(f"There is a run {name!r} again. Rename or delete that one first.")
    trashed.rename(back)
    return RunFolder(back)


def _ask(run: RunFolder, wish: Wish, *, when: Sequence[str]) -> None:
    state = state_of(run)
    if state not in when:
        raise RunError(f"Run {run.name} is {state}, not {' or '.join(when)}: there is nothing to {wish}.")
    write_atomically(run.path / "request.json", json.dumps({"wish": wish, "time": time.time()}) + "\n")


def state_of(run: RunFolder) -> str:
    """Return the state of a run as an onlooker sees it; one that was killed at its very start has died."""
    try:
        return run.status().observed()
    except RunError:
        return "died"


def check_allowed() -> None:
    """Refuse long work where it is switched off; raises RunError."""
    if not settings().allow_training:
        raise RunError(
            "Training is switched off on this machine; the setting LESIONLENS_ALLOW_TRAINING switches it on."
        )


def _free_name(runs_dir: Path, recipe: str) -> str:
    name = f"{recipe}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    taken = {item.name for item in queue.waiting(runs_dir)}
    free = (f"{name}-{number}" if number else name for number in range(1000))
    return next(one for one in free if one not in taken and not (runs_dir / one).exists())
