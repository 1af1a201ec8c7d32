"""The words of each dataset, and what they are in HAM10000's. Add a word by adding one line to a table.

Keys are compared after `normal`: lower case, one space between words. A word that fits more than one of
HAM10000's values is mapped to None (unknown) in writing, so that it differs from a word nobody has met.
"""

import re
from collections.abc import Mapping
from typing import Final

from core.data.facts import MAX_AGE_YEARS, SITES
from core.labels import CODE_OF_ISIC_COLUMN, CODES, DIAGNOSES

UNKNOWN_WORDS: Final = frozenset(
    {"", "unknown", "nan", "na", "n/a", "none", "null", "not available", "not reported", "?", "-"}
)


def normal(text: str) -> str:
    """Return the text in lower case, trimmed, with single spaces: the form of every key here."""
    return " ".join(text.casefold().split())


HAM10000_SITE: Final[Mapping[str, str | None]] = {site: site for site in SITES}

ISIC_SITE: Final[Mapping[str, str | None]] = {
    # HAM10000 says "trunk" where it names no part; the front is chest or abdomen, so no finer word fits.
    "anterior torso": "trunk",
    "lateral torso": "trunk",
    "torso": "trunk",
    "trunk": "trunk",
    "posterior torso": "back",
    "upper extremity": "upper extremity",
    "lower extremity": "lower extremity",
    # Palms and soles are what "acral" means; "hand" and "foot" would need to know which of the two.
    "palms/soles": "acral",
    "acral palms or soles": "acral",
    "acral nos": "acral",
    # Face, scalp, ear or neck: HAM10000 keeps these four apart.
    "head/neck": None,
    "head and neck": None,
    # Mouth or genitals: HAM10000 has a word for only one of them.
    "oral/genital": None,
    "oral or genital": None,
    # Hand or foot: HAM10000 keeps them apart.
    "fingers or toes": None,
    "nail nos": None,
}

PAD_UFES_SITE: Final[Mapping[str, str | None]] = {
    "face": "face",
    "nose": "face",
    "lip": "face",
    "ear": "ear",
    "scalp": "scalp",
    "neck": "neck",
    "chest": "chest",
    "abdomen": "abdomen",
    "back": "back",
    "arm": "upper extremity",
    "forearm": "upper extremity",
    "hand": "hand",
    "thigh": "lower extremity",
    "foot": "foot",
}

SITE_OF: Final[Mapping[str, Mapping[str, str | None]]] = {
    "ham10000": HAM10000_SITE,
    "isic": ISIC_SITE,
    "pad_ufes": PAD_UFES_SITE,
}

SEX_OF: Final[Mapping[str, str | None]] = {
    "female": "female",
    "f": "female",
    "male": "male",
    "m": "male",
    # The tables of effects know two values; anything else is unknown to the network, and says nothing wrong.
    "other": None,
}

DX_TYPE_OF: Final[Mapping[str, str | None]] = {
    "histo": "histo",
    "histopathology": "histo",
    "follow_up": "follow_up",
    "serial imaging showing no change": "follow_up",
    "consensus": "consensus",
    "single image expert consensus": "consensus",
    "confocal": "confocal",
    "confocal microscopy with consensus dermoscopy": "confocal",
    # One reader's opinion is weaker than any of HAM10000's four.
    "single contributor clinical assessment": None,
}

