"""What the page tests share: a page of the app, run as a cold deep link runs it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import cache
from pages.ui.frame import PAGES

OpenPage = Callable[..., AppTest]


@pytest.fixture
def open_page(app_root: Path) -> OpenPage:
    """Return a function that opens a page by its title, with query parameters, and runs it."""

    def open_page(title: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(app_root / "streamlit_app.py"), default_timeout=60)
        # Only this page's script runs, as on a cold deep link.
        app.switch_page(PAGES[title].script)
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return open_page


@pytest.fixture(autouse=True)
def empty_caches():
    """Let no test see what another one has cached."""
    yield
    for function in (cache.dataset, cache._evaluation):
        function.clear()
