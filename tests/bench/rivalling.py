"""The same run shown by the Train page, TensorBoard and trackio: how soon, how far behind, at what cost.

Each viewer is started alone, on what the bundled run told but for its last steps, and opened in Chromium. A
curve counts as shown when the chart's picture holds the colour of a line; a new value (a loss far above all
before it) counts as shown when that picture has changed. So nobody's inner workings are asked.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
import psutil  # type: ignore[import-untyped]  # its types are a package of their own
from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright
from torch.utils.tensorboard import SummaryWriter

from core.runs.folder import RunFolder, process_mark
from core.runs.library import BUNDLED_RUNS
from core.settings import REPOSITORY

RECORDED: Final = BUNDLED_RUNS / "lesionlens-lite0"
NAME: Final = "measured"
HELD_BACK: Final = 20
SPIKES: Final = 5
START_S: Final = 90.0
GIVE_UP_S: Final = 60.0
POLL_S: Final = 0.05
SATURATED: Final = 25
LEAST_PIXELS: Final = 40

Event = dict[str, Any]


class Viewer(Protocol):
    """Something that shows runs in a browser. A viewer writes what it is told the way its own users would."""

    name: str
    about: str

    def write(self, event: Event) -> None:
        """Log one step."""

    def command(self, port: int) -> list[str]:
        """Return the command line of the server."""

    def environment(self) -> dict[str, str]:
        """Return what the server needs beside the environment there is."""

    def address(self, port: int) -> str:
        """Return where the run is shown."""

    def chart(self, page: Page) -> Locator:
        """Return the chart of the training loss."""

    @property
    def kept_in_browser(self) -> Mapping[str, str]:
        """Return what its users would set in the browser, as local storage."""


class TrainPage:
    """This project's own."""

    name = "Train page"
    about = "looks every 1.5 s"
    kept_in_browser: Mapping[str, str] = MappingProxyType({})

    def __init__(self, folder: Path) -> None:
        self._runs = folder / "runs"
        self._run = RunFolder.create(self._runs, NAME)
        self._run.write_config(json.loads((RECORDED / "config.json").read_text(encoding="utf-8")))
        status = RunFolder(RECORDED).status()
        me = os.getpid()
        self._status = replace(
            status, state="running", pid=me, host=socket.gethostname(), process=process_mark(me)
        )
        self._run.write_status(self._status, next_in_s=3600.0)

    def write(self, event: Event) -> None:
        self._run.append(event)

    def command(self, port: int) -> list[str]:
        app = ["streamlit", "run", "streamlit_app.py", "--server.headless", "true"]
        return [sys.executable, "-m", *app, "--server.port", str(port)]

    def environment(self) -> dict[str, str]:
        return {"LESIONLENS_RUNS": str(self._runs)}

    def address(self, port: int) -> str:
        return f"http://localhost:{port}/train?run={NAME}&along=step&smooth=0.0"

    def chart(self, page: Page) -> Locator:
        return page.locator("[role=group][aria-label^='Loss by']").first


class TensorBoard:
    """TensorBoard, reading the files of its own writer; its browser side is told to reload by itself."""

    name = "TensorBoard"
    about = "--reload_interval 1, automatic reload at its shortest period, 15 s"
    # Else nothing is reloaded unless somebody asks for it.
    kept_in_browser: Mapping[str, str] = MappingProxyType(
        {
            "_tb_global_settings": json.dumps(
                {"autoReload": True, "autoReloadPeriodInMs": 15_000, "scalarSmoothing": 0}
            )
        }
    )

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "tensorboard"
        self._writer = SummaryWriter(str(self._folder / NAME), flush_secs=1)

    def write(self, event: Event) -> None:
        self._writer.add_scalar("loss", event["loss"], event["step"], event["time"])
        self._writer.flush()

    def command(self, port: int) -> list[str]:
        logs = ["--logdir", str(self._folder), "--port", str(port), "--reload_interval", "1"]
        return [sys.executable, "-m", "tensorboard.main", *logs]

    def environment(self) -> dict[str, str]:
        return {}

    def address(self, port: int) -> str:
        return f"http://localhost:{port}/?darkMode=false#timeseries"

    def chart(self, page: Page) -> Locator:
        return page.locator("scalar-card line-chart").first


