"""Bad weather: each failure ends in a state that says what happened and what is kept."""

import errno
import resource
import shutil
import subprocess

import pytest
import torch

from core.errors import DataError, LesionLensError, RecipeError, RunError
from core.runs.folder import RunFolder, told_once
from core.settings import settings
from tests.conftest import ROOT
from tests.train.conftest import command, folders
from tests.train.test_loop import epochs_of, fit, tiny_recipe
from train.display import TerminalDisplay
from train.failures import explained
from train.finish import finish_run
from train.fit import resume, start
from train.loop import Criterion
from train.recipe import OptimizerConfig, Recipe


def copy_of(tiny, name, **changes):
    """A copy of the finished run, to be gone on with."""
    run = RunFolder(shutil.copytree(tiny.run.path, settings().runs_dir / name))
    config = run.config()
    run.write_config(config | {"recipe": config["recipe"] | changes})
    return run


def test_a_disk_that_fills_up_while_saving_keeps_the_checkpoint_before(tiny):
    run = copy_of(tiny, "full", epochs=4)
    before = {path.name: path.read_bytes() for path in run.checkpoints.iterdir()}

    def one_megabyte():  # the system refuses every file that is larger
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

    with folders(settings().runs_dir, tiny.cache):
        done = subprocess.run(
            command("resume", "full"),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=one_megabyte,
        )
    assert done.returncode == 1
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    status = run.status()
    assert status.state == "failed"
    assert "Free some disk space and resume" in status.message
    assert {path.name: path.read_bytes() for path in run.checkpoints.iterdir()} == before


def test_too_little_memory_is_answered_with_a_smaller_batch(tiny, monkeypatch):
    def allocate(self, *_):
        return torch.empty(2**50)  # a petabyte or so: the allocator itself refuses

    monkeypatch.setattr(Criterion, "__call__", allocate)
    with pytest.raises(RunError, match=r"not enough memory for batches of 16 .*batch_size=8 .*accumulate=2"):
        fit(tiny, "large")
    status = RunFolder.open(settings().runs_dir, "large").status()
    assert status.state == "failed"
    assert "--set batch_size=8" in status.message


def test_a_dataset_that_is_removed_meanwhile_is_named_and_the_weights_are_kept(tiny, tmp_path):
    data = shutil.copytree(tiny.data, tmp_path / "data")

    def finish_without_pictures(run):
        shutil.rmtree(data)
        finish_run(run, run.path / "checkpoint", name="x", progress=TerminalDisplay(quiet=True).counting)

    with folders(settings().runs_dir, tmp_path / "cache"), pytest.raises(DataError):
        start(
            tiny_recipe(tiny, "epochs=1", "mode=frozen"),
            data,
            "gone",
            TerminalDisplay(quiet=True),
            then=finish_without_pictures,
        )
    run = RunFolder.open(settings().runs_dir, "gone")
    assert run.status().state == "failed"
    assert str(data) in run.status().message
    assert (run.checkpoints / "best.safetensors").is_file()
    shutil.copytree(tiny.data, data)
    with folders(settings().runs_dir, tmp_path / "cache"):
        resume("gone", TerminalDisplay(quiet=True))  # it is back: the run goes on
    assert run.status().state == "finished"


def test_a_dataset_that_is_gone_when_a_run_is_resumed_is_named(tiny, tmp_path):
    run = copy_of(tiny, "away", epochs=4)
    run.write_config(run.config() | {"data_dir": str(tmp_path / "nowhere")})
    with pytest.raises(LesionLensError, match="nowhere"):
        resume("away", TerminalDisplay(quiet=True))
    assert run.status().state == "failed"
    assert "nowhere" in run.status().message


def test_a_corrupt_event_file_is_passed_over_and_the_run_goes_on(tiny):
    run = copy_of(tiny, "corrupt", epochs=4)
    with (run.path / "events.jsonl").open("r+b") as file:
        file.write(bytes(range(256)) * 4)
    with folders(settings().runs_dir, tiny.cache):
        resume("corrupt", TerminalDisplay(quiet=True))
    assert epochs_of(run)[-1]["epoch"] == 4
    assert run.status().state == "finished"


def test_a_damaged_state_is_named_and_not_trained_over(tiny):
    run = copy_of(tiny, "damaged", epochs=4)
    (run.checkpoints / "last.safetensors").write_bytes(b"half a state")
    with (
        folders(settings().runs_dir, tiny.cache),
        pytest.raises(RunError, match="not a whole training state"),
    ):
        resume("damaged", TerminalDisplay(quiet=True))
    assert run.status().state == "failed"
    assert (run.checkpoints / "last.safetensors").read_bytes() == b"half a state"


def test_a_bug_is_told_as_one_with_its_traceback_in_the_log(tiny, monkeypatch):
    monkeypatch.setattr("train.loop.score", lambda *_: {}["missing"])
    with pytest.raises(KeyError):
        fit(tiny, "bug", "mode=frozen")
    run = RunFolder.open(settings().runs_dir, "bug")
    assert run.status().state == "failed"
    assert run.status().message == "Unexpected: KeyError: 'missing'. See log.txt."
    assert "train_network" in (run.path / "log.txt").read_text()


def test_a_loss_that_is_no_number_is_an_event_that_any_reader_takes_and_an_alarm(tiny, monkeypatch):
    monkeypatch.setattr(Criterion, "__call__", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(RunError, match=r"The loss is nan at step 1.*learning_rate=0\.0007"):
        fit(tiny, "nan", "mode=frozen")
    events = told_once(RunFolder.open(settings().runs_dir, "nan").events()[0])
    assert [event["kind"] for event in events] == ["step", "alarm"]
    assert events[0]["loss"] is None
    assert (events[1]["name"], events[1]["severity"]) == ("loss_not_finite", "error")


RECIPE = Recipe("resnet18", batch_size=16, optimizer=OptimizerConfig(accumulate=2), workers=2)
KNOWN = {
    "CUDA": (
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        "--set batch_size=8 --set optimizer.acc",
    ),
    "python": (MemoryError(), "optimizer.accumulate=4"),
    "worker": (
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
        "--set workers=1",
    ),
    "disk": (OSError(errno.ENOSPC, "No space left on device", "/runs/x"), "The disk is full (/runs/x)"),
    "permission": (PermissionError(errno.EACCES, "Permission denied", "/runs/x"), "/runs/x may not be used"),
    "gone": (FileNotFoundError(errno.ENOENT, "No such file", "/data/a.jpg"), "/data/a.jpg is gone"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_a_person_can_mend_is_explained(name, tmp_path):
    problem, words = KNOWN[name]
    known = explained(problem, RECIPE, tmp_path)
    assert isinstance(known, RunError)
    assert words in str(known)
    assert "resume the run" in str(known)


def test_batches_of_one_cannot_shrink(tmp_path):
    one = Recipe("resnet18", batch_size=1)
    assert "grad_checkpointing=true" in str(explained(MemoryError(), one, tmp_path))


@pytest.mark.parametrize(
    "problem", [KeyboardInterrupt(), KeyError("x"), RuntimeError("shapes differ"), RecipeError("known")]
)
def test_what_is_not_known_stays_as_it_is(problem, tmp_path):
    assert explained(problem, RECIPE, tmp_path) is problem
