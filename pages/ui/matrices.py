"""A confusion matrix as the clickable table of marks.js."""

from typing import Any

import numpy as np

from core.labels import BY_CODE, CODES
from core.words import NBSP, proportion, short_name
from pages.ui import theme
from pages.ui.explore import figures


def squares(counts: np.ndarray, *, label: str, picked: tuple[int, int] | None) -> dict[str, Any]:
    """Return a matrix as data for `figures.draw`; a square's depth is its share of the truth.

    Args:
        counts: pictures of each diagnosis (row) by answer (column), shape (7, 7).
        label: what a screen reader calls the table.
        picked: row and column of the chosen square.
    """
    rows = []
    for truth, code in enumerate(CODES):
        # Plain numbers: the browser's part takes no others.
        line = counts[truth].astype(int).tolist()
        total = sum(line)
        cells = []
        for answer, count in enumerate(line):
            colour, ink = figures.shade(count, max(total, 1))
            share = proportion(count / total if total else float("nan"))
            cells.append(
                {
                    "value": CODES[answer],
                    "number": f"{count:,}",
                    "colour": colour,
                    "ink": ink,
                    "empty": count == 0,
                    "picked": picked == (truth, answer),
                    "words": f"{BY_CODE[code].name} answered as {BY_CODE[CODES[answer]].name}: {count:,} of "
                    f"{total:,}, {share}",
                }
            )
        rows.append({"value": code, "name": short_name(code), "warns": False, "cells": cells})
    columns = [
        {"value": code, "name": short_name(code).replace("▲ ", f"▲{NBSP}"), "warns": False} for code in CODES
    ]
    scale = {"colours": list(theme.sequential()), "low": "0", "high": f"100{NBSP}% of a row"}
    return {"kind": "cross", "columns": columns, "rows": rows, "label": label, "scale": scale}
