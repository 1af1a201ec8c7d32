"""Networks and checkpoints that tests make for themselves: untrained, but with answers worth comparing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from core.data.preprocessing import Preprocessing
from core.data.synthetic import draw_lesion
from core.labels import CODES
from core.models.checkpoint import Manifest, save_checkpoint
from core.models.network import AdditiveNetwork, build_network
from core.models.registry import MODELS
from core.predict.calibration import OperatingPoint
from core.predict.unknown import FeatureStatistics

CARD = "Made by a test."


def lively_network(name: str) -> AdditiveNetwork:
    """Return a network with random weights whose logits are about 3 in size, as a trained one's are.

    As timm initialises them, many networks let activations fade to nothing, and zeros always add up.
    """
    torch.manual_seed(0)
    network = build_network(name).eval()
    settle(network)
    head = network.backbone.get_classifier()
    entering = []
    handle = head.register_forward_pre_hook(lambda _module, inputs: entering.append(inputs[0]))
    with torch.no_grad():
        network(pictures(name))
        head.weight.normal_(0, 3 / float(entering[0].norm(dim=1).mean()))
        head.bias.normal_()
        for table in network.facts.parameters():
            table.normal_()
    handle.remove()
    return network


def settle(network: AdditiveNetwork) -> None:
    """Give networks whose activations fade, and only those, batch norms that fit their weights."""
    if network.spec.evidence != "head":
        return
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the running statistics become those of the next batch
    network.train()
    with torch.no_grad():
        network(torch.randn(8, 3, 128, 128))
    network.eval()


def pictures(name: str, count: int = 2) -> torch.Tensor:
    """Return random network input (count, 3, 64, 96), or squares for networks that need them."""
    width = 64 if MODELS[name].max_aspect == 1 else 96
    return torch.randn(count, 3, 64, width, generator=torch.Generator().manual_seed(1))


def manifest(name: str = "efficientnet_lite0", *, size: int = 64) -> Manifest:
    """Return a manifest that lacks only its golden logits."""
    return Manifest(
        name="untrained",
        about="An untrained network for a test.",
        model=name,
        labels=CODES,
        preprocessing=Preprocessing(
            size, (0.76, 0.55, 0.57), (0.14, 0.15, 0.17), max_aspect=MODELS[name].max_aspect
        ),
        uses_facts=True,
        temperature=1.5,
        class_frequencies=(0.03, 0.05, 0.11, 0.01, 0.11, 0.67, 0.02),
        balanced_power=0.5,
        operating_points=(
            OperatingPoint("sensitivity 0.90", 0.90, 0.4, 0.9, 0.8, 100, 800),
            OperatingPoint("sensitivity 0.95", 0.95, 0.2, 0.95, 0.7, 100, 800),
        ),
        golden_logits=(),
        split_hash="0123456789abcdef" * 4,
        data="nothing",
        licence="none",
    )


def write_checkpoint(
    folder: Path,
    network: AdditiveNetwork,
    *,
    statistics: FeatureStatistics | None = None,
    written: Manifest | None = None,
) -> Manifest:
    """Write a checkpoint folder of a network; returns its manifest."""
    name = next(name for name, spec in MODELS.items() if spec is network.spec)
    chosen = written or manifest(name)
    return save_checkpoint(
        folder,
        network,
        chosen,
        golden=chosen.preprocessing.fit(lesion()),
        statistics=statistics,
        card=CARD,
    )


def with_size(chosen: Manifest, size: int) -> Manifest:
    """Return a manifest for another input size."""
    return replace(chosen, preprocessing=replace(chosen.preprocessing, size=size))


def lesion(seed: int = 0, kind: str = "mel") -> np.ndarray:
    """Return a synthetic lesion, uint8 (150, 200, 3): small, since drawing takes its time."""
    return draw_lesion(seed, kind=kind, size_px=(150, 200))
