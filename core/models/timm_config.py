"""The config.json of an image classifier of timm: what it is, and whether it answers our question.

Anybody may have written it, so only what is needed is taken from it, and only what is harmless: no address,
no path, no file to open.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.data.preprocessing import Preprocessing
from core.data.vocabulary import DX_OF_FOLDER, DX_OF_ISIC_ARCHIVE, folder_word, normal
from core.errors import BrokenCheckpoint
from core.labels import CODES

_IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
_IMAGENET_STD: Final = (0.229, 0.224, 0.225)
_CURE: Final = "Choose a classifier of the seven diagnoses."
# Arguments of timm's factory that reach for files, addresses or other weights.
_REACHING: Final = frozenset(
    {
        "model_name",
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "checkpoint_path",
        "cache_dir",
        "scriptable",
        "exportable",
        "no_jit",
        "num_classes",
        "features_only",
    }
)


@dataclass(frozen=True)
class TimmConfig:
    """What a classifier says of itself.

    architecture: timm's name. model_args: further arguments of its factory.
    codes: the diagnosis of each of its outputs, in its own order; each of CODES once.
    """

    architecture: str
    codes: tuple[str, ...]
    model_args: Mapping[str, Any]
    preprocessing: Preprocessing


def read_timm_config(file: Path, *, name: str) -> TimmConfig:
    """Read a config.json.

    name: how messages call the checkpoint.

    Raises:
        BrokenCheckpoint: it is none of timm's, or its labels are not the seven diagnoses.
    """
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise BrokenCheckpoint(f"The config.json of {name} cannot be read ({problem}). {_CURE}") from problem
    if not isinstance(stored, dict) or not isinstance(stored.get("architecture"), str):
        raise BrokenCheckpoint(
            f"{name} is no image classifier of timm: its config.json names no architecture. {_CURE}"
        )
    inner = stored.get("pretrained_cfg")
    data: dict[str, Any] = inner if isinstance(inner, dict) else stored
    labels = stored.get("label_names") or data.get("label_names") or data.get("labels")
    described = stored.get("label_descriptions") or data.get("label_descriptions")
    model_args = stored.get("model_args") or {}
    try:
        return TimmConfig(
            architecture=stored["architecture"],
            codes=_codes(labels, described if isinstance(described, dict) else {}),
            model_args={key: value for key, value in dict(model_args).items() if key not in _REACHING},
            preprocessing=_preprocessing(data, dict(model_args).get("img_size")),
        )
    except (TypeError, ValueError, KeyError) as problem:
        raise BrokenCheckpoint(f"{name} cannot answer here: {problem}. {_CURE}") from problem


def code_of(label: str) -> str | None:
    """Return the code of a diagnosis by any of its names in use; None for anything else."""
    return DX_OF_FOLDER.get(folder_word(label)) or DX_OF_ISIC_ARCHIVE.get(normal(label))


def _codes(labels: Sequence[str] | None, descriptions: Mapping[str, object]) -> tuple[str, ...]:
    """Return the code of each label, which must be the seven diagnoses, each once.

    Raises:
        ValueError: what does not fit.
    """
    if not isinstance(labels, list) or not labels:
        raise ValueError("its config.json names no labels, so nobody knows what its outputs mean")
    names = [str(label) for label in labels]
    found = {name: code_of(name) or code_of(str(descriptions.get(name, ""))) for name in names}
    if strange := [name for name in names if found[name] is None]:
        some = ", ".join(strange[:3]) + (" and others" if len(strange) > 3 else "")
        raise ValueError(f"{len(strange)} of its {len(names)} labels are not of the seven diagnoses ({some})")
    codes = tuple(str(found[name]) for name in names)
    if lacking := [code for code in CODES if code not in codes]:
        raise ValueError(f"it has no label for {', '.join(lacking)}")
    if len(codes) != len(CODES):
        raise ValueError(f"it has {len(codes)} labels for seven diagnoses, so some stand for the same one")
    return codes


def _preprocessing(data: Mapping[str, Any], img_size: object) -> Preprocessing:
    """Return how timm prepares a picture for this network: a square, cut from the middle.

    Raises:
        ValueError: it takes something else than three colours.
    """
    channels, height, width = (int(side) for side in data.get("input_size") or (3, 224, 224))
    if data.get("fixed_input_size") and isinstance(img_size, int):
        height = width = img_size  # what it was made for; the other is what it grew from
    if channels != 3 or height != width:
        raise ValueError(f"its input is {channels} × {height} × {width}; expected three colours and a square")
    mean, std = (
        tuple(float(value) for value in data.get(key) or default)
        for key, default in (("mean", _IMAGENET_MEAN), ("std", _IMAGENET_STD))
    )
    crop = float(data.get("crop_pct") or 1.0)
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0 or not 0 < crop <= 1 or not 16 <= height <= 2048:
        raise ValueError("its mean, std, size or crop_pct cannot be what they say")
    return Preprocessing(height, mean, std, max_aspect=1.0, crop_pct=crop)
