"""Where is the lesion? A small U-Net that learned from HAM10000's masks, and what it finds in a picture.

Its folder has two files:

    model.safetensors   the weights in half precision, a golden input and the golden output
    masks.json          the manifest, written last: what it learned from, what it was measured to, the sums

Loading checks the sum and runs the golden input, as checkpoints do (`core.models.checkpoint`). The U-Net is
that of Ronneberger, Fischer and Brox (MICCAI 2015) over the first five stages of EfficientNet-Lite0.
"""

import copy
import json
import threading
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch import nn

from core.data.preprocessing import Preprocessing
from core.errors import BrokenCheckpoint
from core.files import replacing, sha256
from core.libraries import without_compiler, without_first_weights
from core.models.catalog import BUNDLED_FOLDER

with without_compiler():
    import segmentation_models_pytorch as smp

FORMAT: Final = 1
BUNDLED_MASKS: Final = BUNDLED_FOLDER / "masks"
MANIFEST_FILE: Final = "masks.json"
WEIGHTS_FILE: Final = "model.safetensors"
INPUT: Final = Preprocessing(96, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), max_aspect=3.0)
"""Shorter side 96 px: a mask needs the outline, not the network of pigment."""

ENCODER: Final = "efficientnet_lite0"
_STAGES: Final = 5
_DECODER: Final = (64, 32, 16, 8)
_INSIDE: Final = 0.5
# The outline is found on an enlarged map, where it is smooth; then it is brought to the picture's size.
_ENLARGED: Final = 4
# Two processors may round differently; other weights differ by whole tenths.
GOLDEN_TOLERANCE: Final = 0.02


@dataclass(frozen=True)
class MaskManifest:
    """What masks.json says.

    least_share, least_certainty: what 199 in 200 validation pictures have at least, each: `LesionMask.found`.
    measured: of the test part: "dice mean" and so on, each {"value", "low", "high", "n", "n_lesions"}.
    training: epochs, pictures shown, seconds, where the encoder's first weights came from.
    files: SHA-256 of the weights.
    """

    about: str
    preprocessing: Preprocessing
    least_share: float
    least_certainty: float
    split_hash: str
    seed: int
    data: str
    licence: str
    measured: dict[str, dict[str, float | int | None]] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def dice(self) -> float:
        """The mean Dice on test pictures; NaN where nobody measured."""
        value = self.measured.get("dice mean", {}).get("value")
        return float("nan") if value is None else float(value)


_MANIFEST: Final = TypeAdapter(MaskManifest)


@dataclass(frozen=True)
class LesionMask:
    """What was found in a picture.

    mask: bool (H, W), of the picture's own size, one region without holes; all False where there is none.
    certainty: the mean probability inside it, 0.5 to 1; NaN where it is empty.
    found: whether there is a lesion at all: the region is neither far smaller nor far less sure than in
        dermoscopic pictures. What the mask holds without that should not be used.
    """

    mask: np.ndarray
    certainty: float
    found: bool

    @property
    def share(self) -> float:
        """The part of the picture inside the mask, 0 to 1."""
        return float(self.mask.mean())


