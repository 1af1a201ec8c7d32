"""What is said of the reasons to each reader: the unit, the trust card, whose outline a lesion has.

Every reader gets the same numbers and the same verdict. Add a check by adding it to CHECKS in
`core.explain.trust` and its words to CHECK_WORDS. Knows no network.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.words import Reader, percent, proportion

if TYPE_CHECKING:
    from core.explain.trust import Check, TrustCard

UNITS: Final[Mapping[str, str]] = {"patient": "score", "clinician": "logits", "ML": "logits"}
"""What each reader calls the unit of evidence, by the reader's name."""


@dataclass(frozen=True)
class CheckWords:
    """How one reader is told of a check.

    title: what is checked. finding: what came out, with the places of _VALUES.
    undefined: what is said where nothing could be measured.
    """

    title: str
    finding: str
    undefined: str


SUM: Final[Mapping[str, str]] = {
    "patient": "A score is not a percentage: the seven scores together make those.",
    "clinician": "A logit is not a probability: the seven logits together make those.",
    "ML": "A logit is not a probability: the softmax of the seven, tempered, is.",
}
"""What the sum of all terms is, by the reader's name."""

REMAINDER: Final[Mapping[str, str]] = {
    "patient": "The remainder is what the coloured map cannot show of the score.",
    "clinician": "The remainder is what the map leaves out of the logit.",
    "ML": "This network's head is not linear: the remainder is what its map leaves out of the logit.",
}
NONE: Final[Mapping[str, str]] = {
    "patient": "Nothing in favour",
    "clinician": "No positive evidence",
    "ML": "No positive evidence",
}


def unit(reader: Reader) -> str:
    """Return what a reader calls the unit of evidence."""
    return UNITS[reader.name]


def number(value: float) -> str:
    """Return a number with two digits and a minus, not a hyphen."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def _against(difference: float) -> str:
    return f"{abs(difference):.2f} {'higher' if difference > 0 else 'lower'}"


def _shares(own: float, guess: float, even: float) -> dict[str, str]:
    names = ("own", "guess", "even")
    return {name: proportion(value, digits=0) for name, value in zip(names, (own, guess, even), strict=True)}


def _value(one: float) -> dict[str, str]:
    return {"value": number(one)}


_VALUES: Final[Mapping[str, Callable[..., dict[str, str]]]] = {
    "matters": lambda away, back: {"away": _against(-away), "back": _against(back)},
    "lesion": _shares,
    "border": _shares,
    "corners": _shares,
    "method": _value,
    "twin": _value,
    "shifts": _value,
}
"""By the check's name: its numbers, spelled alike for every reader."""


def _where(of_what: str, where: str, guess: str, even: str) -> str:
    return f"{{own}} of {of_what} is {where}; {guess} has {{guess}}, and {even} {{even}}."


_SPEAKS: Final = "what speaks for the diagnosis"
_SPOT: Final = ("a guess at the middle of the picture", "an even spread")
_EVIDENCE: Final = "the positive evidence"
_GUESS: Final = ("a guess at the middle", "an even spread")
_BLOB: Final = ("a blob in the middle", "a flat map")
_LIKENESS: Final = "{value}, where 1 is the same order and 0 is none"
_NOTHING: Final = "There is no positive evidence."

