"""The model card, written from what was measured; what was not measured says so."""

import json
import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from core.evaluate.artifact import Evaluation, probabilities_of, truth_of
from core.evaluate.intervals import Interval, lesion_bootstrap
from core.evaluate.metrics import METRICS, Metric, at_threshold
from core.labels import BY_CODE
from core.models.checkpoint import Manifest
from core.models.registry import MODELS

HAM10000: Final = "HAM10000"
"""Begins the description of the data of a checkpoint that learned from it."""
TAGS: Final = ("image-classification", "timm", "dermoscopy", "lesionlens")
_INDEXED: Final = (
    "balanced_accuracy",
    "macro_auc",
    "melanoma_auc",
    "malignancy_auc",
    "macro_f1",
    "accuracy",
)
"""Metrics that the Hub's own tables show."""
_SUBGROUP_METRICS: Final = ("malignancy_auc", "balanced_accuracy")
_FEWEST: Final = 20
"""Groups with fewer pictures are listed without numbers: their intervals would say nothing."""


def model_card(manifest: Manifest, *, repo: str | None = None, evaluation: Evaluation | None = None) -> str:
    """Return the card of a checkpoint as Markdown.

    repo: owner/name, where it is published; None is a folder. evaluation: adds how it does in subgroups.
    """
    parts = [
        _metadata(manifest),
        _intended(manifest),
        _use(manifest, repo),
        _training(manifest),
        _results(manifest),
        *([] if evaluation is None else [_subgroups(manifest, evaluation)]),
        f"## Limits\n\n{_LIMITS_OF_HAM10000 if _is_ham10000(manifest) else _LIMITS_OF_OTHERS}{_LIMITS}",
        *([_CITATION] if _is_ham10000(manifest) else []),
    ]
    return "\n".join(parts)


def _is_ham10000(manifest: Manifest) -> bool:
    return manifest.data.startswith(HAM10000)


def _metadata(manifest: Manifest) -> str:
    """Return what the Hub reads: YAML, of which JSON is a part, so nothing here can break out of it."""
    measured = [
        {"type": name, "name": name.replace("_", " "), "value": round(float(entry["value"]), 4)}
        for name in _INDEXED
        if (entry := manifest.metrics.get(name)) and entry["value"] is not None
    ]
    fields: dict[str, object] = {
        "license": "cc-by-nc-4.0" if "CC BY-NC 4.0" in manifest.licence else "other",
        "library_name": "timm",
        "pipeline_tag": "image-classification",
        "tags": [*TAGS, *([HAM10000] if _is_ham10000(manifest) else [])],
    }
    if manifest.model in MODELS:
        fields["base_model"] = f"timm/{MODELS[manifest.model].timm_name}"
    if measured:
        result = {
            "task": {"type": "image-classification", "name": "Seven diagnoses of a skin lesion"},
            "dataset": {
                "type": HAM10000 if _is_ham10000(manifest) else "other",
                "name": manifest.data,
                "split": "test",
            },
            "metrics": measured,
        }
        fields["model-index"] = [{"name": manifest.name, "results": [result]}]
    lines = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items())
    return f"---\n{lines}\n---\n"


def _intended(manifest: Manifest) -> str:
    about = manifest.about or MODELS[manifest.model].about
    facts = "with or without the patient's age, sex and site" if manifest.uses_facts else "without any facts"
    return f"""# {manifest.name}

{about} Seven diagnoses of a skin lesion from one dermoscopic picture, {facts}. Every answer is a sum of
evidence: one map per diagnosis, one term per fact, one bias.

## Intended use

Teaching, research and demonstration, by people who know what a test set is. **Not a medical device.** It must
not decide about anybody's skin. Out of scope: pictures taken without a dermatoscope, and screening of people.
"""


def _use(manifest: Manifest, repo: str | None) -> str:
    labels = "\n".join(
        f"| {index} | {code} | {BY_CODE[code].name} | {'yes' if BY_CODE[code].malignant else 'no'} |"
        for index, code in enumerate(manifest.labels)
    )
    where = f"hf-hub:{repo}" if repo else "local-dir:FOLDER"
    ours = f"\n\nIn LesionLens it is called `hf:{repo}`." if repo else ""
    return f"""## Use

`timm.create_model("{where}", pretrained=True)` loads the picture's part of the network; LesionLens adds the
facts, the calibration and the maps. Input: RGB, shorter side {manifest.preprocessing.size} px, mean
{list(manifest.preprocessing.mean)}, std {list(manifest.preprocessing.std)}.{ours}

| index | code | diagnosis | counted as malignant |
|---|---|---|---|
{labels}
"""


