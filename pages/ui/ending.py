"""How the app ends while a page is at work."""

import atexit
import logging
import os
import sys
from functools import cache

from streamlit.runtime import Runtime, exists, get_instance


@cache
def prepare() -> None:
    """See to it, once a process, that the server ends when it is told to, also amid a network's work.

    Streamlit's scripts and our jobs run in daemon threads. Python up to 3.13 unwinds such a thread when the
    interpreter is taken down; where it is in the middle of torch's C++, that aborts the process ("terminate
    called without an active exception") or leaves it hanging. So the process goes before the interpreter is
    taken down. Nothing is lost: a file is written in one step, or goes on where it was cut off.
    """
    # Its very class: the stand-in of Streamlit's tests passes for an instance, and there the process is not
    # ours to end.
    if exists() and type(get_instance()) is Runtime:
        atexit.register(_leave)


def _leave() -> None:
    try:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # An error that ended the server has left itself here. A server that is told to end, ends with 0.
        os._exit(1 if getattr(sys, "last_value", None) else 0)
