"""What a prediction costs: against the bare forward pass, and against pytorch-grad-cam."""

import tempfile
from pathlib import Path

import numpy as np
import pytorch_grad_cam
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from core.data.facts import Facts
from core.data.synthetic import draw_lesion
from core.explain.cam import cam
from core.labels import CODES
from core.models.checkpoint import Checkpoint, load_checkpoint
from core.predict.predictor import answer, look
from core.predict.unknown import AXES, FeatureStatistics
from tests.bench.measuring import in_turns, print_times
from tests.core.models.making import lively_network, manifest, with_size, write_checkpoint

FORWARD = "bare forward pass"
SEVEN_MAPS = "the same input with seven maps"
WHAT_IF = "fact what-if"
LAST_LAYER = {
    "resnet": lambda backbone: backbone.layer4,
    "efficientnet": lambda backbone: backbone.bn2,
    "mobilenetv3": lambda backbone: backbone.blocks,
    "convnext": lambda backbone: backbone.stages,
}


def compare(model: str, *, size: int, rounds: int) -> None:
    """Print what everything costs with one architecture."""
    with tempfile.TemporaryDirectory() as folder:
        network = lively_network(model)
        width = network.backbone.num_features
        write_checkpoint(
            Path(folder),
            network,
            written=with_size(manifest(model), size),
            statistics=FeatureStatistics(
                np.zeros(width), np.eye(AXES, width), np.ones(AXES), rest=1.0, limit=1.0
            ),
        )
        checkpoint = load_checkpoint(Path(folder))
    picture = draw_lesion(0, kind="mel")
    looked = look(checkpoint, picture)
    batch = torch.from_numpy(checkpoint.manifest.preprocessing.normalise(looked.seen)[None])
    batch = batch.to(memory_format=torch.channels_last)
    ages = iter(range(10_000))

    def forward() -> object:
        with torch.no_grad():
            return checkpoint.network.backbone(batch)

    def seven_maps() -> object:
        with torch.no_grad():
            return checkpoint.network.look(batch)

    times = in_turns(
        {
            FORWARD: forward,
            SEVEN_MAPS: seven_maps,
            "prediction, from picture to answer": lambda: answer(
                checkpoint, look(checkpoint, picture), Facts()
            ),
            WHAT_IF: lambda: answer(checkpoint, looked, Facts(age_years=next(ages) % 90, sex="male")),
            "pytorch-grad-cam, one class": lambda: _library(checkpoint, batch, 1),
            "pytorch-grad-cam, seven classes": lambda: _library(checkpoint, batch, len(CODES)),
            "core.explain.cam, one class": lambda: cam(checkpoint, looked.seen, 4, "grad-cam"),
        },
        rounds=rounds,
    )
    height, width = looked.seen.shape[:2]
    print(f"{model}, input {width} × {height} px, batch 1, {rounds} rounds in turns")
    print_times(times, unit=FORWARD)


def _library(checkpoint: Checkpoint, batch: torch.Tensor, classes: int) -> None:
    """Use pytorch-grad-cam the way its README does."""
    backbone = checkpoint.network.backbone
    name = checkpoint.manifest.model
    layer = next(find(backbone) for prefix, find in LAST_LAYER.items() if name.startswith(prefix))
    backbone.requires_grad_()
    with pytorch_grad_cam.GradCAM(model=backbone, target_layers=[layer]) as library:
        for index in range(classes):
            library(input_tensor=batch, targets=[ClassifierOutputTarget(index)])
    backbone.requires_grad_(requires_grad=False)
    backbone.zero_grad()
