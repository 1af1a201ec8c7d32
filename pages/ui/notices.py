"""Text that came from elsewhere (files, folders, the Hub), shown as it stands and never as Markdown."""

import streamlit as st

from core.markdown import plain

__all__ = ["plain", "refuse"]


def refuse(problem: Exception, *, icon: str = ":material/error:") -> None:
    """Show one of our errors; its message names the thing and the cure."""
    st.error(plain(str(problem)), icon=icon)
