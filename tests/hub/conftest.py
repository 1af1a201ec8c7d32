"""A Hub double for each test, and a client that talks to it alone."""

from collections.abc import Iterator

import pytest
from huggingface_hub import constants

from tests.hub.double import HubDouble
from tests.pages.conftest import open_page  # noqa: F401 -- a fixture for the tests here too


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """A running Hub without repositories."""
    # Its variable, HF_HUB_DISABLE_XET, is read when the client is first imported, wherever that was.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with HubDouble() as double:
        yield double


@pytest.fixture
def everybodys_hub(hub: HubDouble, monkeypatch: pytest.MonkeyPatch) -> HubDouble:
    """The Hub of each test as the one that the client, and timm through it, asks by itself."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace("https://huggingface.co", hub.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    return hub
