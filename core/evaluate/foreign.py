"""Answers of anyone's model, as the ISIC 2018 challenge takes them, turned into an evaluation.

predictions    image,MEL,NV,BCC,AKIEC,BKL,DF,VASC   probabilities, one row a picture
truth          the same columns with a single 1 a row, or image_id and dx, and any facts beside them
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from core.errors import EvaluationError
from core.evaluate.artifact import (
    FACT_COLUMNS,
    MOST_ROWS,
    PROBABILITY_COLUMNS,
    Evaluation,
    check_shape,
    check_table,
    probabilities_of,
    truth_of,
)
from core.evaluate.intervals import lesion_bootstrap
from core.evaluate.metrics import METRICS
from core.labels import CODE_OF_ISIC_COLUMN, CODES, ISIC_2018_COLUMNS

LARGEST_BYTES: Final = 50 * 2**20
_IMAGE_NAMES: Final = ("image", "image_id", "isic_id")
_FACT_NAMES: Final = {
    "age": "age_years",
    "age_approx": "age_years",
    "localization": "site",
    "anatom_site": "site",
}
OUTSIDE: Final = "outside"
"""The split of answers to pictures that none of our evaluations knows."""


def read_isic(
    predictions: bytes,
    truth: bytes | None,
    *,
    name: str,
    known: Sequence[Evaluation],
    predictions_name: str = "predictions",
    truth_name: str = "truth",
) -> Evaluation:
    """Return the evaluation of a predictions CSV.

    Without a truth CSV the pictures must be those of an evaluation in `known`, whose truth and facts then
    count. With one, an evaluation in `known` that holds the same pictures and diagnoses lends its split, so
    that both can be compared.

    Raises:
        EvaluationError: a file that is no such table, by name and first offender; pictures without a truth;
            or truths that contradict each other.
    """
    answers = _answers(_csv(predictions, predictions_name), predictions_name)
    if truth is None:
        facts, split, split_hash = _borrowed(answers, known, predictions_name)
    else:
        facts = _truth(_csv(truth, truth_name), truth_name)
        facts = _matched(answers, facts, predictions_name, truth_name)
        split, split_hash = _split_of(facts, known)
    table = facts.merge(answers, on="image_id", validate="one_to_one")
    check_table(table, source_name=predictions_name)
    return Evaluation(
        name=name,
        checkpoint=f"imported:{predictions_name}",
        split=split,
        split_hash=split_hash,
        table=table,
        metrics=lesion_bootstrap(truth_of(table), probabilities_of(table), table["lesion_id"], METRICS),
        views=1,
        app_version="imported",
        model={"about": f"Imported from {predictions_name}; nobody here has run it."},
    )


def read_artifact(files: Mapping[str, bytes]) -> Evaluation:
    """Return the evaluation that somebody brought as files, by name.

    What it says of its checkpoint does not count: it could name a folder or the checkpoint of another.

    Raises:
        EvaluationError: as `Evaluation.from_files`.
    """
    evaluation = Evaluation.from_files(files)
    return replace(evaluation, checkpoint=f"imported:{evaluation.name}")


def _csv(content: bytes, name: str) -> pd.DataFrame:
    if len(content) > LARGEST_BYTES:
        raise EvaluationError(
            f"{name} is larger than {LARGEST_BYTES // 2**20} MB; expected a table of answers."
        )
    try:
        table = pd.read_csv(
            io.BytesIO(content), dtype=object, keep_default_na=False, na_values=[""], nrows=MOST_ROWS + 1
        )
    except (ValueError, OSError) as problem:  # pandas' parser errors are ValueErrors
        raise EvaluationError(f"{name} is no CSV table: {str(problem).splitlines()[0]}.") from problem
    check_shape(*table.shape, source_name=name)
    table.columns = table.columns.astype(str).str.strip()
    for column in _IMAGE_NAMES:
        if column in table:
            named = table.rename(columns={column: "image_id"})
            break
    else:
        raise EvaluationError(f"{name} has no column {' or '.join(_IMAGE_NAMES)}; it has {list(table)[:9]}.")
    ids = named["image_id"]
    if ids.isna().any():
        raise EvaluationError(f"{name} has no image id in row {int(np.flatnonzero(ids.isna())[0]) + 2}.")
    named["image_id"] = ids.str.strip().str.removesuffix(".jpg")
    if (twice := named["image_id"].duplicated()).any():
        raise EvaluationError(f"{name} has image {named['image_id'][twice].iloc[0]!r} more than once.")
    if named.empty:
        raise EvaluationError(f"{name} has no rows; expected one a picture.")
    return named


def _numbers(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the seven columns of the challenge as numbers, named by code."""
    by_name = {str(column).upper(): column for column in table}
    if missing := [column for column in ISIC_2018_COLUMNS if column not in by_name]:
        raise EvaluationError(
            f"{name} lacks the columns {missing}; expected image,{','.join(ISIC_2018_COLUMNS)}."
        )
    found = {}
    for column in ISIC_2018_COLUMNS:
        numbers = pd.to_numeric(table[by_name[column]], errors="coerce")
        if numbers.isna().any():
            row = int(np.flatnonzero(numbers.isna())[0])
            raise EvaluationError(
                f"{name} has {table[by_name[column]].iloc[row]!r} as {column} of image "
                f"{table['image_id'].iloc[row]!r}; expected a number."
            )
        found[CODE_OF_ISIC_COLUMN[column]] = numbers.astype(np.float64)
    return pd.DataFrame(found)[list(CODES)]


