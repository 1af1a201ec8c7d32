"""Class activation maps by other people's methods, to hold against our evidence maps.

The methods are those of pytorch-grad-cam. Add one by adding an entry to METHODS. Most need the activations at
one place of the network and the gradients there, in one pass; Score-CAM and Ablation-CAM need a pass for each
channel. Left out is FullGrad, which needs every layer.

These maps have no unit: each is cut at zero and stretched to [0, 1] by itself, so two of them cannot be
compared in strength. Evidence maps can.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from core.explain.layers import Shell, TappedAt, grid_of, layer_of, pixels_of
from core.libraries import without_compiler
from core.models.checkpoint import Checkpoint
from core.models.evidence import CUTS, Cut

with without_compiler():
    import pytorch_grad_cam as library  # type: ignore[import-untyped]

_COMPARED: Final = 3
_ABLATED_AT_ONCE: Final = 16


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


class _SignedAblationCAM(library.base_cam.BaseCAM):
    """Ablation-CAM whose weights are what the logit loses.

    The library's, as the paper, divides the loss by the logit: a positive one scales the map, which is
    stretched afterwards anyway, but a negative one, as most of our logits are, turns it inside out.
    """

    def __init__(
        self, model: Shell, target_layers: list[nn.Module], reshape_transform: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__(model, target_layers, reshape_transform, uses_gradients=False)

    def get_cam_weights(
        self,
        input_tensor: Tensor,
        target_layer: nn.Module,
        targets: list[Callable[[Tensor], Tensor]],
        activations: np.ndarray,
        _grads: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return what the logit loses without each channel, shape (1, K)."""
        # It would keep what each of the passes below puts through the layer.
        self.activations_and_grads.release()
        (target,) = targets
        channels, losses = activations.shape[1], list[Tensor]()
        with torch.no_grad():
            whole = target(self.model(input_tensor)[0])
            for without in torch.arange(channels).split(_ABLATED_AT_ONCE):
                kept = torch.ones(len(without), channels, 1, 1)
                kept[torch.arange(len(without)), without] = 0
                handle = target_layer.register_forward_hook(_times(kept.to(input_tensor.device)))
                try:
                    logits = self.model(input_tensor.expand(len(without), -1, -1, -1))
                finally:
                    handle.remove()
                losses += [whole - target(one) for one in logits]
        return torch.stack(losses).cpu().numpy()[None]


def _times(factor: Tensor) -> Callable[[nn.Module, object, Tensor], Tensor]:
    return lambda _module, _inputs, output: output * factor


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
    "ablation-cam": Method(
        "Ablation-CAM",
        "Channels weighted by what the logit loses without them, no gradients (Desai and Ramaswamy, 2020).",
        _SignedAblationCAM,
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


class _Tapped(Shell):
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
    pixels = pixels_of(checkpoint, seen)
    shell: Shell
    if layer is None:
        shell = _Tapped(backbone, CUTS[checkpoint.network.spec.evidence])
    else:
        layer_of(checkpoint, seen, layer)
        shell = TappedAt(backbone, layer)
    maker = METHODS[method].make(shell, [shell.tap], reshape_transform=grid_of(checkpoint, pixels))
    try:
        with checkpoint.lock, torch.enable_grad():
            found = maker(input_tensor=pixels, targets=[METHODS[method].target(class_index)])
    finally:
        # Not by the library's own `with`: it swallows IndexErrors.
        maker.activations_and_grads.release()
    return np.asarray(found[0], dtype=np.float32)


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
