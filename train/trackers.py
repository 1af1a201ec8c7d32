"""Experiment trackers beside the run folder, as a recipe asks for them; Accelerate speaks to them."""

from pathlib import Path

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, filter_trackers

from core.errors import RecipeError
from train.recipe import Recipe


def check_trackers(recipe: Recipe) -> None:
    """Refuse trackers that are not known, or whose library is not installed: Accelerate would leave them out.

    An Accelerator must have been made.

    Raises:
        RecipeError: it names the tracker and what to install.
    """
    for name in recipe.trackers:
        if name not in LOGGER_TYPE_TO_CLASS:
            known = ", ".join(sorted(LOGGER_TYPE_TO_CLASS))
            raise RecipeError(f"trackers: {name!r} is not known; expected one of {known}.")
        if not filter_trackers([name], "."):
            raise RecipeError(
                f"trackers: the library of {name!r} is not installed. Install it (pip install "
                f"{name.replace('_', '-')}), or take it out of the recipe."
            )


def start_trackers(accelerator: Accelerator, recipe: Recipe, folder: Path, run_name: str) -> None:
    """Begin telling the trackers; what is local is written below `folder`."""
    if not recipe.trackers:
        return
    # The Accelerator is made before the run has a folder.
    accelerator.project_configuration.set_directories(str(folder))
    accelerator.log_with = filter_trackers(list(recipe.trackers), accelerator.logging_dir)
    accelerator.init_trackers(run_name, config=_flat(recipe.to_json()))


def end_trackers(accelerator: Accelerator) -> None:
    """Let the trackers write what they still hold."""
    # Not accelerator.end_training: the processes are needed for measuring.
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.trackers.clear()


def _flat(values: dict[str, object], above: str = "") -> dict[str, str | int | float | bool]:
    flat: dict[str, str | int | float | bool] = {}
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, dict):
            flat |= _flat(value, f"{name}.")
        else:
            flat[name] = value if isinstance(value, str | int | float | bool) else str(value)
    return flat
