"""What a run said: the lines of errors first, then the last of the others, and what likely helps."""

from typing import Final

import streamlit as st

from core.runs.library import Summary
from core.runs.logs import errors_first, likely_cure, tail
from pages.ui import notices

LINES: Final = 12
ALL_LINES: Final = 200


def draw(run: Summary, state: str) -> None:
    """Draw the log: opened by itself where the run has failed."""
    lines = tail(run.folder)
    failed = state in ("failed", "died")
    if failed:
        message = run.status.message if run.status is not None else ""
        wrong, last = errors_first(lines, LINES)
        if message or wrong or last:
            st.error(notices.plain(message or (wrong or last)[-1]), icon=":material/error:")
        if (cure := likely_cure(run.status, state, lines)) is not None:
            st.info(cure, icon=":material/healing:")
        if last:
            st.code("\n".join(lines[-LINES:]), language=None, wrap_lines=True)
    with st.expander("Log", icon=":material/article:", on_change="rerun", key="train_log") as opened:
        if not opened.open:
            return
        if not lines:
            st.caption("This run left no log." if run.is_bundled else "Nothing was logged yet.")
            return
        wrong, rest = errors_first(lines, ALL_LINES)
        if wrong:
            st.markdown("**Errors**")
            st.code("\n".join(wrong), language=None, wrap_lines=True)
        st.markdown("**Everything else, the newest first**")
        st.code("\n".join(reversed(rest)), language=None, wrap_lines=True, height=320)
