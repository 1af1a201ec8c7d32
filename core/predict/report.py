"""One answer on paper: a self-contained HTML page and a one-page PDF, made on request and kept nowhere."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from PIL import Image

from core import words
from core.labels import CODES
from core.models.checkpoint import Manifest
from core.models.reference import shown
from core.predict.predictor import Prediction
from core.words import Reader

_SIDE_PX: Final = 420


@dataclass(frozen=True)
class Paper:
    """All that a report says: made once, so that HTML and PDF say the same.

    picture, evidence: uint8 RGB. rows: diagnosis and share, most probable first; caption: of these rows.
    lines: paragraphs.
    """

    title: str
    headline: str
    body: str
    picture: np.ndarray
    evidence: np.ndarray
    evidence_words: str
    rows: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]
    made: str
    caption: str


def write_paper(
    prediction: Prediction,
    evidence: np.ndarray,
    evidence_words: str,
    *,
    manifest: Manifest,
    lacks: Sequence[str] = (),
    outline: str = "",
    reader: Reader,
    now: datetime | None = None,
) -> Paper:
    """Return the report of an answer, or of why there is none.

    Args:
        prediction: the answer.
        evidence: the map of the most probable diagnosis over the picture, uint8 RGB.
        evidence_words: the same map in words.
        manifest: of the checkpoint. lacks: what it does not bring along.
        outline: whose outline of the lesion is in use, and what was measured on it; empty: nothing is said.
        reader: whose words are used.
        now: when it is made; this moment by default.
    """
    if prediction.unknown.known:
        point = prediction.operating_point
        said = words.risk(prediction.malignancy, prediction.threshold, prediction.above_threshold, reader)
        order = np.argsort(-prediction.probabilities, kind="stable")
        rows = tuple(
            (
                words.diagnosis_name(CODES[index], reader),
                words.percent(float(prediction.probabilities[index])),
            )
            for index in order
        )
        lines = [
            words.natural_frequency(prediction.like),
            words.prediction_set(prediction.prediction_set, prediction.sets, reader),
        ]
        if point is not None:
            lines.append(words.operating_point(point, prediction.sensitivity, prediction.specificity, reader))
        if conflict := words.conflict(prediction.top_code, prediction.above_threshold):
            lines.insert(0, conflict)
        if reader.name == "patient":
            lines = [" ".join(words.next_steps(prediction.top_code, prediction.above_threshold)), *lines]
    else:
        said, rows, lines = words.refusal(prediction.unknown.reasons, reader), (), []
    named = "Model" if reader.name == "patient" else "Checkpoint"
    facts = prediction.facts
    known = {"Age": facts.age_years, "sex": facts.sex, "site": facts.site}
    spelled = ", ".join(f"{name} {'unknown' if value is None else value}" for name, value in known.items())
    lines += [
        f"Facts: {spelled.replace('.0', '')}.",
        *([outline] if outline else []),
        f"{named}: {shown(prediction.checkpoint)}, {manifest.model}, trained on {manifest.data}.",
        "It knows seven diagnoses and answers every other disease with one of these, or refuses it.",
        *lacks,
        words.ATTRIBUTION,
    ]
    moment = now or datetime.now(UTC)
    return Paper(
        title="LesionLens: one picture, one answer",
        headline=said.headline,
        body=said.body,
        picture=prediction.seen,
        evidence=evidence,
        evidence_words=evidence_words,
        rows=rows,
        lines=tuple(line.replace("**", "") for line in lines),
        made=f"Made {moment:%Y-%m-%d %H:%M} UTC.",
        caption=words.probabilities_caption(reader, calibrated=not lacks),
    )


def to_html(paper: Paper) -> str:
    """Return the report as one HTML page that needs nothing else; every text in it is escaped."""
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(share)}</td></tr>" for name, share in paper.rows
    )
    pictures = _figure(paper.picture, "The picture as the network saw it")
    table = ""
    if paper.rows:
        pictures += _figure(paper.evidence, paper.evidence_words)
        table = f"<table><caption>{html.escape(paper.caption)}</caption>{rows}</table>"
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in paper.lines)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(paper.title)}</title><style>{_CSS}</style></head><body><main>"
        f"<h1>{html.escape(paper.title)}</h1><p><strong>{html.escape(words.DISCLAIMER)}</strong></p>"
        f"<h2>{html.escape(paper.headline)}</h2><p>{html.escape(paper.body)}</p>"
        f'<div class="pictures">{pictures}</div>{table}{lines}'
        f"<p>{html.escape(words.SEE_A_DOCTOR)}</p><p>{html.escape(paper.made)}</p></main></body></html>"
    )


def to_pdf(paper: Paper) -> bytes:
    """Return the report as a PDF of one A4 page."""
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.lib.units import mm
    from reportlab.platypus import Image as Picture
    from reportlab.platypus import KeepInFrame, Paragraph, SimpleDocTemplate, Spacer, Table

    styles = getSampleStyleSheet()

    def text(words_: str, style: str = "BodyText") -> Paragraph:
        return Paragraph(html.escape(_plain(words_)), styles[style])

    def picture(pixels: np.ndarray) -> Picture:
        height, width = pixels.shape[:2]
        return Picture(io.BytesIO(_png(pixels)), width=70 * mm, height=70 * mm * height / width)

    shown = [picture(paper.picture)] + ([picture(paper.evidence)] if paper.rows else [])
    story = [
        text(paper.title, "Heading1"),
        text(words.DISCLAIMER),
        text(paper.headline, "Heading2"),
        text(paper.body),
        Spacer(1, 3 * mm),
        Table([shown], hAlign="LEFT"),
    ]
    if paper.rows:
        story.append(text(paper.evidence_words))
        table = Table([[_plain(name), _plain(share)] for name, share in paper.rows], hAlign="LEFT")
        table.setStyle(
            [("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.grey), ("FONTSIZE", (0, 0), (-1, -1), 9)]
        )
        story += [Spacer(1, 2 * mm), table, Spacer(1, 2 * mm)]
    story += [text(line) for line in (*paper.lines, words.SEE_A_DOCTOR, paper.made)]
    buffer = io.BytesIO()
    margin = 15 * mm
    document = SimpleDocTemplate(
        buffer, pagesize=A4, leftMargin=margin, rightMargin=margin, topMargin=margin, bottomMargin=margin,
        title=paper.title,
    )  # fmt: skip
    # Whatever is said must fit one page: it is shrunk together rather than cut.
    document.build([KeepInFrame(A4[0] - 2.2 * margin, A4[1] - 2.3 * margin, story, mode="shrink")])
    return buffer.getvalue()


_CSS: Final = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #17211f; background: #fff }
main { max-width: 46rem; margin: auto; padding: 1.5rem }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: 0; flex: 1 1 16rem }
img { max-width: 100%; border-radius: 8px }
figcaption { font-size: .85rem }
table { border-collapse: collapse; margin: 1rem 0 }
caption { text-align: left; font-weight: 600 }
td { border-bottom: 1px solid #ccc; padding: .25rem 1.5rem .25rem 0 }
td:last-child { text-align: right; font-variant-numeric: tabular-nums }
@media print { main { padding: 0 } }
"""


def _figure(pixels: np.ndarray, caption: str) -> str:
    source = base64.b64encode(_png(pixels)).decode()
    escaped = html.escape(caption)
    return (
        f'<figure><img src="data:image/png;base64,{source}" alt="{escaped}">'
        f"<figcaption>{escaped}</figcaption></figure>"
    )


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    image.thumbnail((_SIDE_PX, _SIDE_PX))
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _plain(text: str) -> str:
    """Return a text in what the PDF's built-in fonts can write."""
    replaced = text.translate({0x2212: "-", 0x25B2: "*", 0xA0: " ", 0x2019: "'"})
    return replaced.encode("cp1252", "replace").decode("cp1252")
