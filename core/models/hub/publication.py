"""What is published of a checkpoint: exactly these files, put together here and nowhere sent.

    config.json model.safetensors lesionlens.safetensors lesionlens.json    the checkpoint, as timm loads it
    README.md                                                               the card, from measured values
    evaluation/predictions.parquet val.parquet metrics.json                 what it answered on the test split
    split.csv                                                               which picture was in which part
    run/config.json run/events.jsonl run/log.txt                            how it was trained

Paths of this machine are cut down to their last part, and in sentences cut off with all that follows in their
line; host, process and state of a run stay here.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import BrokenCheckpoint, EvaluationError, UnknownReference
from core.evaluate.artifact import METRICS_FILE, PREDICTIONS_FILE, VAL_FILE, Evaluation
from core.models.card import model_card
from core.models.catalog import BUNDLED_FOLDER, MANIFEST_FILE, OF_RUN, folder_of
from core.models.checkpoint import CARD_FILE, EXTRAS_FILE, Manifest, load_checkpoint, read_manifest
from core.models.kept import CONFIG_FILE, EVALUATION_FOLDER, SPLIT_FILE, WEIGHTS_FILE
from core.models.reference import check_repository, parse_reference
from core.runs.folder import RunFolder

RUN_FOLDER: Final = "run"
# The names under which something of ours may lie in a repository: what is left of an earlier version goes.
OURS: Final = (EXTRAS_FILE, SPLIT_FILE, f"{EVALUATION_FOLDER}/*", f"{RUN_FOLDER}/*")
# Where a path begins: of POSIX (two parts at least, so that "n/a" and "1/14" are none, and nothing of an
# address with "//"), of Windows, of a share, or as an address of this machine. Names may hold blanks, so
# nobody can tell where a path in a sentence ends.
_PATH: Final = re.compile(
    r"(?<![\w./~<])~?/(?![/\s])[^/\n<>]+/|(?<![\w./])~[/\\]|\b[A-Za-z]:[\\/](?!/)|\\\\+[\w?.]|\bfile:/",
    re.IGNORECASE,
)
_WHOLE_PATH: Final = re.compile(
    r"((?:checkpoint:|local:)*)(?:~|/(?!/)|[A-Za-z]:[\\/]|\\\\|file:/)", re.IGNORECASE
)
_CUT: Final = "…"


@dataclass(frozen=True)
class Material:
    """Where the parts of a publication lie; what is None is not here.

    folder: the checkpoint. evaluation: the artifact's folder. run: the run's folder.
    """

    folder: Path
    evaluation: Path | None = None
    run: Path | None = None


@dataclass(frozen=True)
class Item:
    """One file as it would be sent: its path in the repository, and its bytes or where they lie."""

    path: str
    content: bytes | Path

    @property
    def size(self) -> int:
        """In bytes."""
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)

    def read(self) -> bytes:
        """Return its bytes."""
        return self.content.read_bytes() if isinstance(self.content, Path) else self.content


@dataclass(frozen=True)
class Publication:
    """All files of a checkpoint, ready to be sent.

    absent: what could not be added, as sentences.
    """

    repo: str
    manifest: Manifest
    items: tuple[Item, ...]
    absent: tuple[str, ...]


def material_of(name: str, runs_dir: Path) -> Material:
    """Return what a run's name or folder, or a checkpoint's reference, stands for.

    Raises:
        CheckpointError: no checkpoint lies there.
        RunError: there is no such run.
    """
    if name.partition(":")[0] in ("bundled", "local", "hf"):
        return _of_reference(name)
    run = RunFolder.open(runs_dir, name.removeprefix("run:"))
    folder = run.path / OF_RUN
    if not (folder / MANIFEST_FILE).is_file():
        raise UnknownReference(
            f"Run {run.path.name} has no checkpoint yet. Make one: python -m train finish {run.path.name}."
        )
    return Material(folder, _with(run.path / "evaluation", METRICS_FILE), run.path)


def put_together(material: Material, repo: str) -> Publication:
    """Return everything that a publication sends, after a look whether the checkpoint is what it says.

    Raises:
        UnknownReference: the repository cannot be one.
        CheckpointError: the checkpoint is incomplete or altered, or not one of LesionLens.
        EvaluationError: the evaluation is altered, or of another checkpoint.
    """
    check_repository(repo)
    if load_checkpoint(material.folder).lacks:
        raise BrokenCheckpoint(
            f"{material.folder.name} was not made by LesionLens, so it is its owner's to publish."
        )
    manifest = read_manifest(material.folder)
    evaluation = None if material.evaluation is None else _evaluation(material.evaluation, manifest)
    # As every reader of the published folder reads it: without this machine's paths.
    public = json_without_paths((material.folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    card = without_paths(model_card(manifest, repo=repo, evaluation=evaluation))
    items = [
        Item(CONFIG_FILE, material.folder / CONFIG_FILE),
        Item(WEIGHTS_FILE, material.folder / WEIGHTS_FILE),
        Item(EXTRAS_FILE, material.folder / EXTRAS_FILE),
        Item(CARD_FILE, card.encode()),
        *_evaluation_items(material.evaluation, repo),
        *_run_items(material.run),
        Item(MANIFEST_FILE, public.encode()),
    ]
    return Publication(repo, manifest, tuple(items), _absent(items))


def without_paths(text: str) -> str:
    """Return a text whose lines end where an absolute path begins."""
    return "".join(_cut(line) for line in text.splitlines(keepends=True))


def json_without_paths(text: str) -> str:
    """Return JSON in which a string that is an absolute path is that path's last part; others are cut.

    What is no JSON is a text.
    """
    try:
        value = json.loads(text)
    except ValueError:
        return without_paths(text)
    public = _public(value)
    if json.dumps(public) == json.dumps(value):
        return text
    indent = 2 if "\n" in text.strip() else None
    return json.dumps(public, indent=indent) + ("\n" if text.endswith("\n") else "")


def _cut(line: str) -> str:
    found = _PATH.search(line)
    if found is None:
        return line
    return line[: found.start()] + _CUT + ("\n" if line.endswith("\n") else "")


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {_public(key): _public(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_public(one) for one in value]
    if not isinstance(value, str):
        return value
    whole = _WHOLE_PATH.match(value)
    if whole is None:
        return without_paths(value)
    return whole[1] + re.split(r"[/\\]+", value.rstrip("/\\"))[-1]


def _of_reference(name: str) -> Material:
    reference = parse_reference(name)
    folder = folder_of(reference)
    if reference.kind == "bundled":
        return Material(
            folder,
            _with(BUNDLED_FOLDER / "evaluations" / reference.name, METRICS_FILE),
            _with(BUNDLED_FOLDER / "runs" / reference.name, "events.jsonl"),
        )
    run = _with(folder.parent, "events.jsonl")  # the run that the checkpoint lies in
    beside = _with(folder / EVALUATION_FOLDER, METRICS_FILE)
    return Material(folder, beside or _with(folder.parent / EVALUATION_FOLDER, METRICS_FILE), run)


def _with(folder: Path, file: str) -> Path | None:
    return folder if (folder / file).is_file() else None


def _evaluation(folder: Path, manifest: Manifest) -> Evaluation:
    evaluation = Evaluation.load(folder)
    if evaluation.split_hash != manifest.split_hash:
        raise EvaluationError(
            f"The evaluation in {folder} is of split {evaluation.split_hash[:12]}, and checkpoint "
            f"{manifest.name} was trained with {manifest.split_hash[:12]}. Measure it again: python -m train "
            "evaluate."
        )
    return evaluation


def _evaluation_items(folder: Path | None, repo: str) -> list[Item]:
    if folder is None:
        return []
    metrics = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    metrics["checkpoint"] = f"hf:{repo}"  # where it was measured is nobody's business
    tables = [name for name in (PREDICTIONS_FILE, VAL_FILE) if (folder / name).is_file()]
    return [
        *(Item(f"{EVALUATION_FOLDER}/{name}", folder / name) for name in tables),
        Item(f"{EVALUATION_FOLDER}/{METRICS_FILE}", (json.dumps(metrics, indent=2) + "\n").encode()),
    ]


def _run_items(run: Path | None) -> list[Item]:
    if run is None:
        return []
    items = [Item(SPLIT_FILE, run / SPLIT_FILE)] if (run / SPLIT_FILE).is_file() else []
    for name in _CLEANED:
        if (run / name).is_file():
            text = _CLEANED[name]((run / name).read_text(encoding="utf-8", errors="replace"))
            items.append(Item(f"{RUN_FOLDER}/{name}", text.encode()))
    return items


def _events_without_paths(text: str) -> str:
    return "".join(json_without_paths(line) for line in text.splitlines(keepends=True))


_CLEANED: Final[Mapping[str, Callable[[str], str]]] = {
    "config.json": json_without_paths,
    "events.jsonl": _events_without_paths,
    "log.txt": without_paths,
}


def _absent(items: list[Item]) -> tuple[str, ...]:
    here = {item.path for item in items}
    parts = {
        f"{EVALUATION_FOLDER}/{METRICS_FILE}": "No evaluation is here, so nobody can compare it unmeasured: "
        "python -m train evaluate --out writes one.",
        SPLIT_FILE: "No split manifest is here: which pictures it learned from is told by a hash alone.",
        f"{RUN_FOLDER}/events.jsonl": "No run log is here: how it was trained stands in the card alone.",
    }
    return tuple(words for path, words in parts.items() if path not in here)
