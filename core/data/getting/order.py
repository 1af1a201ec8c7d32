"""What a person asks of a source: where, with which key, and what of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Order:
    """An order to a source; which parts count is the source's business.

    Attributes:
        where: a zip's or folder's path, or a repository's name.
        key: a key or token, for this one order only: it is never stored, logged or shown.
        extras: names of the source's extras that are wanted.
        stored_key: whether this machine's own key may be used where none is given; not for any visitor.
    """

    where: str = ""
    key: str | None = field(default=None, repr=False)
    extras: frozenset[str] = frozenset()
    stored_key: bool = True
