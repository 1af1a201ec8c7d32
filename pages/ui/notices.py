"""Text that came from elsewhere (files, folders, the Hub), shown as it stands and never as Markdown.

A name such as `![](http://elsewhere/x.png)` would otherwise make the browser call elsewhere.
"""

import re
from typing import Final

import streamlit as st

_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#+!|<>~:$-])")


def plain(text: str) -> str:
    """Return a text that Markdown shows as it stands."""
    return _MARKDOWN.sub(r"\\\1", text)


def refuse(problem: Exception, *, icon: str = ":material/error:") -> None:
    """Show one of our errors; its message names the thing and the cure."""
    st.error(plain(str(problem)), icon=icon)
