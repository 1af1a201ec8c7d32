"""Whether the tab is in sight: what nobody sees needs no refreshing."""

from typing import Final

import streamlit as st

_KEY: Final = "train_visible"
_JS: Final = """
export default function ({ setStateValue }) {
  const tell = () => setStateValue("hidden", document.hidden)
  document.addEventListener("visibilitychange", tell)
  return () => document.removeEventListener("visibilitychange", tell)
}
"""
_VISIBLE: Final = st.components.v2.component("lesionlens_visible", js=_JS)


def hidden() -> bool:
    """Return whether the tab is out of sight; when that changes, the page runs again."""
    return bool(_VISIBLE(key=_KEY, on_hidden_change=lambda: None).hidden)
