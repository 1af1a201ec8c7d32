"""Evidence: an answer taken apart into terms that add up to it.

Everything is in logits, so terms can be added, compared and read off; nothing is rescaled to look strong.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Evidence:
    """Why each diagnosis got its logit: bias + picture + facts + remainder = logits.

    bias: what the network answers to no evidence at all, shape (7,).
    maps: what each position of the picture adds, shape (7, h, w); their mean over positions is the picture's
        term, so a value of +3 says "were the whole picture like this place, the logit would gain 3".
    facts: what each known fact adds, shape (7,) each; zeros where it is unknown.
    remainder: what the maps leave out, shape (7,); zero for networks whose maps are exact.
    exact: whether the maps are the network's own sum, or its best linear account.
    """

    bias: np.ndarray
    maps: np.ndarray
    facts: Mapping[str, np.ndarray]
    remainder: np.ndarray
    exact: bool

    @property
    def picture(self) -> np.ndarray:
        """What the picture adds to each logit, shape (7,)."""
        return self.maps.mean(axis=(1, 2))

    @property
    def logits(self) -> np.ndarray:
        """The sum of everything, shape (7,)."""
        return (
            self.bias
            + self.picture
            + sum(self.facts.values(), start=np.zeros_like(self.bias))
            + self.remainder
        )

    @property
    def scale(self) -> float:
        """The largest strength in any map, in logits: the shared end of a colour scale, never zero."""
        return max(float(np.abs(self.maps).max()), 1e-6)

    def terms(self, index: int) -> dict[str, float]:
        """Return what adds up to one class's logit, in reading order: bias, picture, each fact, remainder."""
        terms = {"bias": float(self.bias[index]), "picture": float(self.picture[index])}
        terms |= {fact: float(values[index]) for fact, values in self.facts.items()}
        if not self.exact:
            terms["remainder"] = float(self.remainder[index])
        return terms

    def has_positive(self, index: int, *, least: float = 0.0) -> bool:
        """Return whether any place speaks for this class by more than `least` logits."""
        return bool((self.maps[index] > least).any())
