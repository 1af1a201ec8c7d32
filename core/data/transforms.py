"""Augmentation: the changes a lesion's photo may undergo without its diagnosis changing.

Built on torchvision's transforms v2 over uint8 tensors. No hue jitter by default: it costs four times all the
rest together, and colour is evidence in dermoscopy.
"""

import torch
from torchvision.transforms import InterpolationMode, v2

from core.data.augment import AugmentConfig


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
