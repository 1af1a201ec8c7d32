"""The report says what the page says, on one page, and lets no text become code."""

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from core.data.facts import Facts
from core.models.checkpoint import load_checkpoint
from core.predict.predictor import answer, look
from core.predict.report import to_html, to_pdf, write_paper
from core.words import DISCLAIMER, NBSP, READERS, SEE_SOMEBODY_SOON, percent
from tests.core.models.making import lesion, lively_network, write_checkpoint

MOMENT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder, lively_network("efficientnet_lite0"))
    return load_checkpoint(folder)


def paper_of(checkpoint, pixels, *, reader="patient", model="efficientnet_lite0", outline=""):
    found = answer(checkpoint, look(checkpoint, pixels), Facts(age_years=70))
    return found, write_paper(
        found, found.seen, "Strongest evidence for: centre.",
        manifest=replace(checkpoint.manifest, model=model, data="nothing"), outline=outline,
        reader=READERS[reader], now=MOMENT,
    )  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_the_page_carries_answer_facts_limits_and_disclaimer(checkpoint, reader):
    found, paper = paper_of(checkpoint, lesion(), reader=reader)
    text = to_html(paper)
    for said in (DISCLAIMER, percent(found.malignancy), "Age 70, sex unknown", "2026-01-02 03:04 UTC"):
        assert said.replace("'", "&#x27;") in text
    assert text.count("data:image/png;base64,") == 2
    assert "http-equiv" not in text
    assert "<script" not in text
    HTMLParser().feed(text)


def test_a_patient_s_page_says_what_to_do_next(checkpoint):
    _, paper = paper_of(checkpoint, lesion(), reader="patient")
    assert SEE_SOMEBODY_SOON in to_html(paper)
    assert SEE_SOMEBODY_SOON not in to_html(paper_of(checkpoint, lesion(), reader="ML")[1])


def test_the_page_says_whose_outline_is_in_use(checkpoint):
    said = "Outline of the lesion: drawn by hand."
    assert said in to_html(paper_of(checkpoint, lesion(), outline=said)[1])
    assert "Outline" not in to_html(paper_of(checkpoint, lesion())[1])


def test_a_pdf_is_one_page_for_every_reader(checkpoint):
    for reader in READERS:
        _, paper = paper_of(checkpoint, lesion(), reader=reader)
        data = to_pdf(paper)
        assert data.startswith(b"%PDF-")
        assert data.count(b"/Type /Page\n") == 1


def test_no_name_becomes_markup(checkpoint):
    _, paper = paper_of(checkpoint, lesion(), model="<img src=x onerror=alert(1)>")
    assert "<img src=x" not in to_html(paper)
    assert to_pdf(paper).startswith(b"%PDF-")


def test_without_an_answer_there_are_reasons_and_no_numbers(checkpoint):
    _, paper = paper_of(checkpoint, np.full((90, 120, 3), 120, np.uint8))
    assert paper.rows == ()
    text = to_html(paper)
    assert "blank" in text
    assert "Malignancy probability" not in text
    assert f"{NBSP}%" not in text
    assert to_pdf(replace(paper, title="Other")).startswith(b"%PDF-")


def test_what_a_checkpoint_lacks_and_an_age_of_zero_are_said(checkpoint):
    found = answer(checkpoint, look(checkpoint, lesion()), Facts(age_years=0))
    paper = write_paper(
        found, found.seen, "", manifest=checkpoint.manifest, lacks=("It has no threshold.",),
        reader=READERS["ML"], now=MOMENT,
    )  # fmt: skip
    text = to_html(paper)
    assert "Age 0, sex unknown" in text
    assert "It has no threshold." in text
    assert "Probabilities, not calibrated" in text
    assert "Calibrated probabilities" not in text
