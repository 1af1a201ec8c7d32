"""How long a run will take: what is measured, and how it adds up."""

import pytest

from train import estimating


@pytest.mark.parametrize(
    ("reading_s", "on_cpu", "seconds"),
    [
        (0.008, True, 0.012),  # both need the processors, so their work adds up
        (0.008, False, 0.010),
        (0.080, True, 0.080),  # one process reads: it may be what all wait for
        (0.080, False, 0.080),
    ],
)
def test_what_a_picture_takes_while_another_is_read(monkeypatch, reading_s, on_cpu, seconds):
    monkeypatch.setattr(estimating, "available_cpus", lambda: 4)
    found = estimating.per_finished_picture_s(reading_s, 0.010, on_cpu=on_cpu)
    assert found == pytest.approx(seconds)
