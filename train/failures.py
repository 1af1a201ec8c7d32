"""What ended a run, in words with the cure; nothing that a person can mend ends as a traceback."""

import errno
from pathlib import Path

from core.errors import LesionLensError, RunError
from train.recipe import Recipe


def explained(problem: BaseException, recipe: Recipe, data_dir: Path) -> BaseException:
    """Return a problem as one of our errors where its cure is known; else, or if it is one, the problem."""
    if isinstance(problem, LesionLensError) or not isinstance(problem, Exception):
        return problem
    words = _words(problem, recipe, data_dir)
    return RunError(f"{words} What was saved is kept: resume the run afterwards.") if words else problem


def _words(problem: Exception, recipe: Recipe, data_dir: Path) -> str:
    said = str(problem)
    if _is_out_of_memory(problem):
        return _smaller(recipe)
    if "DataLoader worker" in said and ("exited unexpectedly" in said or "killed by signal" in said):
        return (
            "A process that prepares pictures was killed, most likely for its memory. Close other programs, "
            f"or train again with --set workers={max(0, recipe.workers - 1)}."
        )
    if isinstance(problem, OSError) and problem.errno == errno.ENOSPC:
        return f"The disk is full ({problem.filename or said}). Free some space."
    if isinstance(problem, PermissionError):
        return f"{problem.filename or said} may not be used. Give yourself the right to."
    if isinstance(problem, FileNotFoundError):
        return f"{problem.filename or said} is gone. Bring it back; the dataset of this run is {data_dir}."
    return ""


def _is_out_of_memory(problem: Exception) -> bool:
    said = str(problem).lower()
    return isinstance(problem, MemoryError) or (
        isinstance(problem, RuntimeError)  # torch.OutOfMemoryError is one; on a CPU it is the plain class
        and any(words in said for words in ("out of memory", "can't allocate memory", "not enough memory"))
    )


def _smaller(recipe: Recipe) -> str:
    if recipe.batch_size == 1:
        return (
            "There is not enough memory, even for batches of one picture. Train again with --set "
            "grad_checkpointing=true, smaller train_sizes or a smaller model."
        )
    batch = recipe.batch_size // 2
    # The same pictures an optimizer step, so that the learning rate still fits.
    accumulate = 2 * recipe.optimizer.accumulate
    return (
        f"There is not enough memory for batches of {recipe.batch_size} pictures. Train again with "
        f"--set batch_size={batch} --set optimizer.accumulate={accumulate}."
    )
