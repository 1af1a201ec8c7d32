"""Tests of conftest.py: what a run leaves out it names, and a run that requires it fails without it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SUITE = '''
"""A suite with every kind of test."""
import pytest

def test_plain(): pass
def test_fixture_of_data(ham10000_folder): assert (ham10000_folder / "HAM10000_metadata.csv").is_file()
@pytest.mark.real_data
def test_marked(): pass
def test_fixture_of_browser(chromium_path): assert chromium_path.is_file()
'''
SKIPPING = """
import pytest

def test_skips(ham10000_folder): pytest.skip("no mood")
"""


@pytest.fixture
def run_suite(tmp_path):
    """Return a function that runs pytest on a suite in a project of its own with this conftest.py."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "HAM10000_metadata.csv").touch()
    (tmp_path / "chromium").touch()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")

    def run(*options, suite=SUITE, require="", data="", chromium=""):
        (tmp_path / "tests" / "test_suite.py").write_text(suite)
        environment = {
            **os.environ,
            "PYTEST_ADDOPTS": "",  # those of the run that this test is part of
            "PYTHONPATH": str(ROOT),
            "PATH": str(tmp_path / "empty"),
            "LESIONLENS_REQUIRE": require,
            "LESIONLENS_TEST_DATA": data and str(tmp_path / data),
            "LESIONLENS_CHROMIUM": chromium and str(tmp_path / chromium),
        }
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        return done.returncode, done.stdout + done.stderr

    return run


ALONE_AND_SHARED = pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["alone", "shared"])


@ALONE_AND_SHARED
def test_a_plain_run_passes_and_names_what_it_left_out(run_suite, processes):
    status, output = run_suite(*processes)
    assert status == 0, output
    assert "1 passed" in output
    assert "Left out: 2 real-data tests (set LESIONLENS_TEST_DATA" in output
    assert "1 browser test (install chromium" in output


@ALONE_AND_SHARED
def test_a_run_with_everything_leaves_nothing_out(run_suite, processes):
    status, output = run_suite(*processes, data="data", chromium="chromium", require="real_data,browser")
    assert status == 0, output
    assert "4 passed" in output
    assert "Left out" not in output


@pytest.mark.parametrize("kind", ["real_data", "browser"])
def test_a_required_kind_without_its_means_fails_the_run(run_suite, kind):
    status, output = run_suite(require=kind)
    assert status != 0
    assert f"LESIONLENS_REQUIRE names {kind}" in output


@ALONE_AND_SHARED
def test_a_required_kind_of_which_nothing_was_selected_fails_the_run(run_suite, processes):
    status, output = run_suite(*processes, "-k", "plain", data="data", require="real_data")
    assert status != 0
    assert "no real-data test was selected" in output


@ALONE_AND_SHARED
def test_a_required_kind_that_was_skipped_fails_the_run(run_suite, processes):
    status, output = run_suite(*processes, suite=SKIPPING, data="data", require="real_data")
    assert status != 0
    assert "these did not run: tests/test_suite.py::test_skips" in output


def test_a_required_kind_that_an_early_end_cut_off_fails_the_run(run_suite):
    suite = SUITE.replace("def test_plain(): pass", "def test_plain(): pytest.exit('enough', returncode=0)")
    status, output = run_suite(suite=suite, data="data", require="real_data")
    assert status != 0, output


def test_a_data_folder_without_data_is_an_error_not_something_to_leave_out(run_suite):
    status, output = run_suite(data="tests")
    assert status != 0
    assert "holds no HAM10000_metadata.csv" in output


def test_a_chromium_that_is_not_there_is_an_error_not_something_to_leave_out(run_suite):
    status, output = run_suite(chromium="nowhere")
    assert status != 0
    assert "LESIONLENS_CHROMIUM" in output


def test_an_unknown_kind_is_refused(run_suite):
    status, output = run_suite(require="real_dta")
    assert status != 0
    assert "real_dta; expected real_data, browser" in output