def _training(manifest: Manifest) -> str:
    trained = manifest.training
    hours = trained["elapsed_s"] / 3600 if "elapsed_s" in trained else float("nan")
    return f"""## Training

- Data: {manifest.data}; split {manifest.split_hash[:16]}. Licence of the weights: {manifest.licence}.
- Network: {MODELS[manifest.model].timm_name}, started from {trained.get("weights", "not recorded")}.
- {trained.get("images", 0):.0f} augmented pictures in {hours:.1f} hours, best epoch
  {trained.get("epoch", 0):.0f}; code at commit {trained.get("commit", "not recorded")[:12]}.
{_chosen(manifest)}
"""


def _chosen(manifest: Manifest) -> str:
    return f"""\
- Chosen on validation data: epoch, temperature {manifest.temperature:.3f}, operating points, power
  {manifest.balanced_power:.1f} of the balanced prior."""


def with_other_choices(card: str, before: Manifest, after: Manifest) -> str:
    """Return a card with what was chosen on validation data told anew; all else stays as it was written."""
    return card.replace(_chosen(before), _chosen(after))


def _results(manifest: Manifest) -> str:
    if not manifest.metrics:
        return "## Results\n\nNot measured.\n"
    rows = "\n".join(
        f"| {metric} | {_number(entry['value'])} | {_number(entry['low'])} to {_number(entry['high'])} "
        f"| {entry['n_images']} | {entry['n_lesions']} |"
        for metric, entry in manifest.metrics.items()
    )
    return f"""## Results on the held-out tenth of lesions

One view, calibrated probabilities, 95 % intervals over resampled lesions.

| metric | value | interval | images | lesions |
|---|---|---|---|---|
{rows}
"""


def _subgroups(manifest: Manifest, evaluation: Evaluation) -> str:
    metrics: dict[str, Metric] = {name: METRICS[name] for name in _SUBGROUP_METRICS}
    for point in manifest.operating_points[-1:]:
        metrics |= {point.metric(name): measure for name, measure in at_threshold(point.threshold).items()}
    rows = "\n".join(
        f"| {group} | {len(table)} | {' | '.join(_cells(table, metrics))} |"
        for group, table in _groups(evaluation.table).items()
    )
    return f"""## Subgroups of the same pictures

Value and 95 % interval over resampled lesions; groups of fewer than {_FEWEST} pictures are only counted.

| group | images | {" | ".join(name.replace("_", " ") for name in metrics)} |
|---|---|{"---|" * len(metrics)}
{rows}
"""


def _groups(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    age = table["age_years"]
    masks = {
        "female": table["sex"] == "female",
        "male": table["sex"] == "male",
        "under 40 years": age < 40,
        "40 to 59 years": (age >= 40) & (age < 60),
        "60 years and over": age >= 60,
        "confirmed by histology": table["dx_type"] == "histo",
    }
    return {name: table[mask.fillna(value=False).to_numpy(dtype=bool)] for name, mask in masks.items()}


def _cells(table: pd.DataFrame, metrics: Mapping[str, Metric]) -> list[str]:
    if len(table) < _FEWEST:
        return ["n/a"] * len(metrics)
    measured = lesion_bootstrap(truth_of(table), probabilities_of(table), table["lesion_id"], metrics)
    return [_with_interval(measured[name]) for name in metrics]


def _with_interval(one: Interval) -> str:
    if not np.isfinite(one.value):
        return "n/a"
    return f"{_number(one.value)} ({_number(one.low)} to {_number(one.high)}, n = {one.n})"


def _number(value: float | int | None) -> str:
    return "n/a" if value is None or math.isnan(value) else f"{value:.3f}"


_LIMITS_OF_HAM10000 = """\
- HAM10000 comes from two clinics, mostly from light skin. Other skin, other cameras and photos without a
  dermatoscope were not tested.
"""
_LIMITS_OF_OTHERS = """\
- Whose skin the training pictures show is not recorded, nor what other cameras would change.
"""
_LIMITS = """\
- It knows seven diagnoses. Anything else is answered as one of them, unless the picture looks unlike the
  training data.
- A low malignancy probability does not rule out cancer.
"""

_CITATION = """## Citation

HAM10000 Dataset: (c) by ViDIR Group, Department of Dermatology, Medical University of Vienna;
https://doi.org/10.1038/sdata.2018.161
"""
