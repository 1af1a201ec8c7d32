"""Which evaluations are here: those that came with the code, of the runs on this machine, and of the Hub."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from core.evaluate.artifact import METRICS_FILE, Evaluation
from core.models import kept
from core.models.catalog import BUNDLED_FOLDER, MANIFEST_FILE, OF_RUN, bundled_names
from core.models.reference import RUN_NAME
from core.settings import settings

EVALUATIONS_FOLDER: Final = BUNDLED_FOLDER / "evaluations"
ROBUSTNESS_FILE: Final = "robustness.csv"
MAP_QUALITY_FILE: Final = "map_quality.csv"


def evaluation_folders(runs_dir: Path) -> list[Path]:
    """Return the folders of all evaluations, the bundled ones first, those pulled from the Hub last."""
    bundled = sorted(path.parent for path in EVALUATIONS_FOLDER.glob(f"*/{METRICS_FILE}"))
    of_runs = sorted(path.parent for path in runs_dir.glob(f"*/evaluation/{METRICS_FILE}"))
    return bundled + of_runs + kept.pulled_evaluations(kept.hub_folder())


def read_evaluation(folder: Path) -> Evaluation:
    """Return the evaluation of one of the folders; one from the Hub is of the commit that it was pulled with.

    What a pulled artifact says of its own checkpoint does not count: it names no commit, or anything else.

    Raises:
        EvaluationError: as `Evaluation.load`.
    """
    evaluation = Evaluation.load(folder)
    pulled = kept.reference_of(folder.parent, kept.hub_folder())
    return evaluation if pulled is None else replace(evaluation, checkpoint=str(pulled))


def told_apart(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return the evaluations with names that no two share; a later one of the same name gets a number."""
    taken: set[str] = set()
    found = []
    for one in evaluations:
        name, number = one.name, 1
        while name in taken:
            number += 1
            name = f"{one.name} ({number})"
        taken.add(name)
        found.append(one if name == one.name else replace(one, name=name))
    return found


def weights_folder(checkpoint: str) -> Path | None:
    """Return where a checkpoint's weights lie on this machine; None where they do not, or nobody can tell."""
    kind, _, name = checkpoint.partition(":")
    if kind == "bundled" and name in bundled_names():
        return BUNDLED_FOLDER / "checkpoints" / name
    if kind == "run" and RUN_NAME.fullmatch(name):
        folder = settings().runs_dir / name / OF_RUN
        return folder if (folder / MANIFEST_FILE).is_file() else None
    if kind == "local" and (Path(name) / MANIFEST_FILE).is_file():
        return Path(name)
    if kind == "hf":
        repo, _, revision = name.partition("@")
        return kept.checkpoint_folder(repo, revision or None, kept.hub_folder())
    return None


def robustness_files(runs_dir: Path) -> list[Path]:
    """Return every table of `core.evaluate.robustness`: the bundled ones, and those in run folders."""
    return _tables("robustness/*.csv", runs_dir, ROBUSTNESS_FILE)


def map_quality_files(runs_dir: Path) -> list[Path]:
    """Return every table of `core.evaluate.map_quality`: the bundled ones, and those in run folders."""
    return _tables("map_quality/*.csv", runs_dir, MAP_QUALITY_FILE)


def _tables(bundled: str, runs_dir: Path, name: str) -> list[Path]:
    """Return the tables of a kind, the one that counts for a model behind those that do not.

    What somebody measured here counts before what came with the code, and the newer before the older.
    """
    own = sorted(runs_dir.glob(f"*/{name}"), key=lambda path: (path.stat().st_mtime_ns, path))
    return sorted(BUNDLED_FOLDER.glob(bundled)) + own
