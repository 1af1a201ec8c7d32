"""A real server and a real browser. A server is fresh unless its fixture says otherwise."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Playwright, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import TimeoutError as PlaywrightTimeout

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
END_S = 20
# Importing torch takes a minute on a machine that is busy with a training.
PAINT_MS = 120_000
_OPEN: Final[set[Page]] = set()


@contextmanager
def serve(root: Path, **environment: str) -> Iterator[str]:
    """Run the app on a free port and yield its address.

    It must end when it is asked to, whatever it is at, as it must for the person who started it: where it
    does not, the failure says at what each of its threads stood.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-X", "faulthandler", "-m", "streamlit", "run", "streamlit_app.py"]
    command += ["--server.headless", "true", "--server.fileWatcherType", "none"]
    command += ["--server.address", "127.0.0.1", "--server.port", str(port)]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, cwd=root, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=said
        ) as server,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            _leave(f"http://127.0.0.1:{port}/_stcore/health", server)
            server.terminate()
            try:
                server.wait(END_S)
            except subprocess.TimeoutExpired:
                server.send_signal(signal.SIGABRT)
            code = server.wait()
            said.seek(0)
            assert code == 0, f"The app did not end well:\n{said.read().decode(errors='replace')}"


def _leave(address: str, server: subprocess.Popen[bytes]) -> None:
    """Let all pages go, and wait until the server has noticed.

    uvicorn fails to stop, and Streamlit then waits for it without end, when it is told to in the moment
    between a browser's goodbye and the end of its connection: it says goodbye too, an error by then.
    """
    for page in _OPEN:
        _tell(page)
        with suppress(PlaywrightError):
            page.goto("about:blank")
            page.wait_for_timeout(500)
    with suppress(OSError, AssertionError):
        _wait_for(address, server)


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


@pytest.fixture(scope="session")
def browsers() -> Iterator[dict[Path, Browser]]:
    """The browsers that run, by their program: one is started when first asked for."""
    with sync_playwright() as playwright:
        running = Browsers(playwright)
        yield running
        for browser in running.values():
            browser.close()


class Browsers(dict[Path, Browser]):
    """Starts a browser for a program that none runs for."""

    def __init__(self, playwright: Playwright) -> None:
        super().__init__()
        self.playwright = playwright

    def __missing__(self, program: Path) -> Browser:
        self[program] = self.playwright.chromium.launch(executable_path=str(program), args=ARGS)
        return self[program]


OpenAt = Callable[..., Page]


@pytest.fixture
def open_at(browsers: dict[Path, Browser], chromium_path: Path) -> Iterator[OpenAt]:
    """Return a function that opens addresses, one after the other, and waits until the page is painted.

    At the end of the test, no page may have asked anybody but its own server for anything.
    """
    context = browsers[chromium_path].new_context()
    page = context.new_page()
    page.set_default_timeout(PAINT_MS)
    _OPEN.add(page)
    called: list[str] = []
    own: set[str] = set()
    page.on("request", lambda request: called.append(request.url))
    page.on("websocket", lambda socket: called.append(socket.url))

    def open_at(address: str, *, mode: str = "light", width: int = 1280) -> Page:
        own.add(urlsplit(address).netloc)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=mode)
        page.goto(address)
        settle(page)
        return page

    yield open_at
    _tell(page)
    _OPEN.remove(page)
    context.close()
    hosts = {urlsplit(url).netloc for url in called if not url.startswith(("data:", "blob:"))}
    assert hosts == own, f"a page called outside: {sorted(hosts - own)}"


def _tell(page: Page) -> None:
    """Print what a page shows: pytest keeps it for a failure, whose page is gone when somebody reads it."""
    with suppress(PlaywrightError):
        for app in page.get_by_test_id("stApp").all():
            sys.stdout.write(f"{page.url} shows:\n{app.inner_text(timeout=5_000)}\n")


def settle(page: Page) -> None:
    """Wait until the script has run to its end, and what it drew is there, with our style."""
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
    )
    page.wait_for_function(
        "[...document.querySelectorAll('style')].some(one => one.textContent.includes('light-dark('))"
    )
    wait_for_elements(page)


def wait_for_elements(page: Page) -> None:
    """Wait for what Streamlit loads when a page first needs it: until then a table is a gray box."""
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")


def press_until(field: Locator, key: str, seen: Locator, *, tries: int = 6) -> None:
    """Press a key in a field until something is there; a rerun of the page may take the first press away."""
    for attempt in range(1, tries + 1):
        field.press(key)
        try:
            seen.wait_for(timeout=10_000)
        except PlaywrightTimeout:
            if attempt == tries:
                raise
        else:
            return


def choose(page: Page, label: str, option: str, *, tries: int = 6) -> None:
    """Pick an option of a select box; a rerun of the page may close the list, then it is opened again."""
    wanted = page.get_by_role("option", name=option, exact=True)
    for attempt in range(1, tries + 1):
        page.get_by_role("combobox", name=label).click()
        try:
            wanted.click(timeout=10_000)
        except PlaywrightTimeout:
            if attempt == tries:
                raise
            page.keyboard.press("Escape")
        else:
            return
