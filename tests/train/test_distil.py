"""Distillation: teachers look at the pupil's own input, and answer for the pupil's mix of diagnoses."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.data.preprocessing import Preprocessing
from core.errors import RecipeError, UnknownReference
from core.labels import CODES
from core.models.checkpoint import load_checkpoint, save_checkpoint
from core.models.network import build_network
from core.settings import settings
from tests.train.conftest import folders
from train.data import class_frequencies
from train.display import TerminalDisplay
from train.distil import Teachers, checkpoint_of
from train.finish import best_network
from train.fit import FROM_CHECKPOINT, Plan, first_network, start
from train.loop import Criterion
from train.recipe import DistilConfig, load_recipe

DEVICE = torch.device("cpu")


def split_of(tiny):
    return Plan.from_json(tiny.run.config()).split_hash


@pytest.fixture(scope="module")
def teacher(tiny):
    return checkpoint_of(tiny.reference, split_of(tiny))


@pytest.fixture
def inputs(teacher):
    torch.manual_seed(0)
    return torch.randn(4, 3, 32, 32), torch.full((4, 3), torch.nan)


def teachers_of(checkpoint, *, preprocessing=None, prior=None, temperature=1.0):
    return Teachers(
        [checkpoint],
        preprocessing=preprocessing or checkpoint.manifest.preprocessing,
        prior=np.array(checkpoint.manifest.class_frequencies if prior is None else prior),
        temperature=temperature,
        device=DEVICE,
    )


def test_a_pupil_that_answers_as_its_teacher_has_nothing_to_learn(teacher, inputs):
    pictures, facts = inputs
    logits = teacher.network(pictures, facts)
    loss = teachers_of(teacher, temperature=3.0).loss(logits, pictures, facts)
    torch.testing.assert_close(loss, torch.zeros(4), atol=1e-5, rtol=0)
    assert (teachers_of(teacher).loss(logits.flip(1), pictures, facts) > 0).all()


def test_answers_are_moved_to_the_mix_the_pupil_is_drawn_from(teacher, inputs):
    frequencies = np.array(teacher.manifest.class_frequencies)
    prior = np.array([0.4, *[0.1] * 6])
    plain, moved = teachers_of(teacher)(*inputs), teachers_of(teacher, prior=prior)(*inputs)
    expected = plain * torch.from_numpy(prior / frequencies).float()
    torch.testing.assert_close(moved, expected / expected.sum(dim=1, keepdim=True))


def test_inputs_are_normalised_anew_for_each_teacher(teacher, inputs):
    pictures, facts = inputs
    theirs = teacher.manifest.preprocessing
    pupil = Preprocessing(32, mean=(0.2, 0.3, 0.4), std=(0.1, 0.2, 0.3))
    pixels = pictures * torch.tensor(theirs.std).view(1, 3, 1, 1) + torch.tensor(theirs.mean).view(1, 3, 1, 1)
    as_pupil = (pixels - torch.tensor(pupil.mean).view(1, 3, 1, 1)) / torch.tensor(pupil.std).view(1, 3, 1, 1)
    torch.testing.assert_close(
        teachers_of(teacher, preprocessing=pupil)(as_pupil, facts),
        teachers_of(teacher)(pictures, facts),
        atol=1e-4,
        rtol=1e-3,
    )


def test_teachers_share_the_say(teacher, inputs):
    other = replace(teacher, network=build_network(teacher.manifest.model).eval())
    both = Teachers(
        [teacher, other],
        preprocessing=teacher.manifest.preprocessing,
        prior=np.array(teacher.manifest.class_frequencies),
        temperature=1.0,
        device=DEVICE,
    )
    mean = (teachers_of(teacher)(*inputs) + teachers_of(other)(*inputs)) / 2
    torch.testing.assert_close(both(*inputs), mean)


def test_a_teacher_of_gray_pictures_is_refused_for_a_pupil_of_colour(teacher):
    gray = replace(teacher.manifest.preprocessing, gray=True)
    with pytest.raises(RecipeError, match=r"gray = False.*gray = True.*Set gray alike"):
        teachers_of(teacher, preprocessing=gray)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_weight_divides_the_loss_between_truth_and_teachers(weight, teacher, inputs, tiny):
    recipe = replace(
        load_recipe(str(tiny.recipe)), distil=DistilConfig((tiny.reference,), weight=weight, temperature=2.0)
    )
    frequencies = class_frequencies(np.arange(7))
    teachers = teachers_of(teacher, temperature=2.0)
    model = build_network(recipe.model).eval()
    pictures, facts = inputs
    truth, ones = torch.tensor([0, 1, 2, 3]), torch.ones(4)

    def loss(criterion):
        return criterion(model, pictures, facts, truth, ones).item()

    plain = loss(Criterion(recipe, frequencies, DEVICE))
    taught = teachers.loss(model(pictures, facts), pictures, facts).mean().item()
    both = loss(Criterion(recipe, frequencies, DEVICE, teachers))
    assert both == pytest.approx((1 - weight) * plain + weight * taught, rel=1e-5)


def test_a_run_learns_what_its_teacher_says(tiny, teacher, tmp_path):
    biased = copy.deepcopy(teacher.network)
    biased.shift_prior(np.where(np.array(CODES) == "vasc", 5.0, 0.0))
    save_checkpoint(
        tmp_path / "biased",
        biased,
        teacher.manifest,
        golden=np.zeros((32, 32, 3), dtype=np.uint8),
        statistics=None,
        card="",
    )

    def share_of_vasc(name, *overrides):
        with folders(settings().runs_dir, tiny.cache):
            recipe = load_recipe(str(tiny.recipe), ["optimizer.learning_rate=0.02", *overrides])
            run = start(recipe, tiny.data, name, TerminalDisplay(quiet=True))
        network, _ = best_network(run, Plan.from_json(run.config()))
        torch.manual_seed(1)
        logits = network.eval()(torch.randn(16, 3, 32, 32))
        return logits.softmax(dim=1)[:, CODES.index("vasc")].mean().item()

    taught = share_of_vasc("taught", f'distil.teachers=["local:{tmp_path / "biased"}"]', "distil.weight=1.0")
    assert taught > 1.5 * share_of_vasc("alone")


def test_a_run_can_go_on_from_a_whole_checkpoint(tiny, teacher):
    recipe = load_recipe(str(tiny.recipe), [f"weights={FROM_CHECKPOINT}{tiny.reference}"])
    network, provenance = first_network(recipe, split_of(tiny))
    assert (provenance.source, provenance.detail) == ("checkpoint", tiny.reference)
    network.shift_prior(np.log(np.array(teacher.manifest.class_frequencies)))
    for name, tensor in teacher.network.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor)
    with folders(settings().runs_dir, tiny.cache):
        run = start(
            replace(
                recipe, epochs=1, optimizer=replace(recipe.optimizer, learning_rate=1e-9, warmup_epochs=0)
            ),
            tiny.data,
            "further",
            TerminalDisplay(quiet=True),
        )
    plan = Plan.from_json(run.config())
    further, _ = best_network(run, plan)
    # Nothing was learnt at this rate: the head must have gone to the drawn mix and come back.
    before, after = (one.backbone.get_classifier().bias for one in (teacher.network, further))
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)


def test_a_checkpoint_of_another_architecture_is_refused(tiny):
    recipe = load_recipe(str(tiny.recipe), [f"weights={FROM_CHECKPOINT}{tiny.reference}", "model=resnet18"])
    with pytest.raises(RecipeError, match=r"is a mobilenetv3_small.*trains a resnet18"):
        first_network(recipe, split_of(tiny))


def test_a_teacher_that_is_not_there_is_refused_by_name():
    with pytest.raises(UnknownReference, match="nowhere"):
        checkpoint_of("local:/nowhere", "any")


@pytest.mark.parametrize("override", ['distil.teachers=["{reference}"]', "weights=checkpoint:{reference}"])
def test_a_checkpoint_of_another_split_is_refused_lest_it_knows_the_test(override, tiny):
    overrides = ["seed=6", override.format(reference=tiny.reference)]
    with folders(settings().runs_dir, tiny.cache), pytest.raises(RecipeError, match="another split"):
        start(load_recipe(str(tiny.recipe), overrides), tiny.data, "other", TerminalDisplay(quiet=True))


def test_teachers_and_frozen_features_exclude_each_other(tiny):
    with pytest.raises(RecipeError, match=r"frozen mode trains on features"):
        load_recipe(str(tiny.recipe), ["mode=frozen", f'distil.teachers=["{tiny.reference}"]'])


def test_teaching_leaves_the_teacher_as_it_was(teacher):
    fresh = load_checkpoint(teacher.folder)
    for name, tensor in fresh.network.state_dict().items():
        torch.testing.assert_close(teacher.network.state_dict()[name], tensor)
