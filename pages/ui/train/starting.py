"""A new run: dataset, recipe, how long it may take, what that means here, and the button that starts it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import streamlit as st

from core.data.facets import Facets
from core.data.recipes import RECIPES_FOLDER
from core.errors import LesionLensError, RunError
from core.runs import control, estimate, queue
from core.runs.estimate import BUDGETS_S, Estimate
from core.runs.folder import checked_name
from core.runs.recipes import RecipeCard, recipe_cards
from core.runs.story import duration
from core.settings import settings
from core.words import NBSP
from pages.ui import frame, jobs, notices
from pages.ui.explore import datasets
from pages.ui.explore.datasets import Dataset
from pages.ui.train import address, sources

ASKED: Final = "new"
NO_BUDGET: Final = "as long as it takes"
LEAST_PICTURES: Final = 70
_PROBLEM: Final = "train_start_problem"

BUDGET_WORDS: Final = {
    NO_BUDGET: "The recipe as it stands.",
    "one minute": "Enough to see it move; the result is worth little.",
    "coffee": "Ten minutes: a real result of a small model.",
    "night": "Eight hours.",
}


@dataclass(frozen=True)
class Asked:
    """What a person wants to train. overrides: values of the recipe that differ, "key=value"."""

    recipe: RecipeCard
    folder: Path
    pictures: int
    lesions: int
    budget_s: float | None
    overrides: tuple[str, ...]
    name: str


def is_asked() -> bool:
    """Return whether a new run is being prepared: the address says so."""
    return st.query_params.get(ASKED) == "yes"


def ask() -> None:
    """Begin to prepare a new run. For callbacks."""
    st.query_params[ASKED] = "yes"


def leave() -> None:
    """Go back to the runs. For callbacks."""
    st.query_params.pop(ASKED, None)


def draw_button() -> None:
    """Draw the way to a new run; disabled where training is switched off."""
    allowed = settings().allow_training
    st.button(
        "New run",
        icon=":material/add:",
        key="train_new",
        width="stretch",
        disabled=not allowed,
        on_click=ask,
        help=None if allowed else "Training is switched off on this machine (LESIONLENS_ALLOW_TRAINING).",
    )


def draw() -> None:
    """Draw the form, top to bottom: each part appears when what it needs is chosen."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("New run", anchor=False)
        st.space("stretch")
        st.button("Back to the runs", icon=":material/arrow_back:", key="train_back", on_click=leave)
    if (problem := st.session_state.pop(_PROBLEM, None)) is not None:
        notices.refuse(problem)
    if not settings().allow_training:
        st.info("Training is switched off on this machine; LESIONLENS_ALLOW_TRAINING switches it on.")
        return
    dataset = datasets.choose()
    if dataset.folder is None or not dataset.has_pictures:
        _say_no_pictures()
        return
    try:
        card = _choose_recipe()
        asked = _ask_rest(dataset, dataset.folder, card)
    except LesionLensError as problem:
        notices.refuse(problem)
        return
    if asked is not None:
        _draw_plan(asked)


def _say_no_pictures() -> None:
    st.info(
        "Training needs pictures, and this dataset has none here. Choose “Synthetic pictures” above to have "
        "some drawn, or get HAM10000.",
        icon=":material/image_not_supported:",
    )
    page = frame.PAGES["Explore"]
    query = st.query_params.to_dict() | {"view": "Get data"}
    st.page_link(page.script, label="Get HAM10000", icon=":material/download:", query_params=query)


def _choose_recipe() -> RecipeCard:
    cards = recipe_cards()
    name = st.selectbox("Recipe", list(cards), key="recipe", bind="query-params", width=360)
    card = cards[name]
    st.markdown(notices.plain(card.about))
    for title in ("Time", "Result"):
        if words := card.remarks.get(title):
            st.caption(f"**{title}**: {notices.plain(words)}")
    return card


def _ask_rest(dataset: Dataset, folder: Path, card: RecipeCard) -> Asked | None:
    budget = st.segmented_control(
        "How long may it take?",
        [NO_BUDGET, *BUDGETS_S],
        default=NO_BUDGET,
        required=True,
        key="budget",
        bind="query-params",
        help="A budget takes fewer epochs, fewer pictures an epoch, then smaller pictures, until it fits.",
    )
    st.caption(BUDGET_WORDS.get(budget, ""))
    overrides = _ask_settings(card)
    name = st.text_input(
        "Name", placeholder=f"{card.name}, and the time", key="train_name", max_chars=100, width=360
    ).strip()
    facets = Facets.of(dataset.table)
    pictures, lesions = int(facets.pictured.sum()), int(dataset.table["lesion_id"].nunique())
    problems = _impossible(name, pictures, overrides)
    for problem in problems:
        st.error(notices.plain(problem), icon=":material/block:")
    if problems:
        return None
    words = tuple(f"{key}={value}" for key, value in overrides.items())
    return Asked(card, folder, pictures, lesions, BUDGETS_S.get(budget), words, name)


