"""Numbers in the address of a page, which anybody may write."""

from typing import Final

_DIGITS: Final = 9
"""More of them are no page and no seed, and thousands of them Python refuses to read at all."""


def whole_number(text: object, *, low: int = 1, high: int) -> int:
    """Return the whole number that is meant, or the nearest within `low` to `high`; `low` where none is."""
    written = str(text)
    if not (written.isascii() and written.isdecimal()):
        return low
    digits = written.lstrip("0")
    return min(max(low, int(digits or "0")), high) if len(digits) <= _DIGITS else high
