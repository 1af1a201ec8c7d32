"""What can be done to a picture, one step at a time. Add a step by adding an entry to STEPS.

A step is a pure function of uint8 RGB pixels, shape (H, W, 3), and of its parameters, a frozen dataclass; it
gives uint8 RGB, of another size only where that is its purpose. The same steps preview what a recipe does,
make augmented copies (`core.data.augmenting`) and disturb pictures to see how an answer bears it.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final, Generic, Literal, TypeVar

import numpy as np
from PIL import Image, ImageEnhance

from core.data.preprocessing import GRID_PX, LUMA, Preprocessing, to_gray

P = TypeVar("P")

Kind = Literal["remedy", "input", "augmentation"]

_LUMA: Final = np.array(LUMA, dtype=np.float32)


@dataclass(frozen=True)
class Step(Generic[P]):
    """One step and how people speak of it.

    kind: "remedy" mends a poor picture, "input" is what every network input undergoes, "augmentation" is a
        change that a diagnosis survives.
    about: what it does, one sentence. source: where its formula comes from.
    default: parameters that show what it does.
    """

    name: str
    title: str
    kind: Kind
    about: str
    source: str
    default: P
    apply: Callable[[np.ndarray, P], np.ndarray]

    def __call__(self, pixels: np.ndarray, parameters: P | None = None) -> np.ndarray:
        """Return the changed picture; with the default parameters unless others are given."""
        return self.apply(pixels, self.default if parameters is None else parameters)


@dataclass(frozen=True)
class Brightening:
    """Two knots (level in, level out) of a line with three pieces from (0, 0) to (255, 255)."""

    dark: tuple[float, float] = (60, 80)
    light: tuple[float, float] = (190, 235)


def brighten(pixels: np.ndarray, parameters: Brightening) -> np.ndarray:
    """Map levels by a line of three pieces, steep where the lesion lies.

    Gonzalez and Woods, Digital Image Processing, section 3.2 (piecewise linear transformations). Charan et
    al. (2020) name it without parameters: the knots are a reconstruction.
    """
    (dark_in, dark_out), (light_in, light_out) = parameters.dark, parameters.light
    levels = np.interp(np.arange(256), (0, dark_in, light_in, 255), (0, dark_out, light_out, 255))
    return _levels(levels)[pixels]


@dataclass(frozen=True)
class HairRemoval:
    """How hairs are found: as thin dark lines.

    length: of the lines looked for, as a part of the shorter side; hairs must be narrower than this.
    contrast: levels (of 255) that a hair must be darker than what is around it.
    share: the most of the picture that may be hair; beyond it, what was found is texture and all is kept.
    """

    length: float = 0.045
    contrast: float = 22.0
    share: float = 0.3


def remove_hair(pixels: np.ndarray, parameters: HairRemoval) -> np.ndarray:
    """Replace hairs by the skin around them.

    After Lee et al., DullRazor: a software approach to hair removal from images, Computers in Biology and
    Medicine 27 (1997): closings by lines in four directions find what is thin and dark, what is short is
    taken back, and the rest is filled. Here the filling is a weighted mean of the skin nearby.
    """
    hair = hair_mask(pixels, parameters)
    if not hair.any() or hair.mean() > parameters.share:
        return pixels.copy()
    return _filled(pixels, hair, radius_px=max(2.0, 0.012 * min(hair.shape)))


def hair_mask(pixels: np.ndarray, parameters: HairRemoval) -> np.ndarray:
    """Return where hairs are, bool, shape (H, W)."""
    from scipy import ndimage

    reach = max(2, round(parameters.length * min(pixels.shape[:2]) / 2))
    gray = pixels.astype(np.float32) @ _LUMA
    closed = np.max([_closed_by_line(gray, down, right, reach) for down, right in _DIRECTIONS], axis=0)
    found = closed - gray > parameters.contrast
    parts, count = ndimage.label(found, structure=np.ones((3, 3)))
    if not count:
        return found
    keep = np.zeros(count + 1, dtype=bool)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    for number, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
        extent = max(rows.stop - rows.start, columns.stop - columns.start)
        # A hair is long and fills little of the square around it: globules are not long, and a pigment
        # network fills more.
        keep[number] = extent >= 2 * reach and sizes[number] < 0.15 * extent**2
    return ndimage.binary_dilation(keep[parts], iterations=max(1, round(0.003 * min(gray.shape))))


_DIRECTIONS: Final = ((0, 1), (1, 0), (1, 1), (1, -1))


def _closed_by_line(gray: np.ndarray, down: int, right: int, reach: int) -> np.ndarray:
    """Return the gray closing (a maximum, then a minimum) by a line of 2 · reach + 1 pixels."""
    # A diagonal step is longer than a straight one, so fewer of them make the same line.
    steps = max(1, round(reach / np.hypot(down, right)))

    def along(values: np.ndarray, better: np.ufunc) -> np.ndarray:
        edged = np.pad(values, steps, mode="edge")
        height, width = values.shape
        result = values
        for step in range(-steps, steps + 1):
            top, left = steps + step * down, steps + step * right
            result = better(result, edged[top : top + height, left : left + width])
        return result

    return along(along(gray, np.maximum), np.minimum)


def _filled(pixels: np.ndarray, hole: np.ndarray, *, radius_px: float) -> np.ndarray:
    from scipy import ndimage

    known = (~hole).astype(np.float32)
    weight = ndimage.gaussian_filter(known, radius_px)
    # In the middle of a wide hole nothing is near: the nearest pixel itself stands in.
    nearest = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
    filled = pixels.copy()
    for channel in range(3):
        values = pixels[..., channel].astype(np.float32)
        mean = ndimage.gaussian_filter(values * known, radius_px) / np.maximum(weight, 1e-6)
        mean = np.where(weight > 0.02, mean, values[tuple(nearest)])
        filled[..., channel] = np.where(hole, np.clip(mean + 0.5, 0, 255), pixels[..., channel])
    return filled


@dataclass(frozen=True)
class ColourConstancy:
    """power: of the mean that estimates the light; 1 is gray-world, large is max-RGB."""

    power: float = 6.0


def balance_colours(pixels: np.ndarray, parameters: ColourConstancy) -> np.ndarray:
    """Take the colour of the light out: the Minkowski means of the channels become alike.

    Finlayson and Trezzi, Shades of gray and colour constancy, Color Imaging Conference 2004; power 6 as in
    Barata et al., IEEE J. Biomedical and Health Informatics 19 (2015), for dermoscopy.
    """
    scaled = pixels.reshape(-1, 3).astype(np.float32) / 255
    light = (scaled**parameters.power).mean(axis=0) ** (1 / parameters.power)
    if not light.all():
        return pixels.copy()  # a channel that is black everywhere says nothing of the light
    light /= np.linalg.norm(light)
    gain = 1 / (np.sqrt(3) * light)
    return np.clip(pixels * gain.astype(np.float32) + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Clahe:
    """tiles: rows and columns of tiles. limit: how far above the mean a tile's histogram may rise."""

    tiles: int = 8
    limit: float = 2.0


