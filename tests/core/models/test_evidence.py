"""What the maps are held to: they add up to the logits, and they are what pytorch-grad-cam finds."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from core.data.facts import Facts, encode_facts
from core.labels import CODES
from core.models.evidence import CUTS, EXACT, ImageEvidence
from core.models.network import AdditiveNetwork
from core.models.registry import MODELS
from tests.core.models.making import lively_network, pictures

MELANOMA = 4


@dataclass(frozen=True)
class Looked:
    """A network and two random pictures: their `logits` by its forward pass, and `found` by its `look`."""

    name: str
    network: AdditiveNetwork
    pixels: torch.Tensor
    logits: torch.Tensor
    found: ImageEvidence


@pytest.fixture(scope="module", params=MODELS)
def looked(request):
    network, pixels = lively_network(request.param), pictures(request.param)
    with torch.no_grad():
        return Looked(request.param, network, pixels, network(pixels), network.look(pixels))


def test_bias_maps_and_remainder_sum_to_the_logits(looked):
    total = looked.found.bias + looked.found.maps.mean(dim=(2, 3)) + looked.found.remainder
    assert looked.logits.abs().max() > 1, "logits near zero would hide a difference"
    torch.testing.assert_close(total, looked.logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(looked.found.logits, looked.logits, atol=1e-4, rtol=0)
    assert looked.found.maps.shape[:2] == (2, len(CODES))


def test_networks_that_are_said_to_be_exact_leave_no_remainder(looked):
    exact = looked.network.spec.evidence in EXACT
    assert bool((looked.found.remainder == 0).all()) == exact


def test_the_maps_have_the_picture_s_aspect(looked):
    height, width = looked.found.maps.shape[2:]
    assert width * looked.pixels.shape[2] == height * looked.pixels.shape[3]


def test_the_pooled_features_give_the_same_logits(looked):
    with torch.no_grad():
        logits = looked.network.from_features(looked.found.features)
    torch.testing.assert_close(logits, looked.logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small", "convnext_tiny", "vit_small"])
def test_facts_add_to_the_picture_s_logits(name):
    network, pixels = lively_network(name), pictures(name)
    facts = torch.from_numpy(encode_facts([Facts(63, "male", "back"), Facts(None, "female", None)]))
    with torch.no_grad():
        total = network.look(pixels).logits + sum(network.facts.terms(facts).values())
        torch.testing.assert_close(total, network(pixels, facts), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small", "convnext_tiny", "vit_small"])
def test_a_cut_network_gives_the_same_logits(name):
    network, pixels = lively_network(name), pictures(name)
    cut = CUTS[network.spec.evidence]
    with torch.no_grad():
        entering = cut.body(network.backbone, pixels)
        torch.testing.assert_close(cut.tail(network.backbone, entering), network(pixels), atol=1e-4, rtol=0)
        assert cut.grid(network.backbone, entering, pixels).shape[2:] == network.look(pixels).maps.shape[2:]


# The maps of a normalised head are exact shares of the logit; Grad-CAM would also differentiate the scale.
LAYERS = {
    "resnet": lambda backbone: backbone.layer4,
    "resnext": lambda backbone: backbone.layer4,
    "efficientnet": lambda backbone: backbone.bn2,
    "mobilenetv3": lambda backbone: backbone.blocks,
    "vit": lambda backbone: backbone.blocks[-2],
}


def as_the_library_scales(evidence_map, pixels):
    """Cut at zero and stretched to [0, 1] at the input's size, twice as the library does it."""
    size = (pixels.shape[3], pixels.shape[2])
    return scale_cam_image(scale_cam_image(np.maximum(evidence_map, 0)[None], size))[0]


def test_the_maps_are_the_library_s_grad_cam(looked):
    network, pixels = looked.network, looked.pixels[:1]
    if network.spec.evidence not in ("linear", "head", "tokens"):
        assert network.spec.evidence in EXACT
        return
    layer = next(find(network.backbone) for prefix, find in LAYERS.items() if looked.name.startswith(prefix))
    ours = looked.found.maps[0, MELANOMA].numpy()
    network.requires_grad_(requires_grad=False)
    layer.requires_grad_()  # gradients back to here are all that Grad-CAM needs
    as_grid = (
        (lambda found: found[:, 1:].transpose(1, 2).unflatten(2, ours.shape))
        if looked.name == "vit_small"
        else None
    )
    library = GradCAM(network.backbone, [layer], reshape_transform=as_grid)
    try:
        scaled = library(pixels, [ClassifierOutputTarget(MELANOMA)])[0]
        seen = library.activations_and_grads
        before_relu = library.get_cam_image(
            pixels, layer, [], seen.activations[0].numpy(), seen.gradients[0].numpy()
        )[0]
    finally:
        library.activations_and_grads.release()
    strength = np.abs(ours).max()
    assert strength > 1e-2, "a map near zero would hide a difference"
    # The library's gradient is that of a mean over positions: smaller by their number.
    np.testing.assert_allclose(before_relu * ours.size, ours, atol=1e-4 * strength)
    # Its stretching divides by the largest value plus 1e-7, which shows where gradients are small.
    np.testing.assert_allclose(scaled, as_the_library_scales(ours, pixels), atol=1e-3)
