"""What every test stands on: its own folders, and no test left out unsaid.

Two kinds of tests need something that not every machine has: `real_data` (HAM10000 itself) and `browser`
(Chromium). Without it they are left out of the run, and the run names them at its end. A test is of such a
kind when it bears the marker or asks for the kind's fixture, `ham10000_folder` or `chromium_path`.
LESIONLENS_REQUIRE=real_data,browser turns what was left out, or did not run, into a failure. `pytest -n 2`
shares the tests among two processes; what each of them left out and ran is told to the one that sums up.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# These libraries read their variables when imported, so the variables are set before any test is collected.
HUB_FOLDER = Path(tempfile.mkdtemp(prefix="lesionlens-hub-"))
os.environ["HF_HOME"] = str(HUB_FOLDER)
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] = "false"
# The tensors of the tests are tiny: more threads than this only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "2")

from core import settings as settings_module  # noqa: E402 -- after the variables above

# A busy machine is no failure: no test here asserts a time.
hypothesis.settings.register_profile(
    "lesionlens", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("lesionlens")

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_ham10000() -> Path | None:
    """Return the folder that LESIONLENS_TEST_DATA names; None when it names none.

    Raises:
        pytest.UsageError: it names something that is not HAM10000.
    """
    named = os.environ.get("LESIONLENS_TEST_DATA")
    if not named:
        return None
    folder = Path(named).expanduser().resolve()
    if not (folder / "HAM10000_metadata.csv").is_file():
        raise pytest.UsageError(f"LESIONLENS_TEST_DATA is {named!r}, which holds no HAM10000_metadata.csv.")
    return folder


def find_chromium() -> Path | None:
    """Return the Chromium that LESIONLENS_CHROMIUM names, else the system's; None when there is none.

    Raises:
        pytest.UsageError: LESIONLENS_CHROMIUM names something that is not there.
    """
    if named := os.environ.get("LESIONLENS_CHROMIUM"):
        if not Path(named).is_file():
            raise pytest.UsageError(f"LESIONLENS_CHROMIUM is {named!r}, which is not a file.")
        return Path(named)
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    return Path(found) if found else None


@dataclass
class Kind:
    """A kind of tests that needs something, and what became of its tests in this run."""

    marker: str
    words: str
    fixture: str
    find: Callable[[], Path | None]
    cure: str
    means: Path | None = None
    required: bool = False
    left_out: int = 0
    selected: set[str] = field(default_factory=set)
    ran: set[str] = field(default_factory=set)

    def told(self) -> dict[str, object]:
        """Return what became of this kind's tests as plain data, which can go from process to process."""
        return {"left_out": self.left_out, "selected": sorted(self.selected), "ran": sorted(self.ran)}

    def add(self, told: dict[str, Any]) -> None:
        """Take in what another process told: each selected all tests and ran its share of them."""
        self.left_out = told["left_out"]
        self.selected |= set(told["selected"])
        self.ran |= set(told["ran"])

    def complaint(self) -> str | None:
        """Return why a run that requires this kind has failed; None when it has not."""
        if not self.required:
            return None
        if not self.selected:
            return f"LESIONLENS_REQUIRE names {self.marker}, but no {self.words} test was selected."
        if idle := sorted(self.selected - self.ran):
            return (
                f"LESIONLENS_REQUIRE names {self.marker}, but these did not run: {', '.join(idle[:5])}"
                f"{' …' if len(idle) > 5 else ''} ({len(idle)} of {len(self.selected)})."
            )
        return None


KINDS = (
    Kind(
        "real_data",
        "real-data",
        "ham10000_folder",
        find_ham10000,
        "set LESIONLENS_TEST_DATA to a HAM10000 folder in the Kaggle layout",
    ),
    Kind(
        "browser",
        "browser",
        "chromium_path",
        find_chromium,
        "install chromium, or set LESIONLENS_CHROMIUM to its program",
    ),
)


