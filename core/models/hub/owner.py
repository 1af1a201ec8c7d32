"""What an owner offers on the Hub, and what has changed there: asked only when somebody wants to know."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from huggingface_hub import HfApi

from core import net
from core.errors import HubError
from core.models.catalog import CatalogEntry, write_owner_catalog
from core.models.hub.access import Access
from core.models.hub.problems import RAISED, Subject, explain
from core.models.hub.pulling import look_up
from core.models.kept import MAIN
from core.models.reference import Reference, check_repository

TAG: Final = "lesionlens"
"""The tag that `train publish` gives; a foreign classifier is listed when its owner tags it so."""
MOST: Final = 200
_GRACE_S: Final = 1.0


@dataclass(frozen=True)
class Latest:
    """What the Hub has of a repository now: its newest commit, or why nobody can tell."""

    commit: str | None
    problem: str | None = None


def list_owner(owner: str, access: Access) -> tuple[CatalogEntry, ...]:
    """Ask which checkpoints an owner offers, private ones with a token, and keep the list for the pages.

    Raises:
        UnknownReference: the owner's name cannot be one.
        HubError: the Hub did not say.
    """
    check_repository(f"{owner}/name")
    subject = Subject(f"{owner}'s list", MAIN, access)
    api = HfApi(endpoint=access.endpoint, token=access.token)
    try:
        found = net.bounded(
            lambda: list(islice(api.list_models(author=owner, filter=TAG), MOST)),
            silence_s=access.timeout_s + _GRACE_S,
        )
        entries = tuple(
            CatalogEntry(
                Reference("hf", one.id),
                one.id.partition("/")[2],
                f"{'Private, published' if one.private else 'Published'} by {owner} on the Hub.",
            )
            for one in sorted(found, key=lambda one: one.id)
        )
        write_owner_catalog(owner, access.storage(f"{owner}/name").parent, entries)
    except RAISED as problem:
        raise HubError(explain(problem, subject)) from problem
    return entries


def latest(repos: Iterable[str], access: Access) -> Mapping[str, Latest]:
    """Ask for the newest commit of each repository's main branch; what cannot be told is said for each."""
    found = {}
    for repo in dict.fromkeys(repos):
        try:
            found[repo] = Latest(str(look_up(repo, MAIN, access).sha))
        except RAISED as problem:
            found[repo] = Latest(None, explain(problem, Subject(repo, MAIN, access)))
    return found
