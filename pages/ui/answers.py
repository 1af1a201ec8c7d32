"""How an answer is drawn. The parts are SECTIONS; which comes first is the reader's (core.words.READERS)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import streamlit as st

from core import words
from core.explain import spoken
from core.labels import BY_CODE, CODES, INDEX
from core.predict.prevalence import DEFAULT_PLACE, PLACES, moved
from core.words import Reader
from pages.ui import charts, notices

if TYPE_CHECKING:
    from core.predict.predictor import Prediction

TOP: Final = "the most probable"


def draw_refusal(prediction: "Prediction", reader: Reader) -> None:
    """Say that there is no answer, and why."""
    statement = words.refusal(prediction.unknown.reasons, reader)
    st.warning(f"**{statement.headline}**\n\n{notices.plain(statement.body)}", icon=":material/help:")
    st.markdown(f"No answer says nothing about the spot. {words.SEE_A_DOCTOR}")
    _draw_good_picture(reader)


def draw_answer(prediction: "Prediction", reader: Reader) -> None:
    """Draw what the model answers: risk and probabilities, in this reader's order."""
    for name in reader.answer:
        SECTIONS[name](prediction, reader)


def draw_reasons(prediction: "Prediction", reader: Reader) -> str:
    """Draw why: evidence and sum of the chosen diagnosis side by side, in this reader's order.

    Returns the diagnosis' code.
    """
    code = choose_class(prediction)
    for column, name in zip(st.columns(2, gap="large"), reader.reasons, strict=True):
        with column:
            REASONS[name](prediction, code, reader)
    if st.toggle("All seven maps, on the same scale", key="all_maps", bind="query-params"):
        _draw_all_maps(prediction, reader)
    _draw_sums(prediction, reader)
    return code


def choose_class(prediction: "Prediction") -> str:
    """Ask which diagnosis to explain; the most probable one until told otherwise."""
    top = prediction.top_code
    st.header("Why?", anchor=False)
    names = {BY_CODE[code].name: code for code in CODES}
    chosen = st.selectbox("Explain", [TOP, *names], key="explained", bind="query-params", width=380)
    code = names.get(chosen, top)
    of_what = f"{BY_CODE[code].name}, {words.percent(float(prediction.probabilities[INDEX[code]]))}"
    st.caption(f"Explaining {of_what}" + (", the most probable diagnosis." if code == top else "."))
    return code


def _draw_risk(prediction: "Prediction", reader: Reader) -> None:
    point, threshold = prediction.operating_point, prediction.threshold
    statement = words.risk(prediction.malignancy, threshold, prediction.above_threshold, reader)
    text = f"**{statement.headline}**\n\n{statement.body}"
    if statement.tone == "alert":
        st.warning(text, icon=":material/priority_high:")
    else:
        st.info(text, icon=":material/visibility:")
    if said := words.conflict(prediction.top_code, prediction.above_threshold):
        st.warning(said, icon=":material/compare_arrows:")
    st.plotly_chart(
        charts.malignancy(prediction.malignancy, threshold, above=prediction.above_threshold is True),
        key="malignancy",
        config=charts.CONFIG,
        alt=statement.body,
    )
    st.markdown(words.natural_frequency(prediction.like))
    if prediction.malignant_share is not None:
        _draw_elsewhere(prediction.malignancy, prediction.malignant_share, reader)
    if point is not None:
        st.caption(words.operating_point(point, prediction.sensitivity, prediction.specificity, reader))


def _draw_elsewhere(malignancy: float, trained: float, reader: Reader) -> None:
    name = st.segmented_control(
        "Where was the picture taken?",
        list(PLACES),
        default=DEFAULT_PLACE,
        required=True,
        key="place",
        bind="query-params",
        help="How common malignancy is there changes what the score means, not the score.",
    )
    place = PLACES[name or DEFAULT_PLACE]
    share = trained if place.share is None else place.share
    there = moved(malignancy, share=trained, to=share)
    st.caption(words.elsewhere(there, place, share, reader))


def _draw_next(prediction: "Prediction", reader: Reader) -> None:
    steps = words.next_steps(prediction.top_code, prediction.above_threshold)
    told = "\n".join(f"- {step}" for step in steps)
    if reader.name == "patient":
        st.header("What to do next", anchor=False)
        st.markdown(told)
        _draw_good_picture(reader)
        return
    with st.expander("What the patient is told to do", icon=":material/directions:"):
        st.markdown(told)
        _list_good_picture()


def _draw_good_picture(reader: Reader) -> None:
    title = "How to take a good picture" if reader.name == "patient" else "What the model needs to see"
    with st.expander(title, icon=":material/photo_camera:"):
        _list_good_picture()


def _list_good_picture() -> None:
    st.markdown("\n".join(f"- {tip}" for tip in words.GOOD_PICTURE))


