"""The image store: whole or absent, resumable, and plain about what went wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
from PIL import Image

from core.data.preprocessing import cover
from core.data.store import STORE_SIZE, open_store, stored_size
from core.errors import StoreError
from tests.conftest import ROOT

SIZE = (12, 16)


@pytest.fixture
def pictures(tmp_path):
    """150 small pictures, so that a store is built in three chunks."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    paths = []
    for number in range(150):
        path = folder / f"I{number:03d}.png"
        Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(path)
        paths.append(path)
    return paths


def store_of(paths, tmp_path, **options):
    ids = [path.stem for path in paths]
    return open_store(ids, paths, **{"cache_dir": tmp_path / "cache", "size": SIZE, "workers": 1} | options)


def folders(tmp_path):
    return sorted((tmp_path / "cache" / "stores").iterdir())


def no_decoding(*_):
    pytest.fail("a picture was decoded")


def test_a_store_holds_each_picture_at_its_size(pictures, tmp_path):
    store = store_of(pictures, tmp_path)
    assert store.pixels.shape == (150, *SIZE, 3)
    assert store.pixels.dtype == np.uint8
    for row in (0, 70, 149):
        expected = cover(np.asarray(Image.open(pictures[row])), SIZE)
        assert np.array_equal(store.pixels[store.index[pictures[row].stem]], expected)


def test_a_store_is_opened_again_without_decoding(pictures, tmp_path, monkeypatch):
    before = store_of(pictures, tmp_path)
    monkeypatch.setattr("core.data.store.read_picture", no_decoding)
    again = store_of(pictures, tmp_path)
    assert np.array_equal(before.pixels, again.pixels)
    assert before.index == again.index


def test_a_finished_store_leaves_nothing_half_done(pictures, tmp_path):
    store_of(pictures, tmp_path)
    (folder,) = folders(tmp_path)
    assert {path.name for path in folder.iterdir()} - {"lock"} == {"pixels.u8", "store.json"}