class Trackio:
    """trackio, in an environment of its own: its versions do not go together with this project's."""

    name = "trackio"
    about = "refreshes in real time, as it comes"
    kept_in_browser: Mapping[str, str] = MappingProxyType({})
    _WRITER = (
        "import json, sys, trackio\n"
        f"trackio.init(project='lesionlens', name={NAME!r}, embed=False)\n"
        "for line in sys.stdin:\n"
        "    event = json.loads(line)\n"
        "    trackio.log({'loss': event['loss']}, step=event['step'])\n"
    )

    def __init__(self, folder: Path, python: Path) -> None:
        self._python = python
        self._environment = {"TRACKIO_DIR": str(folder / "trackio"), "HF_HUB_OFFLINE": "1"}
        self._writer = subprocess.Popen(
            [str(python), "-c", self._WRITER],
            env=os.environ | self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def write(self, event: Event) -> None:
        assert self._writer.stdin is not None
        self._writer.stdin.write(json.dumps(event) + "\n")
        self._writer.stdin.flush()

    def command(self, port: int) -> list[str]:
        show = [str(self._python.with_name("trackio")), "show", "--project", "lesionlens"]
        # It takes the port from the environment, and would open a browser of its own.
        return ["env", f"GRADIO_SERVER_PORT={port}", "BROWSER=true", *show]

    def environment(self) -> dict[str, str]:
        return self._environment

    def address(self, port: int) -> str:
        return f"http://localhost:{port}/?project=lesionlens"

    def chart(self, page: Page) -> Locator:
        return page.locator("canvas, svg.marks").first


@dataclass
class Shown:
    """What one viewer did: seconds until a curve was there, seconds behind the writer, processor shares."""

    first_s: float
    behind_s: list[float]
    idle: float
    live: float
    memory_mb: float


def compare(chromium: Path, trackio_python: Path | None, *, seconds: float) -> None:
    """Print a table; trackio_python: of an environment that has trackio, None to leave it out."""
    steps = [event for event in RunFolder(RECORDED).events()[0] if event["kind"] == "step"]
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        makers: list[Callable[[], Viewer]] = [lambda: TrainPage(folder), lambda: TensorBoard(folder)]
        if trackio_python is not None:
            makers.append(lambda: Trackio(folder, trackio_python))
        print(f"{len(steps) - HELD_BACK} steps of a recorded run; then {SPIKES} new ones, one after another.")
        print(f"Processor: per cent of one core, server and browser apart, over {seconds:.0f} s each.\n")
        for make in makers:
            viewer = make()
            for event in steps[:-HELD_BACK]:
                viewer.write(event)
            browser = playwright.chromium.launch(
                executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            shown = _watch(viewer, page, steps[-HELD_BACK:], seconds=seconds)
            browser.close()
            low, middle, high = np.quantile(shown.behind_s, [0, 0.5, 1])
            print(
                f"{viewer.name} ({viewer.about}): first curve {shown.first_s:.1f} s after opening; behind "
                f"the writer {middle:.1f} s ({low:.1f} to {high:.1f}, n = {len(shown.behind_s)}); server "
                f"idle {shown.idle:.1f} %, live {shown.live:.1f} %; {shown.memory_mb:.0f} MB"
            )


def _watch(viewer: Viewer, page: Page, news: list[Event], *, seconds: float) -> Shown:
    with _serving(viewer) as (port, server):
        for key, value in viewer.kept_in_browser.items():
            page.add_init_script(f"localStorage.setItem({json.dumps(key)}, {json.dumps(value)})")
        began = time.perf_counter()
        page.goto(viewer.address(port))
        chart = viewer.chart(page)
        _wait(lambda: _coloured(_picture(chart)) > LEAST_PIXELS)
        first_s = time.perf_counter() - began
        page.wait_for_timeout(5_000)
        idle = _load_of(server, seconds, page, lambda: None)
        behind = []
        last = max(event["loss"] for event in news)
        for number, event in enumerate(news[:SPIKES], 1):
            before = _picture(chart)
            written = time.perf_counter()
            viewer.write(event | {"loss": last * (2 + number), "time": time.time()})
            _wait(lambda before=before: _differ(before, _picture(chart)))
            behind.append(time.perf_counter() - written)
        rest = iter(news[SPIKES:])

        def tell() -> None:
            if (event := next(rest, None)) is not None:
                viewer.write(event | {"time": time.time()})

        live = _load_of(server, seconds, page, tell)
        memory = sum(one.memory_info().rss for one in _family(server)) / 2**20
    return Shown(first_s, behind, idle, live, memory)


@contextmanager
def _serving(viewer: Viewer) -> Iterator[tuple[int, psutil.Process]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        viewer.command(port),
        cwd=REPOSITORY,
        env=os.environ | viewer.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(lambda: _answers(port), limit_s=START_S)
        yield port, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(timeout=20)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _picture(chart: Locator) -> np.ndarray:
    """Return the chart as pixels (H, W, 3); of no size while it is not there."""
    box = chart.bounding_box() if chart.count() else None
    if box is None or not box["height"]:
        return np.zeros((0, 0, 3), np.int16)
    # Not of the element: some viewers put a new one in its place with every value.
    screenshot = chart.page.screenshot(clip=box)
    return np.asarray(Image.open(BytesIO(screenshot)).convert("RGB"), np.int16)


def _coloured(pixels: np.ndarray) -> int:
    return int((np.ptp(pixels, axis=2) > SATURATED).sum()) if pixels.size else 0


def _differ(before: np.ndarray, now: np.ndarray) -> bool:
    return (
        before.shape != now.shape or int((np.abs(before - now).max(axis=2) > SATURATED).sum()) > LEAST_PIXELS
    )


def _wait(there: Callable[[], bool], *, limit_s: float = GIVE_UP_S) -> None:
    deadline = time.perf_counter() + limit_s
    while not there():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"Nothing was shown within {limit_s:.0f} s.")
        time.sleep(POLL_S)


def _family(server: psutil.Process) -> list[psutil.Process]:
    return [server, *server.children(recursive=True)]


def _load_of(server: psutil.Process, seconds: float, page: Page, each: Callable[[], None]) -> float:
    """Return the share of a core that a server takes, in per cent; `each` is called every second."""

    def used() -> float:
        return sum(sum(one.cpu_times()[:2]) for one in _family(server))

    began, before = time.perf_counter(), used()
    while time.perf_counter() - began < seconds:
        each()
        page.wait_for_timeout(1_000)
    return 100 * (used() - before) / (time.perf_counter() - began)
