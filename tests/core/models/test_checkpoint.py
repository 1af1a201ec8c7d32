"""A checkpoint comes back as it was saved, timm loads it, and what is not whole is refused by name."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from core.data.facts import Facts, encode_facts
from core.errors import BrokenCheckpoint
from core.files import sha256
from core.labels import BY_CODE, CODES
from core.models.checkpoint import EXTRAS_FILE, load_checkpoint, read_manifest
from core.predict.unknown import FeatureStatistics
from tests.core.models.making import CARD, lively_network, manifest, pictures, write_checkpoint

NAME = "efficientnet_lite0"
FACTS = torch.from_numpy(encode_facts([Facts(63, "male", "face"), Facts()]))


@pytest.fixture(scope="module")
def network():
    return lively_network(NAME)


@pytest.fixture(scope="module")
def statistics():
    random = np.random.default_rng(0)
    train, val = random.normal(2, 3, (400, 1280)), random.normal(2, 3, (100, 1280))
    return FeatureStatistics.fit(train.astype(np.float32), val.astype(np.float32))


@pytest.fixture(scope="module")
def saved(network, statistics, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder, network, statistics=statistics)
    return folder


@pytest.fixture
def copied(saved, tmp_path):
    """A copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "copied"))


def alter_manifest(folder, **changes):
    path = folder / "lesionlens.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_it_answers_as_it_did_before_within_half_precision(saved, network):
    pixels = pictures(NAME)
    with torch.no_grad():
        before, after = network(pixels, FACTS), load_checkpoint(saved).network(pixels, FACTS)
    assert before.abs().max() > 1
    np.testing.assert_allclose(after.softmax(1).numpy(), before.softmax(1).numpy(), atol=5e-3)


@pytest.mark.parametrize("name", ["mobilenetv3_small", "vit_small", "resnet50_eca"])
def test_other_kinds_of_networks_come_back_too(name, tmp_path):
    network = lively_network(name)
    write_checkpoint(tmp_path, network)
    halved = network.half().float()
    loaded = load_checkpoint(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(pictures(name)), halved(pictures(name)), atol=1e-4, rtol=0)


def test_the_manifest_comes_back_whole(network, tmp_path):
    written = replace(
        manifest(),
        recipe={"epochs": 30, "balance": {"sampler_power": 0.5}},
        training={"seconds": 12.5},
        metrics={"accuracy": {"value": 0.8, "low": 0.7, "high": None, "n_images": 100, "n_lesions": 80}},
    )
    whole = write_checkpoint(tmp_path, network, written=written)
    assert read_manifest(tmp_path) == whole == load_checkpoint(tmp_path).manifest
    assert replace(whole, golden_logits=(), files={}) == written
    assert set(whole.files) == {"model.safetensors", EXTRAS_FILE}
    assert len(whole.golden_logits) == len(CODES)


def test_feature_statistics_come_back_as_they_were(saved, statistics):
    loaded = load_checkpoint(saved).statistics
    for key, value in vars(statistics).items():
        np.testing.assert_array_equal(getattr(loaded, key), value, err_msg=key)


def test_no_feature_statistics_come_back_as_none(network, tmp_path):
    write_checkpoint(tmp_path, network)
    assert load_checkpoint(tmp_path).statistics is None


def test_a_loaded_network_is_frozen_and_in_evaluation_mode(saved):
    loaded = load_checkpoint(saved, reference="bundled:untrained")
    assert loaded.reference == "bundled:untrained"
    assert not any(module.training for module in loaded.network.modules())
    assert not any(parameter.requires_grad for parameter in loaded.network.parameters())


