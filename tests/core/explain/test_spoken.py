"""Every reader is told the same of the reasons, in words of their own."""

import re
from dataclasses import replace

import numpy as np
import pytest

from core.data.lesion_shape import MEASURES
from core.explain import spoken
from core.explain.trust import CHECKS, Curves, Place, Shares, TrustCard
from core.words import NBSP, READERS
from tests.plain_words import FOREIGN_TO_PATIENTS

NUMBER = re.compile(r"\N{MINUS SIGN}?\d+(?:\.\d+)?")
GOOD = Shares(0.71, 0.44, 0.09, 0.05, 0.03, 0.02)
BAD = Shares(0.4, 0.44, 0.59, 0.05, 0.43, 0.02)


def card(*, good=True, mask=True):
    """A card whose checks all pass or all fail, each number another one."""
    shares = np.linspace(0, 1, 9)
    high, low = np.full(9, 0.63), np.full(9, 0.21)
    one, other = (low, high) if good else (high, low)
    half = np.zeros((10, 10), dtype=bool)
    half[:5] = True
    return TrustCard(
        curves=Curves(shares, deletion=one, insertion=other, random_deletion=other, random_insertion=one),
        shares=GOOD if good else BAD,
        place=Place(half if mask else None, "as drawn by you" if mask else "Nobody drew an outline."),
        agreement=0.83 if good else -0.83,
        twin=np.zeros((2, 2)),
        twin_likeness=0.12 if good else 0.92,
        stability=0.97 if good else -0.17,
    )


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("good", [True, False])
def test_every_reader_gets_the_same_numbers_and_the_same_outcome(name, good):
    found = card(good=good)
    check = found.checks[CHECKS.index(name)]
    assert check.state == ("passed" if good else "failed")
    told = {reader: spoken.finding(check, found, READERS[reader]) for reader in READERS}
    numbers = {reader: set(NUMBER.findall(text)) - {"1", "0", "8"} for reader, text in told.items()}
    assert numbers["patient"] == numbers["clinician"] == numbers["ML"] != set()
    assert not any("-" in text or re.search(r"\d%", text) for text in told.values())


@pytest.mark.parametrize("good", [True, False])
def test_the_verdict_counts_alike_for_every_reader(good):
    said = {name: spoken.verdict(card(good=good), READERS[name]) for name in READERS}
    counted = {tuple(NUMBER.findall(text)) for text in said.values()}
    assert counted == {("7",) if good else ("0", "7")}
    assert all(("Do not lean on it" in text) != good for text in said.values())


def test_whose_outline_it_is_stands_in_the_finding():
    for reader in READERS.values():
        found = card()
        assert "as drawn by you;" in spoken.finding(found.checks[1], found, reader)
        without = card(mask=False)
        assert spoken.finding(without.checks[1], without, reader) == "Nobody drew an outline."


def test_what_is_undefined_is_not_measured_and_said_without_a_number():
    empty = replace(card(), agreement=np.nan, twin_likeness=np.nan, stability=np.nan,
                    shares=Shares(np.nan, 0.4, np.nan, 0.1, np.nan, 0.1))  # fmt: skip
    for check in empty.checks[1:]:
        assert check.state == "not measured"
        for reader in READERS.values():
            text = spoken.finding(check, empty, reader)
            assert text
            assert not NUMBER.search(text)
    assert "passes all 1 checks" in spoken.verdict(empty, READERS["ML"])


def test_no_word_of_the_trade_meets_a_patient():
    patient = READERS["patient"]
    found = card()
    told = [spoken.verdict(card(good=good), patient) for good in (True, False)]
    told += [spoken.finding(check, found, patient) for check in found.checks]
    told += [words.undefined for words in spoken.CHECK_WORDS["patient"].values()]
    told += [spoken.curves(found, patient), *vars(spoken.TWINS["patient"]).values(), spoken.unit(patient)]
    for whose in (spoken.DRAWN, spoken.of_dataset(patient), spoken.of_nobody(patient),
                  spoken.not_found(patient), spoken.found_by_network(0.9, 0.93, patient)):  # fmt: skip
        told += vars(whose).values()
    told += [text for one in MEASURES.values() for text in (one.title, one.explain(plainly=True))]
    for text in told:
        assert not FOREIGN_TO_PATIENTS.search(text), text
    assert FOREIGN_TO_PATIENTS.search(spoken.curves(found, READERS["ML"]))


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_an_outline_by_the_network_carries_what_was_measured(reader):
    whose = spoken.found_by_network(0.912, 0.928, reader)
    assert f"91.2{NBSP}%" in whose.said
    assert "0.93" in whose.said
    assert "not measured" in spoken.found_by_network(0.912, float("nan"), reader).said
