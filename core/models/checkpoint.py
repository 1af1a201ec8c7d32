"""A checkpoint folder: what timm itself loads, and beside it what makes its answers trustworthy.

    config.json              timm's: architecture, preprocessing, label names
    model.safetensors        the backbone's weights, half precision
    lesionlens.safetensors   fact tables, feature statistics, the golden input
    README.md                the model card
    lesionlens.json          the manifest, written last: its presence means the folder is whole

The manifest holds the SHA-256 of both weight files. Loading checks them, and runs the golden input through
the network and compares with the logits stored when it was saved: so weights that were swapped, cut or made
for another label order are refused, and so is code that computes something else. No pickle is ever loaded.
"""

import copy
import json
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from core.data.facts import Facts, encode_facts
from core.data.preprocessing import Preprocessing
from core.errors import BrokenCheckpoint
from core.evaluate.intervals import Interval
from core.files import replacing, sha256
from core.labels import BY_CODE, CODES
from core.libraries import timm, without_first_weights
from core.models.catalog import MANIFEST_FILE
from core.models.kept import WEIGHTS_FILE
from core.models.network import AdditiveNetwork, build_network
from core.models.registry import MODELS
from core.predict.calibration import OperatingPoint
from core.predict.heldout import HeldOut
from core.predict.unknown import FeatureStatistics, InputLimits

FORMAT: Final = 1
EXTRAS_FILE: Final = "lesionlens.safetensors"
CARD_FILE: Final = "README.md"
GOLDEN_FACTS: Final = Facts(age_years=55, sex="female", site="back")
# Two processors may round differently, by about 1e-4 logits in a deep network; other weights differ by whole
# ones.
GOLDEN_TOLERANCE: Final = 0.02


@dataclass(frozen=True)
class Manifest:
    """What lesionlens.json says of a checkpoint.

    labels: the class order, which must be CODES.
    model: name in MODELS.
    temperature: logits are divided by it, fitted on val.
    class_frequencies: share of each diagnosis in the training split, shape (7,).
    balanced_power: power of the class frequencies that a balanced prior divides by, chosen on val.
    metrics: of the test split, each {"value", "low", "high", "n_images", "n_lesions"}.
    training: what it took: epochs, images, seconds, commit, weights it started from.
    held_out: prediction sets and natural frequencies, fitted on val; None in checkpoints older than them.
    limits: what val pictures' logits and colours keep to; None in checkpoints older than them.
    files: SHA-256 of each weight file.
    """

    name: str
    about: str
    model: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    uses_facts: bool
    temperature: float
    class_frequencies: tuple[float, ...]
    balanced_power: float
    operating_points: tuple[OperatingPoint, ...]
    golden_logits: tuple[float, ...]
    split_hash: str
    data: str
    licence: str
    recipe: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, dict[str, float | int | None]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    held_out: HeldOut | None = None
    limits: InputLimits | None = None
    format: int = FORMAT

    def operating_point(self, name: str) -> OperatingPoint | None:
        """Return an operating point by name, None for a checkpoint that has none at all.

        Raises:
            KeyError: it has others, but not this one.
        """
        if not self.operating_points:
            return None
        return {point.name: point for point in self.operating_points}[name]

    def tested(self, metric: str) -> Interval | None:
        """Return a metric of the test split; None where nobody measured it, or it is not defined."""
        entry = self.metrics.get(metric)
        if entry is None or entry["value"] is None:
            return None
        value, low, high = (
            float("nan") if (number := entry[key]) is None else number for key in ("value", "low", "high")
        )
        images, lesions = (int(entry[key] or 0) for key in ("n_images", "n_lesions"))
        return Interval(value, low, high, images, lesions)


