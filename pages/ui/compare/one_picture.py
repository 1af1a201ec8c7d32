"""One picture through several models: each with its answer, its malignancy and its evidence, side by side."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from core.data.facts import SEXES, SITES, Facts
from core.errors import LesionLensError
from core.evaluate.gathering import weights_folder
from core.labels import BY_CODE, INDEX
from core.words import percent, short_name
from pages.ui import cache, charts, notices
from pages.ui.compare.compared import Compared


def draw(path: Path, row: pd.Series, compared: Compared, places: Sequence[int]) -> None:
    """Draw the picture's evidence by models whose weights are here; the others say that they are not.

    places: which models, by their position.
    """
    try:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        pixels = cache.picture(digest, data, path.name).pixels
    except (OSError, LesionLensError) as problem:
        notices.refuse(problem, icon=":material/broken_image:")
        return
    facts = _facts(row)
    columns = st.columns(len(places) + 1)
    with columns[0]:
        st.markdown(f"**{notices.plain(str(row['image_id']))}**")
        st.image(pixels, width="stretch", alt=f"{row['image_id']}: {BY_CODE[str(row['dx'])].name}")
        st.caption(f"Truth: {short_name(str(row['dx']))}")
    for place, column in zip(places, columns[1:], strict=True):
        with column:
            _draw_one(compared, place, digest, pixels, facts)


def _facts(row: pd.Series) -> Facts:
    return Facts(
        None if pd.isna(row["age_years"]) else float(row["age_years"]),
        str(row["sex"]) if row["sex"] in SEXES else None,
        str(row["site"]) if row["site"] in SITES else None,
    )


def _draw_one(compared: Compared, place: int, digest: str, pixels: np.ndarray, facts: Facts) -> None:
    name = compared.names[place]
    st.markdown(f"**{notices.plain(name)}**")
    folder = weights_folder(compared.lineup.evaluations[place].checkpoint)
    if folder is None:
        st.caption("Its weights are not on this machine: only its recorded answers are.")
        return
    from core.predict.predictor import answer

    try:
        checkpoint = cache.checkpoint(folder, compared.lineup.evaluations[place].checkpoint)
    except LesionLensError as problem:
        notices.refuse(problem)
        return
    prediction = answer(checkpoint, cache.look(checkpoint.identity, digest, checkpoint, pixels), facts)
    code = prediction.top_code
    evidence_map = prediction.evidence.maps[INDEX[code]]
    st.image(
        charts.overlay(prediction.seen, evidence_map, limit=prediction.evidence.scale, opacity=0.6),
        width="stretch",
        alt=f"Evidence for {BY_CODE[code].name}. {charts.describe(evidence_map)}",
    )
    st.caption(
        f"{short_name(code)} {percent(float(prediction.probabilities[INDEX[code]]))}, malignancy "
        f"{percent(prediction.malignancy)}. Orange speaks for {short_name(code)}, blue against."
    )
