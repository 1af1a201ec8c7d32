"""Synthetic dermoscopy: our own drawings of lesions, for first steps and tests. Never taken for data.

A drawing stacks what a dermatoscope sees: skin, then melanin and blood, which take light away each in its own
colour, then what lies on top (veil, scales, cysts, hairs), then the optics. What a diagnosis looks like is
its entry in PAINTERS; the words in comments are dermoscopy's own.
"""

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from core.data.counts import bundled_counts
from core.data.facts import SEXES, SITES
from core.data.parallel import in_parallel
from core.data.writing import Progress, note_begun, note_done, only_writer, save_picture, was_begun
from core.errors import DataError
from core.files import replacing
from core.labels import BY_CODE, CODES, INDEX

# How fast red, green and blue fade per unit of depth; melanin looks brown, blood red to purple.
MELANIN: Final = (0.52, 0.88, 1.12)
BLOOD: Final = (0.2, 1.05, 0.6)
ABSORPTION: Final = np.array([MELANIN, BLOOD], dtype=np.float32).T
BLUE_VEIL: Final = (100, 106, 128)
SLATE: Final = (78, 80, 102)
SCALE: Final = (240, 226, 200)
MILKY: Final = (246, 228, 222)
KERATIN: Final = (92, 62, 42)
HAIR: Final = (38, 26, 22)
_CHUNK: Final = 16
_ANGLES: Final = 4096
# Skin under a dermatoscope: rosy, peach, pale, warm, tan.
SKINS: Final = ((231, 172, 172), (234, 180, 158), (222, 196, 196), (226, 184, 160), (208, 160, 132))