@pytest.mark.parametrize("name", [NAME, "resnet50_eca", "vit_small"])
def test_timm_loads_the_folder_and_answers_the_same(name, tmp_path):
    write_checkpoint(tmp_path, lively_network(name))
    ours = load_checkpoint(tmp_path)
    theirs = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    pixels = pictures(name)
    with torch.no_grad():
        torch.testing.assert_close(theirs(pixels), ours.network.backbone(pixels), atol=1e-4, rtol=0)
    config = theirs.pretrained_cfg
    preprocessing = ours.manifest.preprocessing
    assert tuple(config["mean"]) == preprocessing.mean
    assert tuple(config["std"]) == preprocessing.std
    assert tuple(config["input_size"]) == (3, preprocessing.size, preprocessing.size)
    assert config["num_classes"] == len(CODES)
    assert list(config["label_names"]) == list(CODES)
    assert config["label_descriptions"]["mel"] == BY_CODE["mel"].name


def test_the_folder_holds_half_precision_and_no_pickle(saved):
    assert {path.name for path in saved.iterdir()} == {
        "config.json",
        "model.safetensors",
        "lesionlens.safetensors",
        "README.md",
        "lesionlens.json",
    }
    assert (saved / "README.md").read_text() == CARD
    assert (saved / "model.safetensors").stat().st_size < 8e6
    floats = [
        tensor for tensor in load_file(saved / "model.safetensors").values() if tensor.is_floating_point()
    ]
    assert {tensor.dtype for tensor in floats} == {torch.float16}


def test_saving_leaves_the_network_as_it_was(network, tmp_path):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.train()
    write_checkpoint(tmp_path, network)
    assert network.training
    network.eval()
    for key, value in network.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key])


