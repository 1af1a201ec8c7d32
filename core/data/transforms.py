"""Augmentation: the changes a lesion's photo may undergo without its diagnosis changing.

Built on torchvision's transforms v2 over uint8 tensors. No hue jitter by default: it costs four times all the
rest together, and colour is evidence in dermoscopy.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torchvision.transforms import InterpolationMode, v2


@dataclass(frozen=True)
class AugmentConfig:
    """What training pictures undergo; zeros and False switch a change off.

    min_scale: smallest share of the picture's area a random crop keeps (zoom).
    stretch: the crop's aspect lies in [1/stretch, stretch].
    flips, quarter_turns: dermoscopy has no up or down, so all eight orientations are equally likely.
    rotate_degrees, shear_degrees: the most of each, applied to `affine_share` of the pictures.
    brightness, contrast, saturation, hue: relative jitter, see torchvision's ColorJitter.
    gray_share: share of pictures turned to three equal channels.
    erase_share: share of pictures that lose a random rectangle.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    min_scale: float = 0.4
    stretch: float = 4 / 3
    flips: bool = True
    quarter_turns: bool = True
    rotate_degrees: float = 45.0
    shear_degrees: float = 8.0
    affine_share: float = 0.3
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.0
    gray_share: float = 0.0
    erase_share: float = 0.0


class QuarterTurn(torch.nn.Module):
    """Turn a picture by 0, 90, 180 or 270 degrees, without resampling."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Picture (..., H, W) in, the same turned out."""
        return torch.rot90(picture, int(torch.randint(4, ())), (-2, -1))


def augmentation(config: AugmentConfig, size: int) -> v2.Transform:
    """Return a transform from uint8 (3, H, W) of any size to uint8 (3, size, size)."""
    steps: list[torch.nn.Module] = [
        v2.RandomResizedCrop(
            size,
            scale=(config.min_scale, 1.0),
            ratio=(1 / config.stretch, config.stretch),
            interpolation=InterpolationMode.BILINEAR,
            antialias=True,
        )
    ]
    if config.flips:
        steps += [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
    if config.quarter_turns:
        steps.append(QuarterTurn())
    if config.affine_share and (config.rotate_degrees or config.shear_degrees):
        affine = v2.RandomAffine(
            config.rotate_degrees,
            shear=config.shear_degrees or None,
            interpolation=InterpolationMode.BILINEAR,
        )
        steps.append(v2.RandomApply([affine], config.affine_share))
    if config.brightness or config.contrast or config.saturation or config.hue:
        steps.append(
            v2.ColorJitter(config.brightness, config.contrast, config.saturation, config.hue or None)
        )
    if config.gray_share:
        steps.append(v2.RandomGrayscale(config.gray_share))
    if config.erase_share:
        steps.append(v2.RandomErasing(config.erase_share))
    return v2.Compose(steps)