_MANIFEST: Final = TypeAdapter(Manifest)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint, shared by all sessions.

    lacks: what it does not bring along, as sentences; empty for a checkpoint of LesionLens.
    lock: hold it around every pass through the network: other explanation methods hang hooks into the same
        modules for a moment, and would catch this pass too.
    """

    reference: str
    folder: Path
    manifest: Manifest
    network: AdditiveNetwork
    statistics: FeatureStatistics | None
    lacks: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """What tells these weights from others, also from later ones in the same folder."""
        return f"{self.reference}|{self.manifest.files.get(WEIGHTS_FILE, self.folder)}"

    lock: threading.Lock = field(default_factory=threading.Lock, compare=False)


def save_checkpoint(
    folder: Path,
    network: AdditiveNetwork,
    manifest: Manifest,
    *,
    golden: np.ndarray,
    statistics: FeatureStatistics | None,
    card: str,
) -> Manifest:
    """Write a checkpoint folder; returns the manifest with its golden logits and the files' sums.

    golden: a picture as the network sees it, uint8 (h, w, 3). The stored logits are those of the
    half-precision weights, computed in float32, as every later load computes them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    # A loaded network lies channels-last, which safetensors cannot write.
    halved = copy.deepcopy(network).cpu().eval().half().to(memory_format=torch.contiguous_format)
    _refuse_overflow(halved)
    preprocessing = manifest.preprocessing
    timm.models.save_for_hf(
        halved.backbone,
        str(folder),
        model_config={
            "label_names": list(CODES),
            "label_descriptions": {code: BY_CODE[code].name for code in CODES},
        },
        model_args=dict(network.spec.timm_args),
        data_config={
            "input_size": (3, preprocessing.size, preprocessing.size),
            "mean": preprocessing.mean,
            "std": preprocessing.std,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
        },
        safe_serialization=True,
    )
    extras = {f"facts.{key}": value.contiguous() for key, value in halved.facts.state_dict().items()}
    extras["golden.pixels"] = torch.from_numpy(np.array(golden))
    if statistics is not None:
        extras |= {
            f"statistics.{key}": torch.tensor(value, dtype=torch.float32)
            for key, value in vars(statistics).items()
        }
        extras["statistics.axes"] = extras["statistics.axes"].half()
    save_file(extras, folder / EXTRAS_FILE)
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    logits = _golden_logits(halved.float(), preprocessing, golden)
    whole = replace(
        manifest,
        golden_logits=tuple(float(value) for value in logits),
        files={name: sha256(folder / name) for name in (WEIGHTS_FILE, EXTRAS_FILE)},
    )
    write_manifest(folder, whole)
    return whole


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest into a checkpoint folder in one step; the weights stay as they are."""
    text = json.dumps(_MANIFEST.dump_python(manifest, mode="json"), indent=1) + "\n"
    with replacing(folder / MANIFEST_FILE) as part:
        part.write_text(text, encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read and check lesionlens.json alone, without loading weights.

    Raises:
        BrokenCheckpoint: it is absent, not what it should be, or made for other labels.
    """
    try:
        stored = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as problem:
        raise BrokenCheckpoint(
            f"The checkpoint folder {folder.name} has no {MANIFEST_FILE}: it is incomplete, or not one of "
            "LesionLens. Fetch or train it again."
        ) from problem
    except (OSError, ValueError) as problem:
        raise BrokenCheckpoint(
            f"{folder.name}/{MANIFEST_FILE} cannot be read ({problem}). Fetch it again."
        ) from problem
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise BrokenCheckpoint(
            f"{folder.name}/{MANIFEST_FILE} has another format than {FORMAT}. Update LesionLens."
        )
    try:
        manifest = _MANIFEST.validate_python(stored)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BrokenCheckpoint(f"{folder.name}/{MANIFEST_FILE}: {where}: {first['msg']}.") from problem
    if manifest.labels != CODES:
        raise BrokenCheckpoint(
            f"Checkpoint {manifest.name} answers in the order {', '.join(manifest.labels)}; LesionLens reads "
            f"{', '.join(CODES)}. Its answers would go to the wrong diagnoses, so it is not used."
        )
    if manifest.model not in MODELS:
        raise BrokenCheckpoint(
            f"Checkpoint {manifest.name} is a {manifest.model!r}; this LesionLens knows {', '.join(MODELS)}."
        )
    return manifest


def load_checkpoint(folder: Path, *, reference: str | None = None) -> Checkpoint:
    """Load a checkpoint folder and verify it with its golden input; a foreign one as `load_foreign` does.

    Raises:
        BrokenCheckpoint: a file is missing or altered, or the golden logits do not come out.
    """
    from core.models.foreign import is_foreign, load_foreign  # it builds on this module

    if is_foreign(folder):
        return load_foreign(folder, reference=reference or f"local:{folder}")
    manifest = read_manifest(folder)
    with without_first_weights():
        network = build_network(manifest.model)
    try:
        _check_files(folder, manifest)
        weights = load_file(folder / WEIGHTS_FILE)
        extras = load_file(folder / EXTRAS_FILE)
        network.backbone.load_state_dict(weights)
        network.facts.load_state_dict(_below(extras, "facts."))
        statistics = _statistics(_below(extras, "statistics."))
        network.eval().requires_grad_(requires_grad=False)
        network.to(memory_format=torch.channels_last)
        logits = _golden_logits(network, manifest.preprocessing, extras["golden.pixels"].numpy())
        difference = np.abs(logits - np.array(manifest.golden_logits)).max()
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as problem:
        raise BrokenCheckpoint(
            f"Checkpoint {manifest.name} is incomplete or altered ({_reason(problem)}). "
            "Fetch or train it again."
        ) from problem
    if not difference < GOLDEN_TOLERANCE:
        raise BrokenCheckpoint(
            f"Checkpoint {manifest.name} does not answer as it did when it was saved: its golden logits are "
            f"off by {difference:.3g}. Its weights were altered or damaged; fetch or train it again."
        )
    return Checkpoint(reference or f"local:{folder}", folder, manifest, network, statistics)


def _check_files(folder: Path, manifest: Manifest) -> None:
    for name in (WEIGHTS_FILE, EXTRAS_FILE):
        if sha256(folder / name) != manifest.files[name]:
            raise ValueError(f"{name} is not the file that was saved")


def _refuse_overflow(network: AdditiveNetwork) -> None:
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise BrokenCheckpoint(f"{name} does not fit half precision; the training went wrong.")


def _reason(problem: Exception) -> str:
    """Return why loading failed, in one line: torch lists every tensor, a missing key is only its name."""
    if isinstance(problem, KeyError):
        return f"it has no {problem.args[0]}"
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    # The first line of a state dict that does not fit only says that it does not; the second says where.
    return " ".join(lines[:2]) or type(problem).__name__


def _golden_logits(network: AdditiveNetwork, preprocessing: Preprocessing, golden: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(preprocessing.normalise(golden)[None])
    with torch.no_grad():
        return network(pixels, torch.from_numpy(encode_facts([GOLDEN_FACTS])))[0].numpy()


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _statistics(tensors: dict[str, torch.Tensor]) -> FeatureStatistics | None:
    if not tensors:
        return None
    arrays = {key: value.float().numpy() for key, value in tensors.items()}
    return FeatureStatistics(
        arrays["mean"], arrays["axes"], arrays["variances"], float(arrays["rest"]), float(arrays["limit"])
    )
