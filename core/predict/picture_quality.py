"""Is the picture itself good enough to be asked about? It warns, with advice; it never reassures.

A picture's measures (`core.data.quality`) are held against those of HAM10000's pictures, whose percentiles
come with the code. What is odd among them is said; that nothing is odd means only that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from core.data.marks import LEAST_INK, LEAST_TICKS, find_marks
from core.data.preprocessing import cover
from core.data.quality import MEASURES, Measures, measure

PERCENTILES_FILE: Final = Path(__file__).parents[1] / "bundled" / "facts" / "ham10000_measures.csv"
SIDE_PX: Final = 225
"""Everything is measured at this shorter side, since enlarging and shrinking change sharpness."""

ODD: Final = 1.0
"""Percent of HAM10000's pictures, at a doubtful end of a measure, from which on a picture is called odd."""

MEASURED: Final = ("sharpness", "brightness", "overexposed", "contrast", "hair", "corners")

_ADVICE: Final[dict[tuple[str, str], tuple[str, str]]] = {
    ("sharpness", "low"): (
        "blurred",
        "Hold the camera still, wipe the lens, and let it focus.",
    ),
    ("brightness", "low"): ("dark", "Use the dermatoscope's own light, and no shadow of hand or phone."),
    ("brightness", "high"): ("very bright", "Lower the exposure: tap the skin, not the lesion, to set it."),
    ("overexposed", "high"): ("burnt out to white in parts", "Tilt the lens or use gel, so glare goes away."),
    ("contrast", "low"): (
        "flat, with little contrast",
        "Press the lens to the skin and wipe off fog.",
    ),
    ("hair", "high"): ("crossed by many dark lines, such as hair", "Comb or clip hair away from the lesion."),
    ("corners", "high"): ("framed by large black corners", "Go closer, or crop to the round field of view."),
}


@dataclass(frozen=True)
class Concern:
    """One thing that is odd about a picture.

    measure: field of Measures, or "size". finding: what the picture is. advice: what to do about it.
    evidence: the value, and where it stands.
    """

    measure: str
    finding: str
    advice: str
    evidence: str


def assess(pixels: np.ndarray, *, input_px: int) -> tuple[Concern, ...]:
    """Return what is odd about a picture, uint8 RGB (H, W, 3); empty where nothing is.

    input_px: the shorter side of the network's input; smaller pictures are enlarged to it.
    """
    shorter = min(pixels.shape[:2])
    concerns = []
    if shorter < input_px:
        concerns.append(
            Concern(
                "size",
                "small",
                "Bring the original file, not a thumbnail or a screenshot.",
                f"shorter side {shorter} px; the model looks at {input_px} px, so it was enlarged",
            )
        )
    measures = measure(_at_one_size(pixels))
    for name in MEASURED:
        if found := _concern(name, float(getattr(measures, name))):
            concerns.append(found)
    return (*concerns, *_marked(pixels))


def _marked(pixels: np.ndarray) -> Iterator[Concern]:
    marks = find_marks(pixels)
    if marks.ticks >= LEAST_TICKS:
        yield Concern(
            "ruler",
            "marked by a ruler or a scale",
            "Take one without it: rulers lie beside suspicious lesions, and a model can learn that.",
            f"{marks.ticks} short lines in a row, evenly apart",
        )
    if marks.ink >= LEAST_INK:
        yield Concern(
            "ink",
            "marked with blue or violet ink, or very blue in parts",
            "Wipe off what was drawn: ink is drawn around suspicious lesions, and a model can learn that.",
            f"{marks.ink:.1%} of it is far bluer than the rest".replace("%", " %"),
        )


def percentile(name: str, value: float) -> float:
    """Return where a value stands among HAM10000's pictures, 0 to 100 (ties: their middle); NaN for NaN."""
    if not np.isfinite(value):
        return float("nan")
    known = _percentiles()[name].to_numpy()
    low, high = np.searchsorted(known, value, side="left"), np.searchsorted(known, value, side="right")
    if low != high:
        return float(low + high - 1) / 2 * 100 / (len(known) - 1)
    return float(np.interp(value, known, np.linspace(0, 100, len(known))))


def tabulate(pictures: Iterable[np.ndarray]) -> pd.DataFrame:
    """Return the percentiles 0, 1, ... 100 of the measures of pictures: what PERCENTILES_FILE holds."""
    found = pd.DataFrame([_fields(measure(_at_one_size(pixels))) for pixels in pictures])
    table = found.quantile(np.linspace(0, 1, 101)).round(4)
    table.index = pd.RangeIndex(101, name="percentile")
    table["pictures"] = len(found)
    return table


def _fields(measures: Measures) -> dict[str, float]:
    return {name: float(getattr(measures, name)) for name in MEASURED}


def _at_one_size(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = SIDE_PX / min(height, width)
    return pixels if scale >= 1 else cover(pixels, (round(height * scale), round(width * scale)))


@cache
def _percentiles() -> pd.DataFrame:
    return pd.read_csv(PERCENTILES_FILE, index_col="percentile")


def _concern(name: str, value: float) -> Concern | None:
    stands = percentile(name, value)
    spoken = MEASURES[name]
    for end, odd in (("low", stands <= ODD), ("high", stands >= 100 - ODD)):
        if odd and spoken.doubtful in (end, "both"):
            finding, advice = _ADVICE[name, end]
            share = "lower" if end == "low" else "higher"
            evidence = (
                f"{spoken.title.lower()} {spoken.say(value)}; {share} than in 99 % of "
                f"{int(_percentiles()['pictures'].iloc[0]):,} pictures of HAM10000"
            )
            return Concern(name, finding, advice, evidence)
    return None
