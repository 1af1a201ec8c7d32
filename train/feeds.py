"""What a training loop is fed with: pictures, or the features that a frozen backbone made of them once.

Add a mode by adding one entry to FEEDS.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from core.data.preprocessing import LUMA, Preprocessing
from core.errors import StoreError
from core.files import replacing
from core.models.network import AdditiveNetwork
from core.settings import settings
from train.data import (
    Batches,
    Part,
    batches_of,
    draws,
    loss_weights,
    share_of,
    some_facts,
    training_loader,
)
from train.display import TerminalDisplay
from train.recipe import Recipe

KEPT_FEATURES: Final = 8
"""How many sets of features stay in the cache folder; each is about 5 KB a picture."""


class Feed(Protocol):
    """Training and validation, as batches of whatever `model` takes."""

    train: Part
    val: Part

    def start(
        self, network: AdditiveNetwork, accelerator: Accelerator, display: TerminalDisplay
    ) -> nn.Module:
        """Prepare, and return the module to train: it takes (inputs, facts) and gives logits."""

    def module(self, network: AdditiveNetwork) -> nn.Module:
        """Return the part of a network that takes (inputs, facts)."""

    def training(self, epoch: int, *, rank: int, world: int, skip: int = 0) -> Batches:
        """Return one process's batches of an epoch, but for the first `skip`."""

    def inputs(self, batch: Tensor, device: torch.device) -> Tensor:
        """Turn a batch's inputs into what the module takes."""

    def validation(self, *, rank: int, world: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Yield (positions in val, inputs) of one process's share."""

    def pictures(self, positions: np.ndarray, device: torch.device) -> Tensor:
        """Return validation pictures as network input, to look at."""


class PictureFeed:
    """Augmented pictures through the whole network."""

    def __init__(self, train: Part, val: Part, recipe: Recipe, preprocessing: Preprocessing) -> None:
        self.train = train
        self.val = val
        self._recipe = recipe
        self._preprocessing = preprocessing

    def start(
        self, network: AdditiveNetwork, _accelerator: Accelerator, _display: TerminalDisplay
    ) -> nn.Module:
        """Train the network but for its frozen stages."""
        network.freeze_stages(self._recipe.optimizer.freeze_stages)
        return network

    def module(self, network: AdditiveNetwork) -> nn.Module:
        """Return the whole network."""
        return network

    def training(self, epoch: int, *, rank: int, world: int, skip: int = 0) -> Batches:
        """Return batches of uint8 pictures (n, 3, s, s)."""
        return training_loader(self.train, self._recipe, epoch, rank=rank, world=world, skip=skip)

    def inputs(self, batch: Tensor, device: torch.device) -> Tensor:
        """Normalise pictures on the device."""
        return normalise(batch, self._preprocessing, device)

    def validation(self, *, rank: int, world: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Yield uint8 pictures (n, 3, h, w) as the network will see them in use."""
        for positions, pictures in batches_of(self.val, 32, rank=rank, world=world):
            yield positions, pictures.permute(0, 3, 1, 2)

    def pictures(self, positions: np.ndarray, device: torch.device) -> Tensor:
        """Return validation pictures as network input."""
        return pictures_of(self.val, positions, self._preprocessing, device)


class HeadOnly(nn.Module):
    """The network from its pooled features on; the backbone's weights stay as they are."""

    def __init__(self, network: AdditiveNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, facts: Tensor) -> Tensor:
        """Return logits (N, 7) for features (N, K) and facts (N, 3)."""
        return self.network.from_features(features) + self.network.facts(facts)


class FeatureFeed:
    """A frozen backbone's features, computed once: head and fact tables are then fitted in seconds."""

    def __init__(self, train: Part, val: Part, recipe: Recipe, preprocessing: Preprocessing) -> None:
        self.train = train
        self.val = val
        self._recipe = recipe
        self._preprocessing = preprocessing
        self._features: dict[str, Tensor] = {}
        self._weights = torch.from_numpy(loss_weights(train, recipe.balance))

    def start(
        self, network: AdditiveNetwork, accelerator: Accelerator, display: TerminalDisplay
    ) -> nn.Module:
        """Compute all features, then train only what comes after them."""
        network.eval().requires_grad_(requires_grad=False)
        for name, part in (("train", self.train), ("val", self.val)):
            key = features_key(network, part, self._preprocessing)
            compute = partial(self._compute, network, part, accelerator.device, display, name)
            with accelerator.main_process_first():
                self._features[name] = kept_features(key, settings().cache_dir, compute)
        network.facts.requires_grad_()
        network.backbone.get_classifier().requires_grad_()
        return HeadOnly(network)

    def module(self, network: AdditiveNetwork) -> nn.Module:
        """Return what comes after the features."""
        return HeadOnly(network)

    def training(self, epoch: int, *, rank: int, world: int, skip: int = 0) -> Batches:
        """Return batches of features (n, K)."""
        drawn = draws(self.train, self._recipe, epoch)
        mine = share_of(drawn, self._recipe, rank=rank, world=world)
        positions = torch.tensor([position for position, _ in mine])
        hidden = some_facts(torch.from_numpy(self.train.facts)[positions], self._recipe)
        truth = torch.from_numpy(self.train.truth)[positions]
        columns = (self._features["train"][positions], hidden, truth, self._weights[positions])
        rows = TensorDataset(*(column[skip * self._recipe.batch_size :] for column in columns))
        return DataLoader(rows, batch_size=self._recipe.batch_size)

    def inputs(self, batch: Tensor, device: torch.device) -> Tensor:
        """Move features to the device."""
        return batch.to(device)

    def validation(self, *, rank: int, world: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Yield features (n, K)."""
        positions = np.arange(len(self.val))[rank::world]
        yield positions, self._features["val"][positions]

    def pictures(self, positions: np.ndarray, device: torch.device) -> Tensor:
        """Return validation pictures as network input."""
        return pictures_of(self.val, positions, self._preprocessing, device)

    def _compute(
        self, network: AdditiveNetwork, part: Part, device: torch.device, display: TerminalDisplay, name: str
    ) -> Tensor:
        show = display.counting(f"features of {name}")
        found = []
        with torch.no_grad():
            for positions, pictures in batches_of(part, 32):
                seen = torch.from_numpy(
                    np.stack([self._preprocessing.fit(picture) for picture in pictures.numpy()])
                )
                found.append(
                    network.look(
                        normalise(seen.permute(0, 3, 1, 2), self._preprocessing, device)
                    ).features.cpu()
                )
                show(int(positions[-1]) + 1, len(part))
        return torch.cat(found)


def features_key(network: AdditiveNetwork, part: Part, preprocessing: Preprocessing) -> str:
    """Return a name for what a backbone makes of a part: other weights or other pictures, another name."""
    digest = hashlib.sha256(repr(preprocessing.to_json()).encode())
    head = {id(parameter) for parameter in network.backbone.get_classifier().parameters()}
    state = network.backbone.state_dict(keep_vars=True)
    for name, tensor in state.items():
        if id(tensor) not in head:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    where = getattr(part.store.pixels, "filename", None)
    digest.update(f"{where and Path(where).parent.name}{part.store.pixels.shape}".encode())
    digest.update("\n".join(part.metadata["image_id"]).encode())
    return digest.hexdigest()[:24]


def kept_features(key: str, cache_dir: Path, compute: Callable[[], Tensor]) -> Tensor:
    """Return features from the cache folder; computes and keeps them if they are not there.

    The newest few are kept: another run, or a trial of a sweep, mostly wants the same again.
    """
    folder = cache_dir / "features"
    path = folder / f"{key}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Two trainers on one dataset: the second waits, and finds them computed.
        with FileLock(folder / f"{key}.lock"):
            if path.exists():
                path.touch()
                return load_file(path)["features"]
            for left in folder.glob(f"{key}.*.partial"):
                left.unlink()  # by a trainer that was killed: whoever lives waits for the lock
            features = compute()
            with replacing(path) as part:
                save_file({"features": features.contiguous()}, part)
    except (OSError, SafetensorError) as problem:
        raise StoreError(
            f"The features at {path} could not be kept or read ({problem}). Free some disk space, delete "
            "that file, or set LESIONLENS_CACHE to another folder."
        ) from problem
    kept = sorted(folder.glob("*.safetensors"), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in kept[KEPT_FEATURES:]:
        old.unlink(missing_ok=True)
        old.with_suffix(".lock").unlink(missing_ok=True)
    return features


def normalise(pictures: Tensor, preprocessing: Preprocessing, device: torch.device) -> Tensor:
    """Turn uint8 (N, 3, H, W) into network input: `to_gray` and `Preprocessing.normalise`, on the device."""
    pixels = pictures.to(device, torch.float32).contiguous(memory_format=torch.channels_last)
    if preprocessing.gray:
        luma = torch.tensor(LUMA, device=device).view(1, 3, 1, 1)
        pixels = (pixels * luma).sum(dim=1, keepdim=True).round().expand_as(pixels)
    mean = torch.tensor(preprocessing.mean, device=device).view(1, 3, 1, 1) * 255
    std = torch.tensor(preprocessing.std, device=device).view(1, 3, 1, 1) * 255
    return (pixels - mean) / std


def pictures_of(
    part: Part, positions: np.ndarray, preprocessing: Preprocessing, device: torch.device
) -> Tensor:
    """Return pictures of a part as network input (n, 3, h, w)."""
    pictures = torch.from_numpy(np.stack([part.store.pixels[row] for row in part.rows[positions]]))
    return normalise(pictures.permute(0, 3, 1, 2), preprocessing, device)


FEEDS: Final[dict[str, Any]] = {"finetune": PictureFeed, "frozen": FeatureFeed}
