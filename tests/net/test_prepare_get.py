"""`prepare get` as a person runs it: the licence first, a bar with bytes, one sentence where it fails."""

import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from core.data.readers import read_dataset
from core.errors import GettingError
from tests.net.double import Fault
from tests.net.making import fill_isic
from train.prepare_get import get_dataset

INPUT = "/isic-archive.s3.amazonaws.com/challenges/2018/ISIC2018_Task3_Training_Input.zip"


@pytest.fixture
def run(root):
    """Return a function that runs the command with some arguments, with room enough."""
    app = typer.Typer()
    app.command()(get_dataset)

    def run(*arguments: str, answer: str | None = None):
        return CliRunner().invoke(app, [*arguments, "--out", str(root)], input=answer)

    return run


@pytest.fixture(autouse=True)
def room_enough(monkeypatch):
    """Let a small disk not refuse the true dataset, of which only a mite comes."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))


def test_without_a_source_they_are_listed(run):
    result = run()
    assert result.exit_code == 0
    assert all(name in result.output for name in ("dataverse", "isic", "kaggle", "hub", "zip", "folder"))
    assert "No key is needed" in result.output


def test_a_dataset_comes_with_its_licence_accepted(run, server, root):
    fill_isic(server)
    result = run("isic", "--accept-licence", "--mirror", server.address)
    assert result.exit_code == 0, result.output
    assert "7 images, 7 with a picture" in result.output
    assert set(read_dataset(root / "ham10000-isic")["sex"]) == {"male"}
    again = run("isic", "--mirror", server.address)
    assert again.exit_code == 0
    assert "Licence" not in again.output


def test_extras_can_be_left(run, server, root):
    fill_isic(server)
    assert run("isic", "--accept-licence", "--without", "facts", "--mirror", server.address).exit_code == 0
    assert read_dataset(root / "ham10000-isic")["sex"].isna().all()


def test_the_licence_is_shown_and_nothing_is_asked_for_when_nobody_accepts_it(run, server):
    fill_isic(server)
    result = run("isic", "--mirror", server.address)
    assert "CC BY-NC 4.0" in result.output
    assert "Medical University of Vienna" in result.output
    assert isinstance(result.exception, GettingError)
    assert "--accept-licence" in str(result.exception)
    assert server.asked == []


def test_run_again_it_goes_on_where_it_broke(run, server):
    fill_isic(server, padding=300_000)
    server.faults[INPUT] = Fault("cut")
    result = run("isic", "--accept-licence", "--mirror", server.address)
    assert "was cut" in str(result.exception)
    server.faults.clear()
    before = server.sent_bytes
    assert run("isic", "--accept-licence", "--mirror", server.address).exit_code == 0
    assert server.sent_bytes - before < 200_000


@pytest.mark.parametrize("arguments", [("nowhere",), ("isic", "--without", "masks")])
def test_a_wrong_word_is_named_with_the_right_ones(arguments, run):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "nowhere" in result.output or "facts" in result.output


def test_a_key_can_be_given_by_no_argument(run):
    result = run("kaggle", "--key", "secret")
    assert result.exit_code != 0


def test_the_bar_shows_bytes_where_there_is_no_terminal_too(server, root, app_root):
    fill_isic(server)
    code = (
        "import shutil, types, typer; from train.prepare_get import get_dataset; "
        "shutil.disk_usage = lambda _: types.SimpleNamespace(free=10**12); typer.run(get_dataset)"
    )
    command = [sys.executable, "-c", code, "isic", "--accept-licence", "--mirror", server.address]
    run = subprocess.run(
        [*command, "--out", str(root)], capture_output=True, text=True, cwd=app_root, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "B/s" in run.stderr
    assert "Unpacking" in run.stderr
    assert str(root / "ham10000-isic") in run.stdout


def test_both_licences_of_kaggles_copy_are_told_before_anything_is_asked_for():
    result = run("kaggle")
    assert result.exit_code == 1
    assert "Licence: CC BY-NC 4.0, https://creativecommons.org/licenses/by-nc/4.0/" in result.output
    assert "Licence: CC BY-NC-SA 4.0, https://creativecommons.org/licenses/by-nc-sa/4.0/" in result.output
    assert "--accept-licence" in result.output + str(result.exception)