def _answers(table: pd.DataFrame, name: str) -> pd.DataFrame:
    numbers = _numbers(table, name)
    return pd.DataFrame(
        {"image_id": table["image_id"]} | dict(zip(PROBABILITY_COLUMNS, numbers.to_numpy().T, strict=True))
    )


def _truth(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the facts of a truth table: every FACT_COLUMNS, missing where it does not say."""
    facts = table.rename(columns={key: value for key, value in _FACT_NAMES.items() if value not in table})
    if "dx" not in facts:
        numbers = _numbers(table, name)
        one_hot = ((numbers == 0) | (numbers == 1)).all(axis=1) & (numbers.sum(axis=1) == 1)
        if not one_hot.all():
            image_id = table["image_id"][~one_hot].iloc[0]
            raise EvaluationError(
                f"{name} does not name one diagnosis for image {image_id!r}; expected a single 1."
            )
        facts["dx"] = np.array(CODES)[numbers.to_numpy().argmax(axis=1)]
    for column in FACT_COLUMNS:
        if column not in facts:
            facts[column] = None
    facts["age_years"] = pd.to_numeric(facts["age_years"], errors="coerce").astype(np.float64)
    return facts[list(FACT_COLUMNS)]


def _matched(answers: pd.DataFrame, facts: pd.DataFrame, answers_name: str, truth_name: str) -> pd.DataFrame:
    without = sorted(set(answers["image_id"]) - set(facts["image_id"]))
    if without:
        raise EvaluationError(
            f"{truth_name} lacks {len(without)} pictures of {answers_name}, the first {without[0]!r}; leave "
            "them out or give their truth."
        )
    return facts[facts["image_id"].isin(set(answers["image_id"]))].reset_index(drop=True)


def _borrowed(answers: pd.DataFrame, known: Sequence[Evaluation], name: str) -> tuple[pd.DataFrame, str, str]:
    wanted = set(answers["image_id"])
    for one in known:
        if wanted <= set(one.table["image_id"]):
            facts = one.table.drop(columns=list(PROBABILITY_COLUMNS))
            return facts[facts["image_id"].isin(wanted)], one.split, one.split_hash
    raise EvaluationError(
        f"{name} holds pictures that no evaluation here knows; give a truth CSV with them "
        f"(image,{','.join(ISIC_2018_COLUMNS)} with a single 1 a row, or image_id,dx)."
    )


def _split_of(facts: pd.DataFrame, known: Sequence[Evaluation]) -> tuple[str, str]:
    """Return the split of an evaluation that holds these pictures and diagnoses, else one named by them."""
    own = facts.set_index("image_id")["dx"]
    for one in known:
        others = one.table.set_index("image_id")["dx"]
        if set(own.index) <= set(others.index):
            differing = own[own != others.loc[own.index]]
            if len(differing):
                image_id = differing.index[0]
                raise EvaluationError(
                    f"The truth says {own[image_id]!r} of {image_id!r}, and {one.name} says "
                    f"{others[image_id]!r}; {len(differing)} pictures differ. One truth is wrong."
                )
            return one.split, one.split_hash
    text = "\n".join(f"{image_id},{dx}" for image_id, dx in sorted(own.items()))
    return OUTSIDE, hashlib.sha256(text.encode()).hexdigest()