@dataclass(frozen=True)
class MaskNetwork:
    """A loaded network, shared by all threads: nothing is ever hooked into it, so passes need no lock."""

    manifest: MaskManifest
    network: nn.Module

    def find(self, pixels: np.ndarray) -> LesionMask:
        """Return the lesion of a picture, uint8 RGB (H, W, 3) of any size and shape."""
        probabilities = self.probabilities(pixels)
        mask, certainty = outline_of(probabilities, pixels.shape[:2])
        limits = self.manifest
        share = float(mask.mean())
        found = share > 0 and share >= limits.least_share and certainty >= limits.least_certainty
        return LesionMask(mask, certainty, found)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return how probably each place is lesion, float32 (h, w), small; the whole picture, nothing cut."""
        return _probabilities(self.network, self.manifest.preprocessing, seen_by(self.manifest, pixels))


def bundled_masks() -> MaskNetwork:
    """Return the network that comes with the app, loaded and verified once for all threads.

    Raises:
        BrokenCheckpoint: it is incomplete or altered.
    """
    with _LOADING:  # two sessions at once would load it twice
        return _bundled()


_LOADING: Final = threading.Lock()


@cache
def _bundled() -> MaskNetwork:
    return load_masks(BUNDLED_MASKS)


def build_mask_network() -> nn.Module:
    """Return the untrained network: pictures (N, 3, h, w), sides multiples of 16, to logits (N, 1, h, w)."""
    with without_compiler():  # The library plans the encoder on the meta device.
        network = smp.Unet(
            f"tu-tf_{ENCODER}",
            encoder_weights=None,
            encoder_depth=len(_DECODER),
            decoder_channels=_DECODER,
            classes=1,
        )
    # timm keeps, and computes, the stages after the last one that is looked at.
    network.encoder.model.blocks = network.encoder.model.blocks[:_STAGES]
    return network


def seen_by(manifest: MaskManifest, pixels: np.ndarray) -> np.ndarray:
    """Return the whole picture at the network's size, uint8 (h, w, 3): squeezed a little, never cut."""
    height, width = manifest.preprocessing.input_shape(*pixels.shape[:2])
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def outline_of(probabilities: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Return the largest region above one half at a picture's size, bool (H, W), and its mean probability.

    probabilities: (h, w). Without any such region: all False, and NaN.
    """
    height, width = probabilities.shape
    large = cv2.resize(probabilities, (width * _ENLARGED, height * _ENLARGED), interpolation=cv2.INTER_LINEAR)
    parts, count = ndimage.label(large >= _INSIDE)
    if not count:
        return np.zeros(shape, dtype=bool), float("nan")
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    region = ndimage.binary_fill_holes(parts == areas.argmax())
    certainty = float(large[region].mean())
    painted = Image.fromarray(region.astype(np.uint8) * 255)
    fitted = np.asarray(painted.resize(shape[::-1], Image.Resampling.BILINEAR)) > 127
    return fitted, certainty


def save_masks(
    folder: Path, network: nn.Module, manifest: MaskManifest, *, golden: np.ndarray
) -> MaskManifest:
    """Write a folder; returns the manifest with the sum of its weights.

    golden: a picture, uint8 (H, W, 3). What is stored for it is what the half-precision weights answer,
    computed in float32 as every later load does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    halved = copy.deepcopy(network).cpu().eval().half().to(memory_format=torch.contiguous_format)
    tensors = {f"network.{key}": value.contiguous() for key, value in halved.state_dict().items()}
    seen = seen_by(manifest, golden)
    answer = _probabilities(halved.float(), manifest.preprocessing, seen)
    tensors |= {"golden.pixels": torch.from_numpy(seen), "golden.answer": torch.from_numpy(answer).half()}
    with replacing(folder / WEIGHTS_FILE) as part:
        save_file(tensors, part)
        whole = replace(manifest, files={WEIGHTS_FILE: sha256(part)})
    # Who reads between the two is told by the sum.
    save_manifest(folder, whole)
    return whole


def save_manifest(folder: Path, manifest: MaskManifest) -> None:
    """Replace what a folder says of its weights, which stay as they are."""
    text = json.dumps(_MANIFEST.dump_python(manifest, mode="json"), indent=1) + "\n"
    with replacing(folder / MANIFEST_FILE) as part:
        part.write_text(text, encoding="utf-8")


def load_masks(folder: Path) -> MaskNetwork:
    """Load a folder and verify it with its golden input.

    Raises:
        BrokenCheckpoint: a file is missing or altered, or the golden output does not come out.
    """
    try:
        manifest = _read_manifest(folder)
        tensors = load_file(folder / WEIGHTS_FILE)
        with without_first_weights():
            network = build_mask_network()
        network.load_state_dict(
            {
                key.removeprefix("network."): value
                for key, value in tensors.items()
                if key.startswith("network.")
            }
        )
        network.eval().requires_grad_(requires_grad=False).to(memory_format=torch.channels_last)
        answer = _probabilities(network, manifest.preprocessing, tensors["golden.pixels"].numpy())
        difference = float(np.abs(answer - tensors["golden.answer"].float().numpy()).max())
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError, ValidationError) as problem:
        lines = str(problem).strip().splitlines() or [type(problem).__name__]
        raise BrokenCheckpoint(
            f"The lesion mask network in {folder.name} is incomplete or altered ({lines[0]}). Install "
            "LesionLens again, or train one: python -m train masks fit."
        ) from problem
    if not difference < GOLDEN_TOLERANCE:
        raise BrokenCheckpoint(
            f"The lesion mask network in {folder.name} does not answer as it did when it was saved: its "
            f"golden output is off by {difference:.3g}. Install LesionLens again."
        )
    return MaskNetwork(manifest, network)


def _read_manifest(folder: Path) -> MaskManifest:
    manifest = _MANIFEST.validate_json((folder / MANIFEST_FILE).read_bytes())
    if manifest.format != FORMAT:
        raise ValueError(f"{MANIFEST_FILE} has format {manifest.format}, and {FORMAT} was expected")
    if sha256(folder / WEIGHTS_FILE) != manifest.files[WEIGHTS_FILE]:
        raise ValueError(f"{WEIGHTS_FILE} is not the file that was saved")
    return manifest


def _probabilities(network: nn.Module, preprocessing: Preprocessing, seen: np.ndarray) -> np.ndarray:
    batch = torch.from_numpy(preprocessing.normalise(seen)[None]).to(memory_format=torch.channels_last)
    with torch.no_grad():
        return network(batch)[0, 0].sigmoid().numpy()