CHECK_WORDS: Final[Mapping[str, Mapping[str, CheckWords]]] = {
    "patient": {
        "matters": CheckWords(
            "What it marks matters",
            "With the marked places covered first, the score is {away} on average than with places covered "
            "in any order; with them shown first, {back}.",
            "It could not be measured.",
        ),
        "lesion": CheckWords(
            "The spot is marked more than by a guess at the middle",
            _where(_SPEAKS, "inside the spot, {source}", *_SPOT),
            "Nothing speaks for the diagnosis.",
        ),
        "border": CheckWords(
            "The border is left alone",
            _where(_SPEAKS, "in the outer tenth", *_SPOT),
            "Nothing speaks for the diagnosis.",
        ),
        "corners": CheckWords(
            "The corners are left alone",
            _where(_SPEAKS, "in the four corners", *_SPOT),
            "Nothing speaks for the diagnosis.",
        ),
        "method": CheckWords(
            "Another way of marking agrees",
            f"It puts the places in a like order: {_LIKENESS}.",
            "One of the two marks nothing.",
        ),
        "twin": CheckWords(
            "A model that learned nothing marks other places",
            f"How far its order of the places is the same: {_LIKENESS}.",
            "One of the two marks nothing.",
        ),
        "shifts": CheckWords(
            "Small shifts leave it alone",
            f"How far the order of the places stays when the picture moves by 8 pixels: {_LIKENESS}.",
            "It marks nothing.",
        ),
    },
    "clinician": {
        "matters": CheckWords(
            "What it marks matters",
            "With the marked regions covered first, the diagnosis' logit is {away} on average than with "
            "regions covered in random order; with them uncovered first, {back}.",
            "It could not be measured.",
        ),
        "lesion": CheckWords(
            "More evidence on the lesion than by a guess at the middle",
            _where(_EVIDENCE, "inside the lesion, {source}", *_GUESS),
            _NOTHING,
        ),
        "border": CheckWords(
            "The border is left alone", _where(_EVIDENCE, "in the outer tenth", *_GUESS), _NOTHING
        ),
        "corners": CheckWords(
            "The corners are left alone", _where(_EVIDENCE, "in the four corners", *_GUESS), _NOTHING
        ),
        "method": CheckWords(
            "Another method agrees",
            "A second method of mapping ranks the regions alike: rank correlation {value}.",
            "One of the two maps is empty.",
        ),
        "twin": CheckWords(
            "An untrained network gives another map",
            "Rank correlation with the map of an untrained network: {value}.",
            "One of the two maps is flat.",
        ),
        "shifts": CheckWords(
            "Small shifts leave it alone",
            "Moved by 8 pixels, the least alike map has a rank correlation of {value}.",
            "The map is flat.",
        ),
    },
    "ML": {
        "matters": CheckWords(
            "What it marks matters",
            "Deletion: with the marked places gone first, the logit is {away} on average than at random. "
            "Insertion: with them put back first, {back}.",
            "The curves are not finite.",
        ),
        "lesion": CheckWords(
            "More evidence on the lesion than a blob has",
            _where(_EVIDENCE, "inside the lesion, {source}", *_BLOB),
            _NOTHING,
        ),
        "border": CheckWords(
            "The border is left alone", _where(_EVIDENCE, "in the outer tenth", *_BLOB), _NOTHING
        ),
        "corners": CheckWords(
            "The corners are left alone", _where(_EVIDENCE, "in the four corners", *_BLOB), _NOTHING
        ),
        "method": CheckWords(
            "Another method agrees",
            "LayerCAM puts the places in a like order: rank correlation {value}.",
            "One of the two maps is empty.",
        ),
        "twin": CheckWords(
            "A random network gives another map",
            "Rank correlation with a twin of random weights: {value}.",
            "One of the two maps is flat.",
        ),
        "shifts": CheckWords(
            "Small shifts leave it alone",
            "Moved by 8 px, the least alike map has a rank correlation of {value}.",
            "The map is flat.",
        ),
    },
}
"""By reader and name of the check."""


def title(check: "Check", reader: Reader) -> str:
    """Return what a check is called."""
    return CHECK_WORDS[reader.name][check.name].title


def finding(check: "Check", card: "TrustCard", reader: Reader) -> str:
    """Return what came out of a check, with its numbers."""
    words = CHECK_WORDS[reader.name][check.name]
    if check.name == "lesion" and card.place.mask is None:
        return card.place.source
    if check.state == "not measured":
        return words.undefined
    return words.finding.format(source=card.place.source, **_VALUES[check.name](*check.numbers))


def verdict(card: "TrustCard", reader: Reader) -> str:
    """Return one plain sentence about all checks."""
    asked = [check for check in card.checks if check.state != "not measured"]
    passed = sum(check.state == "passed" for check in asked)
    if passed == len(asked):
        used = "this model" if reader.name == "patient" else "this network"
        return (
            f"The map passes all {passed} checks that could be made: it shows what {used} used. That it was "
            "right to use it does not follow."
        )
    failed = ", ".join(f"“{title(check, reader)}”" for check in asked if check.state == "failed")
    return f"The map passes {passed} of {len(asked)} checks. Do not lean on it. Not shown: {failed}."


