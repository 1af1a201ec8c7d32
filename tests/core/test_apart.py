"""Computations in a process of their own: their result, their end, and their errors."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from core.apart import compute_apart
from core.jobs import Cancelled, silent
from tests.conftest import ROOT


def double(values: np.ndarray) -> np.ndarray:
    return values * 2


def fail(values: np.ndarray) -> np.ndarray:
    raise ValueError(f"{len(values)} are too few")


def die(values: np.ndarray) -> np.ndarray:
    os.kill(os.getpid(), signal.SIGKILL)
    return values


def never_end(values: np.ndarray) -> np.ndarray:
    while True:
        time.sleep(1)


def chatter(values: np.ndarray) -> np.ndarray:
    sys.stdout.write("a library says hello")
    return values


def in_here(name: str) -> str:
    return f"{__name__}:{name}"


def test_the_result_comes_back():
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    found = compute_apart(in_here("double"), values, report=silent)
    assert found.dtype == np.float32
    assert np.array_equal(found, values * 2)


def test_what_a_library_prints_is_no_part_of_the_result():
    assert np.array_equal(compute_apart(in_here("chatter"), np.ones(3), report=silent), np.ones(3))


@pytest.mark.parametrize(
    ("name", "cause"), [("fail", "ValueError: 2 are too few"), ("die", "ended with code -9")]
)
def test_what_went_wrong_is_said(name, cause):
    with pytest.raises(ChildProcessError, match=cause):
        compute_apart(in_here(name), np.zeros(2), report=silent)


def test_who_is_not_waited_for_is_ended():
    asked = []
    before = set(psutil.Process().children(recursive=True))

    def stop(*_, **__):
        asked.append(set(psutil.Process().children(recursive=True)) - before)
        if len(asked) > 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        compute_apart(in_here("never_end"), np.zeros(2), report=stop)
    (process,) = asked[-1]
    assert not process.is_running()


def test_nothing_stays_when_who_asked_is_killed(tmp_path):
    """An app that is ended amid the work cannot tidy up: the other process goes by itself, no file stays."""
    asks = "import numpy, sys; from core.apart import compute_apart; from core.jobs import silent; "
    asks += f"compute_apart({in_here('never_end')!r}, numpy.zeros(2), report=silent)"
    places = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", asks], cwd=ROOT, env=places) as parent:
        children: list[psutil.Process] = []
        while not children:
            assert parent.poll() is None
            time.sleep(0.05)
            children = psutil.Process(parent.pid).children()
        parent.kill()
    gone, alive = psutil.wait_procs(children, timeout=30)
    assert len(gone) == 1
    assert alive == []
    assert list(tmp_path.iterdir()) == []
