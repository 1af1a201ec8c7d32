"""The seven diagnoses of HAM10000 and their only order. Every tensor and table follows CODES."""

from dataclasses import dataclass
from typing import Final

import numpy as np


@dataclass(frozen=True)
class Diagnosis:
    """One diagnosis, as HAM10000 codes it and as people name it."""

    code: str
    name: str
    plain_name: str
    malignant: bool
    isic_column: str
    about: str


DIAGNOSES: Final = (
    Diagnosis(
        "akiec",
        "Actinic keratosis / Bowen's disease",
        "sun-damaged skin that can turn into cancer",
        True,
        "AKIEC",
        "Rough, scaly patches after years of sun, and Bowen's disease, an intraepithelial carcinoma. "
        "Pre-malignant or carcinoma in situ, counted as malignant here because it is treated.",
    ),
    Diagnosis(
        "bcc",
        "Basal cell carcinoma",
        "the most common skin cancer",
        True,
        "BCC",
        "The most common skin cancer. It grows slowly and rarely spreads, but destroys tissue if left.",
    ),
    Diagnosis(
        "bkl",
        "Benign keratosis",
        "a harmless age spot or wart-like growth",
        False,
        "BKL",
        "Seborrheic keratosis, solar lentigo and lichen planus-like keratosis: harmless growths that "
        "can look like melanoma.",
    ),
    Diagnosis(
        "df",
        "Dermatofibroma",
        "a harmless firm lump",
        False,
        "DF",
        "A harmless firm nodule, often on the legs, often with a pale centre.",
    ),
    Diagnosis(
        "mel",
        "Melanoma",
        "the most dangerous common skin cancer",
        True,
        "MEL",
        "Cancer of the pigment cells. It can spread early, and is curable when removed in time.",
    ),
    Diagnosis(
        "nv",
        "Melanocytic nevus",
        "a mole",
        False,
        "NV",
        "A mole. By far the most common diagnosis in HAM10000: two pictures in three.",
    ),
    Diagnosis(
        "vasc",
        "Vascular lesion",
        "a harmless blood-vessel mark",
        False,
        "VASC",
        "Angiomas, angiokeratomas, pyogenic granulomas and bleeding into the skin.",
    ),
)

CODES: Final = tuple(diagnosis.code for diagnosis in DIAGNOSES)
BY_CODE: Final = {diagnosis.code: diagnosis for diagnosis in DIAGNOSES}
INDEX: Final = {code: index for index, code in enumerate(CODES)}
MALIGNANT: Final = np.array([diagnosis.malignant for diagnosis in DIAGNOSES])
MALIGNANT.setflags(write=False)
NEVUS_INDEX: Final = INDEX["nv"]

# The order of the ISIC 2018 challenge's own files, which is not alphabetical.
ISIC_2018_COLUMNS: Final = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
CODE_OF_ISIC_COLUMN: Final = {diagnosis.isic_column: diagnosis.code for diagnosis in DIAGNOSES}
