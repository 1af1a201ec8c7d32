"""How memory is kept. Defaults suit neither a trainer nor a server of many short threads.

glibc gives and takes blocks; Python's collector looks for rings of objects that nobody needs any more. Other
systems have other allocators: there what is asked of glibc does nothing and returns False.
"""

import ctypes
import gc
from functools import cache
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


@cache
def leave_out_of_collection(imported: str) -> None:  # noqa: ARG001 -- what has been; once for each
    """Let Python's collector pass over all that is here now, for a server that has just imported torch.

    Streamlit collects everything after every run of a script, so once a second while a bar moves. With the
    600,000 objects that the imports leave, that takes 0.34 s of processor time and holds Python's lock: on a
    busy machine the job behind the bar came to a standstill. Once for each of a few libraries, since what is
    passed over is never collected again.

    imported: names what has just been imported.
    """
    gc.collect()
    gc.freeze()


def _set(option: int, value: int) -> bool:
    try:
        return bool(ctypes.CDLL("libc.so.6").mallopt(option, value))
    except (OSError, AttributeError):
        return False
