"""From numbers to pictures: confusion matrices and agreement whose cells open the pictures behind them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import LesionLensError
from core.evaluate.curves import confusion
from core.evaluate.gathering import weights_folder
from core.labels import CODES, INDEX
from core.settings import settings
from core.words import percent, proportion, short_name
from pages.ui import cache, notices, theme
from pages.ui.compare.compared import Compared
from pages.ui.compare.downloads import offer_csv
from pages.ui.explore import figures as marks
from pages.ui.explore import tiles
from pages.ui.frame import PAGES

SHOWN: Final = 12
SHOWN_MAPS: Final = 6
_CELL: Final = "cell"
_AGREEMENT: Final = ("both right", "only A right", "only B right", "both wrong")
_FIRST: Final = "only A right"
_SURE_AND_WRONG: Final = "both wrong and sure"
SURE: Final = 0.8
"""From this probability of its answer on a model counts as sure."""


def draw_matrices(compared: Compared) -> None:
    """Draw each model's confusion matrix; a cell opens its pictures."""
    st.caption(
        "Rows are the truth, columns the answer (the most probable diagnosis). Click a cell to see its "
        "pictures."
    )
    for place, name in enumerate(compared.names):
        st.markdown(f"**{notices.plain(name)}**")
        counts = confusion(compared.lineup.truth, compared.lineup.probabilities[place])
        marks.draw(
            marks.confusion(counts, label=f"Confusion matrix of {name}", picked=_open_cell(place)),
            key=f"compare_matrix_{place}",
            on_pick=partial(_pick, place),
        )
    opened = _opened_cell(compared)
    if opened is not None:
        place, truth, answer = opened
        lineup = compared.lineup
        mine = (lineup.truth == truth) & (lineup.probabilities[place].argmax(axis=1) == answer)
        st.header(
            f"{notices.plain(compared.names[place])}: {short_name(CODES[truth])} called "
            f"{short_name(CODES[answer])}",
            anchor=False,
        )
        draw_pictures(compared, mine, [place], key="compare_cell")


def _pick(place: int, picked: dict[str, Any]) -> None:
    # What comes from a browser may be anything; it is checked when it is read.
    st.query_params[_CELL] = f"{place}:{picked.get('row')}:{picked.get('column')}"


def _open_cell(place: int) -> tuple[int, int] | None:
    parts = st.query_params.get(_CELL, "").split(":")
    if len(parts) != 3 or parts[0] != str(place) or parts[1] not in INDEX or parts[2] not in INDEX:
        return None
    return INDEX[parts[1]], INDEX[parts[2]]


def _opened_cell(compared: Compared) -> tuple[int, int, int] | None:
    for place in range(len(compared.names)):
        if (cell := _open_cell(place)) is not None:
            return place, *cell
    return None


def draw_agreement(compared: Compared, first: int, second: int) -> None:
    """Draw how often two models are right together, and the pictures of each case."""
    lineup = compared.lineup
    a, b = (lineup.probabilities[place].argmax(axis=1) == lineup.truth for place in (first, second))
    cases = dict(zip(_AGREEMENT, (a & b, a & ~b, ~a & b, ~a & ~b), strict=True))
    sure = (lineup.probabilities[[first, second]].max(axis=2) >= SURE).all(axis=0)
    cases[_SURE_AND_WRONG] = cases["both wrong"] & sure
    agree = float(np.mean(lineup.probabilities[first].argmax(1) == lineup.probabilities[second].argmax(1)))
    st.header("Where they disagree", anchor=False)
    st.caption(
        f"They give the same answer to {proportion(agree)} of {lineup.n_images:,} pictures. In "
        f"{int(cases[_SURE_AND_WRONG].sum()):,} both are wrong and sure, {proportion(SURE, digits=0)} or "
        "more. Click a square to see its pictures."
    )
    # It is asked for below the matrix, which shows it.
    chosen = str(st.session_state.get("agreement") or st.query_params.get("agreement", _FIRST))
    marks.draw(
        marks.matrix(
            np.array([cases[name].sum() for name in _AGREEMENT]).reshape(2, 2),
            {"right": f"A right ({compared.names[first]})", "wrong": "A wrong"},
            {"right": f"B right ({compared.names[second]})", "wrong": "B wrong"},
            label="Pictures by who is right: A in rows, B in columns",
            picked=divmod(_AGREEMENT.index(chosen), 2) if chosen in _AGREEMENT else None,
            between="and",
        ),
        key="compare_agreement_matrix",
        on_pick=_pick_case,
    )
    chosen = st.segmented_control(
        "Pictures",
        list(cases),
        default=_FIRST,
        required=True,
        key="agreement",
        bind="query-params",
        label_visibility="collapsed",
    )
    draw_pictures(compared, cases[chosen or _FIRST], [first, second], key="compare_agreement")


def _pick_case(picked: dict[str, Any]) -> None:
    sides = ("right", "wrong")
    if picked.get("row") in sides and picked.get("column") in sides:
        place = 2 * sides.index(picked["row"]) + sides.index(picked["column"])
        st.session_state["agreement"] = _AGREEMENT[place]


