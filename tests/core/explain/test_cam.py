"""Other methods' maps are those of pytorch-grad-cam, and the shared network never notices."""

import numpy as np
import pytest
import torch
from pytorch_grad_cam.utils.image import scale_cam_image

from core.errors import LayerError
from core.explain.cam import METHODS, cam, expected_s, methods_for
from core.explain.layers import layer_of, layers_of, pixels_of
from core.labels import CODES, INDEX
from core.models.checkpoint import load_checkpoint
from core.predict.predictor import look
from tests.core.models.making import lesion, lively_network, manifest, with_size, write_checkpoint

KINDS = {
    "linear": "resnet18",
    "layernorm": "convnext_tiny",
    "head": "mobilenetv3_small",
    "tokens": "vit_small",
}
MELANOMA = INDEX["mel"]
QUICK = [name for name, method in METHODS.items() if not method.slow]
SLOW = [name for name, method in METHODS.items() if method.slow]


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    name = KINDS[request.param]
    write_checkpoint(folder, lively_network(name), written=with_size(manifest(name), 96))
    return load_checkpoint(folder)


@pytest.fixture(scope="module")
def looked(checkpoint):
    return look(checkpoint, lesion())


def state_of(network):
    """All that a method could leave behind: hooks, modes, gradients and what may have them, weights."""
    return (
        sum(
            len(hooks)
            for module in network.modules()
            for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        ),
        [module.training for module in network.modules()],
        [(one.requires_grad, one.grad is None) for one in network.parameters()],
        [one._version for one in [*network.parameters(), *network.buffers()]],
    )


@pytest.mark.parametrize("method", QUICK)
def test_a_method_gives_a_map_of_the_picture_s_size(method, checkpoint, looked):
    before = state_of(checkpoint.network)
    found = cam(checkpoint, looked.seen, MELANOMA, method)
    assert found.shape == looked.seen.shape[:2]
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert found.std() > 0.01, "a map that is the same everywhere shows nothing"
    assert state_of(checkpoint.network) == before
    assert not checkpoint.lock.locked()


@pytest.mark.parametrize("method", QUICK)
def test_a_map_depends_on_the_class_where_it_is_said_to(method, checkpoint, looked):
    maps = [cam(checkpoint, looked.seen, index, method) for index in (MELANOMA, INDEX["nv"])]
    assert np.allclose(*maps) != METHODS[method].of_class


def test_grad_cam_is_our_evidence_without_what_speaks_against(checkpoint, looked):
    if checkpoint.network.spec.evidence == "layernorm":
        # Ours shares the logit out with the picture's own scale; Grad-CAM differentiates that scale too.
        assert not looked.remainder.any()
        return
    size = looked.seen.shape[1::-1]
    for index in range(len(CODES)):
        ours = scale_cam_image(scale_cam_image(np.maximum(looked.maps[index], 0)[None], size))[0]
        np.testing.assert_allclose(cam(checkpoint, looked.seen, index, "grad-cam"), ours, atol=2e-3)


def test_a_map_with_nothing_for_the_class_is_zero_not_noise(checkpoint, looked):
    head = checkpoint.network.backbone.get_classifier()
    kept = head.weight[MELANOMA].clone()
    with torch.no_grad():
        head.weight[MELANOMA] = 0
    try:
        assert (cam(checkpoint, looked.seen, MELANOMA, "grad-cam") == 0).all()
    finally:
        with torch.no_grad():
            head.weight[MELANOMA] = kept


@pytest.mark.parametrize("problem", [RuntimeError("no memory"), IndexError("out of range")], ids=repr)
def test_a_failure_is_told_and_leaves_nothing_behind(problem, checkpoint, looked):
    def fail(*_):
        raise problem

    before = state_of(checkpoint.network)
    handle = checkpoint.network.backbone.get_classifier().register_forward_pre_hook(fail)
    try:
        with pytest.raises(type(problem), match=str(problem)):
            cam(checkpoint, looked.seen, MELANOMA, "grad-cam")
    finally:
        handle.remove()
    assert not checkpoint.lock.locked()
    assert state_of(checkpoint.network) == before
    np.testing.assert_array_equal(look(checkpoint, lesion()).maps, looked.maps)


def test_a_class_that_is_none_is_an_error(checkpoint, looked):
    with pytest.raises(IndexError):
        cam(checkpoint, looked.seen, 7, "grad-cam")
    assert not checkpoint.lock.locked()


def test_it_works_where_gradients_are_switched_off(checkpoint, looked):
    with torch.no_grad():
        switched_off = cam(checkpoint, looked.seen, MELANOMA, "layercam")
    np.testing.assert_array_equal(switched_off, cam(checkpoint, looked.seen, MELANOMA, "layercam"))


