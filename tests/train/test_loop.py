"""The loop and what lies around it: a tiny network is really trained in every one of these."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from core.data.splits import Split
from core.errors import RecipeError, RunError
from core.evaluate.artifact import Evaluation
from core.labels import CODES
from core.models.checkpoint import read_manifest
from core.models.network import build_network
from core.models.registry import MODELS
from core.runs.folder import RunFolder, Status, told_once
from core.settings import settings
from tests.conftest import ROOT
from tests.train.conftest import command, folders, trainer
from train.data import class_frequencies, drawn_frequencies
from train.display import TerminalDisplay
from train.finish import best_network
from train.fit import Plan, resume, start
from train.loop import Criterion, parameter_groups, score, set_learning_rate
from train.recipe import BalanceConfig, OptimizerConfig, Recipe, RegulariseConfig, load_recipe
from train.state import save_state


def epochs_of(run: RunFolder) -> list[dict]:
    return [event for event in told_once(run.events()[0]) if event["kind"] == "epoch"]


def tiny_recipe(tiny, *overrides: str) -> Recipe:
    return load_recipe(str(tiny.recipe), overrides)


def fit(tiny, name: str, *overrides: str) -> RunFolder:
    """Train on the tiny dataset, in a runs folder of this test's own."""
    with folders(settings().runs_dir, tiny.cache):
        return start(tiny_recipe(tiny, *overrides), tiny.data, name, TerminalDisplay(quiet=True))


def test_a_run_learns(tiny):
    losses = [event["train_loss"] for event in epochs_of(tiny.run)]
    assert losses[-1] < losses[0]


def test_a_run_leaves_everything_a_reader_needs(tiny):
    run = tiny.run
    plan = Plan.from_json(run.config())
    split = Split.load(run.path / "split.csv")
    status = run.status()
    epochs = epochs_of(run)
    assert plan.recipe == tiny_recipe(tiny)
    assert plan.split_hash == split.hash
    assert (status.state, status.epoch, status.step) == ("finished", 3, status.total_steps)
    assert status.best == max(event["balanced_accuracy"] for event in epochs)
    assert [epochs[0]["train_size_px"], epochs[-1]["train_size_px"]] == [32, 48]
    assert np.sum(epochs[-1]["confusion"]) == (split.table["split"] == "val").sum()
    steps = [event for event in run.events()[0] if event["kind"] == "step"]
    assert all(event["images_per_s"] > 0 and 0 <= event["wait_share"] <= 1 for event in steps)
    assert {path.name for path in run.checkpoints.iterdir()} == {"best.safetensors", "last.safetensors"}
    assert "epoch 3/3" in (run.path / "log.txt").read_text()
    assert not list(run.path.rglob("*.partial"))


def test_watch_images_are_recorded_each_epoch_one_of_each_diagnosis_first(tiny):
    names = sorted(path.name for path in tiny.run.watch.iterdir())
    assert names == [f"epoch_{epoch:04d}.npz" for epoch in (1, 2, 3)]
    with np.load(tiny.run.watch / names[-1], allow_pickle=False) as watch:
        assert set(watch["truth"][: len(CODES)]) == set(range(len(CODES)))
        assert watch["maps"].shape[:2] == (len(watch["truth"]), len(CODES))
        assert np.isfinite(watch["logits"]).all()