def test_a_store_is_read_only(pictures, tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        store_of(pictures, tmp_path).pixels[0] = 0


def test_progress_counts_to_the_end(pictures, tmp_path):
    seen = []
    store_of(pictures, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(64, 150), (128, 150), (150, 150)]


def test_an_interrupted_build_goes_on_where_it_stopped(pictures, tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_of(pictures, tmp_path, progress=interrupt)
    (folder,) = folders(tmp_path)
    assert not (folder / "store.json").exists()
    with (folder / "done.jsonl").open("a") as log:
        log.write('\n{"start": 64, "unread')  # killed in the middle of a line
    seen = []
    store = store_of(pictures, tmp_path, progress=lambda done, _: seen.append(done))
    assert seen == [128, 150]
    assert all(store.pixels[row].any() for row in range(150))


SLOW_BUILD = """
import sys, time
from pathlib import Path
from core.data import store
paths = sorted(Path(sys.argv[1]).glob("*.png"))
def progress(done, total):
    print(done, flush=True)
    time.sleep(60)
store.open_store([p.stem for p in paths], paths, cache_dir=Path(sys.argv[2]), size=(12, 16), workers=1,
                 progress=progress)
"""


def test_a_killed_build_is_finished_by_the_next(pictures, tmp_path):
    command = [sys.executable, "-c", SLOW_BUILD, str(pictures[0].parent), str(tmp_path / "cache")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "64\n"
        process.send_signal(signal.SIGKILL)
    seen = []
    store = store_of(pictures, tmp_path, progress=lambda done, _: seen.append(done))
    assert seen == [128, 150]
    assert np.array_equal(store.pixels[3], cover(np.asarray(Image.open(pictures[3])), SIZE))


def test_an_interrupted_build_remembers_what_it_could_not_read(pictures, tmp_path):
    pictures[5].write_bytes(b"not a picture")

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_of(pictures, tmp_path, progress=interrupt)
    assert set(store_of(pictures, tmp_path).unreadable) == {"I005"}


def test_unreadable_pictures_are_listed_and_left_out(pictures, tmp_path):
    pictures[5].write_bytes(b"not a picture")
    pictures[140].write_bytes(b"")
    store = store_of(pictures, tmp_path)
    assert set(store.unreadable) == {"I005", "I140"}
    assert "I005.png" in store.unreadable["I005"]
    assert len(store.index) == 148
    assert "I005" not in store.index
    assert store_of(pictures, tmp_path).unreadable == store.unreadable


@pytest.mark.parametrize("change", ["content", "one byte", "size", "name", "fewer"])
def test_another_content_or_size_is_another_store(pictures, tmp_path, change):
    pictures = pictures[:3]
    store_of(pictures, tmp_path)
    options = {}
    if change == "content":
        Image.fromarray(np.full((24, 40, 3), 7, dtype=np.uint8)).save(pictures[1])
    elif change == "one byte":
        stat, written = pictures[1].stat(), bytearray(pictures[1].read_bytes())
        written[-1] ^= 1
        pictures[1].write_bytes(written)
        os.utime(pictures[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "size":
        options = {"size": (16, 16)}
    elif change == "name":
        pictures[1] = pictures[1].rename(pictures[1].with_name("other.png"))
    else:
        pictures = pictures[:2]
    store_of(pictures, tmp_path, **options)
    assert len(folders(tmp_path)) == 2


def test_a_copy_of_a_dataset_is_not_decoded_again(pictures, tmp_path, monkeypatch):
    before = store_of(pictures, tmp_path)
    copy = shutil.copytree(pictures[0].parent, tmp_path / "copy")
    for path in copy.iterdir():
        os.utime(path, (1, 1))
    monkeypatch.setattr("core.data.store.read_picture", no_decoding)
    again = store_of([copy / path.name for path in pictures], tmp_path)
    assert np.array_equal(before.pixels, again.pixels)


def test_crops_are_cut_from_pictures_that_are_large_enough():
    assert stored_size(160) == stored_size(224) == STORE_SIZE
    height, width = stored_size(384)
    assert (height, width) == (384, 512)


def test_processes_together_build_what_one_builds(pictures, tmp_path):
    alone = store_of(pictures, tmp_path)
    together = store_of(pictures, tmp_path / "other", workers=2)
    assert np.array_equal(alone.pixels, together.pixels)


def test_a_job_of_a_page_builds_without_a_new_process(pictures, tmp_path, monkeypatch):
    # A spawned process would run the page's script again: Streamlit puts it in the place of the main module.
    def no_process(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr("subprocess.Popen", no_process)
    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", no_process)
    alone = store_of(pictures, tmp_path)
    with ThreadPoolExecutor(1) as job:
        built = job.submit(store_of, pictures, tmp_path / "other", workers=2).result()
    assert np.array_equal(built.pixels, alone.pixels)


def test_two_builders_at_once_build_once(pictures, tmp_path):
    decoded = []
    slow = {"progress": lambda done, _: (time.sleep(0.1), decoded.append(done))}
    with ThreadPoolExecutor(2) as pool:
        stores = list(pool.map(lambda _: store_of(pictures, tmp_path, **slow), range(2)))
    # 0 is what the other one tells while it waits.
    assert [done for done in decoded if done] == [64, 128, 150]
    assert np.array_equal(stores[0].pixels, stores[1].pixels)


def _total(store) -> int:
    return int(store.pixels.sum(dtype=np.int64))


def test_a_store_travels_to_another_process_as_a_name(pictures, tmp_path):
    store = store_of(pictures, tmp_path)
    assert len(ForkingPickler.dumps(store)) < 2000
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(_total, store).result() == _total(store)


def test_facts_without_pictures_are_refused(tmp_path):
    with pytest.raises(StoreError, match="no pictures to store"):
        store_of([], tmp_path)


def test_a_picture_that_is_gone_is_named(pictures, tmp_path):
    pictures[2].unlink()
    with pytest.raises(StoreError, match=r"I002\.png cannot be read"):
        store_of(pictures, tmp_path)


def test_a_cache_folder_that_cannot_be_is_refused(pictures, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StoreError, match=r"could not be written.*LESIONLENS_CACHE"):
        store_of(pictures, tmp_path)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from core.data.store import open_store
from core.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
paths = sorted(Path(sys.argv[1]).glob("*.png"))
try:
    open_store([p.stem for p in paths], paths, cache_dir=Path(sys.argv[2]), size=(12, 16), workers=1)
except StoreError as problem:
    print(problem)
"""


def test_a_full_disk_is_named_before_anything_is_decoded(pictures, tmp_path):
    command = [sys.executable, "-c", FULL_DISK, str(pictures[0].parent), str(tmp_path / "cache")]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "could not be written" in finished.stdout
    assert "disk space" in finished.stdout
    assert len(store_of(pictures, tmp_path).index) == 150


@pytest.mark.parametrize("damage", ["cut pixels", "no json", "other json"])
def test_a_damaged_store_is_refused_with_its_cure(pictures, tmp_path, damage):
    store_of(pictures, tmp_path)
    (folder,) = folders(tmp_path)
    if damage == "cut pixels":
        os.truncate(folder / "pixels.u8", 100)
    else:
        text = "{" if damage == "no json" else json.dumps([1])
        (folder / "store.json").write_text(text)
    with pytest.raises(StoreError, match=r"is damaged.*Delete that folder"):
        store_of(pictures, tmp_path)
