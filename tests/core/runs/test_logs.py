"""The log of a run: its end alone, errors first, and the likely cure."""

import pytest

from core.runs.folder import Status
from core.runs.logs import TAIL_BYTES, errors_first, likely_cure, tail


def failed(message=""):
    return Status("failed", 0, "here", 0.0, message=message)


def test_a_run_without_a_log_has_no_lines(tmp_path):
    assert tail(tmp_path) == []


def test_only_whole_lines_of_the_end_are_read(tmp_path):
    (tmp_path / "log.txt").write_text("".join(f"line {number:06d}\n" for number in range(20_000)))
    lines = tail(tmp_path)
    assert lines[-1] == "line 019999"
    assert all(len(line) == len("line 000000") for line in lines)
    assert len(lines) <= TAIL_BYTES / 12


def test_a_log_that_is_no_text_is_shown_as_far_as_it_can(tmp_path):
    (tmp_path / "log.txt").write_bytes(b"fine\n\xff\xfe\n")
    assert tail(tmp_path)[0] == "fine"


def test_errors_come_first():
    lines = ["epoch 1", "Error: one", "epoch 2", "The loss is nan: failed", "epoch 3"]
    assert errors_first(lines, 2) == (["Error: one", "The loss is nan: failed"], ["epoch 2", "epoch 3"])


@pytest.mark.parametrize(
    ("message", "cure"),
    [
        ("CUDA out of memory. Tried to allocate 2 GiB", "smaller batch"),
        ("OSError: [Errno 28] No space left on device", "Free some space"),
        ("The loss is nan at step 7.", "learning_rate"),
        ("PermissionError: Permission denied", "rights"),
        ("The dataset folder is gone", "Bring it back"),
    ],
)
def test_a_message_that_is_known_has_its_cure(message, cure):
    assert cure in likely_cure(failed(message), "failed", [])
    assert cure in likely_cure(failed(), "failed", ["epoch 1", message])


def test_who_died_without_a_word_is_helped_too():
    assert "Resume" in likely_cure(None, "died", ["epoch 1"])


def test_no_cure_is_made_up():
    assert likely_cure(failed("Something new"), "failed", ["epoch 1"]) is None
    assert likely_cure(failed("out of memory"), "finished", []) is None
