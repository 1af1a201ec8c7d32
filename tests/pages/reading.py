"""How tests read a page: in the words that a person sees."""

from streamlit.testing.v1 import AppTest

KINDS = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success")


def said(app: AppTest, *kinds: str) -> str:
    """Return what the page says, or what some kinds of its elements say, with Markdown's escapes undone."""
    found = (element.value for kind in kinds or KINDS for element in app.get(kind))
    return "\n".join(found).replace("\\", "")
