"""The model card, written from what was measured; what was not measured says so."""

from core.labels import BY_CODE
from core.models.checkpoint import Manifest
from core.models.registry import MODELS

_HEADER = """---
license: cc-by-nc-4.0
library_name: timm
pipeline_tag: image-classification
tags: [image-classification, timm, dermoscopy, HAM10000, lesionlens]
---

# {name}

{about} Seven diagnoses of a skin lesion from one dermoscopic picture, with or without the patient's age, sex
and site. Every answer is a sum of evidence: one map per diagnosis, one term per fact, one bias.

**Not a medical device.** A research model for demonstrations and study. It must not decide about anybody's
skin.
"""


def model_card(manifest: Manifest) -> str:
    """Return the card of a checkpoint as Markdown."""
    parts = [
        _HEADER.format(name=manifest.name, about=manifest.about or MODELS[manifest.model].about),
        _use(manifest),
        _training(manifest),
        _results(manifest),
        _LIMITS,
        _CITATION,
    ]
    return "\n".join(parts)


def _use(manifest: Manifest) -> str:
    labels = "\n".join(
        f"| {index} | {code} | {BY_CODE[code].name} | {'yes' if BY_CODE[code].malignant else 'no'} |"
        for index, code in enumerate(manifest.labels)
    )
    return f"""## Use

`timm.create_model("local-dir:FOLDER", pretrained=True)` loads the picture's part of the network; LesionLens
adds the facts, the calibration and the maps. Input: RGB, shorter side {manifest.preprocessing.size} px, mean
{list(manifest.preprocessing.mean)}, std {list(manifest.preprocessing.std)}.

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
- {trained.get("images", 0):.0f} augmented pictures, best epoch {trained.get("epoch", 0):.0f},
  {hours:.1f} hours; code at commit {trained.get("commit", "not recorded")[:12]}.
- Chosen on validation data: epoch, temperature {manifest.temperature:.3f}, operating points, power
  {manifest.balanced_power:.1f} of the balanced prior.
"""


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


def _number(value: float | int | None) -> str:
    return "n/a" if value is None or value != value else f"{value:.3f}"  # noqa: PLR0124 - NaN


_LIMITS = """## Limits

- HAM10000 comes from two clinics, mostly from light skin. Other skin, other cameras and photos without a
  dermatoscope were not tested.
- It knows seven diagnoses. Anything else is answered as one of them, unless the picture looks unlike the
  training data.
- A low malignancy probability does not rule out cancer.
"""

_CITATION = """## Citation

HAM10000 Dataset: (c) by ViDIR Group, Department of Dermatology, Medical University of Vienna;
https://doi.org/10.1038/sdata.2018.161
"""
