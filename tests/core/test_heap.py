"""glibc's memory: fewer fresh pages for a trainer, and nothing at all on other systems."""

import platform
import subprocess
import sys

from core import heap

# A program counts the page faults of twenty large arrays that come and go. In a process of its own: the
# setting cannot be taken back.
PROGRAM = """
import resource, sys
import numpy as np
from core import heap
if sys.argv[1] == "kept":
    assert heap.keep_large_blocks()
def once():
    return float(np.ones(8_000_000)[0])
once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    once()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

GLIBC = platform.libc_ver()[0] == "glibc"


def faults(how: str, root) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], cwd=root, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_large_blocks_that_are_kept_need_no_fresh_pages(app_root):
    plain, kept = faults("plain", app_root), faults("kept", app_root)
    assert kept < plain / 10 if GLIBC else kept <= plain


def test_another_system_is_left_alone(monkeypatch):
    def no_library(_name):
        raise OSError("libc.so.6: cannot open shared object file")

    monkeypatch.setattr(heap.ctypes, "CDLL", no_library)
    assert not heap.share_heaps()
    assert not heap.keep_large_blocks()


def test_glibc_takes_the_setting():
    assert heap.share_heaps() is GLIBC


def test_what_is_here_is_passed_over_by_the_collector_and_what_comes_is_not(app_root):
    program = """
import gc, weakref
from core import heap
class Node: pass
def ring():
    node = Node()
    node.itself = node
    return weakref.ref(node)
before = ring()
heap.leave_out_of_collection("this")
watched = len(gc.get_objects())
after = ring()
gc.collect()
print(gc.get_freeze_count() > 1000, watched < gc.get_freeze_count() / 10, before() is None, after() is None)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=app_root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True"] * 4
