"""How tests read a page: in the words that a person sees."""

import json
from typing import Any

import pandas as pd
from streamlit.testing.v1 import AppTest

KINDS = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success")


def said(app: AppTest, *kinds: str) -> str:
    """Return what the page says, or what some kinds of its elements say, with Markdown's escapes undone."""
    found = (element.value for kind in kinds or KINDS for element in app.get(kind))
    return "\n".join(found).replace("\\", "")


def everything(block: Any) -> list[str]:
    """Return each text of a page or of a part of it: values, labels, help, options, tables, alternatives."""
    found = []
    for element in block:
        for name in ("value", "label", "help", "options"):
            told = getattr(element, name, None)
            if isinstance(told, pd.DataFrame):
                found.append(told.to_csv())
            elif isinstance(told, (list, tuple)):
                found += map(str, told)
            elif isinstance(told, str):
                found.append(told)
        proto = getattr(element, "proto", None)
        found += [str(getattr(proto, name, "")) for name in ("alt", "caption")]
    return found


def component(app: AppTest, name: str) -> dict[str, Any] | None:
    """Return what the component of a name was given to draw; None when it is not on the page."""
    for element in app.get("bidi_component"):
        if element.proto.component_name == name:
            data: dict[str, Any] = json.loads(element.proto.json)
            return data
    return None
