"""Progress on a terminal: a bar with the time left, lines that stay, and silence where asked."""

import re

from train.display import TerminalDisplay


def test_a_bar_shows_how_far_and_how_long_still(capsys):
    display = TerminalDisplay()
    display.step(1, 4, "loss 2.0")
    display.step(2, 4, "loss 1.5")
    display.step(4, 4, "loss 1.0")
    shown = capsys.readouterr().err
    assert "100%" in shown
    assert re.search(r"4/4 \[\d\d:\d\d<", shown)  # elapsed < left
    assert "loss 1.0" in shown


def test_another_task_starts_another_bar_though_the_first_ended_early(capsys):
    display = TerminalDisplay()
    display.step(3, 10, "training")
    display.counting("val")(5, 5)
    assert "5/5" in capsys.readouterr().err


def test_lines_stay_and_go_to_the_log(capsys):
    logged = []
    display = TerminalDisplay()
    display.line("before")
    display.log_to(logged.append)
    display.line("after")
    assert capsys.readouterr().err.split() == ["before", "after"]
    assert logged == ["after"]


def test_a_quiet_display_says_nothing(capsys):
    display = TerminalDisplay(quiet=True)
    display.line("hidden")
    display.step(1, 2, "hidden")
    display.counting("hidden")(1, 2)
    display.close()
    assert capsys.readouterr() == ("", "")
