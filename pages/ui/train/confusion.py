"""What a run takes for what: a table of squares to click, and whether its certainty can be believed."""

from typing import Any, Final

import numpy as np
import streamlit as st

from core.data.selection import Selection
from core.labels import BY_CODE, CODES
from core.runs.answers import Answers, answers_of
from core.runs.following import Epoch, Telling
from core.runs.library import Summary
from core.words import short_name
from pages.ui import frame, matrices, notices
from pages.ui.explore import figures, tiles
from pages.ui.train import calibration, pictures

SHOWN: Final = 12
_CELL: Final = "train_cell"
_NEWEST: Final = "newest"
_BEST: Final = "best"


def draw(run: Summary, telling: Telling) -> None:
    """Draw the confusion matrix of an epoch, the pictures of the square that was clicked, and calibration."""
    told = [epoch for epoch in telling.epochs if epoch.confusion is not None]
    st.subheader("What it takes for what", anchor=False)
    if not told:
        st.caption("After the first epoch, the validation pictures are counted here by truth and answer.")
        return
    which = st.segmented_control(
        "Epoch", [_NEWEST, _BEST], default=_NEWEST, required=True, key="judged", bind="query-params"
    )
    best = telling.best_epoch()
    epoch = best if which == _BEST and best is not None and best.confusion is not None else told[-1]
    answers = answers_of(run.folder, epoch.number)
    st.caption(
        f"Validation pictures after epoch {epoch.number}: rows are the truth, columns the answer. What lies "
        "off the diagonal is wrong. Click a square to see its pictures."
    )
    figures.draw(
        _squares(epoch, _cell(run)), key="train_confusion", on_pick=lambda picked: _pick(run, picked)
    )
    _draw_cell(run, epoch, answers)
    calibration.draw(epoch, answers)


def _squares(epoch: Epoch, picked: tuple[int, int] | None) -> dict[str, Any]:
    confusion = np.zeros((len(CODES), len(CODES))) if epoch.confusion is None else epoch.confusion
    label = "Validation pictures by truth (rows) and answer (columns)"
    return matrices.squares(confusion, label=label, picked=picked)


def _cell(run: Summary) -> tuple[int, int] | None:
    stored = st.session_state.get(_CELL)
    return stored[1] if stored is not None and stored[0] == run.reference else None


def _pick(run: Summary, picked: dict[str, Any]) -> None:
    row, column = picked.get("row"), picked.get("column")
    if row not in CODES or column not in CODES:
        return
    cell = (CODES.index(row), CODES.index(column))
    st.session_state[_CELL] = None if _cell(run) == cell else (run.reference, cell)


def _draw_cell(run: Summary, epoch: Epoch, answers: Answers | None) -> None:
    cell = _cell(run)
    if cell is None or epoch.confusion is None:
        return
    truth, answer = cell
    count = int(epoch.confusion[truth, answer])
    title = f"{short_name(CODES[truth])} answered as {BY_CODE[CODES[answer]].name}: {count}"
    with st.container(border=True):
        st.markdown(f"**{title}**")
        if not count:
            st.caption("No picture is here.")
        elif answers is None:
            st.caption(
                "This run counted its validation pictures and kept no list of them, so they cannot be shown."
            )
        else:
            _draw_pictures(run, answers.of_cell(truth, answer), count)


def _draw_pictures(run: Summary, image_ids: list[str], count: int) -> None:
    found = pictures.rows(run, image_ids[:SHOWN])
    if found is None:
        st.caption(
            "Their pictures are not on this machine: "
            f"{notices.plain(', '.join(image_ids[:SHOWN]))}{' …' if len(image_ids) > SHOWN else ''}"
        )
        return
    groups = [tiles.of_picture(row, note="") for _, row in found.iterrows()]
    label = "Pictures of this square"
    tiles.draw(groups, key="train_cell_pictures", label=label, masks={}, opened=lambda _: None)
    query = st.query_params.to_dict() | Selection().with_images(image_ids).to_query() | {"view": "Gallery"}
    page = frame.PAGES["Explore"]
    st.page_link(page.script, label=f"All {count} in the gallery", icon=page.icon, query_params=query)