def _draw_probabilities(prediction: "Prediction", reader: Reader) -> None:
    st.header(reader.probabilities_title, anchor=False)
    order = np.argsort(-prediction.probabilities, kind="stable")
    shares = [words.percent(float(prediction.probabilities[index])) for index in order]
    st.plotly_chart(
        charts.probabilities(prediction.probabilities),
        key="probabilities",
        config=charts.CONFIG,
        alt=f"Most probable: {BY_CODE[CODES[order[0]]].name}, {shares[0]}. The table below has all seven.",
    )
    known = prediction.operating_point is not None
    kind = words.probabilities_caption(reader, calibrated=known) + (
        ", by validation pictures" if known else ""
    )
    st.caption(f"▲ counts as malignant. {kind}; the seven sum to 100{words.NBSP}%.")
    if prediction.prediction_set is None:
        st.caption(words.prediction_set(None, None, reader))
    else:
        st.markdown(words.prediction_set(prediction.prediction_set, prediction.sets, reader))
    with st.expander("The seven as a table", icon=":material/table_rows:"):
        st.table(
            {
                "diagnosis": [words.diagnosis_name(CODES[index], reader) for index in order],
                "malignant": ["yes" if BY_CODE[CODES[index]].malignant else "no" for index in order],
                "probability": shares,
            },
            alt="The seven diagnoses and their probabilities",
        )


def _draw_evidence(prediction: "Prediction", code: str, reader: Reader) -> None:
    st.subheader(reader.evidence_title, anchor=False)
    st.caption(reader.evidence_intro)
    chosen, unit = prediction.evidence.maps[INDEX[code]], spoken.unit(reader)
    said = charts.describe(chosen, unit=unit)
    limit = prediction.evidence.scale
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = st.segmented_control(
            "Shown",
            list(charts.PAINTS),
            default=next(iter(charts.PAINTS)),
            required=True,
            key="map_shown",
            bind="query-params",
        )
        contour = st.toggle("Outline the strongest part", key="contour", bind="query-params")
    opacity = _ask_opacity()
    if not prediction.evidence.has_positive(INDEX[code]):
        st.info(
            f"{spoken.NONE[reader.name]}: no part of this picture speaks for {BY_CODE[code].name}.",
            icon=":material/do_not_disturb_on:",
        )
    st.plotly_chart(
        charts.evidence(
            charts.PAINTS[shown or next(iter(charts.PAINTS))](prediction.seen, chosen, limit, opacity),
            chosen,
            limit=limit,
            contour=contour,
            unit=unit,
        ),
        key="evidence",
        config=charts.CONFIG,
        alt=f"Evidence for {BY_CODE[code].name}. {said}",
    )
    st.caption(said)


def _draw_all_maps(prediction: "Prediction", reader: Reader) -> None:
    limit, opacity = prediction.evidence.scale, float(st.session_state["opacity"]) / 100
    with st.grid(4, min_column_width=150, gap="small"):
        for index, code in enumerate(CODES):
            evidence_map = prediction.evidence.maps[index]
            said = charts.describe(evidence_map, unit=spoken.unit(reader))
            st.image(
                charts.overlay(prediction.seen, evidence_map, limit=limit, opacity=opacity),
                caption=f"{words.short_name(code)} {charts.signed(float(evidence_map.mean()))}",
                width="stretch",
                alt=f"Evidence for {BY_CODE[code].name}. {said}",
            )


def _ask_opacity() -> float:
    percent = st.slider(
        "Opacity of the map", 0, 100, 70, step=5, format="%d %%", key="opacity", bind="query-params"
    )
    return float(percent) / 100


def _draw_sum(prediction: "Prediction", code: str, reader: Reader) -> None:
    st.subheader(reader.sum_title, anchor=False)
    st.caption(reader.sum_intro)
    terms = prediction.evidence.terms(INDEX[code])
    parts = {words.term_name(term, reader): value for term, value in terms.items()}
    st.plotly_chart(
        charts.waterfall(parts, code, unit=spoken.unit(reader)),
        key="sum",
        config=charts.CONFIG,
        alt=f"What adds up for {BY_CODE[code].name}: {charts.spell(parts)}",
    )
    st.caption(f"{charts.spell(parts)}. {spoken.SUM[reader.name]}")
    if not prediction.evidence.exact:
        st.caption(spoken.REMAINDER[reader.name])


def _draw_sums(prediction: "Prediction", reader: Reader) -> None:
    with st.expander(f"All seven sums as a table, {spoken.unit(reader)}", icon=":material/functions:"):
        table = pd.DataFrame(
            [prediction.evidence.terms(INDEX[code]) for code in CODES],
            index=[BY_CODE[code].name for code in CODES],
        )
        table = table.rename(columns=lambda term: words.term_name(term, reader))
        table["sum"] = prediction.logits
        table["probability"] = prediction.probabilities
        table.index.name = "diagnosis"
        st.dataframe(
            table,
            column_config={
                name: st.column_config.NumberColumn(format="%.3f" if name == "probability" else "%+.2f")
                for name in table.columns
            },
            alt="What adds up for each of the seven, the sums and the probabilities",
        )


SECTIONS: Final[dict[str, Callable[["Prediction", Reader], None]]] = {
    "risk": _draw_risk,
    "next": _draw_next,
    "probabilities": _draw_probabilities,
}
REASONS: Final[dict[str, Callable[["Prediction", str, Reader], None]]] = {
    "evidence": _draw_evidence,
    "sum": _draw_sum,
}
