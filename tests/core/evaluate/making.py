"""Evaluations of made-up models on made-up pictures, for tests that compare them."""

import numpy as np
import pandas as pd

from core.evaluate.artifact import PROBABILITY_COLUMNS, Evaluation
from core.labels import CODES


def make_table(n: int = 140, *, skill: float = 1.0, seed: int = 0, prefix: str = "ISIC") -> pd.DataFrame:
    """Return answers to n pictures of n / 2 lesions; truth and facts do not depend on skill and seed."""
    truth = (np.arange(n) // 2) % 7
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, 7))
    logits[np.arange(n), truth] += skill
    powers = np.exp(logits)
    facts = np.random.default_rng(99)
    table = pd.DataFrame(
        {
            "image_id": [f"{prefix}_{number:07d}" for number in range(n)],
            "lesion_id": [f"L_{number // 2:05d}" for number in range(n)],
            "dx": [CODES[index] for index in truth],
            "dx_type": np.where(facts.random(n) < 0.6, "histo", "follow_up"),
            "age_years": facts.integers(10, 90, n).astype(float),
            "sex": np.where(facts.random(n) < 0.5, "female", "male"),
            "site": np.where(facts.random(n) < 0.5, "back", "face"),
        }
    )
    return table.assign(
        **dict(zip(PROBABILITY_COLUMNS, (powers / powers.sum(1, keepdims=True)).T, strict=True))
    )


def make_evaluation(
    name: str = "model", *, table: pd.DataFrame | None = None, skill: float = 1.0, seed: int = 0, **changes
) -> Evaluation:
    """Return an evaluation with validation answers and without measured metrics."""
    chosen = {
        "name": name,
        "checkpoint": f"local:{name}",
        "split": "test",
        "split_hash": "0123abcd",
        "table": make_table(skill=skill, seed=seed) if table is None else table,
        "metrics": {},
        "views": 1,
        "app_version": "0.1",
        "val": make_table(skill=skill, seed=seed + 100, prefix="VAL"),
    }
    return Evaluation(**(chosen | changes))
