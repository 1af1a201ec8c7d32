"""The one operating point: a rule picks a threshold on validation answers, test answers show its worth.

A picture is suspicious when its malignancy probability is at or above the threshold. Add a rule by adding an
entry to RULES. A point travels in an address as "rule:value", for example "sensitivity:0.95".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.errors import EvaluationError
from core.evaluate.artifact import Evaluation, probabilities_of, truth_of
from core.evaluate.intervals import Interval, lesion_bootstrap
from core.evaluate.metrics import at_threshold
from core.labels import MALIGNANT
from core.predict.calibration import OperatingPoint, malignancy
from core.words import proportion

DEFAULT_POINT: Final = "sensitivity:0.95"
# 0.95 * 20 must need 19 pictures, whatever the last bit of the product says.
_ROUNDING: Final = 1e-9

Threshold = Callable[[np.ndarray, np.ndarray, float], float]
"""Takes the scores of malignant and of benign val pictures and the rule's value; returns the threshold."""


@dataclass(frozen=True)
class Rule:
    """One way to choose a threshold.

    Attributes:
        name: what addresses call it. title, about: what people read.
        low, high, step: the values it takes. default: where to start.
        choose: computes the threshold.
        say: what a value means, with `{}` for it.
    """

    name: str
    title: str
    about: str
    low: float
    high: float
    step: float
    default: float
    choose: Threshold
    say: str

    @property
    def is_share(self) -> bool:
        """Whether its values are shares, which people read as percentages."""
        return self.high <= 1


def _reach_sensitivity(malignant: np.ndarray, _benign: np.ndarray, target: float) -> float:
    """The highest threshold that catches the target's share of malignant pictures."""
    needed = max(1, int(np.ceil(target * len(malignant) - _ROUNDING)))
    return float(np.sort(malignant)[-needed])


def _reach_specificity(_malignant: np.ndarray, benign: np.ndarray, target: float) -> float:
    """The lowest threshold that leaves the target's share of benign pictures unsuspected."""
    needed = max(1, int(np.ceil(target * len(benign) - _ROUNDING)))
    return float(np.nextafter(np.sort(benign)[needed - 1], np.inf))


def _cheapest(malignant: np.ndarray, benign: np.ndarray, ratio: float) -> float:
    """The threshold with the least cost, when a missed malignancy costs `ratio` false alarms.

    Of equally cheap ones the lowest, which misses least.
    """
    candidates = np.unique(np.concatenate([malignant, benign, [np.nextafter(1, 2)]]))
    missed = np.searchsorted(np.sort(malignant), candidates, side="left")
    alarms = len(benign) - np.searchsorted(np.sort(benign), candidates, side="left")
    return float(candidates[np.argmin(ratio * missed + alarms)])


def _most_beneficial(malignant: np.ndarray, benign: np.ndarray, risk: float) -> float:
    """The threshold with the highest net benefit for who would examine at a risk of `risk`.

    Net benefit = caught / n - alarms / n * risk / (1 - risk) (Vickers and Elkin 2006, Medical Decision Making
    26:565): one missed malignancy weighs (1 - risk) / risk false alarms.
    """
    return _cheapest(malignant, benign, (1 - risk) / risk)


RULES: Final = {
    rule.name: rule
    for rule in (
        Rule(
            "sensitivity", "Target sensitivity", "Catch at least this share of malignant pictures.",
            0.50, 1.00, 0.01, 0.95, _reach_sensitivity,
            "at least {} of malignant validation pictures caught",
        ),
        Rule(
            "specificity", "Target specificity", "Leave at least this share of benign pictures alone.",
            0.50, 0.99, 0.01, 0.80, _reach_specificity,
            "at least {} of benign validation pictures left alone",
        ),
        Rule(
            "cost", "Cost ratio", "How many false alarms one missed malignancy is worth; the total is least.",
            1.0, 100.0, 1.0, 10.0, _cheapest, "least cost, a missed malignancy costing {} false alarms",
        ),
        Rule(
            "benefit", "Net benefit", "The risk of malignancy from which on you would have a spot examined.",
            0.01, 0.50, 0.01, 0.10, _most_beneficial,
            "highest net benefit for who examines from a risk of {}",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """A rule and its value, as people ask for an operating point."""

    rule: str
    value: float

    def __str__(self) -> str:
        return f"{self.rule}:{self.value:g}"

    @property
    def words(self) -> str:
        """What is asked for, as part of a sentence."""
        rule = RULES[self.rule]
        return rule.say.format(proportion(self.value, digits=0) if rule.is_share else f"{self.value:g}")


def parse_wish(text: str | None) -> Wish | None:
    """Return what an address asks for; None where it asks for nothing that can be understood."""
    name, colon, number = (text or "").partition(":")
    if not colon or name not in RULES:
        return None
    try:
        value = float(number)
    except ValueError:
        return None
    rule = RULES[name]
    return Wish(name, value) if rule.low <= value <= rule.high else None


def choose_threshold(evaluation: Evaluation, wish: Wish) -> OperatingPoint:
    """Return the operating point that a wish leads to on a model's validation answers.

    Raises:
        EvaluationError: the artifact has no validation answers, or none of one side.
    """
    if evaluation.val is None:
        raise EvaluationError(
            f"{evaluation.name} has no validation answers, so no threshold can be chosen for it: one chosen "
            "on its test pictures would flatter it. Evaluate its checkpoint again to get them."
        )
    scores = malignancy(probabilities_of(evaluation.val))
    is_malignant = MALIGNANT[truth_of(evaluation.val)]
    malignant, benign = scores[is_malignant], scores[~is_malignant]
    if not len(malignant) or not len(benign):
        side = "malignant" if not len(malignant) else "benign"
        raise EvaluationError(f"{evaluation.name} has no {side} validation picture to choose a threshold by.")
    threshold = RULES[wish.rule].choose(malignant, benign, wish.value)
    return OperatingPoint(
        name=str(wish),
        # Other rules aim at no sensitivity: what was reached on val stands in its place.
        target_sensitivity=wish.value
        if wish.rule == "sensitivity"
        else float(np.mean(malignant >= threshold)),
        threshold=threshold,
        sensitivity=float(np.mean(malignant >= threshold)),
        specificity=float(np.mean(benign < threshold)),
        n_malignant=len(malignant),
        n_benign=len(benign),
        aim=wish.words,
    )


@dataclass(frozen=True)
class TestedPoint:
    """An operating point, chosen on val, with its sensitivity and specificity on test."""

    point: OperatingPoint
    sensitivity: Interval
    specificity: Interval


def measure_point(evaluation: Evaluation, wish: Wish, *, resamples: int = 1000) -> TestedPoint:
    """Return the operating point of a wish with what it is worth on the test pictures.

    Raises:
        EvaluationError: as `choose_threshold`.
    """
    point = choose_threshold(evaluation, wish)
    found = lesion_bootstrap(
        evaluation.truth,
        evaluation.probabilities,
        evaluation.table["lesion_id"],
        at_threshold(point.threshold),
        resamples=resamples,
    )
    return TestedPoint(point, found["sensitivity"], found["specificity"])


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """Return PPV and NPV where a share `prevalence` of pictures is malignant (Bayes' rule); NaN if undefined.

    PPV = se·π / (se·π + (1 − sp)(1 − π)); NPV = sp(1 − π) / (sp(1 − π) + (1 − se)π).
    """
    caught, alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    cleared, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    ppv = caught / (caught + alarms) if caught + alarms > 0 else float("nan")
    npv = cleared / (cleared + missed) if cleared + missed > 0 else float("nan")
    return ppv, npv