def curves(card: "TrustCard", reader: Reader) -> str:
    """Return what the curves of covering and uncovering say, in words."""
    away, back = (f"{gain:+.2f}" for gain in (card.curves.deletion_gain, card.curves.insertion_gain))
    said = {
        "patient": f"The score while the strongest places are covered first ({away}) and shown first "
        f"({back})",
        "clinician": f"The logit while the strongest regions are covered first ({away}) and uncovered first "
        f"({back})",
        "ML": f"The logit while the strongest places go first (deletion {away}) and come first (insertion "
        f"{back})",
    }[reader.name]
    return f"{said}, against random orders; above zero is better.".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class Twin:
    """What is said of the map of a network that learned nothing: its title, and a caption."""

    title: str
    caption: str


TWINS: Final[Mapping[str, Twin]] = {
    "patient": Twin(
        "What a model that learned nothing marks",
        "The same model before it learned anything, in colours of its own strength. What its map shares with "
        "the real one says nothing of what was learned.",
    ),
    "clinician": Twin(
        "The map of an untrained network",
        "The same network untrained, on its own scale. What its map shares with the real one says nothing of "
        "what was learned.",
    ),
    "ML": Twin(
        "The twin with random weights",
        "The same network with random weights, on its own scale: it learned nothing, so what its map shares "
        "with the real one says nothing of what was learned.",
    ),
}


@dataclass(frozen=True)
class Whose:
    """Who says where the lesion is.

    source: as in `core.explain.trust.Place`. said: a caption of the outline, or why there is none.
    on_paper: the same on a report, which others read.
    """

    source: str
    said: str
    on_paper: str


DRAWN: Final = Whose(
    "as drawn by you", "The outline is **drawn by you**.", "drawn by hand, by who made this report"
)
_MASK: Final[Mapping[str, str]] = {"patient": "outline", "clinician": "mask", "ML": "mask"}
_NETWORK: Final[Mapping[str, str]] = {
    "patient": "outline model",
    "clinician": "mask network",
    "ML": "mask network",
}


def of_dataset(reader: Reader) -> Whose:
    """Return what is said of an outline that a dataset brings along."""
    mask = _MASK[reader.name]
    return Whose(
        f"as the dataset's own {mask} has it",
        f"The outline is the dataset's own {mask}.",
        f"the dataset's own {mask}",
    )


def of_nobody(reader: Reader) -> Whose:
    """Return what is said where nobody could look."""
    return Whose(
        "No outline of the lesion is known.",
        f"The {_NETWORK[reader.name]} could not be loaded.",
        "none is known",
    )


def not_found(reader: Reader) -> Whose:
    """Return what is said where our network finds no lesion."""
    network = _NETWORK[reader.name]
    return Whose(
        f"The {network} finds no lesion in this picture.",
        "What it marked, if anything, is smaller or less sure than in 199 of 200 dermoscopic pictures.",
        f"none; the {network} finds no lesion in this picture",
    )


def found_by_network(certainty: float, dice: float, reader: Reader) -> Whose:
    """Return what is said of an outline that our network found.

    certainty: its mean probability inside. dice: its mean Dice on HAM10000's test pictures; NaN: not known.
    """
    network, sure = _NETWORK[reader.name], f"on average {percent(certainty)} sure inside"
    if math.isnan(dice):
        measured = "How well it outlines lesions was not measured."
    elif reader.name == "ML":
        measured = f"Mean Dice on HAM10000's test pictures: {dice:.2f}."
    else:
        measured = (
            f"On HAM10000's test pictures its outlines overlap with the true ones by {dice:.2f} on average, "
            "where 1 is a perfect fit."
        )
    return Whose(
        f"as our {network} finds it",
        f"The outline is our {network}'s, {sure}. {measured}",
        f"our {network}'s, {sure}",
    )
