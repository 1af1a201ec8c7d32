"""The watch images: the same lesions after every epoch, with what spoke for an answer, to scrub through."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import streamlit as st

from core.data.thumbnails import thumbnails
from core.labels import BY_CODE, CODES
from core.runs.library import Summary
from core.runs.watch import Watched, watched
from core.words import Reader, short_name
from pages.ui import theme
from pages.ui.train import pictures

_SIDE_PX: Final = 240
_HERE: Final = Path(__file__)
_FILM: Final = st.components.v2.component(
    "lesionlens_film",
    html='<div class="film"></div>\n',
    css=_HERE.with_name("film.css").read_text(encoding="utf-8"),
    js=_HERE.with_name("film.js").read_text(encoding="utf-8"),
)

ABOUT: Final = {
    "patient": (
        "The same twelve spots after every round of training. Orange is what spoke for the right diagnosis, "
        "blue what spoke against it. Watch how the answer and the place it comes from change."
    ),
    "clinician": (
        "Twelve fixed validation lesions after every epoch: evidence for (orange) and against (blue) the "
        "true diagnosis, and its probability."
    ),
    "ML": (
        "Twelve fixed validation images per epoch: signed evidence of the true class or of the answer, one "
        "scale in logits for all epochs; probabilities before calibration."
    ),
}


def draw(run: Summary, until: int, reader: Reader) -> None:
    """Draw the filmstrip of a run up to an epoch, or say why there is none."""
    st.subheader("Watch images", anchor=False)
    looks = watched(run.folder, until=until)
    if not looks:
        st.caption("After the first epoch, twelve lesions and the evidence on them appear here.")
        return
    st.caption(ABOUT[reader.name])
    data = _data(run, looks)
    if not any(lesion["src"] for lesion in data["lesions"]):
        st.caption(
            ":material/image_not_supported: The pictures of this dataset are not on this machine, so the "
            "maps stand alone: the lesion lies in the middle of each."
        )
    _FILM(key=f"train_film_{run.reference}", data=data)


def _data(run: Summary, looks: Sequence[Watched]) -> dict[str, Any]:
    first = looks[0]
    truth = first.truth.astype(int)
    lesions = np.arange(len(truth))
    answers = np.array([one.probabilities.argmax(axis=1) for one in looks])
    for_truth = np.stack([one.maps[lesions, truth] for one in looks])
    for_answer = np.stack([one.maps[lesions, answers[at]] for at, one in enumerate(looks)])
    limit = float(np.quantile(np.abs(np.stack([for_truth, for_answer])), 0.995)) or 1.0
    here = pictures.paths(run, first.image_ids)
    small = thumbnails(here, side_px=_SIDE_PX)
    palette = theme.diagnosis_colours()
    data: dict[str, Any] = {
        "epochs": [one.epoch for one in looks],
        "size": list(first.maps.shape[2:]),
        "limit": round(limit, 2),
        "scale": list(theme.diverging()),
        "names": [short_name(code) for code in CODES],
        "colours": [palette[code] for code in CODES],
        "maps": {"truth": _packed(for_truth, limit), "answer": _packed(for_answer, limit)},
        "probabilities": [one.probabilities.round(3).tolist() for one in looks],
        "lesions": [
            {
                "id": name,
                "truth": int(index),
                "about": BY_CODE[CODES[int(index)]].name,
                "src": small[name].uri if name in small else "",
            }
            for name, index in zip(first.image_ids, truth, strict=True)
        ],
    }
    data["key"] = hashlib.sha256(repr(data).encode()).hexdigest()[:16]
    return data


def _packed(maps: np.ndarray, limit: float) -> str:
    """Return evidence as base64 of int8: 127 is `limit`."""
    scaled = np.clip(maps / limit, -1, 1) * 127
    return base64.b64encode(scaled.round().astype(np.int8).tobytes()).decode()
