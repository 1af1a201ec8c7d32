"""What if? Other facts, another picture of the same lesion, and the smallest change that turns the decision.

Facts only move the fact tables: whole curves cost no look at the picture. Pictures go through in one batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch

from core.data.changes import STANDARD, Applied
from core.data.facts import SEXES, SITES, Facts, encode_facts
from core.labels import MALIGNANT
from core.models.checkpoint import Checkpoint
from core.predict.calibration import softmax
from core.predict.predictor import Look, Prediction, answer, decided_as, look_at_all

AGES: Final = tuple(range(0, 91, 5))
BRIGHTER: Final = tuple(
    Applied("brightness", float(factor)) for factor in np.round(np.geomspace(0.45, 1.75, 14), 3)
)
"""The same picture from dark to bright."""


TYPICAL_AGE: Final = 50
"""Years: the median of HAM10000's pictures, from where an unknown age is varied."""


@dataclass(frozen=True)
class Curve:
    """The answer for each value of one fact, everything else as it is.

    at: values of the fact, in order. probabilities: (N, 7). malignancy: (N,).
    """

    fact: str
    at: tuple[float | str, ...]
    probabilities: np.ndarray
    malignancy: np.ndarray


@dataclass(frozen=True)
class Variant:
    """One changed picture and its answer; `prediction.unknown` says where it can no longer be answered."""

    applied: Applied
    prediction: Prediction


@dataclass(frozen=True)
class Strip:
    """The answers to variants of one picture.

    lowest, highest: malignancy over the picture and its answered variants.
    other_diagnosis, other_decision: how many answered variants turn the top diagnosis, or the decision.
    refused: how many variants are unknown input.
    """

    variants: tuple[Variant, ...]
    lowest: float
    highest: float
    other_diagnosis: int
    other_decision: int
    refused: int


@dataclass(frozen=True)
class Flip:
    """The smallest change found that turns the decision.

    change: in words, such as "age 45 instead of 60" or "age 45, were it known". malignancy: after it.
    """

    change: str
    malignancy: float


def curve(checkpoint: Checkpoint, looked: Look, facts: Facts, fact: str) -> Curve:
    """Return the answer over all ages or over all sites, without another look.

    fact: "age" or "site".

    Raises:
        KeyError: another fact.
    """
    values, changed = {
        "age": (AGES, [replace(facts, age_years=float(age)) for age in AGES]),
        "site": (SITES, [replace(facts, site=site) for site in SITES]),
    }[fact]
    probabilities = answer_facts(checkpoint, looked, changed)
    return Curve(fact, tuple(values), probabilities, probabilities[:, MALIGNANT].sum(axis=1))


def answer_facts(checkpoint: Checkpoint, looked: Look, facts: Sequence[Facts]) -> np.ndarray:
    """Return calibrated probabilities (N, 7) for one picture with each of N patients' facts."""
    picture = looked.bias + looked.maps.mean(axis=(1, 2)) + looked.remainder
    with torch.no_grad():
        added = checkpoint.network.facts(torch.from_numpy(encode_facts(facts))).numpy()
    return softmax(picture + added, checkpoint.manifest.temperature)


def look_at_variants(
    checkpoint: Checkpoint, pixels: np.ndarray, variants: Sequence[Applied] = STANDARD
) -> tuple[Look, ...]:
    """Look at variants of a picture, uint8 RGB (H, W, 3), in one batch."""
    return look_at_all(checkpoint, [one(pixels) for one in variants])


def vary(
    checkpoint: Checkpoint,
    looks: Sequence[Look],
    before: Prediction,
    variants: Sequence[Applied] = STANDARD,
) -> Strip:
    """Answer what was seen in variants of a picture, and compare; before: the answer as it is."""
    answers = [decided_as(answer(checkpoint, looked, before.facts), before) for looked in looks]
    known = [one for one in answers if one.unknown.known]
    scores = [before.malignancy, *(one.malignancy for one in known)]
    return Strip(
        tuple(Variant(applied, found) for applied, found in zip(variants, answers, strict=True)),
        min(scores),
        max(scores),
        sum(one.top_code != before.top_code for one in known),
        sum(one.above_threshold != before.above_threshold for one in known),
        len(answers) - len(known),
    )


def nearest_fact_flip(checkpoint: Checkpoint, looked: Look, before: Prediction) -> tuple[Flip, ...]:
    """Return, for each fact alone, its nearest value that turns the decision; empty where none does.

    For age that is the smallest difference in years (from TYPICAL_AGE where it is unknown), for sex and site
    the value that goes furthest. Without a threshold there is no decision to turn.
    """
    if before.threshold is None:
        return ()
    facts = before.facts
    ages = sorted(
        (float(age) for age in range(91)),
        key=lambda age: abs(age - (facts.age_years if facts.age_years is not None else TYPICAL_AGE)),
    )
    tried = {
        "age": [(f"{age:.0f}", replace(facts, age_years=age)) for age in ages],
        "sex": [(sex, replace(facts, sex=sex)) for sex in SEXES],
        "site": [(site, replace(facts, site=site)) for site in SITES],
    }
    was = {"age": facts.age_years, "sex": facts.sex, "site": facts.site}
    flips = []
    for fact, options in tried.items():
        scores = answer_facts(checkpoint, looked, [one for _, one in options])[:, MALIGNANT].sum(axis=1)
        turned = (scores >= before.threshold) != before.above_threshold
        if not turned.any():
            continue
        far = np.where(turned, np.abs(scores - before.malignancy), -1)
        place = int(np.argmax(turned)) if fact == "age" else int(np.argmax(far))
        known = f"{was[fact]:g}" if fact == "age" and was[fact] is not None else was[fact]
        instead = ", were it known" if known is None else f" instead of {known}"
        flips.append(Flip(f"{fact} {options[place][0]}{instead}", float(scores[place])))
    return tuple(flips)


def nearest_brightness_flip(checkpoint: Checkpoint, looks: Sequence[Look], before: Prediction) -> Flip | None:
    """Return the smallest change of brightness that turns the decision, among BRIGHTER; None for none.

    looks: at BRIGHTER, in their order. Variants that are unknown input are no flips.
    """
    turned = [
        one
        for one in vary(checkpoint, looks, before, BRIGHTER).variants
        if one.prediction.unknown.known and one.prediction.above_threshold != before.above_threshold
    ]
    if not turned:
        return None
    nearest = min(turned, key=lambda one: abs(np.log(one.applied.amount)))
    return Flip(f"brightness × {nearest.applied.amount:g}", nearest.prediction.malignancy)
