"""Estimates: what fits into a budget, and a real measurement."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RunError
from core.jobs import Cancelled
from core.runs.estimate import BUDGETS_S, Estimate, budget_overrides, estimate

FINETUNE = Estimate(
    seconds_per_step=1.0,
    steps=4500,
    epochs=18,
    validation_s=18 * 20.0,
    decoding_s=30.0,
    features_s=0.0,
    finishing_s=90.0,
    starting_s=10.0,
    total_s=4500 + 360 + 130,
    low_s=4000.0,
    high_s=6000.0,
    mode="finetune",
    size=224,
    train_sizes=(128, 192),
    pictures=8006,
    epoch_images=8006,
    device="CPU",
)
FROZEN = replace(
    FINETUNE, mode="frozen", seconds_per_step=0.01, validation_s=6.0, features_s=90.0, total_s=45 + 6 + 220
)


def value(overrides, key):
    found = [one.partition("=")[2] for one in overrides if one.startswith(f"{key}=")]
    return found[0] if found else None


def expected_s(measured, overrides):
    """What the run takes with these overrides, if cost goes by area and by the number of pictures."""
    size = int(value(overrides, "size") or measured.size)
    area = (size / measured.size) ** 2
    images = int(value(overrides, "epoch_images") or measured.epoch_images)
    steps = measured.steps / measured.epochs * images / measured.epoch_images * measured.seconds_per_step
    epoch_s = steps + measured.validation_s / measured.epochs
    epochs = int(value(overrides, "epochs") or measured.epochs)
    fixed = measured.decoding_s + measured.starting_s
    seen = measured.features_s + measured.finishing_s
    return fixed + area * seen + epochs * epoch_s * (1 if measured.mode == "frozen" else area)


@pytest.mark.parametrize("measured", [FINETUNE, FROZEN], ids=["finetune", "frozen"])
@given(budget_s=st.floats(60, 20_000))
def test_what_is_made_to_fit_a_budget_fits_it(measured, budget_s):
    try:
        overrides = budget_overrides(measured, budget_s)
    except RunError:
        assert budget_s < 120
        return
    assert expected_s(measured, overrides) <= budget_s
    assert (overrides == ()) == (measured.total_s <= budget_s)


def test_fewer_epochs_come_before_smaller_pictures():
    assert budget_overrides(FINETUNE, 3600) == ("epochs=11",)
    coffee = budget_overrides(FINETUNE, BUDGETS_S["coffee"])
    assert value(coffee, "epochs") == "3"
    assert value(coffee, "size") is None
    assert 256 <= int(value(coffee, "epoch_images")) < 8006
    assert budget_overrides(FROZEN, 200) == ("epochs=16", "size=160", "train_sizes=[91, 137]")


def test_a_budget_that_nothing_fits_says_what_it_takes():
    with pytest.raises(RunError, match=r"20 s is too little.*at least about \d+ s here"):
        budget_overrides(FINETUNE, 20.0)


def test_a_measurement_that_cannot_be_says_why(tmp_path):
    with pytest.raises(RunError, match=str(tmp_path)):
        estimate("quick", tmp_path)


def test_a_measurement_can_be_cancelled(tmp_path):
    def report(*_, **__):
        raise Cancelled

    with pytest.raises(Cancelled):
        estimate("quick", tmp_path, report=report)
