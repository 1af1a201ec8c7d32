"""What if: other facts, a changed picture, twelve variants, a hidden part, the nearest flip. Each is a view.

Only the chosen view runs. Changes of the picture, the pinned ones too, stand in the address, so a link shows
them; the picture itself does not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import streamlit as st

from core import words
from core.data.changes import (
    CHANGES,
    STANDARD,
    Applied,
    Points,
    apply_all,
    read_changes,
    write_changes,
)
from core.data.pictures import downscaled
from core.labels import BY_CODE, CODES
from core.words import Reader
from pages.ui import cache, charts, checkpoints, notices
from pages.ui.inputs import Asked
from pages.ui.predict import brush

if TYPE_CHECKING:
    from core.models.checkpoint import Checkpoint
    from core.predict.predictor import Look, Prediction
    from core.predict.whatif import Flip

_CHANGES: Final = "changes"
_PINNED: Final = "pinned"
SHOWN_PX: Final = 640
_MOST: Final = 12


@dataclass(frozen=True)
class Question:
    """What was asked and answered, before any "what if"."""

    checkpoint: "Checkpoint"
    asked: Asked
    looked: "Look"
    before: "Prediction"
    reader: Reader


def draw(question: Question) -> None:
    """Draw the views' switch, and the chosen view."""
    st.header("What if?", anchor=False)
    chosen = st.segmented_control(
        "What if",
        list(VIEWS),
        default=next(iter(VIEWS)),
        required=True,
        key="what_if",
        bind="query-params",
        label_visibility="collapsed",
    )
    VIEWS[chosen or next(iter(VIEWS))](question)


def _draw_facts(question: Question) -> None:
    from core.predict.whatif import curve

    if not question.checkpoint.manifest.uses_facts:
        st.info("This model looks at the picture alone: no fact changes its answer.")
        return
    facts = question.before.facts
    st.caption(
        "Each diagnosis' probability for this picture, were the patient another. Everything else stays as it "
        "is. The picture is not looked at again."
    )
    for column, fact, title in zip(
        st.columns(2, gap="large"), ("age", "site"), ("Over age", "Over body sites"), strict=True
    ):
        found = curve(question.checkpoint, question.looked, facts, fact)
        with column:
            st.subheader(title, anchor=False)
            figure = (
                charts.over_ages(found, now=facts.age_years)
                if fact == "age"
                else charts.over_sites(found, now=facts.site)
            )
            said = _span(fact, found.malignancy)
            st.plotly_chart(figure, key=f"over_{fact}", config=charts.CONFIG, alt=said)
            st.caption(said)


def _span(fact: str, malignancy: np.ndarray) -> str:
    low, high = words.percent(float(malignancy.min())), words.percent(float(malignancy.max()))
    return f"With {fact} alone changed, the malignancy probability runs from {low} to {high}."


def _draw_picture(question: Question) -> None:
    applied = _applied()
    asking, seeing = st.columns([2, 3], gap="large")
    with asking:
        _ask_change()
        _draw_history(applied)
    with seeing:
        _draw_comparison(question, applied)


def _ask_change() -> None:
    names = {change.title.rstrip(":,× "): name for name, change in CHANGES.items()}
    title = st.selectbox("Change", list(names), key="change_kind")
    change = CHANGES[names[title]]
    st.caption(change.about)
    amount = change.usual
    if change.has_amount:
        amount = float(
            st.slider(
                f"Amount{f' ({change.unit.strip()})' if change.unit else ''}",
                float(change.low),
                float(change.high),
                float(change.usual),
                step=float(change.step),
                key=f"amount_{change.name}",
            )
        )
    st.button(
        "Apply",
        icon=":material/add:",
        key="change_apply",
        on_click=_add,
        args=(Applied(change.name, amount),),
        disabled=len(_applied()) >= _MOST,
        help=f"At most {_MOST} changes, one after the other.",
    )