def _ask_settings(card: RecipeCard) -> dict[str, Any]:
    """Ask for the settings that matter; return those that differ from the recipe."""
    with st.expander("The settings that matter", icon=":material/tune:"):
        st.caption("Everything else stays as the recipe has it.")
        with st.container(horizontal=True):
            epochs = st.number_input(
                "Epochs", 1, 1000, int(card.get("epochs")), key=f"train_epochs_{card.name}", width=130,
                help="Rounds through the training pictures.",
            )  # fmt: skip
            batch = st.number_input(
                "Batch size", 1, 4096, int(card.get("batch_size")), key=f"train_batch_{card.name}", width=130,
                help="Pictures a step. Smaller needs less memory.",
            )  # fmt: skip
            size = st.number_input(
                "Picture size, px", 32, 1024, int(card.get("size")), 32, key=f"train_size_{card.name}",
                width=150, help="Shorter side of what the network sees; a multiple of 32.",
            )  # fmt: skip
            rate = st.number_input(
                "Learning rate", 1e-6, 1.0, card.learning_rate, format="%.5f", key=f"train_rate_{card.name}",
                width=150, help="How far one step may change the model. Too high and it never settles.",
            )  # fmt: skip
    wanted: Mapping[str, tuple[Any, Any]] = {
        "epochs": (int(epochs), int(card.get("epochs"))),
        "batch_size": (int(batch), int(card.get("batch_size"))),
        "size": (int(size), int(card.get("size"))),
        "optimizer.learning_rate": (float(rate), card.learning_rate),
    }
    return {name: value for name, (value, before) in wanted.items() if value != before}


def _impossible(name: str, pictures: int, overrides: Mapping[str, Any]) -> list[str]:
    """Return what cannot be, each with its cure."""
    problems = []
    if pictures < LEAST_PICTURES:
        problems.append(
            f"{pictures} pictures are too few to train on; take a dataset with {LEAST_PICTURES} or more."
        )
    if overrides.get("size", 32) % 32:
        problems.append("The picture size must be a multiple of 32, such as 128, 160 or 224.")
    if overrides.get("batch_size", 1) > max(pictures, 1):
        problems.append(f"A batch cannot hold more than the {pictures} pictures there are; make it smaller.")
    if name:
        try:
            checked_name(name)
        except RunError as problem:
            problems.append(str(problem))
        taken = {run.name for run in sources.runs() if not run.is_bundled}
        taken |= {item.name for item in queue.waiting(settings().runs_dir)}
        if name in taken:
            problems.append(f"There is already a run {name!r}. Choose another name.")
    return problems


def _draw_plan(asked: Asked) -> None:
    measured = jobs.draw(
        f"estimate:{asked.recipe.name}:{asked.folder}:{' '.join(asked.overrides)}",
        "Measuring a few real steps",
        lambda report: estimate.estimate(asked.recipe.name, asked.folder, asked.overrides, report),
        button="Measure how long it takes",
        about="Trains a few real steps with this recipe here and throws them away; it takes about a minute."
        + ("" if asked.budget_s is None else " A budget needs it."),
    )
    if measured is None and asked.budget_s is not None:
        return
    cut: tuple[str, ...] = ()
    if measured is not None and asked.budget_s is not None:
        try:
            cut = estimate.budget_overrides(measured, asked.budget_s)
        except RunError as problem:
            notices.refuse(problem, icon=":material/timer_off:")
            return
    try:
        _check(asked.recipe.name, (*asked.overrides, *cut), _written(asked.recipe))
    except LesionLensError as problem:
        notices.refuse(problem)
        return
    with st.container(border=True):
        st.markdown("**What will happen on this machine**")
        lines = _consequences(asked, measured, cut)
        st.markdown("\n".join(f"- {notices.plain(line)}" for line in lines))
        st.button(
            "Start training",
            # How long it takes is worth a look first: until then, no button asks to be pressed.
            type="secondary" if measured is None else "primary",
            icon=":material/play_arrow:",
            key="train_start",
            on_click=_start,
            args=(asked, cut),
        )


@st.cache_data(max_entries=256, ttl="1h", show_spinner="Asking the trainer whether this can be")
def _check(recipe: str, overrides: tuple[str, ...], written: int) -> None:  # noqa: ARG001 -- a key
    """Refuse what cannot be trained before anybody starts it, so that starting takes no time."""
    control.resolved_recipe(recipe, overrides)


def _written(recipe: RecipeCard) -> int:
    return (RECIPES_FOLDER / f"{recipe.name}.toml").stat().st_mtime_ns


def _consequences(asked: Asked, measured: Estimate | None, cut: tuple[str, ...]) -> list[str]:
    lines = [
        (
            f"{asked.recipe.model} learns from the training part of {asked.pictures:,} pictures of "
            f"{asked.lesions:,} lesions, split by lesion; it is judged on the validation part, and measured "
            "on the test part at the end."
        )
    ]
    if measured is None:
        lines.append("How long it takes was not measured.")
    elif cut and asked.budget_s is not None:
        lines.append(
            f"The whole recipe would take about {duration(measured.total_s)}. To fit "
            f"{duration(asked.budget_s)} it trains with {', '.join(cut)}; the result is not the recipe's."
        )
    else:
        lines.append(
            f"It takes about {duration(measured.total_s)} ({duration(measured.low_s)} to "
            f"{duration(measured.high_s)}) on {measured.device}: {measured.steps:,} steps of "
            f"{measured.seconds_per_step:.2f}{NBSP}s, and what is around them."
        )
    if asked.overrides:
        lines.append(f"It differs from the recipe in {', '.join(asked.overrides)}.")
    before = len(queue.waiting(settings().runs_dir)) + sum(run.is_live for run in sources.runs())
    lines.append(
        "It begins at once."
        if not before
        else f"It waits for {before} run{'s' if before > 1 else ''} before it, and begins by itself."
    )
    lines.append(
        "It runs as a process of its own: it goes on when this page, the browser or the app is closed. The "
        "dataset is only read; the run is written to the folder of runs."
    )
    return lines


def _start(asked: Asked, cut: tuple[str, ...]) -> None:
    if not is_asked():
        return  # The second of two quick presses: the first one has started it.
    try:
        name = control.submit(
            asked.recipe.name,
            data_dir=asked.folder,
            name=asked.name or None,
            overrides=(*asked.overrides, *cut),
            budget_s=asked.budget_s,
            checked=True,
        )
    except LesionLensError as problem:
        st.session_state[_PROBLEM] = problem
        return
    leave()
    address.look_at(name)
