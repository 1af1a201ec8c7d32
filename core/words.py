"""What is said to people, and how each reader is spoken to. Knows no screen.

A reader changes words and order, never a number and never a decision. Add one by adding an entry to READERS.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.data.facts import FACTS, Facts
from core.evaluate.intervals import Interval
from core.labels import BY_CODE, CODES
from core.predict.calibration import OperatingPoint
from core.predict.heldout import PredictionSets, ScoreRange
from core.predict.picture_quality import Concern
from core.predict.prevalence import Place
from core.predict.sightings import Sighting

DISCLAIMER: Final = (
    "Not a medical device. What a research model computes from one picture is no diagnosis and no substitute "
    "for a doctor."
)
SEE_A_DOCTOR: Final = (
    "A spot that is new, changes, bleeds or worries you belongs in front of a dermatologist, whatever this "
    "page says."
)
ATTRIBUTION: Final = (
    "HAM10000 Dataset: (c) by ViDIR Group, Department of Dermatology, Medical University of Vienna; "
    "https://doi.org/10.1038/sdata.2018.161. Licence CC BY-NC 4.0."
)
PRIVACY: Final = (
    "Pictures stay in this server's memory while you look at them. They are never written to disk, never "
    "sent anywhere and never used for training."
)
SYNTHETIC: Final = (
    "This lesion is synthetic: drawn by a program, nobody's skin. Its answer shows how the page works, and "
    "nothing else."
)
SYNTHETIC_OTHER: Final = "This is drawn by a program and no lesion: it shows what the model does with one."
MILDEST: Final = "no sign of malignancy found by this model; if it changes, see a dermatologist"
NOT_AVAILABLE: Final = "n/a"
NBSP: Final = "\N{NO-BREAK SPACE}"

# What the model's own name for a term is to people who do not build models.
TERMS: Final = {"bias": "starting value"}


@dataclass(frozen=True)
class Reader:
    """Someone who reads an answer: how they are addressed, and what they want to see first.

    name: also what the address bar says.
    answer, reasons: the parts of an answer and of its reasons, most wanted first; every reader gets all.
    """

    name: str
    about: str
    answer: tuple[str, ...]
    reasons: tuple[str, ...]
    probabilities_title: str
    evidence_title: str
    sum_title: str
    evidence_intro: str
    sum_intro: str


READERS: Final = {
    reader.name: reader
    for reader in (
        Reader(
            name="patient",
            about="Plain words first.",
            answer=("risk", "next", "probabilities"),
            reasons=("evidence", "sum"),
            probabilities_title="What it could be",
            evidence_title="Where the model looked",
            sum_title="What moved the answer",
            evidence_intro="Orange parts of the picture speak for this diagnosis, blue parts against it.",
            sum_intro=(
                "Each bar pushes the model towards this diagnosis or away from it: the picture, and what you "
                "told it about age, sex and place on the body."
            ),
        ),
        Reader(
            name="clinician",
            about="Risk and differential first, in medical terms.",
            answer=("risk", "probabilities", "next"),
            reasons=("evidence", "sum"),
            probabilities_title="Differential",
            evidence_title="Evidence map",
            sum_title="Contributions",
            evidence_intro=(
                "Evidence for (orange) and against (blue) the diagnosis, region by region. It shows what the "
                "model used, which need not be what a dermatologist would use."
            ),
            sum_intro=(
                "The model adds a starting value, the picture and the patient's facts; the sum decides. "
                "Unknown facts add nothing."
            ),
        ),
        Reader(
            name="ML",
            about="Logits and evidence first, in the model's terms.",
            answer=("probabilities", "risk", "next"),
            reasons=("sum", "evidence"),
            probabilities_title="Probabilities",
            evidence_title="Signed evidence",
            sum_title="Logit, term by term",
            evidence_intro=(
                "Class activation before any ReLU or min-max scaling, in logits. The mean over positions is "
                "the picture's term in the sum; all classes share one colour scale."
            ),
            sum_intro="logit = bias + mean of the map + age + sex + site. An unknown fact's term is zero.",
        ),
    )
}
DEFAULT_READER: Final = "patient"


@dataclass(frozen=True)
class Statement:
    """A headline and what follows from it.

    tone: "alert" (at or above the threshold), "calm" (below it) or "none" (no answer). Calm is never green.
    """

    headline: str
    body: str
    tone: str


def diagnosis_name(code: str, reader: Reader) -> str:
    """Return a diagnosis as this reader calls it; every form carries the full medical name."""
    diagnosis = BY_CODE[code]
    if reader.name == "patient":
        return f"{diagnosis.name} ({diagnosis.plain_name})"
    if reader.name == "ML":
        return f"{diagnosis.name} ({code})"
    return diagnosis.name


def short_name(code: str) -> str:
    """Return the full name, without the word that a chart has no room for, with its mark when malignant."""
    name = BY_CODE[code].name.removesuffix("'s disease")
    return f"▲ {name}" if BY_CODE[code].malignant else name


def term_name(term: str, reader: Reader) -> str:
    """Return what this reader calls a term of a logit."""
    return term if reader.name == "ML" else TERMS.get(term, term)


def percent(share: float) -> str:
    """Return a share as a percentage that never rounds to certainty: 0.9997 is "> 99.9 %"."""
    if math.isnan(share):
        return NOT_AVAILABLE
    if share > 0.999:
        return f">{NBSP}99.9{NBSP}%"
    if share < 0.001:
        return f"<{NBSP}0.1{NBSP}%"
    return f"{100 * share:.1f}{NBSP}%"


def proportion(share: float, *, digits: int = 1) -> str:
    """Return a counted share as a percentage: none and all are said as such, which no probability ever is."""
    if share in (0, 1):
        return f"{100 * share:.0f}{NBSP}%"
    return f"{100 * share:.{digits}f}{NBSP}%" if 0.001 <= share <= 0.999 else percent(share)


def minutes(seconds: float) -> str:
    """Return about how long something takes, in words."""
    whole = seconds / 60
    return f"{whole:.0f} minutes" if whole >= 2 else "a minute" if whole > 0.5 else "half a minute"


def risk(malignancy: float, threshold: float | None, above: bool | None, reader: Reader) -> Statement:
    """Say how a malignancy probability stands against its threshold; None where the model has none."""
    if threshold is None or above is None:
        headline = {
            "patient": "This model does not judge the risk",
            "clinician": "No operating point: malignancy is not judged",
            "ML": "No operating point",
        }[reader.name]
        body = (
            f"Malignancy probability {percent(malignancy)}, not calibrated, and nobody has set a threshold. "
            "This does not rule cancer out."
        )
        return Statement(headline, body, "none")
    numbers = f"Malignancy probability {percent(malignancy)}, threshold {percent(threshold)}."
    if above:
        headline = {
            "patient": "Have a dermatologist look at this",
            "clinician": "Malignancy suspected: above the operating point",
            "ML": "Malignancy above the operating point",
        }[reader.name]
        body = {
            "patient": (
                f"{numbers} The model finds features that it has seen in skin cancer or its early stages. "
                "Only an examination can tell what it is."
            ),
            "clinician": f"{numbers} Melanoma, basal cell carcinoma and actinic keratosis / Bowen summed.",
            "ML": f"{numbers} Sum of the mel, bcc and akiec probabilities.",
        }[reader.name]
        return Statement(headline, body, "alert")
    headline = {
        "patient": MILDEST[0].upper() + MILDEST[1:],
        "clinician": MILDEST[0].upper() + MILDEST[1:],
        "ML": f"Malignancy below the operating point: {MILDEST}",
    }[reader.name]
    return Statement(headline, f"{numbers} This does not rule cancer out.", "calm")


def operating_point(
    point: OperatingPoint, sensitivity: Interval | None, specificity: Interval | None, reader: Reader
) -> str:
    """Say what a threshold is worth: on test pictures where that was measured, else where it was chosen.

    sensitivity, specificity: on the test split.
    """
    if sensitivity is None or specificity is None:
        return (
            f"Chosen on validation pictures: it caught {_rate(point.sensitivity)} of {point.n_malignant} "
            f"malignant ones and raised a false alarm on {_rate(1 - point.specificity)} of "
            f"{point.n_benign} benign ones. Expect less on new ones: nobody tested it."
        )
    if reader.name == "patient":
        return (
            f"On pictures kept back for testing, this threshold caught {_count(sensitivity)} of "
            f"{sensitivity.n} malignant ones and raised a false alarm on "
            f"{specificity.n - _count(specificity)} of {specificity.n} benign ones."
        )
    return (
        f"Chosen on validation data for {point.aim or f'sensitivity {_rate(point.target_sensitivity)}'}. "
        f"On the test split: "
        f"sensitivity {_with_interval(sensitivity)}, specificity {_with_interval(specificity)}."
    )


def _count(share: Interval) -> int:
    return round(share.value * share.n)


def _rate(share: float) -> str:
    """Return what was counted as a percentage: all of them is 100 %, unlike in `percent`."""
    return f"{100 * share:.1f}{NBSP}%"


def _with_interval(one: Interval) -> str:
    known = math.isfinite(one.low) and math.isfinite(one.high)
    interval = f"95{NBSP}%: {_rate(one.low)} to {_rate(one.high)}, " if known else ""
    return f"{_rate(one.value)} ({interval}n = {one.n:,})"


SEE_SOMEBODY_SOON: Final = (
    "See a doctor within days, whatever the model says, if a spot bleeds without a knock, has grown within "
    "weeks, or is a sore that does not heal."
)
WATCH: Final = (
    "Have a spot looked at when it is new, changes in size, shape or colour, itches, crusts or bleeds, or "
    "looks unlike your others."
)
GOOD_PICTURE: Final = (
    "Put the dermatoscope flat on the skin, with its own light on and no shadow.",
    "Have the whole spot in the middle, with some normal skin around it.",
    "Comb hair aside, wipe off ink and cream, and leave the ruler out.",
    "Let the camera focus, hold still, and bring the original file, not a screenshot.",
)
"""How to take a picture that this model can judge."""


def next_steps(top_code: str, above: bool | None) -> tuple[str, ...]:
    """Say what a person should do after an answer; the same for every reader, and never "nothing".

    above: whether malignancy is at or above the threshold; None without one. A malignant top counts as above.
    """
    if above or BY_CODE[top_code].malignant:
        return (
            "Make an appointment with a dermatologist, and show them the spot itself.",
            SEE_SOMEBODY_SOON,
            "Not every spot that a model points out is a cancer, and only an examination can tell.",
        )
    return (
        "The model can miss a cancer, as every model does.",
        WATCH,
        SEE_SOMEBODY_SOON,
    )


def conflict(top_code: str, above: bool | None) -> str | None:
    """Say so when the most probable diagnosis and the risk disagree; None when they agree.

    Without a threshold (above is None) a malignant top is the only warning there is.
    """
    top = BY_CODE[top_code]
    if above is None:
        return (
            f"The single most probable diagnosis is malignant ({top.name}). Treat it as a warning."
            if top.malignant
            else None
        )
    if above and not top.malignant:
        return (
            f"The single most probable diagnosis is benign ({top.name}), yet the malignant ones together "
            "pass the threshold. The risk counts, not the top of the list."
        )
    if top.malignant and not above:
        return (
            f"The single most probable diagnosis is malignant ({top.name}), although the malignancy "
            "probability stays below the threshold. Treat it as a warning."
        )
    return None


def prediction_set(codes: Sequence[str] | None, sets: PredictionSets | None, reader: Reader) -> str:
    """Say which diagnoses the answer holds, and what that promises."""
    if codes is None or sets is None:
        return {
            "patient": "Which diagnoses stay possible: not fitted for this model.",
        }.get(reader.name, "Prediction set: not fitted for this model.")
    names = ", ".join(BY_CODE[code].name for code in codes)
    promised = f"{100 * sets.coverage:.0f}{NBSP}%"
    if len(codes) == len(CODES):
        named = "**All seven stay possible**"
    elif codes:
        named = f"**{names}**" + (" stays possible" if len(codes) == 1 else " stay possible")
    else:
        named = "**None of the seven fits well**"
    first = {
        "patient": f"{named}: of each kind of lesion, about {promised} kept their true name in such a list.",
        "clinician": f"{named}: a prediction set; it holds the true diagnosis of {promised} of each kind.",
        "ML": f"{named}: class-conditional split conformal set, promised coverage {promised} per class.",
    }[reader.name]
    always = [BY_CODE[code].name for code in sets.always()]
    never = f" Never left out, for want of lesions: {', '.join(always)}." if always else ""
    return (
        f"{first} Fitted on {sum(sets.n_lesions)} HAM10000 validation lesions with their facts on record; "
        f"elsewhere the promise does not hold.{never}"
    )


def probabilities_caption(reader: Reader, *, calibrated: bool) -> str:
    """Say what kind of numbers the seven shares are."""
    if reader.name == "patient":
        return f"Probabilities, {'' if calibrated else 'not '}adjusted to be right as often as they say"
    return "Calibrated probabilities" if calibrated else "Probabilities, not calibrated"


def natural_frequency(like: ScoreRange | None) -> str:
    """Say how many lesions with a like score were malignant, from validation lesions."""
    if like is None:
        return "How often a score like this was right: not fitted for this model."
    where = f"{100 * like.low:.0f} to {100 * like.high:.0f}{NBSP}%"
    if not like.enough:
        return (
            f"How often a score like this ({where}) was right: too few to tell, {like.n_lesions} validation "
            "lesions had one."
        )
    low, high = (round(100 * bound) for bound in like.interval)
    share = round(100 * like.n_malignant / like.n_lesions)
    return (
        f"Of 100 lesions with a score like this ({where}), **{share} were malignant** (95{NBSP}%: {low} to "
        f"{high}, n = {like.n_lesions} validation lesions)."
    )


def elsewhere(probability: float, place: Place, share: float, reader: Reader) -> str:
    """Say what a score means where malignancy is as common as assumed. probability: already moved there."""
    said = {
        "patient": f"If {percent(share)} of the spots looked at are malignant",
        "clinician": f"At a pre-test probability of {percent(share)}",
        "ML": f"With a malignant prior of {percent(share)}",
    }[reader.name]
    return (
        f"{said}, the same score means a malignancy probability of **{percent(probability)}**. The decision "
        f"and its threshold stay with the score as it is. Share of malignant lesions: {place.source}."
    )


def quality(concerns: Sequence[Concern]) -> list[str]:
    """Say what is odd about a picture, each with advice."""
    return [f"**The picture is {one.finding}.** {one.advice} ({one.evidence})" for one in concerns]


_PARTS: Final = {
    "train": "The model has **learned from this very picture**: its answer shows memory, not skill.",
    "val": "It was among the validation pictures, by which the model was chosen and its thresholds set: "
    "the answer flatters it a little.",
    "test": "It was kept back for testing: the model has never learned from this lesion.",
}
_HOW: Final = {
    "file": "This very file is {0} of the local dataset.",
    "pixels": "Another file with the same pixels is {0} of the local dataset.",
    "name": "By its name this is {0} of the local dataset, but the pixels are not the same.",
}


def sighting(found: Sighting | None) -> str:
    """Say whether the checkpoint has met a picture before, as far as the local dataset tells."""
    if found is None:
        return (
            "Not found in the local dataset, by file or by pixels. A changed copy of a picture is not found."
        )
    known = _PARTS.get(
        found.part or "", "Whether the model learned from it is not known: its split is of other data."
    )
    siblings = f" The dataset has {found.siblings} more of this lesion." if found.siblings else ""
    return f"{_HOW[found.how].format(found.image_id)} {known}{siblings}"


def not_used(facts: Facts, *, uses_facts: bool) -> list[str]:
    """Say what the answer does not rest on."""
    given = {"age": facts.age_years, "sex": facts.sex, "site": facts.site}
    said = []
    if not uses_facts:
        if any(value is not None for value in given.values()):
            said.append("Age, sex and site: this model has no use for them.")
    elif missing := [name for name in FACTS if given[name] is None]:
        said.append(f"Not given, so without any weight: {', '.join(missing)}.")
    said += [
        "How common cancer is where you are; the choice of place says what the same score means elsewhere.",
        "History, growth, itching, touch, other moles, and every part of the skin outside the picture.",
    ]
    return said


def base_rates(frequencies: Sequence[float]) -> str:
    """Say how common each diagnosis was where a checkpoint learned, in CODES order; empty: not known."""
    if not frequencies:
        return "How common each diagnosis was where the model learned is not known."
    order = sorted(zip(CODES, frequencies, strict=True), key=lambda pair: -pair[1])
    named = ", ".join(f"{BY_CODE[code].name} {percent(share)}" for code, share in order)
    return (
        f"Before it looks at anything, the model takes each diagnosis for as common as it was among the "
        f"pictures it learned from: {named}. Where you are, it may be otherwise."
    )


def refusal(reasons: Sequence[str], reader: Reader) -> Statement:
    """Say that there is no answer, and why."""
    headline = {
        "patient": "The model cannot judge this picture",
        "clinician": "No answer: not a picture this model knows",
        "ML": "No answer: input outside the training distribution",
    }[reader.name]
    return Statement(headline, " ".join(reasons), "none")
