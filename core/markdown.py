"""Text that came from elsewhere (files, folders, the Hub), so that Markdown shows it as it stands.

A name such as `![](http://elsewhere/x.png)` would otherwise make the reader's browser call elsewhere.
"""

import re
from typing import Final

_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#+!|<>~:$-])")


def plain(text: str) -> str:
    """Return a text that Markdown shows as it stands."""
    return _MARKDOWN.sub(r"\\\1", text)
