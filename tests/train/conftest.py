"""One tiny dataset and one tiny trained run, shared by all tests of the trainer."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from typer.testing import CliRunner

from core.data.synthetic import make_dataset
from core.runs.folder import RunFolder
from core.settings import settings
from tests.conftest import ROOT
from train.__main__ import app

# Small enough for seconds on one core, and still every part of a real run.
RECIPE = """# Purpose: a network in seconds, for tests.
model = "mobilenetv3_small"
weights = "none"
size = 32
train_sizes = [32, 48]
epochs = 3
batch_size = 16
workers = 0
seed = 5

[optimizer]
learning_rate = 2e-3
warmup_epochs = 0.5
ema_decay = 0.8

[regularise]
drop_rate = 0.1

[augment]
min_scale = 0.7
"""


@dataclass(frozen=True)
class Tiny:
    """Where the shared things lie. `run` is a finished run, `printed` what training it printed."""

    data: Path
    recipe: Path
    cache: Path
    run: RunFolder
    printed: str

    @property
    def reference(self) -> str:
        """The run's checkpoint as a reference."""
        return f"local:{self.run.path / 'checkpoint'}"


@contextmanager
def folders(runs: Path, cache: Path) -> Iterator[None]:
    """Point the settings to these folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LESIONLENS_RUNS", str(runs))
        patch.setenv("LESIONLENS_CACHE", str(cache))
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Tiny:
    """A dataset of 7 × 20 drawn lesions, and a run trained and finished on it by the command line."""
    root = tmp_path_factory.mktemp("tiny")
    data = make_dataset(root / "data", images_per_class=20, seed=3, size_px=(60, 80))
    recipe = root / "tiny.toml"
    recipe.write_text(RECIPE)
    with folders(root / "runs", root / "cache"):
        result = CliRunner().invoke(app, ["fit", str(recipe), "--data", str(data), "--run", "tiny"])
    if result.exception is not None:
        raise result.exception
    # Whichever test comes first may want another precision.
    AcceleratorState._reset_state(reset_partial_state=True)
    return Tiny(data, recipe, root / "cache", RunFolder(root / "runs" / "tiny"), result.output)


@pytest.fixture(autouse=True)
def new_accelerator() -> Iterator[None]:
    """Let each test choose its own precision: Accelerate keeps the first choice of a process."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def command(*arguments: str, processes: int = 1) -> list[str]:
    """Return the command line of the trainer, under torchrun for several processes."""
    if processes == 1:
        return [sys.executable, "-m", "train", *arguments]
    # After `--` torchrun leaves alone what it would take for its own: it has a --run-path.
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [sys.executable, "-m", *torchrun, "-m", "--", "train", *arguments]


def trainer(*arguments: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    """Run the trainer as people do, with the settings of this test."""
    return subprocess.run(
        command(*arguments, processes=processes),
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
