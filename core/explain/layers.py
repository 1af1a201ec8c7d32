"""Where in a network a map can be made: its layers, and how one is tapped without touching what is shared.

Stands apart from `core.explain.cam`, whose library brings a hundred megabytes of others along: who only names
layers does without.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import LayerError
from core.models.checkpoint import Checkpoint
from core.models.evidence import CUTS

_FEWEST_PLACES: Final = 4


@dataclass(frozen=True)
class Layer:
    """A place in a network where a map can be made: a module's name, and what comes out of it."""

    name: str
    channels: int
    rows: int
    columns: int

    @property
    def title(self) -> str:
        """Its name and its size."""
        return f"{self.name}: {self.channels:,} channels, {self.columns} × {self.rows} places"


class Shell(nn.Module):
    """A network for pytorch-grad-cam that is not the shared one, though it computes with it.

    pytorch-grad-cam hangs hooks into the network it is given, switches its mode and clears its gradients.
    All that happens to this shell: the backbone is no submodule of it, and what is hooked is its own `tap`.
    The tap's input is a leaf, so gradients flow back to it and no further: frozen networks work, and nothing
    is spent on the layers below.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.tap = nn.Identity()
        # The library takes the device from the first parameter.
        self.device = nn.Parameter(torch.empty(0, device=next(backbone.parameters()).device))


class TappedAt(Shell):
    """Tapped at a module's output. The one hook that the shared network gets is gone when it has answered."""

    def __init__(self, backbone: nn.Module, layer: str) -> None:
        super().__init__(backbone)
        self._run = partial(backbone.__call__)
        self._hook = backbone.get_submodule(layer).register_forward_hook

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the backbone's logits, shape (N, 7)."""

        def tap(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            # A copy, since what follows may be an activation that works in place.
            return self.tap(output.detach().requires_grad_()).clone()

        handle = self._hook(tap)
        try:
            logits: Tensor = self._run(pixels)
        finally:
            handle.remove()
        return logits


def layers_of(checkpoint: Checkpoint, size_px: tuple[int, int]) -> tuple[Layer, ...]:
    """Return the layers on offer, the ends of timm's stages, deepest first. Others have to be named.

    size_px: height and width of what the network sees.
    """
    network = checkpoint.network
    stages = list(network.backbone.feature_info)
    if network.spec.evidence == "tokens":
        stages = stages[:-1]  # After the last block only the class token is read.
    return tuple(
        Layer(
            str(one["module"]),
            int(one["num_chs"]),
            *(math.ceil(side / int(one["reduction"])) for side in size_px),
        )
        for one in reversed(stages)
    )


def layer_of(checkpoint: Checkpoint, seen: np.ndarray, name: str) -> Layer:
    """Return a layer by its module's name, tried out on a picture.

    seen: the picture as the network sees it, uint8 (h, w, 3).

    Raises:
        LayerError: the network has none of this name, or what comes out of it is no map of places, or has no
            part in the logits.
    """
    backbone, pixels = checkpoint.network.backbone, pixels_of(checkpoint, seen)
    offered = ", ".join(one.name for one in layers_of(checkpoint, (seen.shape[0], seen.shape[1])))
    if name not in dict(backbone.named_modules()) or not name:
        raise LayerError(
            f"{checkpoint.manifest.model} has no layer {name!r}; expected {offered}, or another module's "
            "name."
        )
    shell, found = TappedAt(backbone, name), list[Tensor]()
    handle = shell.tap.register_forward_hook(lambda _module, _inputs, output: found.append(output))
    try:
        with checkpoint.lock, torch.enable_grad():
            logits = shell(pixels)
            torch.autograd.grad(logits.sum(), found[0])  # raises where the logits do not depend on it
        grid = grid_of(checkpoint, pixels)(found[0])
        _, channels, rows, columns = grid.shape
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as problem:
        raise LayerError(
            f"{name} of {checkpoint.manifest.model} gives no map of places; expected a layer such as "
            f"{offered}."
        ) from problem
    finally:
        handle.remove()
    if rows * columns < _FEWEST_PLACES:
        raise LayerError(
            f"{name} of {checkpoint.manifest.model} gives {rows} × {columns} places; expected a layer such "
            f"as {offered}."
        )
    return Layer(name, channels, rows, columns)


def pixels_of(checkpoint: Checkpoint, seen: np.ndarray) -> Tensor:
    """Return a picture as the network takes it, (1, 3, h, w). seen: uint8 (h, w, 3)."""
    pixels = torch.from_numpy(checkpoint.manifest.preprocessing.normalise(seen)[None])
    return pixels.to(memory_format=torch.channels_last)


def grid_of(checkpoint: Checkpoint, pixels: Tensor) -> Callable[[Tensor], Tensor]:
    """Return what turns activations into (N, K, h, w)."""
    network = checkpoint.network
    return lambda found: CUTS[network.spec.evidence].grid(network.backbone, found, pixels)
