"""How strongly training pictures are changed, as data; `core.data.transforms` does it.

Apart from it, so that recipes can be read and listed without loading torch.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]


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
    min_scale: Annotated[float, Field(gt=0, le=1)] = 0.4
    stretch: Annotated[float, Field(ge=1)] = 4 / 3
    flips: bool = True
    quarter_turns: bool = True
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = 45.0
    shear_degrees: Annotated[float, Field(ge=0, lt=90)] = 8.0
    affine_share: Share = 0.3
    brightness: Share = 0.2
    contrast: Share = 0.2
    saturation: Share = 0.2
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    gray_share: Share = 0.0
    erase_share: Share = 0.0
