"""The reasons looked at closer: why A rather than B, other methods, whether to trust the map."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
import streamlit as st

from core import words
from core.errors import LesionLensError
from core.explain import spoken
from core.labels import BY_CODE, CODES, INDEX
from pages.ui import cache, charts, notices
from pages.ui.predict import lesion
from pages.ui.predict.whatif import Question

if TYPE_CHECKING:
    from core.explain.layers import Layer
    from core.explain.trust import TrustCard
    from core.models.checkpoint import Checkpoint
    from core.predict.predictor import Look

_OFF: Final = "nothing more"
_EVIDENCE_LAYER: Final = "that of the evidence maps"
_STATES: Final = {"passed": ":material/check: passed", "failed": ":material/close: failed",
                  "not measured": ":material/remove: not measured"}  # fmt: skip
_SHOWN_METHODS: Final = ("grad-cam", "hirescam", "layercam", "finer-cam")


def draw(question: Question, code: str) -> None:
    """Draw the chosen closer look at the reasons of one diagnosis."""
    chosen = st.segmented_control(
        "Look closer", [_OFF, *VIEWS], default=_OFF, required=True, key="closer", bind="query-params"
    )
    if chosen in VIEWS:
        VIEWS[chosen](question, code)


def _draw_rather(question: Question, code: str) -> None:
    prediction = question.before
    order = [CODES[index] for index in np.argsort(-prediction.probabilities, kind="stable")]
    others = {BY_CODE[other].name: other for other in order if other != code}
    name = st.selectbox("Rather than", list(others), key="rather_than", bind="query-params", width=380)
    first, second = INDEX[code], INDEX[others[name]]
    evidence = prediction.evidence
    difference = evidence.maps[first] - evidence.maps[second]
    limit = max(float(np.abs(difference).max()), 1e-6)
    terms, other_terms = evidence.terms(first), evidence.terms(second)
    reader = question.reader
    unit = spoken.unit(reader)
    parts = {words.term_name(term, reader): value - other_terms[term] for term, value in terms.items()}
    said = charts.describe(difference, unit=unit)
    left, right = st.columns(2, gap="large")
    alt = f"Evidence for {BY_CODE[code].name} minus evidence for {name}. {said}"
    with left:
        st.caption(f"Orange speaks for {BY_CODE[code].name}, blue for {name}.")
        painted = charts.overlay(prediction.seen, difference, limit=limit, opacity=0.7)
        st.plotly_chart(
            charts.evidence(painted, difference, limit=limit, unit=unit),
            key="rather",
            config=charts.CONFIG,
            alt=alt,
        )
        st.caption(said)
    with right:
        st.caption(f"What sets the two apart, term by term, {unit}; above zero the first is ahead.")
        st.plotly_chart(
            charts.waterfall(parts, code, unit=unit),
            key="rather_sum",
            config=charts.CONFIG,
            alt=charts.spell(parts),
        )
        st.caption(charts.spell(parts))


def _draw_methods(question: Question, code: str) -> None:
    from core.explain.cam import METHODS, methods_for

    plainly = question.reader.name == "patient"
    whence = (
        "of the same diagnosis"
        if plainly
        else "of the same class, by default at the same place of the network as the evidence maps"
    )
    st.caption(
        f"Maps by other people's methods, {whence}. Each is cut at zero and stretched to its own strongest "
        "place, so they cannot be compared in strength."
    )
    fitting = methods_for(question.checkpoint)
    quick = [name for name, method in fitting.items() if not method.slow]
    asking, placing = st.columns([3, 2], gap="medium")
    with asking:
        chosen = st.multiselect(
            "Methods",
            quick,
            default=[name for name in _SHOWN_METHODS if name in quick],
            format_func=lambda name: METHODS[name].title,
            key="cam_methods",
            bind="query-params",
        )
    with placing:
        layer = _ask_layer(question)
    if layer is not None:
        st.caption(f"At {notices.plain(layer.name if plainly else layer.title)}.")
    slow = [name for name, method in fitting.items() if method.slow]
    chosen += [name for name in slow if _wants(question, code, name, layer)]
    with st.grid(4, min_column_width=170, gap="small"):
        for name in chosen:
            _draw_method(question, code, name, layer)


def _ask_layer(question: Question) -> "Layer | None":
    """Ask at which layer; None is that of the evidence maps, also, with the reason, where a name is none."""
    from core.explain.layers import layer_of, layers_of

    size_px = question.looked.seen.shape[0], question.looked.seen.shape[1]
    name = st.selectbox(
        "Layer",
        [_EVIDENCE_LAYER, *(one.name for one in layers_of(question.checkpoint, size_px))],
        accept_new_options=True,
        key="cam_layer",
        bind="query-params",
        help="Deeper layers know more and place less well. Any module's name can be typed; it is tried out.",
    )
    if not name or name == _EVIDENCE_LAYER:
        return None
    try:
        return layer_of(question.checkpoint, question.looked.seen, name)
    except LesionLensError as problem:
        notices.refuse(problem)
        return None


def _wants(question: Question, code: str, name: str, layer: "Layer | None") -> bool:
    """Ask whether a slow method shall run, with its expected time."""
    from core.explain.cam import METHODS, expected_s

    channels = None if layer is None else layer.channels
    seconds = expected_s(question.checkpoint, name, look_ms=question.looked.elapsed_ms, channels=channels)
    key = f"{name}|{question.asked.digest}|{code}|{layer}"
    if st.button(
        f"{METHODS[name].title}, about {max(1, round(seconds))} s",
        key=f"run_{name}",
        icon=":material/hourglass_top:",
        help="It looks at the picture again and again: once for each thing that the model looks for.",
    ):
        st.session_state["slow_cam"] = key
    return bool(st.session_state.get("slow_cam") == key)


def _draw_method(question: Question, code: str, name: str, layer: "Layer | None") -> None:
    from core.explain.cam import METHODS

    found = _cam(
        question.checkpoint.identity, question.asked.digest, code, name,
        None if layer is None else layer.name, question.checkpoint, question.looked.seen,
    )  # fmt: skip
    about = "" if question.reader.name == "patient" else f": {METHODS[name].about}"
    if not found.any():
        about = ": nothing speaks for this diagnosis"
    st.image(
        charts.overlay(question.looked.seen, found, limit=1.0, opacity=0.7),
        caption=f"**{METHODS[name].title}**{about}",
        width="stretch",
        alt=f"{METHODS[name].title} of {BY_CODE[code].name}{about}",
    )


def _draw_trust(question: Question, code: str) -> None:
    from core.explain.trust import placed

    reader, checkpoint, looked = question.reader, question.checkpoint, question.looked
    card = _card(checkpoint.identity, question.asked.digest, code, checkpoint, looked)
    outline = lesion.outlined(question.asked, reader)
    card = placed(card, looked, INDEX[code], lesion.place(question, outline))
    st.markdown(f"**{spoken.verdict(card, reader)}**")
    st.table(
        {
            "check": [spoken.title(check, reader) for check in card.checks],
            "outcome": [_STATES[check.state] for check in card.checks],
            "finding": [spoken.finding(check, card, reader) for check in card.checks],
        },
        alt="What was checked of the map, and what came out",
    )
    st.caption(f"{outline.whose.said} Another one can be drawn by hand: look closer at the lesion's shape.")
    left, right = st.columns(2, gap="large")
    said, twin = spoken.curves(card, reader), spoken.TWINS[reader.name]
    with left:
        st.subheader("Taken away and put back", anchor=False)
        st.plotly_chart(
            charts.faithfulness(card.curves, unit=spoken.unit(reader)),
            key="faithfulness",
            config=charts.CONFIG,
            alt=said,
        )
        st.caption(said)
    with right:
        st.subheader(twin.title, anchor=False)
        scale = float(np.abs(card.twin).max()) or 1.0
        st.image(
            charts.overlay(looked.seen, card.twin, limit=scale, opacity=0.7),
            width=360,
            alt=f"{twin.title}, stretched to its own scale",
        )
        st.caption(twin.caption)


VIEWS: Final[dict[str, Callable[[Question, str], None]]] = {
    "why A rather than B": _draw_rather,
    "other methods": _draw_methods,
    "can the map be trusted?": _draw_trust,
    "the lesion's shape": lesion.draw,
}


@st.cache_data(ttl=cache.KEEP_PICTURES, max_entries=64, show_spinner="Computing the map …")
def _cam(
    identity: str,  # noqa: ARG001 -- of the checkpoint; with the next, the key of the cache
    digest: str,  # noqa: ARG001
    code: str,
    method: str,
    layer: str | None,
    _checkpoint: "Checkpoint",
    _seen: np.ndarray,
) -> np.ndarray:
    from core.explain.cam import cam

    return cam(_checkpoint, _seen, INDEX[code], method, layer=layer)


@st.cache_resource(
    ttl=cache.KEEP_PICTURES, max_entries=16, show_spinner="Checking the map: about 60 passes …"
)
def _card(
    identity: str,  # noqa: ARG001 -- of the checkpoint; with the next two, the key of the cache
    digest: str,  # noqa: ARG001
    code: str,
    _checkpoint: "Checkpoint",
    _looked: "Look",
) -> "TrustCard":
    """Return the card without a place of the lesion: that is laid on afterwards, whosever outline it is."""
    from core.explain.trust import examine

    return examine(_checkpoint, _looked, INDEX[code])
