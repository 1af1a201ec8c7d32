"""What makes a picture poor, at five severities. Add one by adding an entry to CORRUPTIONS.

A corruption is a pure function of uint8 RGB pixels (H, W, 3), a severity from 1 to 5 and a seed, and gives
uint8 RGB of the same shape. Lengths are parts of the shorter side, so a severity looks alike at every size.
The scales follow the idea of Hendrycks and Dietterich (2019, ICLR) and of Maron et al. (2021, European
Journal of Cancer 145:81) for dermoscopy; the numbers are our own.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

SEVERITIES: Final = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Corruption:
    """One way a picture is poor.

    Attributes:
        name: what files call it. title, about: what people read.
        remedy: the step of `core.data.steps` that is meant to mend it; None where there is none.
        apply: takes pixels, severity and a generator.
    """

    name: str
    title: str
    about: str
    remedy: str | None
    apply: Callable[[np.ndarray, int, np.random.Generator], np.ndarray]

    def __call__(self, pixels: np.ndarray, severity: int, *, seed: int = 0) -> np.ndarray:
        """Return the poor picture; the same seed gives the same.

        Raises:
            ValueError: a severity that does not exist.
        """
        if severity not in SEVERITIES:
            raise ValueError(f"severity is {severity}; expected one of {SEVERITIES}.")
        return self.apply(pixels, severity, np.random.default_rng(seed))


def _at(severity: int, *values: float) -> float:
    return values[severity - 1]


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def _side(pixels: np.ndarray) -> int:
    return int(min(pixels.shape[:2]))


def _blur(pixels: np.ndarray, severity: int, _: np.random.Generator) -> np.ndarray:
    sigma = _at(severity, 0.004, 0.008, 0.013, 0.02, 0.03) * _side(pixels)
    return _bytes(ndimage.gaussian_filter(pixels.astype(np.float32), (sigma, sigma, 0)))


def _motion(pixels: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    length = max(3, round(_at(severity, 0.02, 0.04, 0.06, 0.09, 0.13) * _side(pixels)))
    angle = generator.uniform(0, np.pi)
    steps = np.linspace(-length / 2, length / 2, length)
    kernel = np.zeros((length + 2, length + 2), dtype=np.float32)
    middle = (length + 1) / 2
    rows, columns = np.round(middle + steps * np.sin(angle)), np.round(middle + steps * np.cos(angle))
    np.add.at(kernel, (rows.astype(int), columns.astype(int)), 1.0)
    kernel /= kernel.sum()
    # A line of few points: adding shifted pictures is quicker than a convolution with its whole square.
    total = np.zeros(pixels.shape, dtype=np.float32)
    pad = length + 2
    padded = np.pad(pixels.astype(np.float32), ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    height, width = pixels.shape[:2]
    for row, column in zip(*np.nonzero(kernel), strict=True):
        top, left = pad + row - round(middle), pad + column - round(middle)
        total += kernel[row, column] * padded[top : top + height, left : left + width]
    return _bytes(total)


def _jpeg(pixels: np.ndarray, severity: int, _: np.random.Generator) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(_at(severity, 40, 25, 15, 9, 5)))
    return np.array(Image.open(buffer).convert("RGB"))


def _noise(pixels: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    spread = _at(severity, 6, 12, 20, 32, 48)
    return _bytes(pixels + generator.normal(0, spread, pixels.shape))


def _darken(pixels: np.ndarray, severity: int, _: np.random.Generator) -> np.ndarray:
    return _bytes(pixels * _at(severity, 0.85, 0.7, 0.55, 0.42, 0.3))


def _brighten(pixels: np.ndarray, severity: int, _: np.random.Generator) -> np.ndarray:
    """Too much light: what it drives beyond white is lost, skin before lesion."""
    return _bytes(pixels * _at(severity, 1.15, 1.3, 1.5, 1.8, 2.2))


def _flatten(pixels: np.ndarray, severity: int, _: np.random.Generator) -> np.ndarray:
    mean = pixels.mean()
    return _bytes(mean + (pixels - mean) * _at(severity, 0.8, 0.62, 0.46, 0.33, 0.22))


def _cast(pixels: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Another light: one channel weaker and another stronger."""
    strength = _at(severity, 0.06, 0.12, 0.19, 0.27, 0.36)
    gains = np.ones(3)
    weaker, stronger = generator.permutation(3)[:2]
    gains[weaker] -= strength
    gains[stronger] += strength / 2
    return _bytes(pixels * gains)


