"""A training state on disk: everything needed to go on, in one safetensors file, replaced atomically.

No pickle: optimizer moments are tensors like the weights, the rest is a line of JSON in the file's header.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from core.errors import RunError
from core.files import replacing


def save_state(
    path: Path,
    *,
    parts: dict[str, nn.Module],
    progress: dict[str, Any],
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    """Write modules, optimizer moments and progress; a reader sees the old file or the new one, whole.

    Raises:
        RunError: the disk is full or may not be written; the old file is kept.
    """
    tensors = {
        f"{name}.{key}": value for name, module in parts.items() for key, value in module.state_dict().items()
    }
    for index, moments in (optimizer.state_dict()["state"] if optimizer else {}).items():
        tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in moments.items()}
    contiguous = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    try:
        with replacing(path) as part:
            save_file(contiguous, part, metadata={"progress": json.dumps(progress)})
    except (OSError, SafetensorError) as problem:
        raise RunError(
            f"The training state {path} could not be written ({problem}). Free some disk space and resume "
            "the run: what was written before is kept."
        ) from problem


def load_state(
    path: Path, *, parts: dict[str, nn.Module], optimizer: torch.optim.Optimizer | None = None
) -> dict[str, Any]:
    """Load what `save_state` wrote into modules and optimizer; returns the progress.

    Raises:
        RunError: there is no such file, or it does not fit these modules.
    """
    progress, tensors = _read(path)
    try:
        for name, module in parts.items():
            module.load_state_dict(_below(tensors, name))
    except RuntimeError as problem:
        raise RunError(f"{path} belongs to another network: {str(problem).splitlines()[0]}") from problem
    if optimizer is not None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _below(tensors, "optimizer").items():
            index, _, moment = key.partition(".")
            state.setdefault(int(index), {})[moment] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return progress


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            progress = json.loads((file.metadata() or {})["progress"])
            return progress, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, KeyError, ValueError) as problem:
        raise RunError(f"{path} is not a whole training state ({problem}).") from problem


def _below(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")
    }
