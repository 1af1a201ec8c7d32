"""The app is ended while a network works: nothing aborts, nothing hangs (`serve` looks at how it ends)."""

import pytest

from tests.e2e.conftest import serve

pytestmark = pytest.mark.browser


# A network's work has its pauses: with several moments, one of them is surely inside.
@pytest.mark.parametrize("after_ms", [400, 800, 1200])
def test_the_app_ends_well_amid_a_networks_work(open_at, app_root, after_ms):
    with serve(app_root) as address:
        page = open_at(f"{address}/predict")
        page.goto(f"{address}/predict?drawing_seed=5", wait_until="commit")
        page.wait_for_timeout(after_ms)
