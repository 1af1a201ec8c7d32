"""Tests of the seven diagnoses and their order."""

import numpy as np
import pytest

from core.labels import (
    BY_CODE,
    CODE_OF_ISIC_COLUMN,
    CODES,
    DIAGNOSES,
    INDEX,
    ISIC_2018_COLUMNS,
    MALIGNANT,
    NEVUS_INDEX,
)


def test_the_order_is_the_one_every_checkpoint_carries():
    assert CODES == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


def test_malignant_are_melanoma_and_both_carcinomas():
    assert [code for code, malignant in zip(CODES, MALIGNANT, strict=True) if malignant] == [
        "akiec",
        "bcc",
        "mel",
    ]
    assert MALIGNANT.dtype == np.bool_


def test_nobody_can_change_what_is_malignant():
    with pytest.raises(ValueError, match="read-only"):
        MALIGNANT[0] = False


@pytest.mark.parametrize("diagnosis", DIAGNOSES, ids=CODES)
def test_a_diagnosis_is_found_by_code_index_and_challenge_column(diagnosis):
    assert BY_CODE[diagnosis.code] is diagnosis
    assert DIAGNOSES[INDEX[diagnosis.code]] is diagnosis
    assert CODE_OF_ISIC_COLUMN[diagnosis.isic_column] == diagnosis.code


@pytest.mark.parametrize("diagnosis", DIAGNOSES, ids=CODES)
def test_a_diagnosis_has_words_for_every_reader(diagnosis):
    assert diagnosis.name
    assert diagnosis.plain_name != diagnosis.name
    assert diagnosis.about.endswith(".")


@pytest.mark.parametrize("diagnosis", [one for one in DIAGNOSES if one.malignant], ids=lambda one: one.code)
def test_a_malignant_diagnosis_is_never_called_harmless(diagnosis):
    assert "harmless" not in f"{diagnosis.plain_name} {diagnosis.about}".lower()


def test_the_challenge_has_the_same_diagnoses_in_its_own_order():
    assert ISIC_2018_COLUMNS == ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
    assert {CODE_OF_ISIC_COLUMN[column] for column in ISIC_2018_COLUMNS} == set(CODES)


def test_the_nevus_is_where_its_index_says():
    assert CODES[NEVUS_INDEX] == "nv"
