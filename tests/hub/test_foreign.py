"""Classifiers that others trained with timm: which answer here, in which order, and what they lack."""

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from core.data.facts import Facts
from core.errors import BrokenCheckpoint, HubError
from core.labels import CODES
from core.models import kept
from core.models.checkpoint import load_checkpoint
from core.models.fetching import fetch
from core.models.foreign import LACKS
from core.models.hub.access import Access
from core.models.hub.publication import Material, put_together
from core.models.hub.pulling import pull
from core.models.reference import parse_reference
from core.models.registry import MODELS
from core.models.timm_config import code_of
from core.models.weights import pretrained_backbone
from core.predict.predictor import answer, look
from tests.core.models.making import lesion
from tests.hub.double import Fault

REPO = "elsewhere/skin"
NAMES = [
    "Melanoma",
    "Melanocytic nevus",
    "Basal cell carcinoma",
    "Actinic keratosis",
    "Benign keratosis",
    "Dermatofibroma",
    "Vascular lesion",
]
CODES_OF_NAMES = ["mel", "nv", "bcc", "akiec", "bkl", "df", "vasc"]
ARGUMENTS = {
    "mobilenetv3_small_050": {},
    "resnet10t": {},
    "vit_tiny_patch16_224": {"img_size": 64, "depth": 2},
}