def draw_all_agreements(compared: Compared, first: int, second: int) -> None:
    """Draw how often every two models give the same answer; a square makes the two A and B."""
    answers = compared.lineup.probabilities.argmax(axis=2)
    same = np.array([[int((one == other).sum()) for other in answers] for one in answers])
    names = {name: name for name in compared.names}
    st.header("Who agrees with whom", anchor=False)
    marks.draw(
        marks.matrix(
            same,
            names,
            names,
            label="Share of pictures to which two models give the same answer",
            picked=(first, second),
            between="and",
            sizes=np.full(len(same), compared.lineup.n_images),
        ),
        key="compare_agreements",
        on_pick=partial(_pick_pair, compared.names),
    )
    st.caption(
        "The share of pictures with the same answer, right or wrong. Click a square to compare the two."
    )


def _pick_pair(names: tuple[str, ...], picked: dict[str, Any]) -> None:
    first, second = picked.get("row"), picked.get("column")
    if first in names and second in names and first != second:
        st.session_state["pair_a"], st.session_state["pair_b"] = first, second


def draw_pictures(compared: Compared, mine: np.ndarray, places: list[int], *, key: str) -> None:
    """Draw pictures, the surest answers first: tiles where they are here, and a table anyway."""
    lineup = compared.lineup
    positions = np.flatnonzero(mine)
    if not len(positions):
        st.info("There is no such picture.", icon=":material/check_circle:")
        return
    confidence = lineup.probabilities[places][:, positions].max(axis=2).mean(axis=0)
    positions = positions[np.argsort(-confidence, kind="stable")]
    rows = _rows(compared, positions, places)
    _draw_tiles(rows, places, compared, key)
    st.dataframe(
        rows,
        hide_index=True,
        placeholder="unknown",
        alt="The pictures with their truth and each model's answer",
    )
    offer_csv(rows, "These pictures as CSV", name="pictures", key=f"{key}_csv")


def _rows(compared: Compared, positions: np.ndarray, places: list[int]) -> pd.DataFrame:
    lineup = compared.lineup
    facts = lineup.facts.iloc[positions]
    rows = facts[["image_id", "dx", "age_years", "sex", "site"]].reset_index(drop=True)
    for place in places:
        answers = lineup.probabilities[place][positions]
        rows[compared.names[place]] = [f"{CODES[row.argmax()]} {percent(row.max())}" for row in answers]
    return rows


def _draw_tiles(rows: pd.DataFrame, places: list[int], compared: Compared, key: str) -> None:
    folder = settings().data_dir
    if folder is None:
        st.caption(
            "The pictures themselves are not here, only the answers. Set LESIONLENS_DATA to a HAM10000 "
            "folder to see them."
        )
        return
    try:
        metadata = _by_id(folder)
    except LesionLensError as problem:
        notices.refuse(problem)
        return
    shown = rows[rows["image_id"].isin(metadata.index)].head(SHOWN)
    if shown.empty:
        st.caption("None of these pictures is in the dataset folder.")
        return
    with_maps = _some_weights(compared, places) and st.toggle(
        "Evidence of each model beside the pictures",
        key="with_maps",
        bind="query-params",
        help=f"The first {SHOWN_MAPS} pictures, with what each model saw for its own answer.",
    )
    if with_maps:
        for image_id in shown["image_id"].head(SHOWN_MAPS):
            _draw_evidence(metadata, str(image_id), compared, places)
        return
    groups = [
        tiles.Group(
            metadata.loc[[row["image_id"]]],
            short_name(str(row["dx"])),
            theme.diagnosis_colours()[str(row["dx"])],
            tuple(f"{compared.names[place]}: {row[compared.names[place]]}" for place in places),
        )
        for _, row in shown.iterrows()
    ]
    tiles.draw(groups, key=f"{key}_tiles", label=f"{len(groups)} pictures", masks={}, opened=_open)
    st.caption(
        f"The first {len(groups)} of {len(rows):,}. Click a picture to see the models' evidence beside it."
    )
    _draw_opened(metadata, compared)


def _some_weights(compared: Compared, places: Sequence[int]) -> bool:
    """Whether one of the models can be asked here."""
    evaluations = compared.lineup.evaluations
    return any(weights_folder(evaluations[place].checkpoint) is not None for place in places)


def _draw_evidence(metadata: pd.DataFrame, image_id: str, compared: Compared, places: Sequence[int]) -> None:
    from pages.ui.compare import one_picture

    row = metadata.loc[[image_id]].iloc[0]
    one_picture.draw(Path(str(row["image_path"])), row, compared, places)


@st.cache_resource(ttl="10m", max_entries=2, show_spinner=False)
def _by_id(folder: Path) -> pd.DataFrame:
    """Return a dataset's table by image id; shared, so not to be changed."""
    return cache.dataset(folder).set_index("image_id", drop=False)


_OPENED: Final = "compare_picture"


def _open(image_id: str) -> None:
    st.query_params[_OPENED] = image_id


def _draw_opened(metadata: pd.DataFrame, compared: Compared) -> None:
    image_id = st.query_params.get(_OPENED)
    if image_id is None or image_id not in metadata.index:
        return
    row = metadata.loc[[image_id]].iloc[0]
    st.header(f"One picture: {notices.plain(image_id)}, {short_name(str(row['dx']))}", anchor=False)
    predict = PAGES["Predict"]
    st.page_link(
        predict.script,
        label="Ask the model on the Predict page",
        icon=predict.icon,
        query_params=st.query_params.to_dict() | {"picture": "dataset", "image_id": image_id},
    )
    _draw_evidence(metadata, image_id, compared, range(len(compared.names)))
