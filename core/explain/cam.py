"""Class activation maps by other people's methods, to hold against our evidence maps.

The methods are those of pytorch-grad-cam. Add one by adding an entry to METHODS. Most need the activations at
one place of the network and the gradients there, in one pass; Score-CAM needs a pass for each channel. Left
out are FullGrad, which needs every layer, and Ablation-CAM: at the last layer before the pooling of a linear
head, taking a channel away costs the logit just what Grad-CAM's weight says, after hundreds of passes.

These maps have no unit: each is cut at zero and stretched to [0, 1] by itself, so two of them cannot be
compared in strength. Evidence maps can.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import pytorch_grad_cam as library  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from core.errors import LayerError
from core.models.checkpoint import Checkpoint
from core.models.evidence import CUTS, Cut

_COMPARED: Final = 3
_FEWEST_PLACES: Final = 4


class _SignedEigenCAM(library.EigenCAM):
    """The library's Eigen-CAM, with a sign: a principal component has none, so some maps came inverted."""

    def get_cam_image(
        self,
        _input_tensor: Tensor,
        _target_layer: nn.Module,
        _targets: list[nn.Module],
        activations: np.ndarray,
        _grads: np.ndarray | None = None,
        _eigen_smooth: bool = False,
    ) -> np.ndarray:
        """Return the first principal component, its strongest place positive, shape (N, h, w)."""
        return library.utils.svd_on_activations.get_2d_projection_with_sign_correction(activations)


@dataclass(frozen=True)
class Method:
    """One way to make an activation map.

    of_class: whether the map depends on the class; if not, it shows what the network found striking.
    target: from a class index to what is explained of the logits.
    slow: whether it needs a pass for each channel instead of one.
    fits: whether it fits a network, by its kind of evidence (`core.models.evidence.SOURCES`).
    """

    title: str
    about: str
    make: Callable[..., library.base_cam.BaseCAM]
    of_class: bool = True
    target: Callable[[int], Callable[[Tensor], Tensor]] = library.utils.model_targets.ClassifierOutputTarget
    slow: bool = False
    fits: Callable[[str], bool] = lambda _kind: True


def _finer(index: int, logits: Tensor) -> Tensor:
    """Return the logit of a class against the three with the nearest logits, weighted by probability."""
    near = (logits.detach() - logits.detach()[index]).abs().argsort()
    others = [int(one) for one in near if int(one) != index][:_COMPARED]
    return library.utils.model_targets.FinerWeightedTarget(index, others, 1)(logits)


METHODS: Final[dict[str, Method]] = {
    "grad-cam": Method(
        "Grad-CAM", "Channels weighted by their mean gradient (Selvaraju et al., 2017).", library.GradCAM
    ),
    "grad-cam++": Method(
        "Grad-CAM++",
        "Weights from higher derivatives, for several objects of a class (Chattopadhay et al., 2018).",
        library.GradCAMPlusPlus,
    ),
    "xgrad-cam": Method(
        "XGrad-CAM", "Gradients weighted by the activations' share (Fu et al., 2020).", library.XGradCAM
    ),
    "hirescam": Method(
        "HiResCAM", "Gradient times activation, place by place (Draelos, 2020).", library.HiResCAM
    ),
    "element-wise": Method(
        "Element-wise Grad-CAM",
        "Gradient times activation, cut at zero before channels are summed.",
        library.GradCAMElementWise,
    ),
    "layercam": Method(
        "LayerCAM",
        "Positive gradients times activation, place by place (Jiang et al., 2021).",
        library.LayerCAM,
    ),
    "finer-cam": Method(
        "FinerCAM",
        "Grad-CAM of the class's logit minus the three next likely ones': what tells it from them (Zhang et "
        "al., 2025).",
        library.GradCAM,
        target=lambda index: partial(_finer, index),
    ),
    "score-cam": Method(
        "Score-CAM",
        "Channels weighted by the logit of the picture masked with them, no gradients (Wang et al., 2020).",
        library.ScoreCAM,
        slow=True,
        fits=lambda kind: kind != "tokens",
    ),
    "eigencam": Method(
        "Eigen-CAM",
        "First principal component of the activations, whatever the class (Muhammad and Yeasin, 2020).",
        _SignedEigenCAM,
        of_class=False,
    ),
}


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


