"""Steps: one picture through each step of preparation, before and after, with a recipe's parameters."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from core import words
from core.data.pictures import downscaled, read_picture
from core.data.recipes import (
    Drawn,
    PictureRecipe,
    draw_steps,
    normalising_of,
    picture_recipes,
    training_draws,
)
from core.data.steps import STEPS, Normalising, Step, spell
from core.errors import LesionLensError, PictureError
from core.labels import BY_CODE, CODES
from pages.ui import cache, notices
from pages.ui.explore.explored import Explored

_RECIPE: Final = "explore_recipe"
_DRAW: Final = "explore_draw"
_SOURCE: Final = "explore_step_source"
_IMAGE: Final = "explore_step_image"
_KIND: Final = "explore_step_kind"

_OF_DATASET: Final = "from the dataset"
_SOURCES: Final = (_OF_DATASET, "synthetic")
_DEFAULT_RECIPE: Final = "lite0"
# Cards are this wide at most: more pixels would only take longer to send.
_SHOWN_PX: Final = 360
_MAX_DRAW: Final = 9_999
# A draw in which lite0 turns, shears and zooms enough to be seen.
_FIRST_DRAW: Final = 64
_VIEWS: Final = 4

_SECTIONS: Final = {
    "Remedies for poor pictures": (
        "remedy",
        "No recipe here uses them: shown with their defaults, to see what they mend and what they break.",
    ),
    "Augmentation": (
        "augmentation",
        "Each change by itself, as {recipe} draws it; another draw number gives other values.",
    ),
    "What every input undergoes": (
        "input",
        "In training and in use alike; gray only where a recipe asks for it.",
    ),
}


@dataclass(frozen=True)
class _Chosen:
    """The picture that goes through the steps: uint8 RGB, and a text that tells it from others."""

    pixels: np.ndarray
    key: str
    alt: str


def draw(explored: Explored) -> None:
    """Draw the view of what is explored."""
    try:
        recipes = picture_recipes()
        with st.container(horizontal=True, vertical_alignment="bottom"):
            recipe, seed = _ask_recipe(recipes)
        chosen = _ask_picture(explored)
    except LesionLensError as problem:
        notices.refuse(problem, icon=":material/broken_image:")
        return
    drawn = draw_steps(recipe, Normalising(), seed=seed)
    for title, (kind, about) in _SECTIONS.items():
        st.subheader(title, anchor=False)
        st.caption(notices.plain(about.format(recipe=recipe.name)))
        with st.grid(2, min_column_width=330):
            for step in STEPS.values():
                if step.kind == kind and step.name != "normalise":
                    _draw_card(step, drawn.get(step.name), chosen)
            if kind == "input":
                _draw_normalise(recipe, chosen)
    _draw_together(recipe, chosen, seed)


def _ask_recipe(recipes: dict[str, PictureRecipe]) -> tuple[PictureRecipe, int]:
    names = list(recipes)
    name = st.selectbox(
        "Recipe",
        names,
        index=names.index(_DEFAULT_RECIPE) if _DEFAULT_RECIPE in names else 0,
        key=_RECIPE,
        bind="query-params",
        help="Whose parameters are shown: a file in train/recipes.",
        width=190,
    )
    seed = st.number_input(
        "Draw no.",
        min_value=0,
        max_value=_MAX_DRAW,
        value=_FIRST_DRAW,
        key=_DRAW,
        bind="query-params",
        help="The same number draws the same changes again.",
        width=130,
    )
    st.button("Draw again", icon=":material/casino:", key="explore_draw_again", on_click=_draw_again)
    return recipes[name], int(seed)


def _draw_again() -> None:
    st.session_state[_DRAW] = (int(st.session_state.get(_DRAW, _FIRST_DRAW)) + 1) % (_MAX_DRAW + 1)


def _ask_picture(explored: Explored) -> _Chosen:
    """Ask for the picture; a drawing while the dataset has none.

    Raises:
        PictureError: there is no picture of that id, or it cannot be read.
    """
    pictured = explored.chosen[explored.chosen["image_path"].notna()]
    if pictured.empty:
        st.caption(
            "No picture of the dataset passes the filter, so this one is drawn."
            if explored.dataset.has_pictures
            else "This dataset has facts alone, so this picture is drawn. “Get data” brings real ones."
        )
        return _drawing()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        source = st.segmented_control(
            "Picture", _SOURCES, default=_OF_DATASET, required=True, key=_SOURCE, bind="query-params"
        )
        row = _ask_row(pictured) if source == _OF_DATASET else None
    if row is None:
        return _drawing()
    path = Path(str(row["image_path"]))
    pixels = _small(path, _changed_ns(path))
    st.caption(f"{notices.plain(str(row['image_id']))}, {BY_CODE[str(row['dx'])].name}")
    return _Chosen(pixels, f"{path}:{_changed_ns(path)}", f"Image {row['image_id']}")


def _ask_row(pictured: pd.DataFrame) -> pd.Series:
    ids = pictured["image_id"]
    wanted = st.text_input(
        "Image id", placeholder=str(ids.iloc[0]), key=_IMAGE, bind="query-params", width=220
    ).strip()
    st.button(
        "Another one", icon=":material/shuffle:", key="explore_step_shuffle", on_click=_shuffle, args=(ids,)
    )
    rows = pictured[ids == wanted] if wanted else pictured
    if rows.empty:
        raise PictureError(
            f"No picture {wanted!r} passes the filter. Take the id of one that does, or clear the field."
        )
    return rows.iloc[0]


def _shuffle(image_ids: pd.Series) -> None:
    st.session_state[_IMAGE] = str(image_ids.sample(1).iloc[0])


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # It is gone: reading it says so by name.


@st.cache_resource(ttl=cache.KEEP_PICTURES, max_entries=16, show_spinner=False)
def _small(path: Path, changed_ns: int) -> np.ndarray:  # noqa: ARG001 -- the key of the cache
    return downscaled(read_picture(path, name=path.name).pixels, max_side_px=_SHOWN_PX)


def _drawing() -> _Chosen:
    kind = st.selectbox(
        "Drawn in the style of",
        CODES,
        index=CODES.index("mel"),
        format_func=lambda code: BY_CODE[code].name,
        key=_KIND,
        bind="query-params",
        width=320,
    )
    st.caption(f":violet-badge[:material/draw: synthetic] {words.SYNTHETIC.partition('.')[0]}.")
    pixels = downscaled(cache.drawing(kind, 11), max_side_px=_SHOWN_PX)
    return _Chosen(pixels, f"drawing:{kind}", f"Synthetic drawing of {BY_CODE[kind].name}")


def _draw_card(step: Step[object], drawn: Drawn | None, chosen: _Chosen) -> None:
    """Draw a step: before and after, what it does, and how the recipe does it.

    drawn: None where recipes never do it.
    """
    done = drawn is not None and drawn.parameters is not None
    parameters = drawn.parameters if drawn is not None and done else step.default
    with st.container(border=True, height="stretch", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{step.title}**", width="stretch")
            if done:
                st.badge("in this recipe", icon=":material/check:", color="green", width="content")
        after = _applied(chosen.key, step.name, repr(parameters), _chosen=chosen, _parameters=parameters)
        with st.grid(2, min_column_width=110, gap="small"):
            st.image(
                chosen.pixels,
                caption="before",
                width="stretch",
                output_format="JPEG",
                alt=f"{chosen.alt}, before",
            )
            st.image(
                after, caption="after", width="stretch", output_format="JPEG",
                alt=f"{chosen.alt} after {step.title.lower()}",
            )  # fmt: skip
        st.markdown(notices.plain(step.about))
        st.caption(notices.plain(_how(step, drawn, parameters)))


def _how(step: Step[object], drawn: Drawn | None, parameters: object) -> str:
    shown = spell(parameters)
    said = f"Shown with {shown}." if shown else ""
    if drawn is not None and drawn.parameters is not None:
        said = f"{drawn.words[0].upper()}{drawn.words[1:]}."
    elif drawn is not None:
        said = f"{drawn.words[0].upper()}{drawn.words[1:]}. {said}"
    return f"{said} Formula: {step.source}.".strip()


@st.cache_resource(ttl=cache.KEEP_PICTURES, max_entries=256, show_spinner=False)
def _applied(
    key: str,  # noqa: ARG001 -- the key of the cache, with the next two
    name: str,
    values: str,  # noqa: ARG001
    *,
    _chosen: _Chosen,
    _parameters: object,
) -> np.ndarray:
    return STEPS[name](_chosen.pixels, _parameters)


def _draw_normalise(recipe: PictureRecipe, chosen: _Chosen) -> None:
    normalising = _normalising(recipe.model)
    words_of = draw_steps(recipe, normalising, seed=0)["normalise"].words
    _draw_card(STEPS["normalise"], Drawn(normalising, f"{words_of}: {spell(normalising)}"), chosen)


@st.cache_data(max_entries=32, show_spinner="Loading the networks' data sheets …")
def _normalising(model: str) -> Normalising:
    return normalising_of(model)


def _draw_together(recipe: PictureRecipe, chosen: _Chosen, seed: int) -> None:
    st.subheader("All together, as the trainer does it", anchor=False)
    if recipe.frozen:
        st.caption(
            notices.plain(
                f"{recipe.name} trains a head on features that are computed once from whole pictures: "
                "nothing is augmented. Choose another recipe to see its draws."
            )
        )
        return
    st.caption(
        notices.plain(
            f"What the network of {recipe.name} is fed in its last epoch: {_VIEWS} draws of this one picture "
            f"by the trainer's own code, {recipe.train_size} × {recipe.train_size} pixels, before "
            "normalising."
        )
    )
    views = _training_draws(chosen.key, recipe, seed, _pixels=chosen.pixels)
    with st.grid(_VIEWS, min_column_width=150, gap="small"):
        for number, view in enumerate(views, 1):
            st.image(view, width="stretch", output_format="JPEG", alt=f"{chosen.alt}, training draw {number}")


@st.cache_resource(ttl=cache.KEEP_PICTURES, max_entries=64, show_spinner="Drawing as the trainer does …")
def _training_draws(
    key: str,  # noqa: ARG001 -- the key of the cache, with recipe and seed
    recipe: PictureRecipe,
    seed: int,
    *,
    _pixels: np.ndarray,
) -> np.ndarray:
    return training_draws(_pixels, recipe, count=_VIEWS, seed=seed)