def equalise(pixels: np.ndarray, parameters: Clahe) -> np.ndarray:
    """Equalise the luma's histogram tile by tile, with its slope limited (CLAHE); colours keep their hue.

    Zuiderveld, Contrast limited adaptive histogram equalization, Graphics Gems IV (1994).
    """
    ycbcr = np.array(Image.fromarray(pixels).convert("YCbCr"))
    ycbcr[..., 0] = _clahe(ycbcr[..., 0], parameters)
    return np.array(Image.fromarray(ycbcr, "YCbCr").convert("RGB"))


def _clahe(gray: np.ndarray, parameters: Clahe) -> np.ndarray:
    tiles = min(parameters.tiles, *gray.shape)
    height, width = -(-gray.shape[0] // tiles), -(-gray.shape[1] // tiles)
    extra = (height * tiles - gray.shape[0], width * tiles - gray.shape[1])
    padded = np.pad(gray, ((0, extra[0]), (0, extra[1])), mode="symmetric")
    blocks = padded.reshape(tiles, height, tiles, width).swapaxes(1, 2).reshape(tiles * tiles, -1)
    offsets = 256 * np.arange(tiles * tiles)[:, None]
    histograms = np.bincount((blocks + offsets).ravel(), minlength=256 * tiles * tiles).reshape(-1, 256)
    area = height * width
    limit = max(1.0, parameters.limit * area / 256)
    over = np.maximum(histograms - limit, 0).sum(axis=1, keepdims=True)
    histograms = np.minimum(histograms, limit) + over / 256
    maps = (histograms.cumsum(axis=1) * 255 / area).reshape(tiles, tiles, 256)
    row, down = _between(gray.shape[0], height, tiles)
    column, right = _between(gray.shape[1], width, tiles)
    below, beside = np.minimum(row + 1, tiles - 1), np.minimum(column + 1, tiles - 1)
    rows, lower = row[:, None], below[:, None]
    top = maps[rows, column, gray] * (1 - right) + maps[rows, beside, gray] * right
    bottom = maps[lower, column, gray] * (1 - right) + maps[lower, beside, gray] * right
    return _levels(top * (1 - down[:, None]) + bottom * down[:, None])


def _between(length: int, tile: int, tiles: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each pixel along a side, the tile whose centre comes before it, and how far it is past."""
    place = np.clip((np.arange(length) + 0.5) / tile - 0.5, 0, tiles - 1)
    first = place.astype(np.intp)
    return first, (place - first).astype(np.float32)


@dataclass(frozen=True)
class Gray:
    """Gray has no parameters."""


def gray(pixels: np.ndarray, _parameters: Gray) -> np.ndarray:
    """Return three equal channels, 0.299 R + 0.587 G + 0.114 B.

    ITU-R BT.601, as in the client's document; equal channels, since the weights expect three.
    """
    return to_gray(pixels)


@dataclass(frozen=True)
class Resizing:
    """size: shorter side, px, a multiple of 32. max_aspect: longer over shorter side at most."""

    size: int = 224
    max_aspect: float = 4 / 3


def resize(pixels: np.ndarray, parameters: Resizing) -> np.ndarray:
    """Bring the shorter side to `size`, whole unless longer than `max_aspect`: see `core.data.preprocessing`.

    Bicubic, with the filter widened when shrinking (antialiasing), as Pillow does.
    """
    size = max(GRID_PX, parameters.size)
    return Preprocessing(size, (0, 0, 0), (1, 1, 1), max_aspect=parameters.max_aspect).fit(pixels)


@dataclass(frozen=True)
class Normalising:
    """mean, std: of each channel, of pixels scaled to [0, 1]."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


SHOWN_DEVIATIONS: Final = 3.0
"""Normalised values have no colours: this many deviations below the mean is shown black, above it white."""


def normalise(pixels: np.ndarray, parameters: Normalising) -> np.ndarray:
    """Show (x / 255 - mean) / std as a picture, with 0 at mid-gray and SHOWN_DEVIATIONS at white.

    Divided by 255 once: `Preprocessing.normalise` is what a network is fed with.
    """
    same = Preprocessing(GRID_PX, parameters.mean, parameters.std)
    values = np.moveaxis(same.normalise(pixels), 0, -1)
    return _levels(127.5 * (1 + values / SHOWN_DEVIATIONS))


@dataclass(frozen=True)
class Warp:
    """Rotation, shear and zoom in one: a picture is resampled once, however much is done to it.

    flip: left and right exchanged, after quarter_turns counter-clockwise turns by 90 degrees.
    rotate_degrees: counter-clockwise. shear_degrees: along the rows.
    zoom: above 1 enlarges. stretch: width over height of what becomes a square.
    """

    rotate_degrees: float = 0.0
    shear_degrees: float = 0.0
    zoom: float = 1.0
    stretch: float = 1.0
    flip: bool = False
    quarter_turns: int = 0


def warp(pixels: np.ndarray, parameters: Warp) -> np.ndarray:
    """Turn, shear and scale about the centre; beyond the edge the picture is mirrored, never black.

    The client's x' = x cos θ - y sin θ, y' = x sin θ + y cos θ with y upwards, times shear and scale. Black
    corners would be a mark of augmented pictures that a network can learn.
    """
    turned = np.rot90(pixels, parameters.quarter_turns)
    # A turned picture is brought back to the shape it had, so that a set of pictures stays of one size.
    if turned.shape != pixels.shape:
        turned = np.array(
            Image.fromarray(turned).resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.BICUBIC)
        )
    if parameters.flip:
        turned = turned[:, ::-1]
    if not (parameters.rotate_degrees or parameters.shear_degrees) and (
        parameters.zoom == parameters.stretch == 1
    ):
        return np.ascontiguousarray(turned)
    return _affine(turned, _back(parameters))


def _back(parameters: Warp) -> np.ndarray:
    """Return the matrix from a place in the result to its place in the picture, both from the centre."""
    angle, shear = np.deg2rad(parameters.rotate_degrees), np.tan(np.deg2rad(parameters.shear_degrees))
    # Rows of a picture run downwards: what has y once changes its sign.
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    lean = np.array([[1, -shear], [0, 1]])
    root = np.sqrt(parameters.stretch)
    scale = np.diag([parameters.zoom / root, parameters.zoom * root])
    return np.linalg.inv(turn @ lean @ scale)


def _affine(pixels: np.ndarray, back: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    corners = np.array([[x, y] for x in (-width / 2, width / 2) for y in (-height / 2, height / 2)]).T
    reach = np.abs(back @ corners).max(axis=1)
    right = int(np.ceil(max(0.0, reach[0] - width / 2))) + 2
    down = int(np.ceil(max(0.0, reach[1] - height / 2))) + 2
    mirrored = Image.fromarray(np.pad(pixels, ((down, down), (right, right), (0, 0)), mode="symmetric"))
    centre, result_centre = np.array(mirrored.size) / 2, np.array([width, height]) / 2
    shift = centre - back @ result_centre
    coefficients = (*back[0], shift[0], *back[1], shift[1])
    moved = mirrored.transform(
        (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
    return np.array(moved)


@dataclass(frozen=True)
class Rotation:
    """degrees: counter-clockwise."""

    degrees: float = 30.0


def rotate(pixels: np.ndarray, parameters: Rotation) -> np.ndarray:
    """Rotate about the centre: x' = x cos θ - y sin θ, y' = x sin θ + y cos θ (the client's document)."""
    return warp(pixels, Warp(rotate_degrees=parameters.degrees))


@dataclass(frozen=True)
class Flip:
    """horizontal: left and right exchanged. quarter_turns: by 90 degrees, counter-clockwise, before it."""

    horizontal: bool = True
    quarter_turns: int = 0


def flip(pixels: np.ndarray, parameters: Flip) -> np.ndarray:
    """Mirror and turn by right angles: the eight orientations of a square, without resampling one.

    Dermoscopy has no up and no down, so all eight are as likely.
    """
    return warp(pixels, Warp(flip=parameters.horizontal, quarter_turns=parameters.quarter_turns))


@dataclass(frozen=True)
class Shear:
    """degrees: that upright lines lean."""

    degrees: float = 15.0


def shear(pixels: np.ndarray, parameters: Shear) -> np.ndarray:
    """Shift each row by its height above the centre: x' = x + y tan φ."""
    return warp(pixels, Warp(shear_degrees=parameters.degrees))


@dataclass(frozen=True)
class Zoom:
    """factor: above 1 enlarges and cuts the rim. stretch: width over height of what becomes a square."""

    factor: float = 1.4
    stretch: float = 1.0


def zoom(pixels: np.ndarray, parameters: Zoom) -> np.ndarray:
    """Scale about the centre: x' = s x, y' = s y.

    A crop that keeps a share a of the area is a zoom by 1 / √a (torchvision's RandomResizedCrop).
    """
    return warp(pixels, Warp(zoom=parameters.factor, stretch=parameters.stretch))


@dataclass(frozen=True)
class Light:
    """Factors; 1 changes nothing. brightness: of all levels. contrast: around the mean luma.

    saturation: around each pixel's own luma.
    """

    brightness: float = 1.2
    contrast: float = 1.2
    saturation: float = 1.0


def light(pixels: np.ndarray, parameters: Light) -> np.ndarray:
    """Blend with black, with the mean gray, with the gray picture: factor · x + (1 - factor) · other.

    Haeberli and Voorhies, Image processing by linear interpolation and extrapolation, IRIS Universe 28
    (1994); the same as torchvision's ColorJitter without hue.
    """
    image = Image.fromarray(pixels)
    for change, factor in (
        (ImageEnhance.Brightness, parameters.brightness),
        (ImageEnhance.Contrast, parameters.contrast),
        (ImageEnhance.Color, parameters.saturation),
    ):
        if factor != 1:
            image = change(image).enhance(factor)
    return np.array(image)


def spell(parameters: object) -> str:
    """Return a step's parameters in words, such as "degrees 30"; empty where it has none."""
    return ", ".join(
        f"{one.name.replace('_', ' ')} {_spelled(getattr(parameters, one.name))}"
        for one in fields(parameters)  # type: ignore[arg-type]  # every step's parameters are a dataclass
    )


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return (" → " if len(value) == 2 else " / ").join(_spelled(one) for one in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _levels(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


STEPS: Final[dict[str, Step[Any]]] = {
    step.name: step
    for step in (
        Step(
            "brightening",
            "Brightening",
            "remedy",
            "A line of three pieces lifts dark pictures without burning out light skin.",
            "Gonzalez and Woods, Digital Image Processing, 3.2; named by Charan et al. 2020, parameters "
            "reconstructed",
            Brightening(),
            brighten,
        ),
        Step(
            "hair_removal",
            "Hair removal",
            "remedy",
            "Thin dark lines are found and filled from the skin beside them; a coarse pigment network can "
            "lose lines with the hairs.",
            "after Lee et al. 1997 (DullRazor)",
            HairRemoval(),
            remove_hair,
        ),
        Step(
            "colour_constancy",
            "Colour constancy",
            "remedy",
            "The colour of the lamp is estimated and taken out: shades of gray.",
            "Finlayson and Trezzi 2004; Barata et al. 2015 for dermoscopy",
            ColourConstancy(),
            balance_colours,
        ),
        Step(
            "clahe",
            "Local contrast (CLAHE)",
            "remedy",
            "Each tile's histogram is spread, within a limit, so that faint structures show.",
            "Zuiderveld 1994",
            Clahe(),
            equalise,
        ),
        Step(
            "gray",
            "Gray",
            "input",
            "Three equal channels: what colour adds can be measured by taking it away.",
            "ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B",
            Gray(),
            gray,
        ),
        Step(
            "resize",
            "Resize",
            "input",
            "The shorter side is brought to the network's size; the picture stays whole.",
            "bicubic with antialiasing, as Pillow does",
            Resizing(),
            resize,
        ),
        Step(
            "normalise",
            "Normalise",
            "input",
            "Each channel minus its mean, over its deviation. Shown with 0 as mid-gray and ±3 as black and "
            "white.",
            "(x / 255 − mean) / std, divided by 255 once",
            Normalising(),
            normalise,
        ),
        Step(
            "rotation",
            "Rotation",
            "augmentation",
            "Turned about the centre; beyond the edge the picture is mirrored, never black.",
            "x' = x cos θ − y sin θ, y' = x sin θ + y cos θ",
            Rotation(),
            rotate,
        ),
        Step(
            "flip",
            "Flip",
            "augmentation",
            "Mirrored and turned by right angles: dermoscopy has no up and no down.",
            "the eight orientations of a square",
            Flip(),
            flip,
        ),
        Step(
            "shear",
            "Shear",
            "augmentation",
            "Each row is shifted by its height, as when the lens is not square to the skin.",
            "x' = x + y tan φ",
            Shear(),
            shear,
        ),
        Step(
            "zoom",
            "Zoom",
            "augmentation",
            "A part of the picture becomes the whole of it.",
            "x' = s x, y' = s y; s = 1 / √(share of the area kept)",
            Zoom(),
            zoom,
        ),
        Step(
            "light",
            "Light",
            "augmentation",
            "Brighter or darker, more or less contrast and colour, as lamps and cameras differ.",
            "Haeberli and Voorhies 1994; torchvision's ColorJitter",
            Light(),
            light,
        ),
    )
}
