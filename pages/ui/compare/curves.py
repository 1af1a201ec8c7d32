"""Curves: ROC, precision and recall, reliability, decisions and abstention, with the operating points."""

from collections.abc import Callable
from typing import Final

import numpy as np
import streamlit as st

from core.evaluate import curves
from core.evaluate.curves import Curve
from core.labels import CODES, INDEX, MALIGNANT
from core.words import short_name
from pages.ui.compare import figures
from pages.ui.compare.compared import Compared

MALIGNANT_TARGET: Final = "malignant"
_RISKS: Final = np.linspace(0.01, 0.6, 60)


def draw(compared: Compared) -> None:
    """Ask which curve of what, and draw it."""
    kind = st.segmented_control(
        "Curve", list(CURVES), default="ROC", required=True, key="curve", bind="query-params"
    )
    target = st.selectbox(
        "Of",
        [MALIGNANT_TARGET, *CODES],
        format_func=lambda code: "Malignant against benign" if code == MALIGNANT_TARGET else short_name(code),
        key="curve_of",
        bind="query-params",
        width=300,
        disabled=kind == "Abstention",
    )
    positive = _positives(compared, target)
    if kind != "Abstention" and (not positive.any() or positive.all()):
        st.info("These pictures have only one side of this: no curve is defined.", icon=":material/block:")
        return
    CURVES[kind or "ROC"](compared, target, positive)


def _positives(compared: Compared, target: str) -> np.ndarray:
    truth = compared.lineup.truth
    return MALIGNANT[truth] if target == MALIGNANT_TARGET else truth == INDEX[target]


def _scores(compared: Compared, place: int, target: str) -> np.ndarray:
    return curves.score_of(target, compared.lineup.probabilities[place])


def _at_point(compared: Compared, place: int, target: str, curve: Curve) -> tuple[float, float] | None:
    """Return where a model's operating point lies on its curve; it is one of the malignancy probability."""
    point = compared.points[place]
    if point is None or target != MALIGNANT_TARGET:
        return None
    at = int(np.sum(curve.thresholds >= point.threshold)) - 1
    return float(curve.x[at]), float(curve.y[at])


def _draw_roc(compared: Compared, target: str, positive: np.ndarray) -> None:
    named = []
    for place, name in enumerate(compared.names):
        curve = curves.roc(positive, _scores(compared, place, target))
        named.append((name, curve, compared.colour(place), _at_point(compared, place, target, curve)))
    figures.draw(
        figures.curves(named, x="false alarm rate", y="sensitivity", diagonal=True),
        key="compare_roc",
        alt=f"ROC curves of {', '.join(compared.names)}; their areas stand in the table view",
        file_name=f"roc_{target}",
    )
    st.caption(
        f"{int(positive.sum()):,} of {len(positive):,} pictures are positive. The dashed line is chance. "
        "The marks "
        "are the operating points, chosen on validation pictures."
    )


def _draw_pr(compared: Compared, target: str, positive: np.ndarray) -> None:
    named = []
    for place, name in enumerate(compared.names):
        scores = _scores(compared, place, target)
        curve = curves.precision_recall(positive, scores)
        shown = f"{name} (average precision {curves.average_precision(positive, scores):.3f})"
        named.append((shown, curve, compared.colour(place), _at_point(compared, place, target, curve)))
    share = float(positive.mean())
    figures.draw(
        figures.curves(named, x="recall", y="precision", flat=(share, f"calling everything: {share:.3f}")),
        key="compare_pr",
        alt="Precision over recall: " + "; ".join(name for name, *_ in named),
        file_name=f"precision_recall_{target}",
    )
    st.caption("Precision depends on how common the diagnosis is in these pictures; elsewhere it is another.")


def _draw_reliability(compared: Compared, target: str, positive: np.ndarray) -> None:
    named = [
        (name, curves.reliability(_scores(compared, place, target), positive), compared.colour(place))
        for place, name in enumerate(compared.names)
    ]
    figures.draw(
        figures.points(named, x="predicted probability", y="observed share", diagonal=True),
        key="compare_reliability",
        alt="Observed share over predicted probability in bins of equal mass, and the diagonal",
        file_name=f"reliability_{target}",
    )
    st.caption(
        "Ten bins with equally many pictures each; whiskers are Wilson's 95 % intervals. On the dashed line, "
        "what is called 30 % happens in 30 of 100."
    )


def _draw_decision(compared: Compared, target: str, positive: np.ndarray) -> None:
    named = [
        (
            name,
            Curve(_RISKS, curves.net_benefit(positive, _scores(compared, place, target), _RISKS), _RISKS),
            compared.colour(place),
            None,
        )
        for place, name in enumerate(compared.names)
    ]
    everybody = Curve(_RISKS, curves.benefit_of_all(float(positive.mean()), _RISKS), _RISKS)
    ink = "#808080"
    figure = figures.curves(
        [*named, ("examine everybody", everybody, ink, None)],
        x="risk from which on one examines",
        y="net benefit",
        flat=(0.0, "examine nobody"),
    )
    highest = max(float(np.nanmax(one.y)) for _, one, *_ in named)
    figures.draw(
        figure.update_yaxes(range=[-0.05, 1.1 * max(highest, 0.05)]),
        key="compare_decision",
        alt="Net benefit over the risk from which on one would examine, with examining everybody and nobody",
        file_name=f"decision_{target}",
    )
    st.caption(
        "Malignant pictures found per picture, less false alarms weighed by the risk one would examine at "
        "(Vickers and Elkin, 2006). A model is of use where its line lies above both others."
    )


def _draw_abstention(compared: Compared, _target: str, _positive: np.ndarray) -> None:
    lineup = compared.lineup
    named = [
        (name, curves.risk_coverage(lineup.truth, lineup.probabilities[place]), compared.colour(place), None)
        for place, name in enumerate(compared.names)
    ]
    nevus = 1 - float(np.mean(lineup.truth == INDEX["nv"]))
    figures.draw(
        figures.curves(named, x="share answered", y="share of answers wrong", flat=(nevus, "always nevus")),
        key="compare_abstention",
        alt="Share of wrong answers over the share answered, the surest answers first",
        file_name="abstention",
    )
    st.caption(
        "If the model answered only where it is surest: how much it would answer, and how much of that "
        "is wrong."
    )


CURVES: Final[dict[str, Callable[[Compared, str, np.ndarray], None]]] = {
    "ROC": _draw_roc,
    "Precision and recall": _draw_pr,
    "Reliability": _draw_reliability,
    "Decision": _draw_decision,
    "Abstention": _draw_abstention,
}
