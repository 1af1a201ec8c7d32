"""The app is ended while a network works: nothing aborts, nothing hangs (`serve` looks at how it ends)."""

import re

import pytest

from tests.e2e.conftest import serve

pytestmark = pytest.mark.browser


def test_the_app_ends_well_amid_a_networks_work(open_at, app_root):
    with serve(app_root) as address:
        page = open_at(f"{address}/predict?reader=ML&closer=other+methods")
        # It looks at the picture a thousand times, so it is still at it whenever the app is ended.
        page.get_by_role("button", name=re.compile("^Score-CAM, about")).click()
        page.wait_for_function(
            "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'running'"
        )
        page.wait_for_timeout(2_000)
