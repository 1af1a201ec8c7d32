"""Augmentation: the changes a lesion's photo may undergo without its diagnosis changing.

Built on torchvision's transforms v2 over uint8 tensors. No hue jitter by default: it costs four times all the
rest together, and colour is evidence in dermoscopy.
"""

import math

import torch
from torch.nn import functional

from core.data.augment import AugmentConfig
from core.libraries import without_compiler

with without_compiler():
    from torchvision.transforms import InterpolationMode, v2


class QuarterTurn(torch.nn.Module):
    """Turn a picture by 0, 90, 180 or 270 degrees, without resampling."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Picture (..., H, W) in, the same turned out."""
        return torch.rot90(picture, int(torch.randint(4, ())), (-2, -1))


class MirroredAffine(torch.nn.Module):
    """Rotate and shear about the centre; what lies beyond the edge is mirrored in, never black.

    Black corners would be a mark of augmented pictures that a network can learn, and dermoscopy has black
    corners of its own. `core.data.steps.warp` shows the same on a page.

    rotate_degrees, shear_degrees: the most of either, to both sides; drawn evenly.
    """

    def __init__(self, rotate_degrees: float, shear_degrees: float) -> None:
        super().__init__()
        self.most = torch.tensor([rotate_degrees, shear_degrees])

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Uint8 picture (C, H, W) in, the same changed out."""
        turn, lean = (self.most * (2 * torch.rand(2) - 1)).tolist()
        return affine(picture, turn, lean)


def affine(picture: torch.Tensor, rotate_degrees: float, shear_degrees: float) -> torch.Tensor:
    """Return a uint8 picture (C, H, W) sheared along its rows, then turned counter-clockwise, edges mirrored.

    Bilinear. torchvision's own affine fills with one colour, and costs more (1.5 against 1.0 ms at 192 px).
    """
    height, width = picture.shape[-2:]
    turn, tan = math.radians(rotate_degrees), math.tan(math.radians(shear_degrees))
    cos, sin, ratio = math.cos(turn), math.sin(turn), height / width
    # From a place in the result to its place in the picture, each axis from -1 to 1. Rows run downwards, so
    # what has y once changes its sign.
    back = torch.tensor([[cos + tan * sin, (tan * cos - sin) * ratio, 0.0], [sin / ratio, cos, 0.0]])
    grid = functional.affine_grid(back[None], [1, 1, height, width], align_corners=False)
    moved = functional.grid_sample(
        picture[None].float(), grid, padding_mode="reflection", align_corners=False
    )
    return moved[0].round_().to(picture.dtype)


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
        affine = MirroredAffine(config.rotate_degrees, config.shear_degrees)
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