def _shrink(pixels: np.ndarray, severity: int, _: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    factor = _at(severity, 0.6, 0.42, 0.3, 0.2, 0.13)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
    return np.array(small.resize((width, height), Image.Resampling.BICUBIC))


def _hair(pixels: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Dark bent lines across the picture."""
    height, width = pixels.shape[:2]
    scale = 2  # drawn larger, then shrunk, so that lines have soft edges
    layer = Image.new("L", (width * scale, height * scale), 0)
    pen = ImageDraw.Draw(layer)
    for _ in range(int(_at(severity, 4, 8, 14, 22, 34))):
        start, end = generator.uniform(-0.1, 1.1, (2, 2)) * (width, height)
        bend = (start + end) / 2 + generator.normal(0, 0.15 * _side(pixels), 2)
        along = np.linspace(0, 1, 24)[:, None]
        line = (1 - along) ** 2 * start + 2 * along * (1 - along) * bend + along**2 * end
        thickness = max(1, round(scale * generator.uniform(0.004, 0.009) * _side(pixels)))
        pen.line(
            [tuple(point) for point in (line * scale).tolist()], fill=225, width=thickness, joint="curve"
        )
    cover = np.asarray(layer.resize((width, height), Image.Resampling.BOX), dtype=np.float32)[..., None] / 255
    colour = np.array([42.0, 30.0, 26.0]) + generator.normal(0, 6, 3)
    return _bytes(pixels * (1 - cover) + colour * cover)


def _ruler(pixels: np.ndarray, severity: int, _: np.random.Generator) -> np.ndarray:
    """A scale along the lower edge, larger with each severity, as clinics lay beside a lesion."""
    height, width = pixels.shape[:2]
    depth = max(4, round(_at(severity, 0.06, 0.1, 0.14, 0.19, 0.25) * _side(pixels)))
    drawn = Image.fromarray(pixels)
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((0, height - depth, width, height), fill=(236, 236, 230))
    gap = max(2.0, depth / 3)
    for number in range(int(width / gap) + 1):
        reach = depth * (0.75 if number % 5 == 0 else 0.4)
        x = round(number * gap)
        pen.line((x, height - depth, x, height - depth + reach), fill=(20, 20, 20), width=max(1, depth // 24))
    return np.array(drawn)


CORRUPTIONS: Final = {
    one.name: one
    for one in (
        Corruption("blur", "Out of focus", "A Gaussian blur.", None, _blur),
        Corruption("motion", "Moved", "A blur along one direction.", None, _motion),
        Corruption("jpeg", "JPEG", "Strong JPEG compression.", None, _jpeg),
        Corruption("noise", "Noise", "Gaussian noise, as in bad light.", None, _noise),
        Corruption("dark", "Too dark", "Too little light.", "brightening", _darken),
        Corruption("bright", "Too bright", "Too much light: pale skin burns out to white.", None, _brighten),
        Corruption("contrast", "Flat", "Little contrast.", "clahe", _flatten),
        Corruption("cast", "Colour cast", "Light of another colour.", "colour_constancy", _cast),
        Corruption("shrink", "Few pixels", "Shrunk and enlarged again.", None, _shrink),
        Corruption("hair", "Hair", "Dark hairs drawn across.", "hair_removal", _hair),
        Corruption("ruler", "Ruler", "A scale along the edge.", None, _ruler),
    )
}


def blank(pixels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return the picture with some of it replaced by one colour: the mean of what stays visible.

    hidden: bool (H, W). Where all is hidden, the whole picture's mean stands in.
    """
    seen = pixels[~hidden] if (~hidden).any() else pixels.reshape(-1, 3)
    shown = pixels.copy()
    shown[hidden] = seen.mean(axis=0).astype(np.uint8)
    return shown


def border(shape: tuple[int, int], *, share: float = 0.12) -> np.ndarray:
    """Return where the outer frame of a picture is, bool (H, W), `share` of the shorter side wide."""
    width = max(1, round(share * min(shape)))
    frame = np.ones(shape, dtype=bool)
    frame[width:-width, width:-width] = False
    return frame


@dataclass(frozen=True)
class Shortcut:
    """A part of the picture that is hidden, to see whether the model needs it.

    Attributes:
        name: what files call it. title: what people read.
        hides: given the lesion's mask (bool, (H, W)), returns what is hidden.
        needs_mask: whether the mask matters; where not, any mask of the picture's shape will do.
    """

    name: str
    title: str
    hides: Callable[[np.ndarray], np.ndarray]
    needs_mask: bool = True


SHORTCUTS: Final = {
    one.name: one
    for one in (
        Shortcut("lesion_blanked", "Lesion blanked", lambda mask: mask),
        Shortcut("background_blanked", "Background blanked", lambda mask: ~mask),
        Shortcut("border_only", "Border only", lambda mask: ~border(mask.shape), needs_mask=False),
    )
}
