"""One picture in, one Prediction out: look once, answer as often as the facts change."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from core.data.facts import Facts, encode_facts
from core.evaluate.intervals import Interval
from core.explain.evidence import Evidence
from core.labels import CODES
from core.models.checkpoint import Checkpoint
from core.models.evidence import EXACT, ImageEvidence
from core.predict.calibration import OperatingPoint, malignancy, softmax
from core.predict.heldout import HeldOut, PredictionSets, ScoreRange
from core.predict.prevalence import trained_share
from core.predict.unknown import Verdict, judge

DEFAULT_OPERATING_POINT = "sensitivity 0.95"


@dataclass(frozen=True)
class Look:
    """What one pass through the network found in a picture.

    seen: the input as the network saw it, uint8 (h, w, 3). features: pooled, (K,). bias, maps, remainder: as
    in Evidence. unknown: whether it can be answered at all, which no fact changes.
    """

    seen: np.ndarray
    bias: np.ndarray
    maps: np.ndarray
    remainder: np.ndarray
    features: np.ndarray
    unknown: Verdict
    elapsed_ms: float


@dataclass(frozen=True)
class Prediction:
    """Everything the network has to say of one picture and one patient's facts.

    logits: (7,). probabilities: (7,), calibrated. malignancy: the summed probability of the malignant
    diagnoses. above_threshold: whether malignancy is at or above the operating point's threshold; both
    are None for a checkpoint without a threshold. sensitivity, specificity: of that threshold on the
    checkpoint's test split; None where nobody measured.
    malignant_share: how common malignancy was in the training data that the probabilities are calibrated for;
    None where that is not known.
    sets: what the prediction set promises; None where no sets were fitted.
    prediction_set: the codes that stay possible, most probable first; None where no sets were fitted.
    like: validation lesions with a like malignancy; None where they were not counted.
    """

    checkpoint: str
    facts: Facts
    logits: np.ndarray
    probabilities: np.ndarray
    malignancy: float
    operating_point: OperatingPoint | None
    above_threshold: bool | None
    sensitivity: Interval | None
    specificity: Interval | None
    malignant_share: float | None
    sets: PredictionSets | None
    prediction_set: tuple[str, ...] | None
    like: ScoreRange | None
    evidence: Evidence
    seen: np.ndarray
    unknown: Verdict
    timings_ms: Mapping[str, float]

    @property
    def threshold(self) -> float | None:
        """The malignancy probability from which on the picture is suspicious; None without one."""
        return None if self.operating_point is None else self.operating_point.threshold

    @property
    def top_code(self) -> str:
        """The code of the most probable diagnosis."""
        return CODES[int(self.probabilities.argmax())]


def look(checkpoint: Checkpoint, pixels: np.ndarray) -> Look:
    """Look at a picture, uint8 RGB (H, W, 3): one pass through the network, all seven maps."""
    return look_at_all(checkpoint, [pixels])[0]


def look_at_all(checkpoint: Checkpoint, pictures: Sequence[np.ndarray]) -> tuple[Look, ...]:
    """Look at pictures, each uint8 RGB (H, W, 3), in one pass for all that the network sees in one shape.

    elapsed_ms of each is its share of the time.
    """
    started = time.perf_counter()
    preprocessing = checkpoint.manifest.preprocessing
    seen = [preprocessing.fit(pixels) for pixels in pictures]
    looks: dict[int, Look] = {}
    for shape in {one.shape for one in seen}:
        places = [place for place, one in enumerate(seen) if one.shape == shape]
        batch = torch.from_numpy(preprocessing.normalise(np.stack([seen[place] for place in places])))
        with checkpoint.lock, torch.no_grad():
            found = checkpoint.network.look(batch.to(memory_format=torch.channels_last))
        for row, place in enumerate(places):
            looks[place] = _look(checkpoint, seen[place], found, row)
    elapsed_ms = 1000 * (time.perf_counter() - started) / max(len(seen), 1)
    return tuple(replace(looks[place], elapsed_ms=elapsed_ms) for place in range(len(seen)))


def _look(checkpoint: Checkpoint, seen: np.ndarray, found: ImageEvidence, row: int) -> Look:
    features = found.features[row].numpy()
    return Look(
        seen=seen,
        bias=found.bias.numpy().copy(),  # the network's own memory otherwise
        maps=found.maps[row].numpy(),
        remainder=found.remainder[row].numpy(),
        features=features,
        unknown=judge(
            seen,
            features,
            checkpoint.statistics,
            logits=found.logits[row].numpy(),
            limits=checkpoint.manifest.limits,
        ),
        elapsed_ms=0.0,
    )


def answer(
    checkpoint: Checkpoint,
    looked: Look,
    facts: Facts,
    *,
    operating_point: str = DEFAULT_OPERATING_POINT,
) -> Prediction:
    """Answer for a patient's facts, without running the backbone again."""
    started = time.perf_counter()
    manifest = checkpoint.manifest
    evidence = Evidence(
        bias=looked.bias,
        maps=looked.maps,
        facts=fact_terms(checkpoint, facts),
        remainder=looked.remainder,
        exact=checkpoint.network.spec.evidence in EXACT,
    )
    logits = evidence.logits
    probabilities = softmax(logits, manifest.temperature)
    point = manifest.operating_point(operating_point)
    score = float(malignancy(probabilities[None])[0])
    held_out = manifest.held_out
    elapsed_ms = 1000 * (time.perf_counter() - started)
    return Prediction(
        checkpoint=checkpoint.reference,
        facts=facts,
        logits=logits,
        probabilities=probabilities,
        malignancy=score,
        operating_point=point,
        above_threshold=None if point is None else score >= point.threshold,
        sensitivity=None if point is None else manifest.tested(point.metric("sensitivity")),
        specificity=None if point is None else manifest.tested(point.metric("specificity")),
        malignant_share=trained_share(np.array(manifest.class_frequencies)),
        sets=None if held_out is None else held_out.sets,
        prediction_set=None if held_out is None else _set(held_out, probabilities),
        like=None if held_out is None else held_out.near(score),
        evidence=evidence,
        seen=looked.seen,
        unknown=looked.unknown,
        timings_ms={"look": looked.elapsed_ms, "answer": elapsed_ms},
    )


def _set(held_out: HeldOut, probabilities: np.ndarray) -> tuple[str, ...]:
    inside = held_out.sets.of(probabilities)
    order = np.argsort(-probabilities, kind="stable")
    return tuple(CODES[index] for index in order if inside[index])


def decided_as(prediction: Prediction, like: Prediction) -> Prediction:
    """Return an answer decided at the operating point of another one, wherever that was chosen."""
    return replace(
        prediction,
        operating_point=like.operating_point,
        above_threshold=None if like.threshold is None else prediction.malignancy >= like.threshold,
        sensitivity=like.sensitivity,
        specificity=like.specificity,
    )


def fact_terms(checkpoint: Checkpoint, facts: Facts) -> dict[str, np.ndarray]:
    """Return what each fact adds to each logit, shape (7,) each; zeros for what is unknown."""
    with torch.no_grad():
        terms = checkpoint.network.facts.terms(torch.from_numpy(encode_facts([facts])))
    return {fact: term[0].numpy() for fact, term in terms.items()}