class Canvas:
    """The layers of one drawing; all arrays are float32 of shape (H, W) unless they say otherwise.

    x, y: position relative to the lesion's centre, in units of the shorter side.
    melanin, blood: optical depth, 0 and up.
    cover: opaque layers in the order they were laid, each an alpha of 0 to 1 and an RGB colour.
    """

    def __init__(self, seed: int, kind: str, size_px: tuple[int, int]) -> None:
        self.rng = np.random.default_rng([seed, INDEX[kind]])
        self.height, self.width = size_px
        self.side = min(size_px)
        down, right = self.rng.normal(0, 0.035, size=2)
        rows = (np.arange(self.height, dtype=np.float32) - self.height / 2) / self.side - down
        columns = (np.arange(self.width, dtype=np.float32) - self.width / 2) / self.side - right
        self.y, self.x = np.meshgrid(rows.astype(np.float32), columns.astype(np.float32), indexing="ij")
        self.melanin = np.zeros(size_px, dtype=np.float32)
        self.blood = np.zeros(size_px, dtype=np.float32)
        self.cover: list[tuple[np.ndarray, tuple[int, int, int]]] = []

    def px(self, part: float) -> float:
        """Return a length in pixels, given as a part of the shorter side."""
        return part * self.side

    def noise(self, cell: float) -> np.ndarray:
        """Return smooth noise, mean 0 and deviation about 1; `cell` is its grain as a part of the side."""
        step = max(self.px(cell), 1.0)
        grid = (int(self.height / step) + 3, int(self.width / step) + 3)
        coarse = self.rng.standard_normal(grid, dtype=np.float32)
        # Bicubic keeps about two thirds of the deviation of independent values.
        return _resized(coarse, (self.height, self.width)) * 1.5

    def clouds(self, cell: float) -> np.ndarray:
        """Return noise over three octaves, deviation about 1."""
        return 0.75 * self.noise(cell) + 0.5 * self.noise(cell / 2.2) + 0.35 * self.noise(cell / 5)

    def cells(self, size: float) -> tuple[np.ndarray, np.ndarray]:
        """Return a pavement of cells: 0 on borders to 1 inside, and a random value 0 to 1 for each cell."""
        # Half the resolution is enough for what is blurred anyway, and a quarter of the time.
        shape = (self.height // 2 + 1, self.width // 2 + 1)
        step = max(self.px(size) / 2, 2.0)
        rows, columns = int(shape[0] / step) + 4, int(shape[1] / step) + 4
        jitter = self.rng.random((3, rows, columns), dtype=np.float32)
        y, x = np.meshgrid(
            np.arange(shape[0], dtype=np.float32) / step + 1.5,
            np.arange(shape[1], dtype=np.float32) / step + 1.5,
            indexing="ij",
        )
        bend = _half(0.2 * self.noise(size * 1.3), shape)
        y, x = y + bend, x + _half(0.2 * self.noise(size * 1.3), shape)
        row, column = np.clip(y.astype(np.int32), 1, rows - 2), np.clip(x.astype(np.int32), 1, columns - 2)
        here, (shift_y, shift_x, tones) = row * columns + column, jitter.reshape(3, -1)
        y -= row
        x -= column
        nearest = np.full(shape, 9.0, dtype=np.float32)
        second = nearest.copy()
        value = np.zeros(shape, dtype=np.float32)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                there = here + (down * columns + right)
                across, along = shift_x[there] + right - x, shift_y[there] + down - y
                distance = across * across + along * along
                closer = distance < nearest
                np.minimum(second, np.maximum(nearest, distance), out=second)
                np.copyto(value, tones[there], where=closer)
                np.minimum(nearest, distance, out=nearest)
        inside = np.clip((np.sqrt(second) - np.sqrt(nearest)) * 1.6, 0, 1)
        size_px = (self.height, self.width)
        return _resized(inside, size_px), _resized(value, size_px)

    def blob(self, radius: float, *, lobes: float, ragged: float, stretch: float = 1.25) -> np.ndarray:
        """Return a signed depth: 1 at the centre, 0 on the border, negative outside.

        lobes: how far the outline swings, as a part of the radius. ragged: the same for its small notches.
        """
        turn = self.rng.uniform(0, math.pi)
        cos, sin, root = math.cos(turn), math.sin(turn), math.sqrt(stretch)
        along = self.x * cos + self.y * sin
        across = self.y * cos - self.x * sin
        distance = np.hypot(along / root, across * root)
        # The outline is a function of the angle alone: it is worked out once for each of many angles.
        angles = np.linspace(-math.pi, math.pi, _ANGLES + 1, dtype=np.float32)
        swung = np.full_like(angles, radius)
        for waves in range(2, 7):
            swing = lobes * self.rng.normal(0, 1.4 / waves)
            swung += radius * swing * np.cos(waves * angles + self.rng.uniform(0, 2 * math.pi))
        place = (np.arctan2(across, along) + math.pi) * (_ANGLES / (2 * math.pi))
        outline = swung[place.astype(np.intp)]
        notches = ragged * (0.85 * self.noise(0.12) + 0.4 * self.noise(0.045))
        return (1 - distance / np.maximum(outline, 0.3 * radius) + notches).astype(np.float32)

    def spots(self, where: np.ndarray, *, count: int, size: tuple[float, float], soft: float) -> np.ndarray:
        """Return round spots, 0 to 1, centred where `where` is high; sizes are parts of the shorter side."""
        layer = Image.new("L", (self.width, self.height))
        draw = ImageDraw.Draw(layer)
        for row, column in self._places(where, count):
            high, wide = self.px(self.rng.uniform(*size)) * self.rng.uniform(0.75, 1.25, size=2) / 2
            tone = int(self.rng.uniform(150, 256))
            draw.ellipse((column - wide, row - high, column + wide, row + high), fill=tone)
        return _blurred(layer, self.px(soft))

    def lines(
        self,
        where: np.ndarray,
        *,
        count: int,
        length: float,
        width: float,
        wander: float = 0.35,
        branches: int = 0,
    ) -> np.ndarray:
        """Return wandering lines, 0 to 1, from where `where` is high; each may send out thinner branches."""
        layer = Image.new("L", (self.width, self.height))
        draw = ImageDraw.Draw(layer)
        for row, column in self._places(where, count):
            path = self._walk((column, row), self.rng.uniform(0, 2 * math.pi), length, wander)
            draw.line(path, fill=255, width=max(1, round(self.px(width))), joint="curve")
            for _ in range(branches):
                start = path[int(self.rng.integers(1, len(path)))]
                twig = self._walk(start, self.rng.uniform(0, 2 * math.pi), length / 2.5, wander)
                draw.line(twig, fill=200, width=max(1, round(self.px(width) / 2)))
        return _blurred(layer, 0.8)

    def lay(self, alpha: np.ndarray, colour: tuple[int, int, int]) -> None:
        """Lay an opaque layer over what is there."""
        self.cover.append((np.clip(alpha, 0, 1).astype(np.float32), colour))

    def _places(self, where: np.ndarray, count: int) -> list[tuple[float, float]]:
        """Return positions (row, column) in pixels, drawn with `where` as their density."""
        weight = np.clip(where[::4, ::4], 0, None).astype(np.float64).ravel()
        if count < 1 or not weight.any():
            return []
        chosen = self.rng.choice(weight.size, size=count, p=weight / weight.sum())
        rows, columns = np.divmod(chosen, where[::4, ::4].shape[1])
        shifts = self.rng.uniform(0, 4, size=(2, count))
        return list(zip(rows * 4 + shifts[0], columns * 4 + shifts[1], strict=True))

    def _walk(
        self, start: tuple[float, float], heading: float, length: float, wander: float
    ) -> list[tuple[float, float]]:
        x, y = start
        path = [start]
        for turn in self.rng.normal(0, wander, size=7).tolist():
            heading += turn
            x, y = x + self.px(length) / 7 * math.cos(heading), y + self.px(length) / 7 * math.sin(heading)
            path.append((x, y))
        return path


def _resized(layer: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """Return a float32 layer at a larger size, bicubic."""
    return np.asarray(cv2.resize(layer, size_px[::-1], interpolation=cv2.INTER_CUBIC))


def _half(layer: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return every second value, cut or held at the edges to the shape."""
    return layer[np.minimum(np.arange(shape[0]) * 2, layer.shape[0] - 1)][
        :, np.minimum(np.arange(shape[1]) * 2, layer.shape[1] - 1)
    ]


def _blurred(layer: Image.Image, radius_px: float) -> np.ndarray:
    return _soft(np.asarray(layer, dtype=np.float32) / 255, radius_px)


def _soft(layer: np.ndarray, radius_px: float) -> np.ndarray:
    """Return a float32 layer under a Gaussian of this deviation."""
    # Beyond three deviations nothing is left that 256 levels could show.
    width = 2 * math.ceil(3 * radius_px) + 1
    return np.asarray(cv2.GaussianBlur(layer, (width, width), radius_px, borderType=cv2.BORDER_REPLICATE))


def _step(depth: np.ndarray, soft: float) -> np.ndarray:
    """Return 0 outside to 1 inside of a signed depth, over a border of width `soft`."""
    part = np.clip(depth / soft + 0.5, 0, 1)
    return np.asarray(part * np.sqrt(part))


def _ring(depth: np.ndarray, at: float, width: float) -> np.ndarray:
    return np.asarray(np.exp(-np.square((depth - at) / width)))


def _paint_nevus(canvas: Canvas) -> None:
    # Regular network and globules, brown, symmetric, fading evenly at the border.
    rng = canvas.rng
    depth = canvas.blob(rng.uniform(0.15, 0.27), lobes=0.06, ragged=0.05, stretch=rng.uniform(1.05, 1.4))
    body = _step(depth, 0.45)
    inside, _ = canvas.cells(rng.uniform(0.018, 0.026))
    network = 1 - inside
    centre = np.clip(depth, 0, 1)
    canvas.melanin += body * rng.uniform(0.45, 0.8) * (1 + 0.6 * centre + 0.12 * canvas.clouds(0.1))
    canvas.melanin += body * network * rng.uniform(0.2, 0.5) * (1.2 - 0.6 * centre)
    globules = canvas.spots(
        body * (depth > 0.1), count=int(rng.integers(20, 70)), size=(0.008, 0.016), soft=0.002
    )
    canvas.melanin += 0.4 * globules * body
    canvas.blood += 0.18 * body


def _paint_melanoma(canvas: Canvas) -> None:
    # Asymmetry, many colours, broken network, blue-white veil, streaks and dots towards one side.
    rng = canvas.rng
    depth = canvas.blob(rng.uniform(0.22, 0.31), lobes=0.2, ragged=0.11, stretch=rng.uniform(1.1, 1.5))
    body = _step(depth, 0.22)
    patches = canvas.clouds(0.22)
    turn = rng.uniform(0, 2 * np.pi)
    slope = canvas.x * math.cos(turn) + canvas.y * math.sin(turn)
    side = np.clip(0.45 + 2.0 * slope + 0.3 * patches, 0, 1)
    inside, _ = canvas.cells(rng.uniform(0.022, 0.032))
    canvas.melanin += body * (0.45 + 1.0 * side + 0.2 * canvas.clouds(0.07))
    canvas.melanin += body * (1 - inside) * 0.8 * np.clip(canvas.noise(0.2), 0, 1)
    rim = body * _ring(depth, 0.08, 0.1) * side
    canvas.melanin += (
        0.9 * canvas.lines(rim, count=45, length=0.05, width=0.007, wander=0.15) * _step(depth + 0.15, 0.1)
    )
    canvas.melanin += 1.1 * canvas.spots(rim + 0.15 * body, count=50, size=(0.006, 0.016), soft=0.002)
    canvas.blood += body * (0.2 + 0.35 * np.clip(canvas.noise(0.15), 0, 1) * (1 - side))
    veil = _step(depth - 0.18, 0.3) * np.clip(0.3 + 0.5 * canvas.noise(0.15), 0, 1) * side
    canvas.lay(0.7 * veil, BLUE_VEIL)
    # Regression: part of it has gone white.
    canvas.lay(0.5 * body * np.clip(canvas.noise(0.16) - 1.0, 0, 1) * (1 - side), MILKY)


def _paint_basal_cell(canvas: Canvas) -> None:
    # Pink and shiny, arborizing vessels, blue-grey ovoid nests, here and there an ulcer. No network.
    rng = canvas.rng
    depth = canvas.blob(rng.uniform(0.19, 0.28), lobes=0.1, ragged=0.07, stretch=rng.uniform(1.05, 1.4))
    body = _step(depth, 0.3)
    canvas.blood += body * (0.3 + 0.08 * canvas.clouds(0.1))
    canvas.melanin += 0.12 * body * np.clip(canvas.noise(0.12), 0, 1)
    canvas.lay(0.3 * body * np.clip(0.5 + 0.5 * canvas.noise(0.1), 0, 1), MILKY)
    nests = canvas.spots(
        body * _ring(depth, 0.3, 0.3), count=int(rng.integers(5, 16)), size=(0.03, 0.075), soft=0.007
    )
    canvas.lay(0.8 * nests * body * np.clip(0.8 + 0.25 * canvas.noise(0.03), 0, 1), SLATE)
    trees = canvas.lines(body * (depth > 0.15), count=5, length=0.2, width=0.005, branches=4)
    canvas.blood += 0.7 * trees * _step(depth + 0.15, 0.2)
    if rng.random() < 0.4:
        ulcer = _step(depth - 0.72 + 0.1 * canvas.noise(0.08), 0.25)
        canvas.blood += 0.9 * ulcer
        canvas.melanin += 0.5 * ulcer


def _paint_benign_keratosis(canvas: Canvas) -> None:
    # Stuck on: a sharp, moth-eaten border, waxy brown, milia-like cysts and comedo-like openings, ridges.
    rng = canvas.rng
    depth = canvas.blob(rng.uniform(0.2, 0.3), lobes=0.12, ragged=0.1, stretch=rng.uniform(1.1, 1.5))
    body = _step(depth, 0.1)
    ridges = np.abs(canvas.noise(0.045))
    canvas.melanin += body * (rng.uniform(0.4, 0.75) + 0.16 * canvas.clouds(0.12))
    canvas.melanin += body * 0.4 * np.clip(0.6 - ridges, 0, 1)
    canvas.blood += 0.1 * body
    cysts = canvas.spots(
        body * (depth > 0.1), count=int(rng.integers(10, 30)), size=(0.012, 0.024), soft=0.004
    )
    canvas.lay(0.75 * cysts * body, MILKY)
    openings = canvas.spots(
        body * (depth > 0.1), count=int(rng.integers(8, 22)), size=(0.014, 0.028), soft=0.002
    )
    canvas.lay(0.85 * openings * body, KERATIN)


def _paint_dermatofibroma(canvas: Canvas) -> None:
    # A pale scar-like centre within a delicate network that fades into the skin.
    rng = canvas.rng
    depth = canvas.blob(rng.uniform(0.2, 0.27), lobes=0.05, ragged=0.05, stretch=rng.uniform(1.0, 1.25))
    body = _step(depth, 0.6)
    inside, _ = canvas.cells(0.02)
    halo = body * (1 - _step(depth - 0.5, 0.3))
    canvas.melanin += halo * (0.3 + 0.35 * (1 - inside) + 0.06 * canvas.clouds(0.1))
    canvas.blood += body * (0.22 + 0.05 * canvas.clouds(0.12))
    scar = _step(depth - 0.55 + 0.08 * canvas.noise(0.09), 0.6)
    canvas.lay(0.5 * scar, MILKY)
    # Crystalline structures: short white lines that shine.
    canvas.lay(0.5 * canvas.lines(scar, count=16, length=0.04, width=0.004, wander=0.05), (255, 246, 242))


def _paint_keratosis(canvas: Canvas) -> None:
    # The strawberry pattern: red between pale follicles, with scales on top and a vague border.
    rng = canvas.rng
    depth = canvas.blob(rng.uniform(0.22, 0.32), lobes=0.16, ragged=0.15, stretch=rng.uniform(1.1, 1.5))
    body = _step(depth, 0.45)
    inside, _ = canvas.cells(rng.uniform(0.03, 0.042))
    canvas.blood += body * (0.35 + 0.4 * (1 - inside) + 0.1 * canvas.clouds(0.12))
    canvas.melanin += body * (0.14 + 0.2 * np.clip(canvas.noise(0.08), 0, 1))
    follicles = canvas.spots(body, count=45, size=(0.012, 0.022), soft=0.004)
    canvas.lay(0.5 * follicles * body, SCALE)
    dots = canvas.spots(body * (depth > 0), count=70, size=(0.006, 0.010), soft=0.0015)
    canvas.blood += 0.8 * dots
    scales = np.clip(canvas.clouds(0.05) - 0.9, 0, 1) * np.clip(canvas.noise(0.2) + 0.4, 0, 1)
    canvas.lay(0.7 * scales * _step(depth - 0.1, 0.3), SCALE)


def _paint_vascular(canvas: Canvas) -> None:
    # Lacunae: well-marked red to purple lakes, parted by pale walls.
    rng = canvas.rng
    depth = canvas.blob(rng.uniform(0.13, 0.24), lobes=0.09, ragged=0.07, stretch=rng.uniform(1.0, 1.4))
    inside, tone = canvas.cells(rng.uniform(0.04, 0.06))
    body = _step(depth + 0.12 * (tone - 0.5), 0.22)
    lakes = body * np.clip(0.25 + 1.3 * inside, 0, 1)
    canvas.blood += lakes * (0.8 + 0.9 * tone + 0.15 * canvas.clouds(0.08)) + 0.45 * body
    # Some lakes have clotted and are nearly black.
    canvas.melanin += lakes * np.clip(tone - 0.75, 0, 1) * 2.5
    canvas.blood += 0.22 * _step(depth + 0.3, 0.8)
    canvas.lay(0.18 * body * np.clip(1 - 2 * inside, 0, 1), MILKY)


PAINTERS: Final[Mapping[str, Callable[[Canvas], None]]] = {
    "akiec": _paint_keratosis,
    "bcc": _paint_basal_cell,
    "bkl": _paint_benign_keratosis,
    "df": _paint_dermatofibroma,
    "mel": _paint_melanoma,
    "nv": _paint_nevus,
    "vasc": _paint_vascular,
}


def draw_lesion(seed: int, *, kind: str, size_px: tuple[int, int] = (450, 600)) -> np.ndarray:
    """Return a drawing of a lesion, uint8 RGB, shape (H, W, 3); the same for the same arguments.

    kind: one of CODES. size_px: height and width.
    """
    canvas = Canvas(seed, kind, size_px)
    PAINTERS[kind](canvas)
    light = _skin(canvas)
    light *= np.exp(cv2.transform(cv2.merge((canvas.melanin, canvas.blood)), -ABSORPTION))
    for alpha, colour in canvas.cover:
        _cover(light, alpha, colour)
    _grow_hairs(canvas, light)
    return _through_the_lens(canvas, light)


def _cover(light: np.ndarray, alpha: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Lay a colour over `light`, in place, where `alpha` is not 0."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if len(rows):
        where = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        light[where] += alpha[where][..., None] * (np.array(colour, dtype=np.float32) - light[where])


def _skin(canvas: Canvas) -> np.ndarray:
    """Return bare skin, float32, shape (H, W, 3): its colour, blotches, furrows, fine vessels and grain."""
    rng = canvas.rng
    base = np.array(SKINS[int(rng.integers(len(SKINS)))], dtype=np.float32) + rng.normal(0, 5, size=3)
    canvas.blood += np.clip(0.05 + 0.028 * canvas.clouds(0.3), 0, 1)
    canvas.melanin += np.clip(0.03 + 0.03 * canvas.clouds(0.2), 0, 1)
    everywhere = np.ones_like(canvas.x)
    canvas.blood += 0.12 * canvas.lines(everywhere, count=14, length=0.16, width=0.004)
    furrows = np.clip(1 - 2.2 * np.abs(canvas.noise(0.035)), 0, 1)
    relief = 1 + 0.022 * furrows + 0.010 * canvas.noise(0.012)
    return np.asarray(cv2.merge([float(level) * relief for level in base]))


def _grow_hairs(canvas: Canvas, light: np.ndarray) -> None:
    """Draw hairs into `light`, in place; many pictures have none."""
    rng = canvas.rng
    count = int(rng.choice([0, 0, 2, 5, 12]))
    everywhere = np.ones_like(canvas.x)
    hairs = canvas.lines(everywhere, count=count, length=rng.uniform(0.3, 0.6), width=0.005, wander=0.12)
    _cover(light, 0.85 * hairs, HAIR)


def _through_the_lens(canvas: Canvas, light: np.ndarray) -> np.ndarray:
    """Return what the camera records: uneven light, at times a dark rim, soft focus, grain."""
    rng = canvas.rng
    across = np.hypot(canvas.x, canvas.y)
    shade = 1.04 - rng.uniform(0.1, 0.4) * np.square(across)
    shade *= 1 + 0.10 * (canvas.x * rng.normal() + canvas.y * rng.normal())
    if rng.random() < 0.2:
        # The round window of a contact dermatoscope.
        shade *= np.clip((rng.uniform(0.66, 0.74) - across) / 0.06, 0.04, 1)
    light *= cv2.merge((shade, shade, shade))
    seen = _soft(np.clip(light, 0, 255), canvas.px(0.0016))
    grain = rng.standard_normal(seen.shape[:2], dtype=np.float32) * 1.8 + 0.5
    return np.clip(seen + cv2.merge((grain, grain, grain)), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class _Shot:
    """One row of a synthetic dataset, and which drawing it shows, as its lesion's photo of this number."""

    image_id: str
    lesion_id: str
    seed: int
    kind: str
    photo: int
    dx_type: str
    age: str
    sex: str
    site: str


def make_dataset(
    folder: Path, *, images_per_class: int, seed: int, size_px: tuple[int, int] = (450, 600)
) -> Path:
    """Write a small dataset in Kaggle's layout of HAM10000, and return its folder.

    Every third lesion has a second photo, every seventh lacks its age, sex or site, as in the real one.
    Pictures lie in two folders, beside a HAM10000_metadata.csv.
    """
    shots = [shot for kind in CODES for shot in _shots(kind, images_per_class, seed)]
    _write_dataset(folder, shots, size_px, workers=1, progress=None)
    return folder


def draw_dataset(
    folder: Path,
    *,
    images: int,
    seed: int,
    size_px: tuple[int, int] = (225, 300),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a synthetic dataset with HAM10000's columns and proportions, and return its folder.

    Diagnoses come in HAM10000's shares, at least one image each. Lesions are drawn from its table of counts,
    so how the diagnosis was made, age, sex, site and the number of photos go together as they do there.
    Pictures that are there already are kept, so a stopped call goes on.

    workers: processes; None is one a processor.

    Raises:
        DataError: fewer images than diagnoses, or the folder cannot be written, holds something else or a set
            of other options, or another command writes to it.
    """
    if images < len(CODES):
        raise DataError(f"{images} synthetic images are too few; expected {len(CODES)} or more.")
    work = {"command": "synthetic", "images": images, "seed": seed, "size": list(size_px)}
    was_begun(folder, work)  # refused before anything is made
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with only_writer(folder):
            if not was_begun(folder, work):
                note_begun(folder, work)
            _write_dataset(
                folder, _proportional_shots(images, seed), size_px, workers=workers, progress=progress
            )
            note_done(folder, work, {"images": images})
    except OSError as problem:
        raise DataError(
            f"{folder} could not be written ({problem.strerror or problem}). Free some disk space, or choose "
            "another folder."
        ) from problem
    return folder


def _write_dataset(
    folder: Path,
    shots: list[_Shot],
    size_px: tuple[int, int],
    *,
    workers: int | None,
    progress: Progress | None,
) -> None:
    parts = [folder / f"HAM10000_images_part_{number}" for number in (1, 2)]
    for part in parts:
        part.mkdir(parents=True, exist_ok=True)
    jobs = [(shot, parts[number % 2] / f"{shot.image_id}.jpg", size_px) for number, shot in enumerate(shots)]
    _draw_lacking(jobs, workers, progress)
    _write_table(folder / "HAM10000_metadata.csv", shots)


_Job: TypeAlias = tuple[_Shot, Path, tuple[int, int]]


def _draw_lacking(jobs: list[_Job], workers: int | None, progress: Progress | None) -> None:
    """Draw the pictures that are not there yet."""
    lacking = [job for job in jobs if not job[1].exists()]
    chunks = [lacking[start : start + _CHUNK] for start in range(0, len(lacking), _CHUNK)]
    done = len(jobs) - len(lacking)
    for count in in_parallel(_draw_chunk, chunks, workers):
        done += count
        if progress is not None:
            progress(done, len(jobs))


def _draw_chunk(jobs: list[_Job]) -> int:
    for shot, path, size_px in jobs:
        pixels = draw_lesion(shot.seed, kind=shot.kind, size_px=size_px)
        save_picture(path, _photo(pixels, shot.photo), quality=90)
    return len(jobs)


def _write_table(path: Path, shots: list[_Shot]) -> None:
    # newline="" as the csv module asks: it writes the line ends itself.
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"))
        rows.writerows(
            (shot.lesion_id, shot.image_id, shot.kind, shot.dx_type, shot.age, shot.sex, shot.site)
            for shot in shots
        )


def _proportional_shots(images: int, seed: int) -> list[_Shot]:
    counts = bundled_counts()
    of_class = counts.groupby("dx")["images"].sum().reindex(CODES).to_numpy(dtype=float)
    return [
        shot
        for kind, share in zip(CODES, _whole_shares(of_class, images), strict=True)
        for shot in _counted_shots(kind, counts[counts["dx"] == kind], share, seed)
    ]


def _whole_shares(weights: np.ndarray, total: int) -> list[int]:
    """Return whole numbers that sum to `total`, at least 1 each, as near to the weights as that allows."""
    exact = weights / weights.sum() * total
    shares = np.maximum(1, np.floor(exact).astype(int))
    while (lacking := total - shares.sum()) != 0:
        # What is furthest below its share gets one more; what is furthest above, and has 2 or more, one less.
        gap = exact - shares
        place = np.argmax(gap) if lacking > 0 else np.argmin(np.where(shares > 1, gap, np.inf))
        shares[place] += np.sign(lacking)
    return [int(share) for share in shares]


def _counted_shots(kind: str, counts: pd.DataFrame, images: int, seed: int) -> list[_Shot]:
    """Return photos of lesions drawn from a table of counts, as many as asked."""
    rng = np.random.default_rng([seed, INDEX[kind], 1])
    lesions = counts["lesions"].to_numpy(dtype=float)
    rows = counts.iloc[rng.choice(len(counts), size=images, p=lesions / lesions.sum())]
    shots: list[_Shot] = []
    for lesion, row in enumerate(rows.to_dict("records")):
        for photo in range(min(int(row["images_per_lesion"]), images - len(shots))):
            shots.append(
                _Shot(
                    image_id=f"SYN_{INDEX[kind]}{len(shots):06d}",
                    lesion_id=f"SYNL_{INDEX[kind]}{lesion:06d}",
                    seed=seed * 1_000_003 + lesion,
                    kind=kind,
                    photo=photo,
                    dx_type=_or(row["dx_type"], ""),
                    age="" if pd.isna(row["age_years"]) else f"{row['age_years']:.1f}",
                    sex=_or(row["sex"], "unknown"),
                    site=_or(row["site"], "unknown"),
                )
            )
    return shots


def _or(value: object, missing: str) -> str:
    return value if isinstance(value, str) else missing


def _shots(kind: str, count: int, seed: int) -> list[_Shot]:
    rng = np.random.default_rng([seed, INDEX[kind]])
    shots: list[_Shot] = []
    lesion = 0
    while len(shots) < count:
        photos = min(2 if lesion % 3 == 0 else 1, count - len(shots))
        age, sex, site = _facts(rng, lesion + INDEX[kind])
        for photo in range(photos):
            shots.append(
                _Shot(
                    image_id=f"SYN_{INDEX[kind]}{len(shots):06d}",
                    lesion_id=f"SYNL_{INDEX[kind]}{lesion:06d}",
                    # Seeds far apart, so that datasets of neighbouring seeds share no drawing.
                    seed=seed * 1_000_003 + lesion,
                    kind=kind,
                    photo=photo,
                    dx_type="histo" if BY_CODE[kind].malignant or lesion % 2 else "follow_up",
                    age=age,
                    sex=sex,
                    site=site,
                )
            )
        lesion += 1
    return shots


def _facts(rng: np.random.Generator, lesion: int) -> tuple[str, str, str]:
    """Return age, sex and site as HAM10000 writes them; every seventh lesion lacks one of them."""
    known = [
        f"{5 * rng.integers(4, 18)}.0",
        SEXES[int(rng.integers(len(SEXES)))],
        SITES[int(rng.integers(len(SITES)))],
    ]
    if lesion % 7 == 0:
        gap = int(rng.integers(3))
        known[gap] = "" if gap == 0 else "unknown"
    return known[0], known[1], known[2]


def _photo(pixels: np.ndarray, number: int) -> np.ndarray:
    """Return the lesion's n-th photo: the first as drawn, the others turned over, each in less light."""
    if not number:
        return pixels
    down, right = ((-1, -1), (1, -1), (-1, 1))[(number - 1) % 3]
    return (pixels[::down, ::right] * np.float32(1 - 0.07 * min(number, 5))).astype(np.uint8)
