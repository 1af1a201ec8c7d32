"""A real server and a real browser. A server is fresh unless its fixture says otherwise."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.pages.checkpoints import write_checkpoint

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_S = 60
PAINT_MS = 60_000


@contextmanager
def serve(root: Path, **environment: str) -> Iterator[str]:
    """Run the app on a free port and yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.headless", "true"]
    command += ["--server.address", "127.0.0.1", "--server.port", str(port)]
    command += ["--server.fileWatcherType", "none"]
    server = subprocess.Popen(
        command,
        cwd=root,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 -- our own server
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{address} did not answer within {START_S} s.")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint that no training made, for pages whose answer does not matter."""
    folder = write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "untrained")
    return f"local:{folder}"


@pytest.fixture(scope="session")
def server(app_root: Path, checkpoint: str) -> Iterator[str]:
    """One server for all tests that need no fresh one."""
    with serve(app_root, LESIONLENS_CHECKPOINT=checkpoint) as address:
        yield address


@pytest.fixture
def browser(chromium_path: Path) -> Iterator[Browser]:
    """A browser of this test's own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium_path), args=ARGS)
        yield browser
        browser.close()


OpenAt = Callable[..., Page]


@pytest.fixture
def open_at(browser: Browser) -> Iterator[OpenAt]:
    """Return a function that opens an address and waits until the page is painted.

    At the end of the test, no page may have asked anybody but its own server for anything.
    """
    outside: list[str] = []

    def open_at(address: str, *, mode: str = "light", width: int = 1280) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=mode)
        page = context.new_page()
        host = "/".join(address.split("/")[:3])

        def note(url: str) -> None:
            if not url.startswith((host, host.replace("http", "ws", 1), "data:", "blob:")):
                outside.append(url)

        page.on("request", lambda request: note(request.url))
        page.on("websocket", lambda socket: note(socket.url))
        page.goto(address)
        settle(page)
        return page

    yield open_at
    assert outside == [], "a page called outside"


def settle(page: Page) -> None:
    """Wait until the script has run to its end."""
    page.get_by_role("heading", level=1).wait_for(timeout=PAINT_MS)
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'",
        timeout=PAINT_MS,
    )
