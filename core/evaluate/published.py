"""Published results as reference rows, never shown as ours. Add one in core/bundled/published.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from core.evaluate.metrics import METRICS

PUBLISHED_FILE: Final = Path(__file__).resolve().parents[1] / "bundled" / "published.toml"


@dataclass(frozen=True)
class Published:
    """One result: the system, its data, where it is written, and why it may not be comparable."""

    system: str
    data: str
    source: str
    why: str
    numbers: Mapping[str, float]


@cache
def published() -> tuple[Published, ...]:
    """Return the published results, in the file's order."""
    entries = tomllib.loads(PUBLISHED_FILE.read_text(encoding="utf-8"))["result"]
    return tuple(
        Published(
            system=one["system"],
            data=one["data"],
            source=one["source"],
            why=one["why"],
            numbers={name: float(one[name]) for name in METRICS if name in one},
        )
        for one in entries
    )
