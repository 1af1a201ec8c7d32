"""Commit first: a reader names a diagnosis before the model does, and the session keeps a tally.

Who has seen the model's answer can no longer have an own one.
"""

from typing import TYPE_CHECKING, Final

import streamlit as st

from core import words
from core.labels import BY_CODE, CODES
from core.words import Reader
from pages.ui.inputs import Asked

if TYPE_CHECKING:
    from core.predict.predictor import Prediction

_COMMITTED: Final = "committed"
_NONE: Final = "choose …"


def ready(asked: Asked, reader: Reader) -> bool:
    """Ask for a diagnosis where the reader wants to be asked; return whether the answer may be shown."""
    wanted = st.toggle(
        "Ask me first",
        key="commit_first",
        bind="query-params",
        help="Name your own diagnosis before you see the model's. The session keeps a tally.",
    )
    if not wanted or asked.digest in _committed():
        return True
    names = {words.diagnosis_name(code, reader): code for code in CODES}
    # The key goes with the picture, so that the last picture's choice is not the next one's.
    chosen = st.selectbox("What do you think it is?", [_NONE, *names], key=f"own_{asked.digest[:16]}")
    st.button(
        "Commit and see the answer",
        icon=":material/how_to_vote:",
        key="commit",
        disabled=chosen == _NONE,
        on_click=_commit,
        args=(asked.digest, names.get(chosen, "")),
    )
    return False


def draw_tally(asked: Asked, prediction: "Prediction") -> None:
    """Draw how the reader's diagnosis stands to the model's, and the session's tally."""
    committed = _committed()
    if asked.digest not in committed:
        return
    own, _ = committed[asked.digest]
    committed[asked.digest] = (own, prediction.top_code)
    told = [pair for pair in committed.values() if pair[1]]
    agreed = sum(mine == model for mine, model in told)
    same = own == prediction.top_code
    model = "the same" if same else BY_CODE[prediction.top_code].name
    st.caption(
        f":material/how_to_vote: You said {BY_CODE[own].name}; the model says {model}. In this session you "
        f"agreed on {agreed} of {len(told)}. Agreement is not correctness: neither of you was checked."
    )


def _commit(digest: str, code: str) -> None:
    _committed()[digest] = (code, "")


def _committed() -> dict[str, tuple[str, str]]:
    """Return own diagnosis and the model's, by the digest of the picture."""
    found: dict[str, tuple[str, str]] = st.session_state.setdefault(_COMMITTED, {})
    return found
