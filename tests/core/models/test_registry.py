"""The registry's entries say what is true of their architectures."""

import pytest
import timm
import torch

from core.labels import CODES
from core.models.evidence import CUTS, EXACT, HEADS, SOURCES
from core.models.network import create_backbone
from core.models.registry import MODELS

ASKED_FOR = (
    "resnet152",
    "resnet50",
    "resnet18",
    "resnext101_32x8d",
    "mobilenetv3_large",
    "mobilenetv3_small",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "convnext_tiny",
    *(f"resnet{depth}_{attention}" for depth in (50, 152) for attention in ("se", "eca", "cbam")),
)


@pytest.mark.parametrize("name", ASKED_FOR)
def test_the_architectures_that_were_asked_for_are_there(name):
    assert name in MODELS


def test_a_vision_transformer_is_there():
    assert any("vit" in spec.timm_name for spec in MODELS.values())


def test_every_way_to_read_evidence_is_complete():
    assert SOURCES.keys() == HEADS.keys() == CUTS.keys()
    assert SOURCES.keys() >= EXACT


@pytest.mark.parametrize("name", MODELS)
def test_an_entry_names_weights_that_timm_knows(name):
    spec = MODELS[name]
    config = timm.get_pretrained_cfg(spec.timm_name)
    assert config is not None
    assert spec.timm_name == f"{config.architecture}.{config.tag}"
    assert config.hf_hub_id in ("timm/", f"timm/{spec.timm_name}")


# Without memory for weights: tests/core/models/test_evidence.py builds each entry in full.
@pytest.mark.parametrize("name", MODELS)
def test_an_entry_has_a_linear_classifier_for_the_seven_diagnoses(name):
    with torch.device("meta"):
        backbone = create_backbone(MODELS[name])
    classifier = backbone.get_classifier()
    assert isinstance(classifier, torch.nn.Linear)
    assert classifier.out_features == len(CODES)
    assert MODELS[name].evidence in SOURCES


@pytest.mark.parametrize("attention", ["se", "eca", "cbam"])
def test_attention_really_is_added(attention):
    with torch.device("meta"):
        plain = create_backbone(MODELS["resnet50"]).state_dict()
        with_attention = create_backbone(MODELS[f"resnet50_{attention}"]).state_dict()
    assert plain.keys() < with_attention.keys()
