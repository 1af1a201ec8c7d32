"""A Hub double for each test, and a client that talks to it alone."""

from collections.abc import Iterator

import pytest
from huggingface_hub import constants

from tests.hub.double import HubDouble


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """A running Hub without repositories."""
    # Its variable, HF_HUB_DISABLE_XET, is read when the client is first imported, wherever that was.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with HubDouble() as double:
        yield double
