"""What a training loop is fed with: pictures, or the features that a frozen backbone made of them once.

Add a mode by adding one entry to FEEDS.
"""

from collections.abc import Iterator
from typing import Any, Final, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from core.data.preprocessing import LUMA, Preprocessing
from core.models.network import AdditiveNetwork
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
            self._features[name] = self._compute(network, part, accelerator.device, display, name)
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
        facts = torch.from_numpy(self.train.facts)[positions]
        hidden = torch.stack([some_facts(one, self._recipe) for one in facts])
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
