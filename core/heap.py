"""How glibc keeps memory. Its defaults suit neither a trainer nor a server of many short threads.

Other systems have other allocators: there these functions do nothing and return False.
"""

import ctypes
from typing import Final

# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_MAX: Final = -4
_M_ARENA_MAX: Final = -8

_KEPT_BYTES: Final = 2**31 - 1
_STEP_BYTES: Final = 2**28
_ARENAS: Final = 2


def keep_large_blocks() -> bool:
    """Keep what was freed, for a trainer whose every step wants the same large blocks again.

    By default large blocks go back to the system at once and come back as fresh pages, each filled with
    zeros: EfficientNet-Lite0 on one CPU core spent a quarter of its time on that.
    """
    return all(
        _set(option, value)
        for option, value in (
            (_M_MMAP_MAX, 0),
            (_M_TRIM_THRESHOLD, _KEPT_BYTES),
            (_M_TOP_PAD, _STEP_BYTES),
        )
    )


def share_heaps() -> bool:
    """Keep two heaps instead of eight a processor, for a server whose every rerun is a new thread."""
    return _set(_M_ARENA_MAX, _ARENAS)


def _set(option: int, value: int) -> bool:
    try:
        return bool(ctypes.CDLL("libc.so.6").mallopt(option, value))
    except (OSError, AttributeError):
        return False
