"""Training states: everything to go on from, whole or refused, and never a pickle."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from torch import nn

from core.errors import RunError
from tests.conftest import ROOT
from train.state import load_state, save_state


def network_and_optimizer(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    return network, torch.optim.AdamW(
        [
            {"params": network[0].parameters(), "lr": 1e-2, "base_lr": 1e-2},
            {"params": network[2].parameters(), "lr": 1e-3, "base_lr": 1e-3},
        ]
    )


def step(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    network(torch.randn(8, 3)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_a_state_goes_on_as_if_it_had_never_been_saved(tmp_path):
    network, optimizer = network_and_optimizer(0)
    for seed in range(3):
        step(network, optimizer, seed)
    save_state(
        tmp_path / "s.safetensors",
        parts={"net": network},
        optimizer=optimizer,
        progress={"epoch": 3, "best": 0.5},
    )
    other, its_optimizer = network_and_optimizer(1)
    progress = load_state(tmp_path / "s.safetensors", parts={"net": other}, optimizer=its_optimizer)
    assert progress == {"epoch": 3, "best": 0.5}
    for one, its in ((network, optimizer), (other, its_optimizer)):
        step(one, its, 9)
    for key, value in network.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


def test_the_file_holds_tensors_and_a_line_of_json(tmp_path):
    network, optimizer = network_and_optimizer(0)
    step(network, optimizer, 0)
    save_state(tmp_path / "s.safetensors", parts={"net": network}, optimizer=optimizer, progress={"epoch": 1})
    with safe_open(tmp_path / "s.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["progress"]) == {"epoch": 1}
        assert {key.split(".")[0] for key in file.keys()} == {"net", "optimizer"}  # noqa: SIM118 - not a dict
    assert [path.name for path in tmp_path.iterdir()] == ["s.safetensors"]


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\x00" * 64, None])
def test_what_is_no_whole_state_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "s.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=r"s\.safetensors is not a whole training state"):
        load_state(tmp_path / "s.safetensors", parts={})


def test_a_cut_state_is_refused(tmp_path):
    path = tmp_path / "s.safetensors"
    save_state(path, parts={"net": nn.Linear(50, 50)}, progress={})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RunError, match="is not a whole training state"):
        load_state(path, parts={"net": nn.Linear(50, 50)})


def test_a_state_of_another_network_is_refused(tmp_path):
    save_state(tmp_path / "s.safetensors", parts={"net": nn.Linear(3, 4)}, progress={})
    with pytest.raises(RunError, match="belongs to another network"):
        load_state(tmp_path / "s.safetensors", parts={"net": nn.Linear(3, 5)})


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from torch import nn
from core.errors import RunError
from train.state import save_state
path = Path(sys.argv[1])
save_state(path, parts={"net": nn.Linear(3, 4)}, progress={"epoch": 1})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save_state(path, parts={"net": nn.Linear(300, 400)}, progress={"epoch": 2})
except RunError as problem:
    print(problem)
"""


def test_a_full_disk_keeps_the_state_before(tmp_path):
    path = tmp_path / "s.safetensors"
    finished = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "could not be written" in finished.stdout
    assert load_state(path, parts={"net": nn.Linear(3, 4)}) == {"epoch": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.safetensors"]
