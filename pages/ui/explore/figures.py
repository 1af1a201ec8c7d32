"""The charts of Explore that can be clicked, as data for marks.js, and how one is put on a page.

A length is a share of what is chosen, and the whole track is 100 %: one scale for all charts. The small mark
across it is the same share in the whole dataset.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
import streamlit as st

from core.data.facets import UNKNOWN, Facets, label_of
from core.data.selection import Selection
from core.data.summary import ages_of
from core.labels import CODES, INDEX
from core.words import NBSP, NOT_AVAILABLE, proportion, short_name
from pages.ui import theme
from pages.ui.explore import outline
from pages.ui.explore.explored import Unit
from pages.ui.explore.filtering import is_cell

Data: TypeAlias = dict[str, Any]
Pick: TypeAlias = Callable[[dict[str, Any]], None]

AGE_BIN_YEARS: Final = 5
_AGE_TICKS: Final = (0, 20, 40, 60, 80)

_HERE: Final = Path(__file__).parent
_marks = st.components.v2.component(
    "explore_marks",
    html='<div class="marks" role="group"></div>',
    css=(_HERE / "marks.css").read_text(encoding="utf-8"),
    js=(_HERE / "marks.js").read_text(encoding="utf-8"),
)


def draw(data: Data, *, key: str, on_pick: Pick | None = None) -> None:
    """Draw a chart. on_pick: gets what was picked in the browser, before the page runs again."""

    def picked() -> None:
        # What comes from a browser may be anything; a filter that means nothing is dropped when it is read.
        value = st.session_state[key].picked
        if on_pick is not None and isinstance(value, dict):
            on_pick(value)

    _marks(data=data, key=key, on_picked_change=picked)


def name_of(column: str, value: str) -> str:
    """Return a value as a chart calls it: diagnoses with the mark of the malignant ones."""
    return short_name(value) if column == "dx" and value in CODES else label_of(column, value)


def in_order(column: str, values: Sequence[str], counts: Sequence[int]) -> list[int]:
    """Return positions in the order to draw: unknown first, then by frequency or in the column's order."""
    rank = -np.asarray(counts) if column in ("dx", "site", "dx_type", "source") else np.arange(len(values))
    unknown = np.array([value != UNKNOWN for value in values])
    return [int(position) for position in np.lexsort((rank, unknown))]


def bars(
    table: pd.DataFrame, whole: pd.DataFrame, column: str, selection: Selection, *, unit: Unit, n: int
) -> Data:
    """Return a chart with a bar for each value of a column.

    Args:
        table: value, `label`, `count` and `share` of what is chosen, this column left aside.
        whole: the same of the whole dataset.
        column: what the bars are of.
        selection: which of them are chosen.
        unit: what was counted.
        n: how many were counted.
    """
    chosen = selection.choices.get(column, frozenset())
    values = table[column].tolist()
    colours = theme.diagnosis_colours() if column == "dx" else {}
    rows = []
    for position in in_order(column, values, whole["count"].tolist()):
        value, count = values[position], int(table["count"].iloc[position])
        share = float(table["share"].iloc[position])
        name = name_of(column, value)
        rows.append(
            {
                "value": value,
                "name": name,
                "number": f"{count:,}",
                "share": proportion(share),
                "length": float(np.nan_to_num(share)),
                "ghost": float(np.nan_to_num(whole["share"].iloc[position])) if selection else None,
                "colour": colours.get(value, theme.colour("primaryColor")),
                "picked": value in chosen,
                "dim": bool(chosen) and value not in chosen,
                "warns": value == UNKNOWN and count > 0,
                "words": f"{name}: {count:,} of {n:,} {unit}, {proportion(share)}",
            }
        )
    return {"kind": "bars", "rows": rows, "line": None}


def with_line(data: Data, share: float, words: str) -> Data:
    """Return bars with a dashed line at a share."""
    return data | {"line": {"at": share, "words": words}}


