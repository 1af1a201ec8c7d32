"""Waiting for one's turn: it is told, it can be stopped, and it ends when the other is done."""

import threading
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from core.data.inspection import inspect_pictures
from core.data.readers import read_dataset
from core.data.scenes import find_scenes
from core.data.store import open_store
from core.data.synthetic import make_dataset
from core.jobs import Cancelled, silent
from core.turns import turn


def test_who_waits_is_told_and_comes_next(tmp_path):
    told, done = [], threading.Event()
    other = FileLock(tmp_path / "lock", thread_local=False)
    other.acquire()

    def report(*_, note="", **__):
        told.append(note)
        other.release()

    with turn(tmp_path, report):
        done.set()
    assert done.is_set()
    assert told == ["another process does the same; waiting for it"]
    with turn(tmp_path, silent):
        pass


WAITING = {
    "inspection": lambda table, cache, stop: inspect_pictures(table, cache_dir=cache, report=stop),
    "scenes": lambda table, cache, stop: find_scenes(table, cache_dir=cache, report=stop),
    "store": lambda table, cache, stop: open_store(
        list(table["image_id"]), list(map(Path, table["image_path"])), cache_dir=cache, progress=stop
    ),
}


@pytest.mark.parametrize("name", WAITING)
def test_a_job_that_waits_for_another_process_can_be_cancelled(name, tmp_path, monkeypatch):
    folder = make_dataset(tmp_path / "data", images_per_class=1, seed=0, size_px=(24, 32))
    table = read_dataset(folder)
    # The other process: whatever lock is asked for, it has it.
    held = []

    def take(lock, *_, **__):
        held.append(lock)
        raise Timeout(str(lock.lock_file))

    def stop(*_, **__):
        raise Cancelled

    monkeypatch.setattr(FileLock, "acquire", take)
    with pytest.raises(Cancelled):
        WAITING[name](table, tmp_path / "cache", stop)
    assert held