def foreign(folder, architecture="mobilenetv3_small_050", *, labels=NAMES, config=None, **arguments):
    """Save a network as timm does, and return it with its files' bytes."""
    torch.manual_seed(0)
    network = timm.create_model(architecture, num_classes=7, **arguments).eval()
    with torch.no_grad():
        network.get_classifier().weight.normal_(0, 0.3)
    folder.mkdir(parents=True, exist_ok=True)
    timm.models.save_for_hf(
        network,
        str(folder),
        model_config={"label_names": labels},
        model_args=arguments,
        safe_serialization=True,
    )
    if config is not None:
        stored = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(stored | config))
    return network, {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def access(hub, tmp_path):
    return Access(None, 2.0, tmp_path / "cache", hub.endpoint)


def fetched(access, reference=f"hf:{REPO}"):
    return fetch(parse_reference(reference), access, lambda *_, **__: None)


@pytest.mark.parametrize("architecture", ARGUMENTS)
def test_its_outputs_are_put_into_our_order(architecture, hub, access, tmp_path):
    network, files = foreign(tmp_path / "made", architecture, **ARGUMENTS[architecture])
    hub.commit(REPO, files)
    got = fetched(access)
    folder = kept.checkpoint_folder(REPO, got.reference.revision, access.cache_dir)
    checkpoint = load_checkpoint(folder, reference=str(got.reference))
    looked = look(checkpoint, lesion())
    found = answer(checkpoint, looked, Facts())
    pixels = torch.from_numpy(checkpoint.manifest.preprocessing.normalise(looked.seen)[None])
    with torch.no_grad():
        theirs = dict(zip(CODES_OF_NAMES, network(pixels)[0].tolist(), strict=True))
    assert found.logits == pytest.approx([theirs[code] for code in CODES], abs=1e-3)
    assert got.lacks == tuple(LACKS.values())
    assert (found.operating_point, found.above_threshold) == (None, None)
    assert answer(checkpoint, looked, Facts(age_years=80)).logits == pytest.approx(found.logits)


def test_it_sees_a_picture_as_timm_prepares_it(hub, access, tmp_path):
    network, files = foreign(tmp_path / "made", "resnet10t")
    hub.commit(REPO, files)
    checkpoint = load_checkpoint(pull(REPO, access=access).folder)
    data = timm.data.resolve_data_config(model=network)
    prepare = timm.data.create_transform(**data | {"interpolation": "bicubic"}, is_training=False)
    picture = lesion(2)
    theirs = prepare(Image.fromarray(picture)).numpy()
    ours = checkpoint.manifest.preprocessing.normalise(checkpoint.manifest.preprocessing.fit(picture))
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean() < 0.05


def test_its_blank_picture_is_refused_all_the_same(hub, access, tmp_path):
    hub.commit(REPO, foreign(tmp_path / "made")[1])
    folder = pull(REPO, access=access).folder
    looked = look(load_checkpoint(folder, reference=f"hf:{REPO}"), np.full((90, 120, 3), 80, np.uint8))
    assert not looked.unknown.known


def test_it_makes_no_request_once_it_is_here(hub, access, tmp_path):
    hub.commit(REPO, foreign(tmp_path / "made")[1])
    got = fetched(access)
    hub.requests.clear()
    assert fetched(access, str(got.reference)).reference == got.reference
    assert hub.requests == []


CONFIGS = {
    "other labels": ({"label_names": ["cat", "dog", *NAMES[2:]]}, "2 of its 7 labels are not.*cat, dog"),
    "twice the same": ({"label_names": [*NAMES[:6], "nevus"]}, "no label for vasc"),
    "too many": ({"label_names": [*NAMES, "nevi"]}, "8 labels for seven"),
    "no labels": ({"label_names": None}, "names no labels"),
    "no architecture": ({"architecture": None}, "no image classifier of timm"),
    "one colour": (
        {"pretrained_cfg": {"input_size": [1, 224, 224], "label_names": NAMES}},
        "expected three colours",
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_what_answers_something_else_is_refused_before_its_weights_come(case, hub, access, tmp_path):
    config, expected = CONFIGS[case]
    hub.commit(REPO, foreign(tmp_path / "made", config=config)[1])
    with pytest.raises(BrokenCheckpoint, match=expected):
        fetched(access)
    assert not [request for request in hub.requests if "safetensors" in request]
    assert kept.checkpoint_folder(REPO, None, access.cache_dir) is None


LIES = {
    "an address": {"architecture": "hf-hub:evil/pickle"},
    "a folder": {"architecture": "local-dir:/etc"},
    "another network": {"architecture": "resnet18"},
    "an unknown network": {"architecture": "resnet18000"},
    "a path": {"model_args": {"checkpoint_path": "/etc/passwd", "num_classes": 7, "drop_rate": "x"}},
    "a huge network": {"model_args": {"channel_multiplier": 1e6}},
    "an unknown argument": {"model_args": {"colour": "blue"}},
}


@pytest.mark.parametrize("case", LIES)
def test_a_configuration_that_lies_is_refused_and_its_files_go(case, hub, access, tmp_path):
    hub.commit(REPO, foreign(tmp_path / "made", config=LIES[case])[1])
    with pytest.raises(BrokenCheckpoint, match=REPO):
        fetched(access)
    assert kept.all_kept(access.cache_dir) == []


def test_a_pickle_is_refused_by_name(hub, access, tmp_path):
    _, files = foreign(tmp_path / "made")
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    hub.commit(REPO, files)
    with pytest.raises(HubError, match=r"only as pytorch_model\.bin, a format that can run code"):
        fetched(access)


def test_weights_that_are_cut_are_refused(hub, access, tmp_path):
    _, files = foreign(tmp_path / "made")
    hub.commit(REPO, files | {"model.safetensors": files["model.safetensors"][:-100]})
    with pytest.raises(BrokenCheckpoint, match="do not fit"):
        fetched(access)


def test_half_of_one_of_ours_is_never_taken_for_a_foreign_one(hub, access, tmp_path):
    commit = hub.commit(REPO, foreign(tmp_path / "made")[1] | {"lesionlens.json": b"{}"})
    hub.fault = Fault("content", status=500, name="lesionlens.json")
    with pytest.raises(HubError, match="has a fault"):
        pull(REPO, access=access)
    assert (access.storage(REPO) / "snapshots" / commit / "model.safetensors").is_file()
    assert kept.checkpoint_folder(REPO, commit, access.cache_dir) is None


def test_it_is_not_ours_to_publish(tmp_path):
    foreign(tmp_path / "made")
    with pytest.raises(BrokenCheckpoint, match="its owner's to publish"):
        put_together(Material(tmp_path / "made"), "clinic/skin")


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("mel", "mel"),
        ("MEL", "mel"),
        ("melanocytic_Nevi", "nv"),
        ("actinic keratoses and intraepithelial carcinoma", "akiec"),
        ("Actinic keratosis / Bowen's disease", "akiec"),
        ("vascular lesions", "vasc"),
        ("seborrheic keratosis", "bkl"),
        ("squamous cell carcinoma", None),
        ("healthy", None),
        ("", None),
    ],
)
def test_a_label_is_known_by_the_names_in_use(label, code):
    assert code_of(label) == code


def test_imagenet_weights_come_through_timm(everybodys_hub, tmp_path):
    spec = MODELS["mobilenetv3_small"]
    torch.manual_seed(5)
    theirs = timm.create_model(spec.timm_name)
    tensors = {name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}
    save_file(tensors, tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    everybodys_hub.commit(f"timm/{spec.timm_name}", {"config.json": b"{}", "model.safetensors": content})
    backbone, provenance = pretrained_backbone(spec, "hub")
    assert torch.equal(backbone.state_dict()["conv_stem.weight"], tensors["conv_stem.weight"])
    assert backbone.get_classifier().out_features == 7
    assert provenance.detail == f"timm/{spec.timm_name}"