def missing(table: pd.DataFrame, unit: Unit, n: int, selection: Selection) -> Data:
    """Return bars of what is not known; see `summary.missing` for the table."""
    rows = []
    counts, shares = table["count"].to_numpy(), table["share"].to_numpy(dtype=np.float64)
    for column, title, count, share in zip(table["column"], table["title"], counts, shares, strict=True):
        rows.append(
            {
                "value": str(column),
                "name": str(title),
                "number": f"{count:,}",
                "share": proportion(share),
                "length": float(np.nan_to_num(share)),
                "ghost": None,
                "colour": theme.colour("orangeColor"),
                "picked": UNKNOWN in selection.choices.get(str(column), ()),
                "dim": False,
                "warns": bool(count),
                "words": f"{title} unknown: {count:,} of {n:,} {unit}, {proportion(share)}",
            }
        )
    return {"kind": "bars", "rows": rows, "line": None}


def age_counts(facets: Facets, unit: Unit, bins: int) -> np.ndarray:
    """Return how many of each diagnosis are in each age bin of AGE_BIN_YEARS, shape (7, bins)."""
    dx, years, _ = ages_of(facets, unit)
    place = np.minimum(years // AGE_BIN_YEARS, bins - 1).astype(np.int64)
    cells = dx.astype(np.int64) * bins + place
    return np.bincount(cells, minlength=len(CODES) * bins).reshape(len(CODES), bins)


def age_bins(facets: Facets) -> int:
    """Return how many bins the ages of a dataset fill, at least up to 80 years."""
    oldest = np.nanmax(facets.ages, initial=80)
    return int(oldest // AGE_BIN_YEARS) + 1


def ages(
    counts: np.ndarray, whole: np.ndarray, table: pd.DataFrame, selection: Selection, *, unit: Unit
) -> Data:
    """Return the ages of all chosen diagnoses together, and of each by itself.

    Args:
        counts: from `age_counts`, of what is chosen, ages and diagnoses left aside.
        whole: the same of the whole dataset.
        table: from `summary.age_by_dx`.
        selection: which ages and diagnoses are chosen.
        unit: what was counted.
    """
    chosen = selection.choices.get("dx", frozenset())
    bins = counts.shape[1]
    span = bins * AGE_BIN_YEARS
    together = [INDEX[code] for code in CODES if not chosen or code in chosen]
    ink = theme.colour("primaryColor")
    name = "All diagnoses" if not chosen else "Chosen diagnoses" if len(chosen) > 1 else "Chosen diagnosis"
    first = _age_row(name, counts[together].sum(0), whole.sum(0), ink, selection)
    known = int(counts[together].sum())
    first |= {"value": None, "note": f"n{NBSP}={NBSP}{known:,}", "mean": None, "words": name}
    rows = [first]
    colours = theme.diagnosis_colours()
    facts = table.set_index("dx")
    order = facts["mean"].sort_values(ascending=False, na_position="last").index
    for code in order:
        mean, n = float(facts.loc[code, "mean"]), int(facts.loc[code, "n"])
        name = name_of("dx", code)
        years = NOT_AVAILABLE if np.isnan(mean) else f"{mean:.0f}{NBSP}years"
        row = _age_row(name, counts[INDEX[code]], whole[INDEX[code]], colours[code], selection)
        row |= {
            "value": code,
            "note": f"mean{NBSP}{years}, n{NBSP}={NBSP}{n:,}",
            "mean": None if np.isnan(mean) else mean / span,
            "picked": code in chosen,
            "dim": bool(chosen) and code not in chosen,
            "words": f"{name}: mean age {years}, n = {n:,} {unit} of known age",
        }
        rows.append(row)
    return {
        "kind": "ages",
        "rows": rows,
        "bins": [_age_bin(index, counts[together].sum(0), known, selection, unit) for index in range(bins)],
        "band": _age_band(selection, span),
        "ticks": [{"at": tick / span, "words": str(tick)} for tick in _AGE_TICKS if tick <= span],
    }


def _age_band(selection: Selection, span: int) -> list[float] | None:
    """Return where the chosen ages begin and end on an axis of `span` years, 0 to 1."""
    if selection.ages is None:
        return None
    low, high = selection.ages
    # Ages are whole years, and the last one counts: 20 to 24 ends where 25 begins.
    return [min(low / span, 1.0), min((np.floor(high) + 1) / span, 1.0)]


def _age_row(
    name: str, counts: np.ndarray, whole: np.ndarray, colour: str, selection: Selection
) -> dict[str, Any]:
    shares, ghosts = _shares(counts), _shares(whole) if selection else np.zeros(len(counts))
    # Each ridge fills its own row: the shape is compared, the numbers stand beside it.
    highest = max(shares.max(), ghosts.max(), 1e-9)
    return {
        "name": name,
        "shares": (shares / highest).round(4).tolist(),
        "ghosts": (ghosts / highest).round(4).tolist(),
        "colour": colour,
        "picked": False,
        "dim": False,
    }


def _shares(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts / max(int(counts.sum()), 1), dtype=np.float64)


def _age_bin(index: int, counts: np.ndarray, known: int, selection: Selection, unit: Unit) -> dict[str, Any]:
    low, high = index * AGE_BIN_YEARS, (index + 1) * AGE_BIN_YEARS - 1
    number = int(counts[index])
    share = proportion(number / known if known else float("nan"))
    chosen = selection.ages
    return {
        "low": low,
        "high": high,
        "picked": chosen is not None and chosen[0] <= low and high <= chosen[1],
        "words": f"{low} to {high} years: {number:,} of {known:,} {unit} of known age, {share}",
    }


def body(table: pd.DataFrame, selection: Selection, *, unit: Unit, n: int) -> Data:
    """Return the sites on a body seen from the front and the back; see `bars` for the arguments."""
    chosen = selection.choices.get("site", frozenset())
    counts = dict(zip(table["site"], table["count"], strict=True))
    most = max([int(count) for site, count in counts.items() if site != UNKNOWN], default=0)
    scale = theme.sequential()
    sites = []
    for site in outline.OUTLINES:
        count = int(counts.get(site, 0))
        share = proportion(count / n if n else float("nan"))
        sites.append(
            {
                "value": site,
                "paths": outline.paths(site),
                "colour": scale[_step(count, most)],
                "picked": site in chosen,
                "dim": bool(chosen) and site not in chosen,
                "words": f"{site}: {count:,} of {n:,} {unit}, {share}",
            }
        )
    return {
        "kind": "body",
        "label": "Sites on the body; the same numbers stand in the bars beside it",
        "box": outline.BOX,
        "captions": [{"words": words, "x": x, "y": outline.CAPTION_Y} for words, x in outline.CAPTIONS],
        "sites": sites,
        "scale": {"colours": list(scale), "low": "0", "high": f"{most:,} {unit}"},
    }


def shade(count: float, most: float) -> tuple[str, str]:
    """Return the colour of a square for a count out of `most`, and the ink that is read on it."""
    colour = theme.sequential()[_step(count, most)]
    return colour, ink(colour)


def _step(count: float, most: float) -> int:
    """Return the step of a scale of ten for a count; the root keeps small counts apart."""
    return round(9 * float(np.sqrt(count / most))) if most else 0


def cross(
    counts: pd.DataFrame, selection: Selection, *, unit: Unit, sizes: np.ndarray, as_shares: bool
) -> Data:
    """Return a cross table of two columns.

    Args:
        counts: from `summary.crosstab`, its axes named after the columns.
        selection: which cell is chosen.
        unit: what was counted.
        sizes: how many each row counted, shape (rows,).
        as_shares: whether a cell says its share of its row instead of its count.
    """
    row_column, column = str(counts.index.name), str(counts.columns.name)
    cells = counts.to_numpy()
    shares = cells / np.where(sizes == 0, np.nan, sizes)[:, None]
    shown = np.nan_to_num(shares) if as_shares else cells
    # Shares have one scale in every table; counts go up to the largest.
    most = 1.0 if as_shares else float(shown.max(initial=0))
    scale = theme.sequential()
    inks = [ink(colour) for colour in scale]
    columns = in_order(column, list(counts.columns), cells.sum(0).tolist())
    rows = []
    for row in in_order(row_column, list(counts.index), cells.sum(1).tolist()):
        value = str(counts.index[row])
        line = []
        for place in columns:
            other, count = str(counts.columns[place]), int(cells[row, place])
            step = _step(float(shown[row, place]), most)
            share = proportion(float(shares[row, place]))
            line.append(
                {
                    "value": other,
                    "number": share if as_shares and sizes[row] else f"{count:,}",
                    "colour": scale[step],
                    "ink": inks[step],
                    "empty": count == 0,
                    "picked": is_cell(selection, row_column, value, column, other),
                    "words": f"{name_of(row_column, value)}, {name_of(column, other)}: {count:,} of "
                    f"{int(sizes[row]):,} {unit} in this row, {share}",
                }
            )
        title = name_of(row_column, value) + (f" (n{NBSP}={NBSP}{int(sizes[row]):,})" if as_shares else "")
        rows.append({"value": value, "name": title, "warns": value == UNKNOWN, "cells": line})
    names = [str(counts.columns[place]) for place in columns]
    return {
        "kind": "cross",
        "scale": {
            "colours": list(scale),
            "low": "0",
            "high": f"100{NBSP}% of a row" if as_shares else f"{most:,.0f} {unit}",
        },
        "columns": [
            # The mark of the malignant stays beside its name where a heading wraps.
            {
                "value": value,
                "name": name_of(column, value).replace("▲ ", f"▲{NBSP}"),
                "warns": value == UNKNOWN,
            }
            for value in names
        ],
        "rows": rows,
    }


def confusion(counts: np.ndarray, *, label: str, picked: tuple[int, int] | None) -> Data:
    """Return a confusion matrix; a square is as dark as its share of the truth's pictures.

    Args:
        counts: pictures by truth (rows) and answer, in the order of CODES, shape (7, 7).
        label: its name for a screen reader.
        picked: truth and answer of the square that is chosen.
    """
    names = {code: short_name(code) for code in CODES}
    # Codes above the columns are short, so that all seven fit beside each other.
    return matrix(counts, names, names, label=label, picked=picked, between="called", heads=CODES)


def matrix(
    counts: np.ndarray,
    rows: Mapping[str, str],
    columns: Mapping[str, str],
    *,
    label: str,
    picked: tuple[int, int] | None,
    between: str,
    heads: Sequence[str] = (),
    sizes: np.ndarray | None = None,
) -> Data:
    """Return squares of counts to click, each as dark as its share of its row.

    Args:
        counts: shape (rows, columns).
        rows, columns: what a click tells of each -> its name.
        label: the name of it all for a screen reader.
        picked: row and column of the square that is chosen.
        between: what is said between the names of row and column.
        heads: what stands above the columns, where not their names.
        sizes: what a square is a share of, by row, where not the row's sum; squares then say the share.
    """
    wholes = counts.sum(axis=1) if sizes is None else sizes
    drawn = []
    for row, (value, name) in enumerate(rows.items()):
        size = int(wholes[row])
        cells = []
        for column, (other, answer) in enumerate(columns.items()):
            count = int(counts[row, column])
            colour, text = shade(count, max(size, 1))
            share = proportion(count / size if size else float("nan"))
            cells.append(
                {
                    "value": other,
                    "number": f"{count:,}" if sizes is None else share,
                    "colour": colour,
                    "ink": text,
                    "empty": count == 0,
                    "picked": picked == (row, column),
                    "words": f"{name} {between} {answer}: {count:,} of {size:,}, {share}",
                }
            )
        drawn.append({"value": value, "name": name, "warns": False, "cells": cells})
    return {
        "kind": "cross",
        "columns": [
            {"value": value, "name": head, "warns": False}
            for value, head in zip(columns, heads or columns.values(), strict=True)
        ],
        # Seven counts below a thousand fit beside each other on a phone.
        "columnRem": (2 if counts.max(initial=0) < 1000 else 3) if heads else 6,
        "rows": drawn,
        "label": label,
        "scale": {
            "colours": list(theme.sequential()),
            "low": "none",
            "high": "all pictures of the row" if sizes is None else "all pictures",
        },
    }


def ink(colour: str) -> str:
    """Return white or black, whichever is read better on a colour: one of them always reaches 4.5."""
    parts = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    light = float(linear @ (0.2126, 0.7152, 0.0722))
    # Contrasts as WCAG 2 defines them.
    return "#FFFFFF" if 1.05 / (light + 0.05) > (light + 0.05) / 0.05 else "#000000"
