"""Checkpoints that no training made: real networks and real folders, with weights that a test chooses."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from core.data.preprocessing import Preprocessing
from core.data.synthetic import draw_lesion
from core.labels import CODES, INDEX
from core.models.checkpoint import Manifest, save_checkpoint
from core.models.network import build_network
from core.predict.calibration import OperatingPoint
from core.predict.heldout import HeldOut
from core.predict.unknown import FeatureStatistics


def write_checkpoint(
    folder: Path,
    *,
    bias: Mapping[str, float] | None = None,
    threshold: float = 0.3,
    refuses_all: bool = False,
    about: str = "An untrained network for a test.",
    held_out: HeldOut | None = None,
) -> Path:
    """Write a small untrained checkpoint and return its folder.

    bias: logits by code; given, the network answers with them alone and its maps are zero.
    held_out: what it says of validation lesions.
    refuses_all: whether its feature statistics call every picture unknown.
    """
    torch.manual_seed(0)
    network = build_network("efficientnet_lite0").eval()
    with torch.no_grad():
        classifier = network.backbone.get_classifier()
        if bias is None:
            classifier.weight.normal_(0, 0.1)
            for table in network.facts.parameters():
                table.normal_(0, 0.5)
        else:
            classifier.weight.zero_()
            for code in CODES:
                classifier.bias[INDEX[code]] = bias.get(code, -5.0)
    preprocessing = Preprocessing(96, (0.76, 0.55, 0.57), (0.14, 0.15, 0.17))
    features = classifier.in_features
    manifest = Manifest(
        name="untrained",
        about=about,
        model="efficientnet_lite0",
        labels=CODES,
        preprocessing=preprocessing,
        uses_facts=True,
        temperature=1.0,
        class_frequencies=(1 / 7,) * 7,
        balanced_power=0.5,
        operating_points=tuple(
            OperatingPoint(f"sensitivity {target:.2f}", target, threshold, target, 0.7, 100, 800)
            for target in (0.9, 0.95)
        ),
        golden_logits=(),
        split_hash="0123456789abcdef" * 4,
        data="nothing",
        licence="none",
        held_out=held_out,
        metrics={
            "balanced_accuracy": {"value": 0.143, "low": 0.1, "high": 0.2, "n_images": 100, "n_lesions": 80}
        },
    )
    statistics = FeatureStatistics(
        mean=np.zeros(features), axes=np.eye(1, features), variances=np.ones(1), rest=1e-6, limit=1e-3
    )
    save_checkpoint(
        folder,
        network,
        manifest,
        golden=preprocessing.fit(draw_lesion(0, kind="mel")),
        statistics=statistics if refuses_all else None,
        card="Made by a test.",
    )
    return folder
