"""Labels worth a second look: pictures that a model would name otherwise when it has not seen their lesion.

The model is a logistic regression on features in which no diagnosis is, cross-validated by lesion, and the
ranking is cleanlab's (Northcutt et al., 2021). It is no verdict: in HAM10000 most malignant labels come from
histopathology and the model is wrong far more often than they are. It says where to look first.
"""

from typing import Final

import numpy as np
import pandas as pd

from core.data.splits import folds_by_lesion
from core.errors import DataError
from core.jobs import Report
from core.labels import CODES, INDEX

FOLDS: Final = 5
_AXES: Final = 256
_STRENGTH: Final = 0.05
_MOST_ROUNDS: Final = 300
_TINY: Final = 1e-6


def cross_validate(
    metadata: pd.DataFrame,
    features: np.ndarray,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    report: Report | None = None,
) -> np.ndarray:
    """Return each row's probabilities by models that have not seen its lesion, shape (N, 7).

    features: (N, K), in the order of the table; rows with NaN get NaN.

    Raises:
        DataError: there are fewer than two diagnoses, or too few lesions to hold any out.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    seen = np.isfinite(features).all(axis=1)
    truth = metadata["dx"].map(INDEX).to_numpy(dtype=np.int64)
    fold = folds_by_lesion(metadata, k=folds, seed=seed).to_numpy()
    probabilities = np.full((len(metadata), len(CODES)), np.nan)
    for held_out in range(folds):
        train, asked = seen & (fold != held_out), seen & (fold == held_out)
        if len(np.unique(truth[train])) < 2:
            raise DataError(
                "The labels cannot be compared: training on some lesions to ask about the others needs at "
                "least two diagnoses with pictures in every fold. Choose a larger dataset."
            )
        axes = min(_AXES, features.shape[1], int(train.sum()) - 1)
        model = make_pipeline(
            StandardScaler(),
            PCA(axes, whiten=True, random_state=seed),
            LogisticRegression(C=_STRENGTH, max_iter=_MOST_ROUNDS),
        )
        model.fit(features[train].astype(np.float64), truth[train])
        if asked.any():
            # A diagnosis that a fold's training lacks keeps the probability zero.
            rows = np.flatnonzero(asked)
            answer = model.predict_proba(features[asked].astype(np.float64))
            probabilities[rows] = 0.0
            probabilities[np.ix_(rows, model.classes_)] = answer
        if report is not None:
            report(held_out + 1, folds, unit="folds", note="asking about lesions the model has not seen")
    return probabilities


def rank_suspects(metadata: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    """Return all pictures with probabilities, the label that is least believed first.

    Args:
        metadata: a metadata table, N rows.
        probabilities: from `cross_validate`, shape (N, 7).

    Returns:
        Columns image_id, lesion_id, dx, dx_type, p_label (probability of the label), suggested (the most
        probable diagnosis), p_suggested, score (cleanlab's label quality, 0 to 1, low is doubtful: it allows
        for a model that is more sure of some diagnoses than of others) and `issue`, whether cleanlab's
        confident learning counts it among the likely label errors.

    Raises:
        DataError: no row has probabilities.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    known = np.isfinite(probabilities).all(axis=1)
    if not known.any():
        raise DataError("No picture has probabilities; compute the features of the pictures first.")
    rows = metadata.loc[known, ["image_id", "lesion_id", "dx", "dx_type"]].reset_index(drop=True)
    given = np.maximum(probabilities[known], _TINY)
    given /= given.sum(axis=1, keepdims=True)
    truth = rows["dx"].map(INDEX).to_numpy(dtype=np.int64)
    # cleanlab wants classes without gaps: those that no picture bears are left out.
    borne, numbers = np.unique(truth, return_inverse=True)
    among = given[:, borne] / given[:, borne].sum(axis=1, keepdims=True)
    rows["p_label"] = given[np.arange(len(rows)), truth]
    rows["suggested"] = [CODES[index] for index in given.argmax(axis=1)]
    rows["p_suggested"] = given.max(axis=1)
    if len(borne) > 1:
        rows["score"] = get_label_quality_scores(numbers, among, method="normalized_margin")
        rows["issue"] = find_label_issues(numbers, among, n_jobs=1)
    else:
        rows["score"], rows["issue"] = 1.0, False
    return rows.sort_values(["score", "image_id"], ignore_index=True)