# Squamous cell carcinoma: HAM10000's akiec holds it only in situ (Bowen's disease). Where a source says
# "invasive" the row is left out. Where a source does not separate the two (the archive's "NOS", PAD's "SCC",
# which counts Bowen's disease in) it becomes akiec: the archive files HAM10000's own Bowen's disease under
# "NOS", and akiec is the only class of that line of tumours, with the right malignant flag.
DX_OF_ISIC_ARCHIVE: Final[Mapping[str, str]] = {
    "solar or actinic keratosis": "akiec",
    "actinic keratosis": "akiec",
    "squamous cell carcinoma in situ": "akiec",
    "squamous cell carcinoma in situ, bowens disease": "akiec",
    "squamous cell carcinoma, nos": "akiec",
    "basal cell carcinoma": "bcc",
    "seborrheic keratosis": "bkl",
    "pigmented benign keratosis": "bkl",
    "solar lentigo": "bkl",
    "ink-spot lentigo": "bkl",
    "lichen planus like keratosis": "bkl",
    "dermatofibroma": "df",
    "melanoma, nos": "mel",
    "melanoma": "mel",
    "melanoma in situ": "mel",
    "melanoma invasive": "mel",
    "melanoma metastasis": "mel",
    "nevus": "nv",
    "blue nevus": "nv",
    "hemangioma": "vasc",
    "angioma": "vasc",
    "angiokeratoma": "vasc",
    "pyogenic granuloma": "vasc",
    "hemorrhage": "vasc",
    # Words of diagnosis_2, used where diagnosis_3 says nothing: only those that are one class as a whole.
    "benign soft tissue proliferations - vascular": "vasc",
    "malignant melanocytic proliferations (melanoma)": "mel",
}

DX_OF_HAM10000: Final[Mapping[str, str]] = {code: code for code in CODES}

DX_OF_PAD_UFES: Final[Mapping[str, str]] = {
    "ack": "akiec",
    "bcc": "bcc",
    "mel": "mel",
    "nev": "nv",
    "scc": "akiec",
    "sek": "bkl",
}


def folder_word(name: str) -> str:
    """Return a folder's name as letters and digits with single spaces: "BASAL_cell-carcinoma" is one word."""
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


# What people call the seven folders: the code, the ISIC column, the full name, and the plurals in use.
DX_OF_FOLDER: Final[Mapping[str, str]] = {
    **{folder_word(diagnosis.code): diagnosis.code for diagnosis in DIAGNOSES},
    **{folder_word(diagnosis.name): diagnosis.code for diagnosis in DIAGNOSES},
    **{folder_word(column): code for column, code in CODE_OF_ISIC_COLUMN.items()},
    "actinic keratosis": "akiec",
    "actinic keratoses": "akiec",
    "actinic keratosis intraepithelial carcinoma": "akiec",
    "actinic keratoses and intraepithelial carcinoma": "akiec",
    "actinic keratoses and intraepithelial carcinomae": "akiec",
    "benign keratosis like lesion": "bkl",
    "benign keratosis like lesions": "bkl",
    "seborrheic keratosis": "bkl",
    "pigmented benign keratosis": "bkl",
    "nevus": "nv",
    "nevi": "nv",
    "melanocytic nevi": "nv",
    "vascular lesions": "vasc",
}


def translate(text: str, table: Mapping[str, str | None]) -> tuple[str | None, bool]:
    """Return what a word means (None is unknown), and whether the table knows it; plain absence is known."""
    word = normal(text)
    if word in UNKNOWN_WORDS:
        return None, True
    return table.get(word), word in table


def site_of(text: str, vocabulary: str) -> str | None:
    """Return one of SITES, or None where the word is ambiguous or nobody has met it. Total over all text.

    vocabulary: one of SITE_OF.
    """
    return translate(text, SITE_OF[vocabulary])[0]


def sex_of(text: str) -> str | None:
    """Return one of SEXES, or None. Total over all text."""
    return translate(text, SEX_OF)[0]


def read_age(text: str) -> float:
    """Return an age in years, NaN where the field is blank or says unknown.

    A recorded 0 stays 0: HAM10000 has 39 such rows; whether they are infants or gaps is not ours to guess.

    Raises:
        ValueError: anything else that is not a number from 0 to 120.
    """
    if normal(text) in UNKNOWN_WORDS:
        return float("nan")
    age_years = float(text)
    if not 0 <= age_years <= MAX_AGE_YEARS:
        raise ValueError(f"{text!r} is not an age from 0 to {MAX_AGE_YEARS:.0f} years.")
    return age_years
