"""How the app ends while a page is at work."""

import atexit
import logging
import os
import sys
from functools import cache

from streamlit.runtime import Runtime, exists, get_instance


@cache
def leave_at_once() -> None:
    """See to it, once a process, that the server ends when it is told to, also amid a network's work.

    Streamlit's scripts and our jobs run in daemon threads. Python up to 3.13 unwinds such a thread when the
    interpreter is taken down; where it is in the middle of torch's C++, that aborts the process ("terminate
    called without an active exception") or leaves it hanging. What they write is written in one step, and
    nothing else has to be tidied, so the process goes before the interpreter is taken down.
    """
    if exists() and isinstance(get_instance(), Runtime):  # a real server: tests bring a stand-in
        atexit.register(_leave)


def _leave() -> None:
    try:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # What ended the server with an error has left it there.
        os._exit(1 if getattr(sys, "last_value", None) else 0)