def pytest_configure(config: pytest.Config) -> None:
    """Find the means of each kind, and refuse at once a run that requires what is not there."""
    required = {name.strip() for name in os.environ.get("LESIONLENS_REQUIRE", "").split(",")} - {""}
    if unknown := sorted(required - {kind.marker for kind in KINDS}):
        expected = ", ".join(kind.marker for kind in KINDS)
        raise pytest.UsageError(f"LESIONLENS_REQUIRE names {', '.join(unknown)}; expected {expected}.")
    for kind in KINDS:
        kind.means = kind.find()
        kind.required = kind.marker in required
        if kind.required and kind.means is None:
            raise pytest.UsageError(f"LESIONLENS_REQUIRE names {kind.marker}: {kind.cure}.")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder that stood for the user's Hub cache."""
    shutil.rmtree(HUB_FOLDER, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test by the fixture it asks for, so that a forgotten marker cannot let it fail elsewhere."""
    for kind in KINDS:
        if kind.fixture in getattr(item, "fixturenames", ()) and not item.get_closest_marker(kind.marker):
            item.add_marker(kind.marker)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose means are not here, after -k and -m have chosen."""
    left_out = []
    for item in list(items):
        kinds = [kind for kind in KINDS if item.get_closest_marker(kind.marker)]
        for kind in kinds:
            kind.selected.add(item.nodeid)
        if lacking := [kind for kind in kinds if kind.means is None]:
            lacking[0].left_out += 1
            left_out.append(item)
            items.remove(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note which tests of each kind really ran: a skip is not a run."""
    for kind in KINDS:
        if report.when == "call" and not report.skipped and report.nodeid in kind.selected:
            kind.ran.add(report.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take in what a process of pytest-xdist left out and ran; one that crashed tells nothing."""
    for kind, told in zip(KINDS, getattr(node, "workeroutput", {}).get("kinds", ()), strict=False):
        kind.add(told)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a required kind did not run in full; only the process that sums up can tell."""
    if (told := getattr(session.config, "workeroutput", None)) is not None:
        told["kinds"] = [kind.told() for kind in KINDS]
        return
    collected_only = session.config.option.collectonly
    if not collected_only and any(kind.complaint() for kind in KINDS):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out, and what should have run and did not."""
    left_out = [
        f"{kind.left_out} {kind.words} {'test' if kind.left_out == 1 else 'tests'} ({kind.cure})"
        for kind in KINDS
        if kind.left_out
    ]
    if left_out:
        terminalreporter.write_line(f"Left out: {', '.join(left_out)}.", yellow=True)
    if not terminalreporter.config.option.collectonly:
        for complaint in filter(None, (kind.complaint() for kind in KINDS)):
            terminalreporter.write_line(complaint, red=True)


@pytest.fixture
def ham10000_folder() -> Path:
    """HAM10000 in the Kaggle layout. A test that asks for it is a real-data test."""
    means = KINDS[0].means
    assert means is not None
    return means


@pytest.fixture
def chromium_path() -> Path:
    """The program of a Chromium. A test that asks for it is a browser test."""
    means = KINDS[1].means
    assert means is not None
    return means


@pytest.fixture(scope="session")
def app_root() -> Path:
    """The repository's root, where streamlit_app.py lies."""
    return ROOT


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test the default settings, with caches and runs in folders of its own."""
    for name in settings_module.NAMES:
        monkeypatch.delenv(name, raising=False)
    own = tmp_path_factory.mktemp("lesionlens")
    monkeypatch.setenv("LESIONLENS_CACHE", str(own / "cache"))
    monkeypatch.setenv("LESIONLENS_RUNS", str(own / "runs"))
    monkeypatch.setattr(settings_module, "SECRETS_FILE", own / "no-secrets.toml")
    settings_module.settings.cache_clear()
    yield
    settings_module.settings.cache_clear()
