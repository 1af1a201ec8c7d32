"""Fact tables, freezing and the head's beginning."""

import numpy as np
import pytest
import timm
import torch

from core.data.facts import FACTS, SEXES, SITES, Facts, encode_facts
from core.labels import CODES
from core.models.network import AGE_KNOTS_YEARS, FactTables, build_network
from core.models.registry import MODELS
from tests.core.models.making import lively_network, pictures


@pytest.fixture
def tables():
    torch.manual_seed(0)
    made = FactTables()
    with torch.no_grad():
        for table in made.parameters():
            table.normal_()
    return made


def terms_of(tables, *facts):
    with torch.no_grad():
        return tables.terms(torch.from_numpy(encode_facts(facts)))


def test_what_is_unknown_adds_exactly_zero(tables):
    terms = terms_of(tables, Facts())
    assert terms.keys() == set(FACTS)
    for term in terms.values():
        assert (term == 0).all()


def test_a_new_table_adds_nothing_whatever_is_known():
    assert (FactTables()(torch.from_numpy(encode_facts([Facts(40, "male", "face")]))) == 0).all()


def test_no_facts_and_unknown_facts_are_the_same():
    network, pixels = lively_network("resnet18"), pictures("resnet18")
    unknown = torch.from_numpy(encode_facts([Facts(), Facts()]))
    with torch.no_grad():
        assert torch.equal(network(pixels), network(pixels, unknown))


def test_each_sex_and_site_adds_its_own_row(tables):
    for row, sex in enumerate(SEXES):
        assert torch.equal(terms_of(tables, Facts(sex=sex))["sex"][0], tables.tables["sex"][row])
    for row, site in enumerate(SITES):
        assert torch.equal(terms_of(tables, Facts(site=site))["site"][0], tables.tables["site"][row])


def test_an_age_between_two_knots_adds_their_weighted_mean(tables):
    ages = tables.tables["age"]
    for knot, years in enumerate(AGE_KNOTS_YEARS):
        torch.testing.assert_close(terms_of(tables, Facts(years))["age"][0], ages[knot])
    torch.testing.assert_close(terms_of(tables, Facts(42.5))["age"][0], 0.75 * ages[4] + 0.25 * ages[5])


def test_an_age_beyond_the_last_knot_counts_as_the_last_knot(tables):
    torch.testing.assert_close(terms_of(tables, Facts(110))["age"][0], tables.tables["age"][-1])


def test_a_fact_gets_gradients_only_where_it_is_known(tables):
    tables(torch.from_numpy(encode_facts([Facts(45, None, "back")]))).sum().backward()
    gradients = {fact: tables.tables[fact].grad.abs().sum(dim=1) for fact in FACTS}
    assert gradients["age"].nonzero().flatten().tolist() == [4, 5]
    assert gradients["site"].nonzero().flatten().tolist() == [SITES.index("back")]
    assert (gradients["sex"] == 0).all()


def test_facts_of_other_precision_and_batches_of_any_size_are_taken(tables):
    assert tables(torch.full((0, 3), torch.nan)).shape == (0, len(CODES))
    halved = tables.half()(torch.tensor([[45.0, 1.0, torch.nan]], dtype=torch.float16))
    assert halved.dtype == torch.float16


# What freezing keeps, it keeps of any network whose norms run statistics.
@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "mobilenetv3_small"])
@pytest.mark.parametrize("count", [0, 2])
def test_frozen_stages_keep_weights_and_statistics_while_the_rest_trains(name, count):
    torch.manual_seed(0)
    network = build_network(name)
    network.freeze_stages(count)
    network.train()
    before = {key: value.clone() for key, value in network.backbone.state_dict().items()}
    optimizer = torch.optim.SGD([one for one in network.parameters() if one.requires_grad], lr=0.1)
    network(torch.randn(4, 3, 64, 64)).square().sum().backward()
    optimizer.step()
    groups = timm.models.group_parameters(network.backbone, network.backbone.group_matcher(coarse=True))
    frozen = {key for layer, keys in groups.items() if layer < count for key in keys}
    trained = set(dict(network.backbone.named_parameters())) - frozen
    assert bool(frozen) == (count > 0)
    changed = {
        key for key, value in network.backbone.state_dict().items() if not torch.equal(value, before[key])
    }
    assert not frozen & changed
    assert network.backbone.get_classifier().weight.requires_grad
    statistics = {key for key in before if key.endswith("running_mean")}
    frozen_norms = {key for key in statistics if key.replace("running_mean", "weight") in frozen}
    assert bool(frozen_norms) == (count > 0)
    assert changed & statistics == statistics - frozen_norms
    assert changed & trained


def test_frozen_stages_stay_in_evaluation_mode_through_changes_of_mode():
    network = build_network("resnet18")
    network.freeze_stages(2)
    network.eval()
    network.train()
    assert not network.backbone.bn1.training
    assert network.backbone.layer4[0].bn1.training
    network.freeze_stages(0)
    assert network.backbone.bn1.training


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny", "mobilenetv3_small"])
def test_a_new_head_answers_the_prior(name):
    prior = np.array([0.03, 0.05, 0.11, 0.01, 0.11, 0.67, 0.02])
    torch.manual_seed(0)
    network = build_network(name).eval()
    network.start_head(prior)
    with torch.no_grad():
        probabilities = network(pictures(name)).softmax(dim=1)
    np.testing.assert_allclose(probabilities.numpy(), np.stack([prior, prior]), rtol=0.5)
    assert (probabilities.argmax(dim=1) == int(prior.argmax())).all()


def test_a_vision_transformer_takes_the_size_that_a_recipe_chooses():
    assert MODELS["vit_small"].timm_args["dynamic_img_size"]
    network = build_network("vit_small").eval()
    with torch.no_grad():
        assert network.look(torch.zeros(1, 3, 96, 96)).maps.shape[2:] == (6, 6)
