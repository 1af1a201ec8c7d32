"""Calibration so far: whether answers that claim a certainty are right that often."""

import numpy as np
import streamlit as st

from core.runs.answers import Answers, Reliability, reliability, told_reliability
from core.runs.following import Epoch
from pages.ui import theme

_SIDE: int = 240


def draw(epoch: Epoch, answers: Answers | None) -> None:
    """Draw the reliability of an epoch's answers, or say that the run did not tell it."""
    st.markdown("**Calibration so far**")
    found = told_reliability(epoch.event.get("reliability"))
    if found is None and answers is not None:
        found = reliability(answers)
    if found is None:
        st.caption(
            "This run told no calibration of its epochs. A checkpoint is calibrated on validation pictures "
            "when its training has ended; the Compare page shows what that reached."
        )
        return
    st.image(_svg(found), width=300, alt=_words(found))
    st.caption(
        f"On the dotted line, a certainty is right as often as it says. Mean gap (ECE) {found.error:.3f}, "
        f"n = {int(found.n.sum()):,}. Before the correction at the end of training."
    )


def _svg(found: Reliability) -> str:
    """Return the diagram as SVG: certainty to the right, how often right upwards, pictures as the area."""
    ink, line, soft = theme.colour("textColor"), theme.colour("borderColor"), theme.colour("primaryColor")
    side, pad = _SIDE, 42
    span = side - 2 * pad

    def x(value: float) -> float:
        return pad + span * value

    def y(value: float) -> float:
        return side - pad - span * value

    parts = [
        f'<rect x="{pad}" y="{pad}" width="{span}" height="{span}" fill="none" stroke="{line}"/>',
        f'<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" stroke="{ink}" stroke-dasharray="2 4"/>',
    ]
    most = max(int(found.n.max()), 1)
    for certainty, right, n in zip(found.certainty, found.right, found.n, strict=True):
        if not n or not np.isfinite(certainty):
            continue
        radius = 3 + 8 * float(np.sqrt(n / most))
        parts.append(
            f'<circle cx="{x(certainty):.1f}" cy="{y(right):.1f}" r="{radius:.1f}" fill="{soft}" '
            f'fill-opacity="0.55" stroke="{soft}"/>'
        )
    for value in (0.0, 0.5, 1.0):
        parts.append(
            f'<text x="{x(value)}" y="{side - pad + 16}" text-anchor="middle">{value:g}</text>'
            f'<text x="{pad - 7}" y="{y(value) + 4}" text-anchor="end">{value:g}</text>'
        )
    parts.append(
        f'<text x="{side / 2}" y="{side - 3}" text-anchor="middle">certainty</text>'
        f'<text x="12" y="{side / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {side / 2})">right</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" viewBox="0 0 {side} {side}" '
        f'font-family="sans-serif" font-size="11" fill="{ink}">{"".join(parts)}</svg>'
    )


def _words(found: Reliability) -> str:
    """Return the diagram in words."""
    told = [
        f"certainty {certainty:.2f}: right {right:.2f}, n {int(n)}"
        for certainty, right, n in zip(found.certainty, found.right, found.n, strict=True)
        if n
    ]
    return f"Reliability. {'; '.join(told)}."