def test_a_killed_run_is_resumed_as_if_nothing_had_happened(tiny):
    with folders(settings().runs_dir, tiny.cache):
        fitting = command("fit", str(tiny.recipe), "--data", str(tiny.data), "--run", "killed")
        with subprocess.Popen(fitting, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            run = RunFolder(settings().runs_dir / "killed")
            while not any(event["kind"] == "epoch" for event in run.events()[0]):
                assert process.poll() is None, "the run ended before it could be killed"
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
        assert run.status().observed() == "died"
        with (run.path / "events.jsonl").open("a") as file:
            file.write('{"kind": "step", "st')  # as if killed in the middle of a line
        resumed = trainer("resume", "killed")
    assert resumed.returncode == 0, resumed.stderr
    assert run.status().state == "finished"
    assert (run.path / "evaluation" / "metrics.json").is_file()
    expected = epochs_of(tiny.run)
    for event, uninterrupted in zip(epochs_of(run), expected, strict=True):
        assert event["epoch"] == uninterrupted["epoch"]
        for name in ("train_loss", "val_loss", "balanced_accuracy", "images", "step"):
            assert event[name] == pytest.approx(uninterrupted[name], rel=1e-4), name
    ours = load_file(run.checkpoints / "last.safetensors")
    for name, tensor in load_file(tiny.run.checkpoints / "last.safetensors").items():
        assert torch.allclose(ours[name].float(), tensor.float(), rtol=1e-3, atol=1e-4), name


def test_two_processes_train_one_run_and_finish_it(tiny):
    with folders(settings().runs_dir, tiny.cache):
        fitted = trainer(
            "fit", str(tiny.recipe), "--data", str(tiny.data), "--run", "two",
            "--set", "batch_size=8", "--set", "epochs=2", "--set", "optimizer.accumulate=2", processes=2,
        )  # fmt: skip
    assert fitted.returncode == 0, fitted.stderr
    run = RunFolder.open(settings().runs_dir, "two")
    epochs = epochs_of(run)
    assert [event["epoch"] for event in epochs] == [1, 2]
    assert run.status().state == "finished"
    assert run.status().step == run.status().total_steps == epochs[-1]["step"]
    assert all(math.isfinite(event["val_loss"]) for event in epochs)
    split = Split.load(run.path / "split.csv")
    assert split.hash == Split.load(tiny.run.path / "split.csv").hash
    assert np.sum(epochs[-1]["confusion"]) == (split.table["split"] == "val").sum()
    evaluation = Evaluation.load(run.path / "evaluation")
    assert evaluation.n_images == (split.table["split"] == "test").sum()
    assert read_manifest(run.path / "checkpoint").metrics
    assert fitted.stdout.count("Use it with --checkpoint") == 1


def test_a_run_that_another_process_trains_is_not_resumed(tiny):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        run = RunFolder.create(settings().runs_dir, "busy")
        run.write_config(tiny.run.config())
        run.write_status(Status("running", other.pid, socket.gethostname(), time.time()))
        with pytest.raises(RunError, match=f"being trained by process {other.pid}"):
            resume("busy", TerminalDisplay(quiet=True))
        other.communicate(b"\n")


def test_resuming_a_finished_run_changes_nothing_it_said(tiny):
    with folders(tiny.run.path.parent, tiny.cache):
        before = epochs_of(tiny.run)
        resume("tiny", TerminalDisplay(quiet=True))
    assert epochs_of(tiny.run) == before
    assert (tiny.run.status().state, tiny.run.status().epoch) == ("finished", 3)


def test_a_run_killed_before_its_first_epoch_begins_again(tiny):
    run = RunFolder.create(settings().runs_dir, "young")
    (run.path / "split.csv").write_bytes((tiny.run.path / "split.csv").read_bytes())
    run.write_config(tiny.run.config())
    run.append({"kind": "step", "step": 1, "epoch": 1})
    with folders(settings().runs_dir, tiny.cache):
        resume("young", TerminalDisplay(quiet=True))
    for event, uninterrupted in zip(epochs_of(run), epochs_of(tiny.run), strict=True):
        assert event["val_loss"] == pytest.approx(uninterrupted["val_loss"], rel=1e-4)


def test_two_processes_learn_what_one_learns_with_the_same_global_batch(tiny):
    """Frozen, so that no process counts batch statistics of its own: what is left is rounding."""
    same = ("mode=frozen", "epochs=2", "regularise.facts_dropout=0", "regularise.all_facts_dropout=0")
    one = fit(tiny, "one", "batch_size=16", "regularise.drop_rate=0", *same)
    changes = [
        word for change in ("batch_size=8", "regularise.drop_rate=0", *same) for word in ("--set", change)
    ]
    with folders(settings().runs_dir, tiny.cache):
        fitted = trainer(
            "fit", str(tiny.recipe), "--data", str(tiny.data), "--run", "two", *changes, processes=2
        )
    assert fitted.returncode == 0, fitted.stderr
    two = RunFolder.open(settings().runs_dir, "two")
    for event, alone in zip(epochs_of(two), epochs_of(one), strict=True):
        assert (event["epoch"], event["step"], event["images"]) == (
            alone["epoch"],
            alone["step"],
            alone["images"],
        )
        for name in ("train_loss", "val_loss"):
            assert event[name] == pytest.approx(alone[name], rel=1e-3), name
    # One writer: nothing is told twice.
    assert len([event for event in two.events()[0] if event["kind"] == "epoch"]) == 2


VARIANTS = {
    "bf16": ["precision=bf16"],
    "accumulation": ["optimizer.accumulate=3"],
    "mixing": ["regularise.mixup=0.4", "regularise.cutmix=1.0"],
    "loss weights": ["balance.loss_power=0.5", "balance.dx_type_weights.follow_up=0.5"],
    "logit adjustment": ["balance.logit_adjustment=1.0"],
    "gray": ["gray=true"],
    "frozen stages": ["optimizer.freeze_stages=2", "optimizer.layer_decay=0.8"],
    "workers": ["workers=1"],
    "gradient checkpointing": ["grad_checkpointing=true"],
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_choice_of_a_recipe_trains(tiny, variant):
    run = fit(tiny, "variant", "epochs=1", "train_sizes=[32, 32]", *VARIANTS[variant])
    (epoch,) = epochs_of(run)
    assert math.isfinite(epoch["train_loss"])
    assert run.status().state == "finished"


def test_gradient_checkpointing_changes_memory_and_not_what_is_learned(tiny):
    plain, checkpointed = (
        fit(tiny, f"checkpointing-{on}", "epochs=1", "train_sizes=[32, 32]", f"grad_checkpointing={on}")
        for on in ("false", "true")
    )
    losses = [epochs_of(run)[0]["train_loss"] for run in (plain, checkpointed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_tracker_is_told_what_the_events_tell(tiny):
    run = fit(tiny, "tracked", "epochs=1", "mode=frozen", 'trackers=["tensorboard"]')
    written = (run.path / "trackers").rglob("events.out.tfevents.*")
    assert b"epoch/val_loss" in b"".join(path.read_bytes() for path in written)
    assert not (tiny.run.path / "trackers").exists()


@pytest.mark.parametrize(
    ("name", "words"), [("tensorbored", "is not known; expected one of"), ("clearml", "pip install clearml")]
)
def test_a_tracker_that_cannot_be_told_is_refused_by_name(tiny, name, words):
    with pytest.raises(RecipeError, match=f"'{name}'.*{words}"):
        fit(tiny, "untracked", f'trackers=["{name}"]')
    assert not (settings().runs_dir / "untracked").exists()


def test_an_epoch_tells_how_often_each_answer_was_given_and_how_sure(tiny):
    (*_, last) = epochs_of(tiny.run)
    confusion = np.array(last["confusion"])
    assert last["predicted_share"] == pytest.approx(confusion.sum(axis=0) / confusion.sum())
    assert 0 <= last["val_ece"] <= 1
    assert sum(count for count, _, _ in last["reliability"]) == confusion.sum()
    with np.load(tiny.run.val / "epoch_0003.npz", allow_pickle=False) as val:
        pairs = list(zip(val["truth"], val["logits"].astype(float).argmax(axis=1), strict=True))
        assert len(set(val["image_ids"])) == confusion.sum()
    for truth, answer in pairs:
        confusion[truth, answer] -= 1
    assert not confusion.any()


def test_a_frozen_run_changes_the_head_and_the_facts_only(tiny):
    run = fit(tiny, "frozen", "mode=frozen", "optimizer.ema_decay=0.0")
    network = load_file(run.checkpoints / "last.safetensors")
    torch.manual_seed(5)
    fresh = build_network("mobilenetv3_small", drop_rate=0.1).state_dict()
    changed = {name for name, value in fresh.items() if not torch.equal(value, network[f"network.{name}"])}
    assert changed == {
        "backbone.classifier.weight",
        "backbone.classifier.bias",
        "facts.tables.age",
        "facts.tables.sex",
        "facts.tables.site",
    }
    losses = [event["train_loss"] for event in epochs_of(run)]
    assert losses[-1] < losses[0]


def test_a_recipe_without_facts_learns_none(tiny):
    run = fit(tiny, "no-facts", "epochs=1", "facts=false")
    state = load_file(run.checkpoints / "last.safetensors")
    for fact in ("age", "sex", "site"):
        assert not state[f"network.facts.tables.{fact}"].any()


def test_the_default_learns_facts(tiny):
    state = load_file(tiny.run.checkpoints / "last.safetensors")
    assert all(state[f"network.facts.tables.{fact}"].any() for fact in ("age", "sex", "site"))


def test_without_progress_a_run_stops_early_and_stays_stopped(tiny):
    run = fit(tiny, "patient", "patience=1", "epochs=9", "optimizer.learning_rate=1e-12", "mode=frozen")
    assert len(epochs_of(run)) == 2
    assert "No better validation for 1 epochs" in _log(run)
    with folders(settings().runs_dir, tiny.cache):
        resume("patient", TerminalDisplay(quiet=True))
    assert len(epochs_of(run)) == 2


def _log(run: RunFolder) -> str:
    path = run.path / "log.txt"
    return path.read_text() if path.exists() else ""


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_what_there_was(tiny, monkeypatch):
    whole = Criterion.__call__
    calls = []

    def diverge(self, *arguments):
        calls.append(1)
        return whole(self, *arguments) * (float("nan") if len(calls) > 8 else 1.0)

    monkeypatch.setattr(Criterion, "__call__", diverge)
    with pytest.raises(RunError, match=r"The loss is nan at step 9\. Lower the learning rate"):
        fit(tiny, "diverged")
    run = RunFolder.open(settings().runs_dir, "diverged")
    assert run.status().state == "failed"
    assert "loss is nan" in run.status().message
    assert "failed: The loss is nan" in _log(run)
    assert (run.checkpoints / "last.safetensors").is_file()


def test_a_stopped_run_says_so(tiny, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("train.loop.predict_val", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny, "stopped")
    assert RunFolder.open(settings().runs_dir, "stopped").status().state == "stopped"


def test_a_terminated_trainer_stops_as_after_ctrl_c(tiny):
    with folders(settings().runs_dir, tiny.cache):
        fitting = command(
            "fit", str(tiny.recipe), "--data", str(tiny.data), "--run", "ended", "--set", "epochs=500"
        )
        with subprocess.Popen(fitting, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            run = RunFolder(settings().runs_dir / "ended")
            while not run.events()[0]:
                assert process.poll() is None
                time.sleep(0.02)
            process.terminate()
            _, said = process.communicate()
    assert process.returncode != 0
    assert run.status().state == "stopped"
    assert "python -m train resume ended" in said
    assert "Traceback" not in said


def test_changed_data_is_not_resumed(tiny, tmp_path):
    run = RunFolder.create(settings().runs_dir, "moved")
    (run.path / "split.csv").write_bytes((tiny.run.path / "split.csv").read_bytes())
    smaller = tmp_path / "smaller"
    smaller.mkdir()
    lines = (tiny.data / "HAM10000_metadata.csv").read_text().splitlines()
    (smaller / "HAM10000_metadata.csv").write_text("\n".join(lines[:-3]) + "\n")
    run.write_config(tiny.run.config() | {"data_dir": str(smaller)})
    with pytest.raises(RunError, match="run moved was trained on 140"):
        resume("moved", TerminalDisplay(quiet=True))


FREQUENCIES = np.array([0.03, 0.05, 0.11, 0.01, 0.11, 0.67, 0.02])


def test_copies_count_as_shown_and_not_as_met(tiny, tmp_path):
    from core.data.augmenting import Augmentation, augment_dataset

    augment_dataset(tiny.data, tmp_path / "more", Augmentation(targets={"df": 30}, split_seed=5), workers=1)
    with folders(settings().runs_dir, tmp_path / "cache"):
        run = start(tiny_recipe(tiny, "epochs=1"), tmp_path / "more", "copies", TerminalDisplay(quiet=True))
    plan, plain = Plan.from_json(run.config()), Plan.from_json(tiny.run.config())
    assert plan.class_frequencies == plain.class_frequencies
    assert plan.split_hash == plain.split_hash
    assert plan.shown_frequencies[CODES.index("df")] > 1.5 * plan.class_frequencies[CODES.index("df")]


@pytest.mark.parametrize("adjustment", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("sampler_power", [0.0, 0.5, 1.0])
def test_the_best_network_answers_with_the_prior_of_the_data(tiny, tmp_path, sampler_power, adjustment):
    """A network that learned nothing but the prior, as its loss showed it, must answer the data's prior."""
    balance = BalanceConfig(sampler_power, logit_adjustment=adjustment)
    drawn = drawn_frequencies(FREQUENCIES, balance)
    network = build_network("mobilenetv3_small").eval()
    head = network.backbone.get_classifier()
    with torch.no_grad():
        head.weight.zero_()
        # What minimises the loss: softmax(logits + adjustment * log(drawn)) = drawn.
        head.bias.copy_(torch.from_numpy((1 - adjustment) * np.log(drawn)))
    run = RunFolder.create(tmp_path, "prior")
    progress = {"epoch": 1, "step": 1, "best": 0.5, "best_epoch": 1, "elapsed_s": 1.0, "images": 1}
    save_state(run.checkpoints / "best.safetensors", parts={"ema": network}, progress=progress)
    later = progress | {"epoch": 3, "elapsed_s": 3.0, "images": 3}
    save_state(run.checkpoints / "last.safetensors", parts={"network": network}, progress=later)
    plan = Plan.from_json(tiny.run.config())
    # Copies showed the rarest diagnosis more often than it is met; the answer is for how often it is met.
    met = FREQUENCIES * np.array([1, 1, 1, 0.5, 1, 1, 1])
    met /= met.sum()
    plan = replace(
        plan,
        recipe=replace(plan.recipe, balance=balance),
        class_frequencies=tuple(met),
        shown_frequencies=tuple(FREQUENCIES),
    )
    answering, trained = best_network(run, plan)
    with torch.no_grad():
        answer = answering.eval()(torch.randn(2, 3, 32, 32)).softmax(dim=1).numpy()
    assert np.allclose(answer, met, atol=1e-5)
    assert trained == {"epoch": 1, "images": 3, "elapsed_s": 3.0}, "the cost is the whole run's"


class Fixed(torch.nn.Module):
    """Answers the same logits always, and keeps what it was asked."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, inputs: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
        self.asked = (inputs, facts)
        return self.logits.expand(len(inputs), -1)


def batch(count: int = 6):
    return torch.rand(count, 3, 8, 8), torch.ones(count, 3), torch.arange(count) % 7, torch.ones(count)


def test_the_loss_is_cross_entropy_of_adjusted_logits_weighted_by_picture(tiny):
    recipe = replace(
        tiny_recipe(tiny),
        balance=BalanceConfig(0.5, logit_adjustment=0.7),
        regularise=RegulariseConfig(label_smoothing=0.0),
    )
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0, 0.5, 1.0, -0.2])
    inputs, facts, truth, _ = batch()
    weights = torch.tensor([1.0, 2.0, 0.5, 0.0, 3.0, 1.0])
    found = Criterion(recipe, FREQUENCIES, torch.device("cpu"))(Fixed(logits), inputs, facts, truth, weights)
    drawn = FREQUENCIES**0.5 / (FREQUENCIES**0.5).sum()
    adjusted = logits.numpy() + 0.7 * np.log(drawn)
    log_probabilities = adjusted - np.log(np.exp(adjusted).sum())
    expected = np.mean(weights.numpy() * -log_probabilities[truth.numpy()])
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mixing", [{"mixup": 1.0}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}])
def test_a_mixed_batch_hides_facts_and_others_still_teach_them(tiny, mixing):
    torch.manual_seed(0)
    recipe = replace(tiny_recipe(tiny), regularise=RegulariseConfig(**mixing))
    criterion = Criterion(recipe, FREQUENCIES, torch.device("cpu"))
    network, seen = Fixed(torch.zeros(7)), []
    for _ in range(40):
        inputs, facts, truth, weights = batch()
        loss = criterion(network, inputs, facts, truth, weights)
        assert torch.isfinite(loss)
        same = torch.equal(network.asked[0], inputs)
        hidden = bool(network.asked[1].isnan().all())
        seen.append(hidden)
        assert same or hidden
    assert 8 < sum(seen) < 32


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenetv3_small", "efficientnet_lite0", "convnext_tiny", "vit_small"]
)
def test_every_parameter_is_in_one_group_and_the_head_learns_fastest(name):
    network = build_network(name)
    groups = parameter_groups(network, OptimizerConfig(learning_rate=1.0, layer_decay=0.9, facts_scale=3.0))
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in network.parameters())
    rate_of = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    head = network.backbone.get_classifier()
    assert rate_of[id(head.weight)] == rate_of[id(head.bias)] == groups[0]["lr"] == 1.0
    assert all(rate_of[id(parameter)] == 3.0 for parameter in network.facts.parameters())
    backbone = [rate_of[id(parameter)] for parameter in network.backbone.parameters()]
    assert backbone[0] == min(backbone) < 0.9
    for group in groups:
        if group["weight_decay"]:
            assert all(parameter.ndim > 1 for parameter in group["params"])
    assert name in MODELS


def test_the_learning_rate_warms_up_and_ends_at_nothing(tiny):
    recipe = replace(tiny_recipe(tiny), epochs=4, optimizer=OptimizerConfig(warmup_epochs=1.0))
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [weight], "lr": 1.0, "base_lr": 2.0}])
    rates = []
    for step in range(40):
        set_learning_rate(optimizer, recipe, step, 10)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[10] == 2.0
    assert 0 < rates[-1] < 0.02


def test_a_validation_that_lacks_a_diagnosis_is_scored_by_those_it_has():
    truth = np.array([0, 0, 1])
    logits = np.full((3, 7), -5.0)
    logits[[0, 1, 2], [0, 1, 1]] = 5.0
    scores = score(truth, logits)
    assert scores["balanced_accuracy"] == pytest.approx(0.75)
    assert scores["recall"][:3] == [0.5, 1.0, None]
    assert scores["macro_auc"] is None
    json.dumps(scores, allow_nan=False)


def test_frequencies_of_a_plan_are_those_of_the_pictures_trained_on(tiny):
    plan = Plan.from_json(tiny.run.config())
    split = Split.load(tiny.run.path / "split.csv")
    truth = split.table.loc[split.table["split"] == "train", "dx"].map(CODES.index).to_numpy()
    assert np.allclose(plan.class_frequencies, class_frequencies(truth))


def test_a_config_of_an_earlier_version_still_reads(tiny):
    stored = json.loads(json.dumps(tiny.run.config()))
    assert json.loads(json.dumps(Plan.from_json(stored).to_json())) == stored


def test_the_accelerator_is_left_as_it_was_found():
    assert Accelerator(cpu=True).num_processes == 1
    assert "RANK" not in os.environ