def _draw_history(applied: tuple[Applied, ...]) -> None:
    if not applied:
        st.caption("Nothing is changed yet. Changes add up, and each can be undone.")
        return
    st.markdown("\n".join(f"{number}. {one.title}" for number, one in enumerate(applied, 1)))
    with st.container(horizontal=True):
        st.button("Undo", icon=":material/undo:", key="change_undo", on_click=_set, args=(applied[:-1],))
        st.button("Start over", icon=":material/restart_alt:", key="change_reset", on_click=_set, args=((),))
        st.button(
            "Pin to compare",
            icon=":material/keep:",
            key="change_pin",
            on_click=_pin,
            args=(applied,),
            help="Keeps this state as a third column of the table.",
        )


def _draw_comparison(question: Question, applied: tuple[Applied, ...]) -> None:
    if not applied:
        st.caption("Before and after will stand here.")
        return
    after = _answer_changed(question, applied)
    before_column, after_column = st.columns(2)
    before_column.image(question.before.seen, caption="before", width="stretch", alt="The picture as it was")
    spelled = ", ".join(one.title for one in applied)
    after_column.image(after.seen, caption="after", width="stretch", alt=f"The picture after: {spelled}")
    if not after.unknown.known:
        statement = words.refusal(after.unknown.reasons, question.reader)
        st.warning(f"**{statement.headline}**\n\n{notices.plain(statement.body)}", icon=":material/help:")
        return
    _say_turn(question.before, after)
    answers = {"before": question.before, "after": after}
    pinned = read_changes(st.query_params.get(_PINNED, ""), most=_MOST)
    if pinned and pinned != applied:
        found = _answer_changed(question, pinned)
        if found.unknown.known:
            answers["pinned"] = found
            st.caption(f"Pinned: {', '.join(one.title for one in pinned)}.")
    st.table(_differences(answers, question.reader), alt="Probabilities before and after the changes")


def _say_turn(before: "Prediction", after: "Prediction") -> None:
    if before.above_threshold != after.above_threshold:
        side = "above" if after.above_threshold else "below"
        st.warning(
            f"**The decision turns**: the malignancy probability is now {side} the threshold. If so little "
            "turns an answer, trust neither.",
            icon=":material/swap_vert:",
        )
    elif before.top_code != after.top_code:
        st.warning(
            f"The most probable diagnosis turns from {BY_CODE[before.top_code].name} to "
            f"{BY_CODE[after.top_code].name}; the decision stays.",
            icon=":material/swap_vert:",
        )
    else:
        st.caption("Diagnosis and decision stay as they were.")


def _differences(answers: dict[str, "Prediction"], reader: Reader) -> dict[str, list[str]]:
    first, after = answers["before"], answers["after"]
    order = np.argsort(-first.probabilities, kind="stable")

    def column(values: np.ndarray, score: float) -> list[str]:
        return [words.percent(score), *(words.percent(float(values[index])) for index in order)]

    points = [after.malignancy - first.malignancy]
    points += [float(after.probabilities[index] - first.probabilities[index]) for index in order]
    table = {
        "": ["**malignant, together**", *(words.diagnosis_name(CODES[index], reader) for index in order)]
    }
    table |= {name: column(one.probabilities, one.malignancy) for name, one in answers.items()}
    table["difference, points"] = [f"{100 * point:+.1f}".replace("-", "−") for point in points]
    return table


def _draw_variants(question: Question) -> None:
    from core.predict.whatif import vary

    st.caption(
        "The same lesion as it could have been photographed instead: mirrored, turned, nearer, darker. "
        "None of it changes the diagnosis, so an answer that changes rests on something else."
    )
    looks = cache.variants(question.checkpoint.identity, question.asked.digest, question.checkpoint,
                           question.asked.pixels, STANDARD)  # fmt: skip
    strip = vary(question.checkpoint, looks, question.before)
    answered = len(strip.variants) - strip.refused
    refused = f" {strip.refused} more are no longer pictures the model knows." if strip.refused else ""
    text = (
        f"**The answer changes in {strip.other_diagnosis} of {answered}** (most probable diagnosis), the "
        f"decision in {strip.other_decision} of {answered}. Malignancy probability: "
        f"{words.percent(strip.lowest)} to {words.percent(strip.highest)}.{refused}"
    )
    if strip.other_decision or strip.other_diagnosis:
        st.warning(text, icon=":material/swap_vert:")
    else:
        st.info(f"{text} A steady answer can still be wrong.", icon=":material/straighten:")
    with st.grid(4, min_column_width=150, gap="small"):
        for one in strip.variants:
            found = one.prediction
            if found.unknown.known:
                same = found.top_code == question.before.top_code
                said = f"{words.short_name(found.top_code)}, malignant {words.percent(found.malignancy)}"
                caption = f"{one.applied.title}: {'' if same else '**changes** to '}{said}"
            else:
                caption = f"{one.applied.title}: no answer"
            st.image(found.seen, caption=caption, width="stretch", alt=caption.replace("*", ""))


