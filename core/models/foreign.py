"""Classifiers that others trained with timm: what can be asked of them, and what they lack.

A checkpoint of LesionLens brings what makes its answers trustworthy; a foreign one brings a network and the
names of its outputs. It answers here when those names are the seven diagnoses, in any order, and says what is
missing. Its weights are checked tensor by tensor, its maps against its own logits.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from core.data.synthetic import draw_lesion
from core.errors import BrokenCheckpoint
from core.labels import CODES
from core.libraries import timm, without_compiler, without_first_weights
from core.models.catalog import MANIFEST_FILE
from core.models.checkpoint import EXTRAS_FILE, Checkpoint, Manifest
from core.models.evidence import SOURCES
from core.models.kept import CONFIG_FILE, WEIGHTS_FILE
from core.models.network import AdditiveNetwork
from core.models.registry import ModelSpec
from core.models.timm_config import TimmConfig, read_timm_config

LACKS: Final[Mapping[str, str]] = {
    "temperature": "Its probabilities were never calibrated: read them as an order, not as frequencies.",
    "operating point": "It has no threshold, so nothing here calls a malignancy probability high or low.",
    "unknown-input statistics": "It cannot tell when a picture is unlike those it learned from, and answers "
    "to all but blank ones.",
    "facts": "It takes no facts: age, sex and site change nothing.",
    "measurements": "How good it is was not measured here, and which pictures it learned from is not known.",
}
"""What a foreign checkpoint lacks, and what follows."""

_MISFITS: Final = (
    OSError,
    SafetensorError,
    RuntimeError,
    TypeError,
    ValueError,
    KeyError,
    AssertionError,
)
"""What timm and torch raise at arguments or weights that do not fit."""
# Two ways to the same logits differ by rounding alone; another network differs by whole ones.
_TOLERANCE: Final = 1e-2


def is_foreign(folder: Path) -> bool:
    """Return whether a folder holds a checkpoint that LesionLens did not write."""
    ours = (folder / MANIFEST_FILE).exists() or (folder / EXTRAS_FILE).exists()
    return not ours and (folder / CONFIG_FILE).is_file()


def load_foreign(folder: Path, *, reference: str) -> Checkpoint:
    """Load a classifier of timm, its outputs put into the order of CODES.

    Raises:
        BrokenCheckpoint: it answers with something else, its weights do not fit, or nothing here can read its
            evidence.
    """
    name = reference.removeprefix("hf:").partition("@")[0]
    config = read_timm_config(folder / CONFIG_FILE, name=name)
    try:
        backbone = _load(config, folder / WEIGHTS_FILE, name)
        _reorder(backbone, config.codes, name)
        spec = _spec(backbone, config, name)
    except _MISFITS as problem:
        lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
        raise BrokenCheckpoint(
            f"The weights of {name} do not fit the {config.architecture} that its config.json describes "
            f"({' '.join(lines[:2]) or type(problem).__name__}). Ask its owner, or choose another classifier."
        ) from problem
    network = AdditiveNetwork(spec, backbone).eval()
    network.requires_grad_(requires_grad=False)
    network.to(memory_format=torch.channels_last)
    return Checkpoint(reference, folder, _manifest(name, config), network, None, lacks=tuple(LACKS.values()))


def _load(config: TimmConfig, weights: Path, name: str) -> nn.Module:
    """Return the network with its weights, every tensor in its place."""
    # A name that is no plain architecture would make timm look elsewhere, also for pickles.
    if not timm.is_model(config.architecture):
        raise BrokenCheckpoint(
            f"{name} is a {config.architecture!r}, which this version of timm does not know. Update timm, or "
            "choose another classifier."
        )
    arguments: dict[str, Any] = {**config.model_args, "num_classes": len(CODES)}
    # On this device a network costs no memory, whatever sizes the configuration asks for.
    with without_compiler(), without_first_weights(), torch.device("meta"):
        planned = timm.create_model(config.architecture, **arguments)
    _check_shapes(planned, weights)
    with without_first_weights():
        backbone = timm.create_model(config.architecture, **arguments)
    backbone.load_state_dict(load_file(weights))
    return backbone.eval()


def _check_shapes(planned: nn.Module, weights: Path) -> None:
    with safe_open(weights, framework="pt") as tensors:
        stored = {key: tuple(tensors.get_slice(key).get_shape()) for key in tensors.keys()}  # noqa: SIM118
    wanted = {key: tuple(tensor.shape) for key, tensor in planned.state_dict().items()}
    for key in sorted(wanted.keys() | stored.keys()):
        if wanted.get(key) != stored.get(key):
            raise ValueError(f"{key} is {stored.get(key)} in the file, {wanted.get(key)} in the network")


def _reorder(backbone: Any, codes: tuple[str, ...], name: str) -> None:
    """Bring the head's outputs into the order of CODES."""
    head: Any = backbone.get_classifier()
    if not _is_linear(head) or head.out_features != len(CODES):
        raise BrokenCheckpoint(
            f"The head of {name} is a {type(head).__name__}; LesionLens reads evidence off linear heads "
            "alone. Choose another classifier."
        )
    order = torch.tensor([codes.index(code) for code in CODES])
    with torch.no_grad():
        head.weight.copy_(head.weight[order].clone())
        if head.bias is None:
            head.bias = nn.Parameter(torch.zeros(len(CODES), dtype=head.weight.dtype))
        else:
            head.bias.copy_(head.bias[order].clone())


def _is_linear(head: object) -> bool:
    return isinstance(head, nn.Linear)


def _spec(backbone: nn.Module, config: TimmConfig, name: str) -> ModelSpec:
    """Find out how the evidence is read: the way whose parts sum to the network's logits."""
    size = config.preprocessing.size
    seen = config.preprocessing.fit(draw_lesion(0, kind="mel", size_px=(size, size)))
    pixels = torch.from_numpy(config.preprocessing.normalise(seen)[None])
    with torch.no_grad():
        logits = backbone(pixels)
    if not torch.isfinite(logits).all():
        raise BrokenCheckpoint(f"The weights of {name} give no finite answer. Ask its owner for others.")
    for evidence, look in SOURCES.items():
        try:
            with torch.no_grad():
                found = look(backbone, pixels).logits
        except (AttributeError, RuntimeError, TypeError, ValueError, IndexError):
            continue  # made for another kind of network
        if found.shape == logits.shape and torch.allclose(found, logits, atol=_TOLERANCE, rtol=1e-3):
            about = f"{config.architecture}, trained by others."
            return ModelSpec(config.architecture, about, evidence, max_aspect=1.0)
    raise BrokenCheckpoint(
        f"Nothing here can read the evidence of {name}, a {config.architecture}: it has neither average "
        "pooling with a head on it nor tokens. Choose another classifier."
    )


def _manifest(name: str, config: TimmConfig) -> Manifest:
    return Manifest(
        name=name,
        about=f"{config.architecture}, trained by others and published as {name}.",
        model=f"timm/{config.architecture}",  # none of ours, also where the architecture is
        labels=CODES,
        preprocessing=config.preprocessing,
        uses_facts=False,
        temperature=1.0,
        class_frequencies=(),
        balanced_power=0.0,
        operating_points=(),
        golden_logits=(),
        split_hash="",
        data="not known",
        licence="as its owner says",
    )
