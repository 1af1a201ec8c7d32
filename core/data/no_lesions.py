"""Drawings of what is no lesion: to show and to measure what a model refuses. Add one to NO_LESIONS."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SHAPE: Final = (450, 600, 3)


@dataclass(frozen=True)
class NoLesion:
    """One kind of drawing.

    title: what people call it, with its article. draw: uint8 RGB of SHAPE, from a generator.
    """

    title: str
    draw: Callable[[np.random.Generator], np.ndarray]


def _noise(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, SHAPE, dtype=np.uint8)


def _flat(rng: np.random.Generator) -> np.ndarray:
    return np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), SHAPE).copy()


def _text(rng: np.random.Generator) -> np.ndarray:
    image = Image.new("RGB", (SHAPE[1], SHAPE[0]), (250, 250, 248))
    draw = ImageDraw.Draw(image)
    letters = "abcdefghijklmnopqrstuvwxyz      "
    for line in range(12, SHAPE[0], 18):
        draw.text((12, line), "".join(rng.choice(list(letters), 90)), fill=(20, 20, 20))
    return np.asarray(image)


def _xray(rng: np.random.Generator) -> np.ndarray:
    """Draw a dark chest with pale ribs."""
    image = Image.new("L", (SHAPE[1], SHAPE[0]), 18)
    draw = ImageDraw.Draw(image)
    for rib in range(7):
        top = 40 + 55 * rib + int(rng.integers(-6, 6))
        draw.arc((80, top, 290, top + 120), 190, 350, fill=150, width=14)
        draw.arc((310, top, 520, top + 120), 190, 350, fill=150, width=14)
    draw.rectangle((288, 20, 312, 430), fill=190)
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(6)))
    return np.repeat(blurred[..., None], 3, axis=-1)


def _face(rng: np.random.Generator) -> np.ndarray:
    skin = tuple(int(level) for level in np.array([224, 178, 150]) + rng.integers(-30, 20, 3))
    image = Image.new("RGB", (SHAPE[1], SHAPE[0]), tuple(rng.integers(40, 220, 3).tolist()))
    draw = ImageDraw.Draw(image)
    draw.ellipse((170, 30, 430, 430), fill=skin)
    for x in (240, 330):
        draw.ellipse((x, 170, x + 34, 194), fill=(250, 250, 250))
        draw.ellipse((x + 11, 174, x + 25, 190), fill=(50, 40, 30))
    draw.arc((240, 250, 360, 350), 20, 160, fill=(150, 60, 60), width=8)
    draw.pieslice((165, 10, 435, 240), 180, 360, fill=(60, 40, 25))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(2)))


def _thing(rng: np.random.Generator) -> np.ndarray:
    """Draw a cup on a table before a wall, in any colours."""
    wall, table, cup = (tuple(rng.integers(low, 255, 3).tolist()) for low in (120, 40, 60))
    image = Image.new("RGB", (SHAPE[1], SHAPE[0]), wall)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 290, SHAPE[1], SHAPE[0]), fill=table)
    left = 190 + int(rng.integers(-60, 60))
    draw.ellipse((left + 150, 190, left + 250, 300), outline=cup, width=22)
    draw.rectangle((left, 150, left + 190, 350), fill=cup)
    draw.ellipse((left, 325, left + 190, 375), fill=cup)
    draw.ellipse((left, 125, left + 190, 175), fill=tuple(level // 2 for level in cup))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1.5)))


NO_LESIONS: Final = {
    "text": NoLesion("a page of text", _text),
    "x-ray": NoLesion("an X-ray", _xray),
    "face": NoLesion("a face", _face),
    "thing": NoLesion("a cup on a table", _thing),
    "noise": NoLesion("noise", _noise),
    "flat": NoLesion("a single colour", _flat),
}


def draw_no_lesion(kind: str, seed: int) -> np.ndarray:
    """Return a drawing of a kind of NO_LESIONS, uint8 RGB of SHAPE; the same seed gives the same one."""
    return NO_LESIONS[kind].draw(np.random.default_rng(seed))
