"""How the Hub is asked, and where what it gives is kept."""

from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import constants

from core.models.kept import hub_folder, storage_of
from core.settings import settings


@dataclass(frozen=True)
class Access:
    """The means of everything that asks the Hub.

    Attributes:
        token: for private and gated repositories and for publishing; None is the token that the Hub's login
            keeps, if any. Never shown.
        timeout_s: how long the Hub may be silent, also within a download.
        cache_dir: where pulled files are kept, in the Hub client's layout; None is the client's own cache.
        endpoint: the Hub's address; None is the client's, huggingface.co or HF_ENDPOINT.
    """

    token: str | None = field(default=None, repr=False)
    timeout_s: float = 5.0
    cache_dir: Path | None = None
    endpoint: str | None = None

    @classmethod
    def of_settings(cls) -> "Access":
        """Return what the settings say."""
        return cls(settings().hub_token, settings().hub_timeout_s, hub_folder())

    @property
    def address(self) -> str:
        """Where the Hub is."""
        return (self.endpoint or constants.ENDPOINT).rstrip("/")

    def storage(self, repo: str) -> Path:
        """Return a repository's folder in the cache."""
        return storage_of(repo, Path(self.cache_dir or constants.HF_HUB_CACHE))