def _draw_brush(question: Question) -> None:
    applied = _applied()
    asking, seeing = st.columns(2, gap="large")
    with asking:
        st.caption(
            "Drag a box, or click a polygon, and see how the answer lives without that part, or with nothing "
            "else. The part is painted evenly, in a colour of the picture's own."
        )
        pixels = downscaled(apply_all(question.asked.pixels, applied), max_side_px=SHOWN_PX)
        brush.draw(
            pixels,
            key="brush",
            digest=f"{question.asked.digest}|{write_changes(applied)}",
            label="Mark a part of the picture",
            uses={"hide": "Hide this part", "keep": "Hide all else"},
            marked=_hide,
        )
        _draw_history(applied)
    with seeing:
        _draw_comparison(question, applied)


def _draw_flip(question: Question) -> None:
    from core.predict.whatif import BRIGHTER, nearest_brightness_flip, nearest_fact_flip

    before = question.before
    if before.threshold is None:
        st.info("This model has no threshold, so there is no decision that could turn.")
        return
    side = "above" if before.above_threshold else "below"
    st.caption(
        f"The malignancy probability is {words.percent(before.malignancy)}, {side} the threshold of "
        f"{words.percent(before.threshold)}. What is the least that would turn this?"
    )
    looks = cache.variants(question.checkpoint.identity, question.asked.digest, question.checkpoint,
                           question.asked.pixels, BRIGHTER)  # fmt: skip
    flips: list[Flip] = []
    if question.checkpoint.manifest.uses_facts:
        flips += nearest_fact_flip(question.checkpoint, question.looked, before)
    light = nearest_brightness_flip(question.checkpoint, looks, before)
    flips += [light] if light is not None else []
    if flips:
        st.table(
            {
                "change": [one.change for one in flips],
                "malignancy probability then": [words.percent(one.malignancy) for one in flips],
            },
            alt="The smallest changes that turn the decision",
        )
        st.caption(_say_unknown(before.facts.age_years))
    else:
        st.info("No other age, sex or site, and no brightness from × 0.45 to × 1.75, turns the decision.")
    if light is None and flips:
        st.caption("No brightness from × 0.45 to × 1.75 turns it.")


def _say_unknown(age: float | None) -> str:
    from core.predict.whatif import TYPICAL_AGE

    alone = "Each row is one change alone, everything else as it is."
    if age is not None:
        return alone
    return f"{alone} The age is unknown, so ages were tried from {TYPICAL_AGE} on, the middle of HAM10000's."


VIEWS: Final[dict[str, Callable[[Question], None]]] = {
    "other facts": _draw_facts,
    "another picture": _draw_picture,
    "twelve variants": _draw_variants,
    "a part hidden": _draw_brush,
    "nearest flip": _draw_flip,
}


def _answer_changed(question: Question, applied: tuple[Applied, ...]) -> "Prediction":
    from core.predict.predictor import decided_as

    pixels = apply_all(question.asked.pixels, applied)
    changed = Asked(pixels, f"{question.asked.digest}|{write_changes(applied)}", "The changed picture")
    return decided_as(checkpoints.ask(question.checkpoint, changed, question.before.facts), question.before)


def _applied() -> tuple[Applied, ...]:
    return read_changes(st.query_params.get(_CHANGES, ""), most=_MOST)


def _set(applied: tuple[Applied, ...]) -> None:
    if applied:
        st.query_params[_CHANGES] = write_changes(applied)
    else:
        st.query_params.pop(_CHANGES, None)


def _add(one: Applied) -> None:
    _set((*_applied(), one)[:_MOST])


def _hide(use: str, corners: Points) -> None:
    if corners:
        _add(Applied(use, points=corners))


def _pin(applied: tuple[Applied, ...]) -> None:
    st.query_params[_PINNED] = write_changes(applied)