def test_an_eigen_map_s_strongest_place_is_positive(checkpoint, looked):
    """A principal component's sign is chance: the picture and its mirror image must agree."""
    upright = cam(checkpoint, looked.seen, MELANOMA, "eigencam")
    assert upright.max() == pytest.approx(1, abs=1e-3)
    assert upright.mean() < 0.75


def test_slow_methods_fit_what_they_can_and_say_how_long_they_take(checkpoint):
    fitting = methods_for(checkpoint)
    assert set(fitting) >= set(QUICK)
    of_places = checkpoint.network.spec.evidence != "tokens"
    assert (set(fitting) - set(QUICK) == set(SLOW)) == of_places
    channels = checkpoint.network.backbone.num_features
    assert expected_s(checkpoint, "score-cam", look_ms=20) == pytest.approx(channels * 0.02)
    assert expected_s(checkpoint, "grad-cam", look_ms=20) < 0.1


@pytest.fixture
def small(tmp_path):
    name = "resnet18"  # few channels: each is a pass
    write_checkpoint(tmp_path, lively_network(name), written=with_size(manifest(name), 64))
    return load_checkpoint(tmp_path)


@pytest.mark.parametrize("method", SLOW)
def test_a_slow_method_works_and_leaves_the_network_alone(method, small):
    seen, before = look(small, lesion()).seen, state_of(small.network)
    found = cam(small, seen, MELANOMA, method)
    assert found.shape == seen.shape[:2]
    assert state_of(small.network) == before


def test_ablation_weighs_a_channel_by_what_it_gives_the_logit_also_below_zero(small):
    """Of a linear head that is weight times mean activation, so the map can be made by hand."""
    head = small.network.backbone.get_classifier()
    with torch.no_grad():
        head.bias[MELANOMA] -= 50
    seen = look(small, lesion()).seen
    with torch.no_grad():
        features = small.network.backbone.forward_features(pixels_of(small, seen))[0]
        weights = head.weight[MELANOMA] * features.mean(dim=(1, 2))
        by_hand = (weights[:, None, None] * features).sum(dim=0).clamp(min=0).numpy()
    size = seen.shape[1::-1]
    expected = scale_cam_image(scale_cam_image(by_hand[None], size))[0]
    np.testing.assert_allclose(cam(small, seen, MELANOMA, "ablation-cam"), expected, atol=2e-3)


def test_ablation_at_a_layer_of_ones_own_choice_leaves_the_network_alone(small):
    looked, before = look(small, lesion()), state_of(small.network)
    first = layers_of(small, looked.seen.shape[:2])[-1].name
    assert cam(small, looked.seen, MELANOMA, "ablation-cam", layer=first).any()
    assert state_of(small.network) == before


def test_the_layers_on_offer_give_maps_and_leave_the_network_alone(checkpoint, looked):
    before = state_of(checkpoint.network)
    deepest, *_, first = layers_of(checkpoint, looked.seen.shape[:2])
    for layer in (deepest, first):
        assert layer_of(checkpoint, looked.seen, layer.name) == layer
        found = cam(checkpoint, looked.seen, MELANOMA, "layercam", layer=layer.name)
        assert found.shape == looked.seen.shape[:2]
        assert found.any()
    assert state_of(checkpoint.network) == before
    np.testing.assert_array_equal(look(checkpoint, lesion()).maps, looked.maps)


def test_the_last_stage_is_the_place_of_the_evidence_maps(checkpoint, looked):
    if checkpoint.network.spec.evidence != "linear":
        return  # Elsewhere a layer follows the last stage, or the tokens are cut before the last block.
    last = layers_of(checkpoint, looked.seen.shape[:2])[0].name
    for method in ("grad-cam", "hirescam"):
        np.testing.assert_allclose(
            cam(checkpoint, looked.seen, MELANOMA, method, layer=last),
            cam(checkpoint, looked.seen, MELANOMA, method),
            atol=1e-4,
        )


@pytest.mark.parametrize("name", ["", "nowhere", "layer4.", "../x", "head", "global_pool"])
def test_what_is_no_layer_is_refused_with_those_that_are(name, checkpoint, looked):
    before = state_of(checkpoint.network)
    with pytest.raises(LayerError, match=r"expected .*" + layers_of(checkpoint, (96, 96))[0].name):
        cam(checkpoint, looked.seen, MELANOMA, "grad-cam", layer=name)
    assert state_of(checkpoint.network) == before
    assert not checkpoint.lock.locked()
