"""Background jobs: one thread a key, live progress, cancel, and problems as sentences."""

import logging
import threading
import time
import uuid
import weakref

import pytest

from core import jobs
from core.errors import DataError


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return uuid.uuid4().hex


def test_a_job_gives_its_result_and_keeps_its_last_progress(key: str) -> None:
    def work(report: jobs.Report) -> int:
        report(1, 2, unit="pictures", note="the first")
        report(2, 2, unit="pictures")
        return 42

    job = jobs.start(key, "Counting", work)
    assert job.wait(10) == "done"
    assert (job.result, job.progress.share, job.progress.unit) == (42, 1.0, "pictures")
    assert jobs.find(key) is job


def test_a_second_start_joins_the_job_that_runs(key: str) -> None:
    go = threading.Event()
    first = jobs.start(key, "Waiting", lambda _report: go.wait(10))
    second = jobs.start(key, "Waiting", lambda _report: False)
    go.set()
    assert first is second
    assert first.wait(10) == "done"
    assert jobs.start(key, "Again", lambda _report: 1) is not first


def test_cancel_stops_the_work_at_its_next_report(key: str) -> None:
    began = threading.Event()

    def work(report: jobs.Report) -> None:
        for step in range(10**9):
            began.set()
            report(step)

    job = jobs.start(key, "Counting forever", work)
    assert began.wait(10)
    job.cancel()
    assert job.wait(10) == "cancelled"
    assert job.result is None
    assert job.problem is None


def test_a_problem_a_person_can_mend_is_kept_as_it_stands(key: str) -> None:
    def work(_report: jobs.Report) -> None:
        raise DataError("x.csv has no rows; expected one row an image.")

    job = jobs.start(key, "Reading", work)
    assert job.wait(10) == "failed"
    assert str(job.problem) == "x.csv has no rows; expected one row an image."


def test_a_bug_ends_the_job_with_a_sentence_and_goes_to_the_log(
    key: str, caplog: pytest.LogCaptureFixture
) -> None:
    def work(_report: jobs.Report) -> float:
        return 1 / 0

    with caplog.at_level(logging.ERROR):
        job = jobs.start(key, "Dividing", work)
        assert job.wait(10) == "failed"
    assert "Dividing failed unexpectedly (ZeroDivisionError" in str(job.problem)
    assert "Traceback" in caplog.text


def test_the_time_left_follows_from_the_pace_of_the_present_phase(key: str) -> None:
    reported, go = threading.Event(), threading.Event()

    def work(report: jobs.Report) -> None:
        report(90, 100, unit="bytes")
        time.sleep(0.2)
        report(10, 40, unit="pictures")
        time.sleep(0.05)
        report(20, 40, unit="pictures")
        reported.set()
        go.wait(10)

    before = time.monotonic()
    job = jobs.start(key, "Working", work)
    assert reported.wait(10)
    left = job.eta_s
    elapsed_s = time.monotonic() - before
    # Ten pictures took at least 0.05 s and twenty are left; the bytes before them do not count.
    assert left is not None
    assert 0.1 <= left <= 2 * (elapsed_s - 0.2)
    go.set()
    job.wait(10)
    assert job.eta_s is None


def test_only_so_many_ended_jobs_are_remembered() -> None:
    keys = [uuid.uuid4().hex for _ in range(jobs.KEPT + 3)]
    for key in keys:
        jobs.start(key, "Short", lambda _report: None).wait(10)
    assert jobs.find(keys[0]) is None
    assert jobs.find(keys[-1]) is not None


def test_a_forgotten_job_can_start_afresh_and_a_running_one_is_not_forgotten(key: str) -> None:
    go = threading.Event()
    job = jobs.start(key, "Waiting", lambda _report: go.wait(10))
    jobs.forget(key)
    assert jobs.find(key) is job
    go.set()
    job.wait(10)
    jobs.forget(key)
    assert jobs.find(key) is None


def test_what_the_work_held_goes_when_it_is_done(key: str) -> None:
    class Picture:
        """Something large that somebody brought."""

    held = Picture()
    gone = weakref.ref(held)
    job = jobs.start(key, "Holding", lambda report, held=held: None)  # noqa: ARG005
    assert job.wait(10) == "done"
    del held
    assert gone() is None
