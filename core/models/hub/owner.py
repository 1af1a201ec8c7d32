"""What an owner offers on the Hub, and what has changed there: asked only when somebody wants to know."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from huggingface_hub import get_session
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, but not marked as exported
    build_hf_headers,
    hf_raise_for_status,
)

from core import net
from core.errors import HubError, UnknownReference
from core.models.catalog import CatalogEntry, write_owner_catalog
from core.models.hub.access import Access
from core.models.hub.problems import RAISED, NoHubError, Subject, explain
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
    try:
        found = net.bounded(lambda: _listed(owner, access), silence_s=access.timeout_s + _GRACE_S)
        entries = tuple(
            CatalogEntry(
                Reference("hf", one["id"]),
                one["id"].partition("/")[2],
                f"{'Private, published' if one.get('private') else 'Published'} by {owner} on the Hub.",
            )
            for one in sorted(found, key=lambda one: one["id"])
        )
        write_owner_catalog(owner, access.storage(f"{owner}/name").parent, entries)
    except (KeyError, TypeError, UnknownReference) as problem:
        raise HubError(explain(NoHubError(f"no list of models: {problem}"), subject)) from problem
    except RAISED as problem:
        raise HubError(explain(problem, subject)) from problem
    return entries


def _listed(owner: str, access: Access) -> list[dict[str, Any]]:
    # Not by the client's own listing, which tries for half a minute on a dead network.
    answer = get_session().get(
        f"{access.address}/api/models",
        params={"author": owner, "filter": TAG, "limit": MOST},
        headers=build_hf_headers(token=access.token),
        timeout=access.timeout_s,
    )
    hf_raise_for_status(answer)
    listed: list[dict[str, Any]] = answer.json()
    return listed


def latest(repos: Iterable[str], access: Access) -> Mapping[str, Latest]:
    """Ask for the newest commit of each repository's main branch; what cannot be told is said for each."""
    found = {}
    for repo in dict.fromkeys(repos):
        try:
            found[repo] = Latest(str(look_up(repo, MAIN, access).sha))
        except RAISED as problem:
            found[repo] = Latest(None, explain(problem, Subject(repo, MAIN, access)))
    return found
