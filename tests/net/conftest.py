"""A server, and a way to get datasets from it quickly."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.data.getting import SOURCES, Got, Line, Means, Order, get
from tests.net.double import FileServer

Getter = Callable[..., Got]
Reports = list[tuple[float, float | None, str, str]]


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A running server without files."""
    with FileServer() as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of all datasets."""
    return tmp_path / "datasets"


@pytest.fixture
def reports() -> Reports:
    """What was reported: done, total, unit, note."""
    return []


@pytest.fixture
def get_it(server: FileServer, root: Path, reports: Reports) -> Getter:
    """Return a function that gets a dataset of a source, asking the server for everything."""

    def report(done: float, total: float | None = None, *, unit: str = "", note: str = "") -> None:
        reports.append((done, total, unit, note))

    def get_it(source: str, where: str = "", **options: object) -> Got:
        order = Order(where, options.pop("key", None), frozenset(options.pop("extras", ())))
        line = Line(
            silence_s=options.pop("silence_s", 5.0),
            mirror=options.pop("mirror", server.address),
            pause_s=0.01,
        )
        means = Means(
            root, options.pop("report", report), line, **options.pop("means", {"room": lambda _: 10**12})
        )
        return get(SOURCES[source], order, means, **{"accepted": True, **options})

    return get_it
