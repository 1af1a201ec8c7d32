"""Where in the picture each logit comes from, read off one pass through the network.

For average pooling and a linear head, logit_c = b_c + mean over positions of w_c . A (Zhou et al., Learning
Deep Features for Discriminative Localization, 2016), so the maps w_c . A *are* the logit, taken apart by
place. Heads that are not linear are linearised at the picture (their Jacobian), which equals Grad-CAM before
its ReLU (Selvaraju et al., 2017) up to one constant; what the maps then leave out is returned as `remainder`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody reads
from torch import Tensor, nn


@dataclass(frozen=True)
class ImageEvidence:
    """One pass, taken apart: bias + maps.mean((2, 3)) + remainder are the logits of the picture alone.

    bias: (C,). maps: (N, C, h, w), in logits. remainder: (N, C), zero where the maps are exact.
    features: (N, K), pooled, as the head receives them.
    """

    bias: Tensor
    maps: Tensor
    remainder: Tensor
    features: Tensor

    @property
    def logits(self) -> Tensor:
        """Shape (N, C)."""
        return self.bias + self.maps.mean(dim=(2, 3)) + self.remainder


def linear(backbone: Any, pixels: Tensor) -> ImageEvidence:
    """Average pool, then one linear layer: exact."""
    activations = backbone.forward_features(pixels)
    head: nn.Linear = backbone.get_classifier()
    maps = F.conv2d(activations, head.weight[:, :, None, None])
    pooled = activations.mean(dim=(2, 3))
    return ImageEvidence(head.bias.detach(), maps, torch.zeros_like(maps[:, :, 0, 0]), pooled)


def layernorm(backbone: Any, pixels: Tensor) -> ImageEvidence:
    """Average pool, LayerNorm, linear: exact, the picture's own mean and scale folded into the weights."""
    activations = backbone.forward_features(pixels)
    norm, head = backbone.head.norm, backbone.head.fc
    pooled = activations.mean(dim=(2, 3))
    scale = torch.rsqrt(pooled.var(dim=1, unbiased=False) + norm.eps)
    weight = head.weight * norm.weight
    # The normalised feature is (A - mean over channels of A) * scale; the weights absorb the subtraction.
    centred = weight - weight.mean(dim=1, keepdim=True)
    maps = F.conv2d(activations, centred[:, :, None, None]) * scale[:, None, None, None]
    bias = (head.bias + head.weight @ norm.bias).detach()
    return ImageEvidence(bias, maps, torch.zeros_like(maps[:, :, 0, 0]), pooled)


def head(backbone: Any, pixels: Tensor) -> ImageEvidence:
    """Average pool, then a small non-linear head: maps by the head's Jacobian at the pooled features."""
    activations = backbone.forward_features(pixels)
    pooled = activations.mean(dim=(2, 3))
    logits, jacobian = _jacobian(lambda p: backbone.forward_head(p[:, :, None, None]), pooled)
    maps = torch.einsum("nck,nkhw->nchw", jacobian, activations)
    return _with_remainder(backbone, logits, maps, pooled)


def tokens(backbone: Any, pixels: Tensor) -> ImageEvidence:
    """Vision transformer: maps over the patch tokens that enter the last block, by their mean gradient."""
    entering = _tokens_entering_last_block(backbone, pixels)
    logits, jacobian = _jacobian(lambda sequence: _after_last_block(backbone, sequence), entering)
    # Grad-CAM: a channel's weight is its mean gradient over positions; times the number of positions, since
    # the maps are read as a mean over positions.
    weights = jacobian[:, :, backbone.num_prefix_tokens :].sum(dim=2)
    maps = torch.einsum("nck,nkhw->nchw", weights, _grid_of_patches(backbone, entering, pixels))
    features = _after_last_block(backbone, entering, pre_logits=True)
    return _with_remainder(backbone, logits, maps, features)


def _tokens_entering_last_block(backbone: Any, pixels: Tensor) -> Tensor:
    entering = backbone.norm_pre(backbone._pos_embed(backbone.patch_embed(pixels)))  # noqa: SLF001
    return backbone.blocks[:-1](entering)


def _after_last_block(backbone: Any, sequence: Tensor, *, pre_logits: bool = False) -> Tensor:
    return backbone.forward_head(backbone.norm(backbone.blocks[-1](sequence)), pre_logits=pre_logits)


def _grid_of_patches(backbone: Any, sequence: Tensor, pixels: Tensor) -> Tensor:
    patches = sequence[:, backbone.num_prefix_tokens :]
    return patches.transpose(1, 2).unflatten(2, backbone.patch_embed.dynamic_feat_size(pixels.shape[-2:]))


def _jacobian(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """Return (logits (N, C), d logits / d at (N, C, *at.shape[1:])); parameters collect no gradient."""
    with torch.enable_grad():
        variable = at.detach().requires_grad_()
        logits = function(variable)
        rows = [
            torch.autograd.grad(logits[:, index].sum(), variable, retain_graph=index + 1 < logits.shape[1])[0]
            for index in range(logits.shape[1])
        ]
    return logits.detach(), torch.stack(rows, dim=1)


def _with_remainder(backbone: Any, logits: Tensor, maps: Tensor, features: Tensor) -> ImageEvidence:
    bias = backbone.get_classifier().bias.detach()
    return ImageEvidence(bias, maps, logits - bias - maps.mean(dim=(2, 3)), features)


SOURCES: Final[dict[str, Callable[[Any, Tensor], ImageEvidence]]] = {
    "linear": linear,
    "layernorm": layernorm,
    "head": head,
    "tokens": tokens,
}

HEADS: Final[dict[str, Callable[[Any, Tensor], Tensor]]] = {
    "linear": lambda backbone, features: backbone.get_classifier()(features),
    "layernorm": lambda backbone, features: backbone.forward_head(features[:, :, None, None]),
    "head": lambda backbone, features: backbone.forward_head(features[:, :, None, None]),
    "tokens": lambda backbone, features: backbone.get_classifier()(features),
}
"""From the pooled features (N, K) of a source to logits (N, 7)."""

EXACT: Final = frozenset({"linear", "layernorm"})
"""Sources whose maps leave nothing out."""


@dataclass(frozen=True)
class Cut:
    """A network cut in two at the place its maps show.

    `tail(backbone, body(backbone, pixels))` are its logits. grid: what the body gives, as (N, K, h, w).
    """

    body: Callable[[Any, Tensor], Tensor]
    tail: Callable[[Any, Tensor], Tensor]
    grid: Callable[[Any, Tensor, Tensor], Tensor]


_BEFORE_POOLING: Final = Cut(
    body=lambda backbone, pixels: backbone.forward_features(pixels),
    tail=lambda backbone, activations: backbone.forward_head(activations),
    grid=lambda _backbone, activations, _pixels: activations,
)
CUTS: Final[dict[str, Cut]] = {
    "linear": _BEFORE_POOLING,
    "layernorm": _BEFORE_POOLING,
    "head": _BEFORE_POOLING,
    "tokens": Cut(_tokens_entering_last_block, _after_last_block, _grid_of_patches),
}