def test_the_manifest_is_gone_while_a_folder_is_written_and_comes_last(copied, network, monkeypatch):
    states = []

    def watched_write(path, *arguments, **options):
        states.append(((copied / "lesionlens.json").exists(), path.name))
        return write_text(path, *arguments, **options)

    write_text = Path.write_text
    monkeypatch.setattr(Path, "write_text", watched_write)
    write_checkpoint(copied, network)
    assert [there for there, _ in states] == [False] * len(states)
    assert re.fullmatch(r"lesionlens\.json\..*\.partial", states[-1][1])
    newest = max(copied.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "lesionlens.json"


def test_a_save_that_breaks_off_leaves_no_checkpoint(copied, network, monkeypatch):
    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.models.checkpoint.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(copied, network)
    with pytest.raises(BrokenCheckpoint, match=r"has no lesionlens.json: it is incomplete"):
        load_checkpoint(copied)


def test_weights_that_do_not_fit_half_precision_are_not_saved(network, tmp_path):
    diverged = lively_network(NAME)
    with torch.no_grad():
        diverged.backbone.conv_stem.weight[0] = 1e6
    with pytest.raises(BrokenCheckpoint, match=r"backbone.conv_stem.weight does not fit half precision"):
        write_checkpoint(tmp_path, diverged)


def test_a_folder_without_manifest_is_refused(copied):
    (copied / "lesionlens.json").unlink()
    with pytest.raises(BrokenCheckpoint, match=r"copied has no lesionlens.json.*Fetch or train it again"):
        load_checkpoint(copied)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_a_manifest_that_is_none_is_refused(text, copied):
    (copied / "lesionlens.json").write_text(text)
    with pytest.raises(BrokenCheckpoint, match=r"copied/lesionlens.json (cannot be read|has another format)"):
        load_checkpoint(copied)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": [*reversed(CODES)]}, "answers in the order vasc, nv, .* akiec, .* wrong diagnoses"),
        ({"labels": list(CODES[:6])}, "answers in the order"),
        ({"format": 2}, "has another format than 1. Update LesionLens"),
        ({"model": "alexnet"}, "is a 'alexnet'; this LesionLens knows resnet152"),
        ({"temperature": "warm"}, "lesionlens.json: temperature: "),
        ({"preprocessing": {"size": 64}}, "lesionlens.json: preprocessing.mean: "),
        ({"golden_logits": [0.0] * 7}, "does not answer as it did .* off by"),
        ({"golden_logits": [float("nan")] * 7}, "does not answer as it did"),
        ({"golden_logits": [0.0] * 6}, "is incomplete or altered"),
        ({"golden_logits": []}, "is incomplete or altered"),
        ({"model": "resnet18"}, "is incomplete or altered"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_altered_manifest_is_refused_by_what_is_wrong(changes, words, copied):
    alter_manifest(copied, **changes)
    with pytest.raises(BrokenCheckpoint, match=words):
        load_checkpoint(copied)


def seal(folder):
    """Write the sums of the files as they are now into the manifest: what a careful forger would do."""
    path = folder / "lesionlens.json"
    stored = json.loads(path.read_text())
    stored["files"] = {name: sha256(folder / name) for name in stored["files"]}
    path.write_text(json.dumps(stored))


@pytest.mark.parametrize("name", ["model.safetensors", EXTRAS_FILE])
def test_a_missing_weights_file_is_refused_with_its_name(name, copied):
    (copied / name).unlink()
    with pytest.raises(BrokenCheckpoint, match=rf"untrained is incomplete or altered.*{name}.*again"):
        load_checkpoint(copied)


@pytest.mark.parametrize("name", ["model.safetensors", EXTRAS_FILE])
@pytest.mark.parametrize("kept", [0, 7, 1000, -1])
def test_a_cut_weights_file_is_refused(name, kept, copied):
    (copied / name).write_bytes((copied / name).read_bytes()[:kept])
    with pytest.raises(BrokenCheckpoint, match="untrained is incomplete or altered"):
        load_checkpoint(copied)


@pytest.mark.parametrize(
    ("file", "tensor"),
    [
        ("model.safetensors", "classifier.bias"),
        # The golden logits ask for one age, one sex and one site only.
        (EXTRAS_FILE, "facts.tables.site"),
        (EXTRAS_FILE, "statistics.mean"),
    ],
)
def test_one_altered_number_is_refused_by_the_files_sum(file, tensor, copied):
    tensors = load_file(copied / file)
    tensors[tensor].view(-1)[-1] += 1e-3
    save_file(tensors, copied / file)
    with pytest.raises(BrokenCheckpoint, match=rf"altered \({file} is not the file that was saved\)"):
        load_checkpoint(copied)


@pytest.mark.parametrize("name", ["golden.pixels", "facts.tables.sex", "statistics.mean"])
def test_a_lost_tensor_is_refused_with_its_name(name, copied):
    tensors = load_file(copied / EXTRAS_FILE)
    del tensors[name]
    save_file(tensors, copied / EXTRAS_FILE)
    seal(copied)
    with pytest.raises(BrokenCheckpoint, match=rf"incomplete or altered.*{name.split('.')[-1]}"):
        load_checkpoint(copied)


def test_a_golden_picture_of_another_shape_is_refused(copied):
    tensors = load_file(copied / EXTRAS_FILE)
    save_file(tensors | {"golden.pixels": torch.zeros(5, dtype=torch.uint8)}, copied / EXTRAS_FILE)
    seal(copied)
    with pytest.raises(BrokenCheckpoint, match="incomplete or altered"):
        load_checkpoint(copied)


@pytest.mark.parametrize(
    ("file", "tensor"),
    [
        ("model.safetensors", "classifier.weight"),
        ("model.safetensors", "conv_stem.weight"),
        (EXTRAS_FILE, "facts.tables.sex"),
    ],
)
def test_swapped_weights_are_refused_by_their_golden_logits_even_with_fitting_sums(file, tensor, copied):
    tensors = load_file(copied / file)
    tensors[tensor] = tensors[tensor].flip(0).contiguous()
    save_file(tensors, copied / file)
    seal(copied)
    with pytest.raises(BrokenCheckpoint, match=r"golden logits are off by .* altered or damaged"):
        load_checkpoint(copied)


def test_a_loaded_checkpoint_can_be_saved_again(saved, tmp_path):
    loaded = load_checkpoint(saved)
    write_checkpoint(tmp_path / "again", loaded.network)
    assert load_checkpoint(tmp_path / "again").manifest.golden_logits == loaded.manifest.golden_logits