class _Shell(nn.Module):
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


class _Tapped(_Shell):
    """Tapped at the place of the evidence maps."""

    def __init__(self, backbone: nn.Module, cut: Cut) -> None:
        super().__init__(backbone)
        self._body = partial(cut.body, backbone)
        self._tail = partial(cut.tail, backbone)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the backbone's logits, shape (N, 7)."""
        with torch.no_grad():
            found = self._body(pixels)
        return self._tail(self.tap(found.requires_grad_()))


class _TappedAt(_Shell):
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
    backbone, pixels = checkpoint.network.backbone, _pixels(checkpoint, seen)
    offered = ", ".join(one.name for one in layers_of(checkpoint, (seen.shape[0], seen.shape[1])))
    if name not in dict(backbone.named_modules()) or not name:
        raise LayerError(
            f"{checkpoint.manifest.model} has no layer {name!r}; expected {offered}, or another module's "
            "name."
        )
    shell, found = _TappedAt(backbone, name), list[Tensor]()
    handle = shell.tap.register_forward_hook(lambda _module, _inputs, output: found.append(output))
    try:
        with checkpoint.lock, torch.enable_grad():
            logits = shell(pixels)
            torch.autograd.grad(logits.sum(), found[0])  # raises where the logits do not depend on it
        grid = _grid(checkpoint, pixels)(found[0])
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


def cam(
    checkpoint: Checkpoint, seen: np.ndarray, class_index: int, method: str, *, layer: str | None = None
) -> np.ndarray:
    """Return a method's map of one class, float32 (h, w) in [0, 1], all zero when nothing speaks for it.

    Args:
        checkpoint: its network is left as it was, also when this fails.
        seen: the picture as the network sees it, uint8 (h, w, 3): `Look.seen`.
        class_index: position in CODES.
        method: key of METHODS.
        layer: the module whose output is mapped, see `layer_of`; None is the place of the evidence maps: the
            activations before the pooling, or the tokens that enter the last block.

    Raises:
        LayerError: no map can be made at this layer.
    """
    backbone = checkpoint.network.backbone
    pixels = _pixels(checkpoint, seen)
    shell: _Shell
    if layer is None:
        shell = _Tapped(backbone, CUTS[checkpoint.network.spec.evidence])
    else:
        layer_of(checkpoint, seen, layer)
        shell = _TappedAt(backbone, layer)
    maker = METHODS[method].make(shell, [shell.tap], reshape_transform=_grid(checkpoint, pixels))
    try:
        with checkpoint.lock, torch.enable_grad():
            found = maker(input_tensor=pixels, targets=[METHODS[method].target(class_index)])
    finally:
        # Not by the library's own `with`: it swallows IndexErrors.
        maker.activations_and_grads.release()
    return np.asarray(found[0], dtype=np.float32)


def _pixels(checkpoint: Checkpoint, seen: np.ndarray) -> Tensor:
    pixels = torch.from_numpy(checkpoint.manifest.preprocessing.normalise(seen)[None])
    return pixels.to(memory_format=torch.channels_last)


def _grid(checkpoint: Checkpoint, pixels: Tensor) -> Callable[[Tensor], Tensor]:
    """Return what turns activations into (N, K, h, w)."""
    network = checkpoint.network
    return lambda found: CUTS[network.spec.evidence].grid(network.backbone, found, pixels)


def methods_for(checkpoint: Checkpoint) -> dict[str, Method]:
    """Return the methods that fit a checkpoint's network."""
    kind = checkpoint.network.spec.evidence
    return {name: method for name, method in METHODS.items() if method.fits(kind)}


def expected_s(checkpoint: Checkpoint, method: str, *, look_ms: float, channels: int | None = None) -> float:
    """Return about how many seconds a method takes, by the time of one look at the picture.

    channels: of the layer that is mapped; None is that of the evidence maps.
    """
    passes = (channels or checkpoint.network.backbone.num_features) if METHODS[method].slow else 2
    return float(passes * look_ms / 1000)
