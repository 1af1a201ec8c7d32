"""One picture from anywhere, decoded to RGB or refused by name. Nothing is written, and no metadata survives.

What a file does to us is bounded: its format is one of FORMATS, its size is known before a pixel is
decoded, and all decoding is in memory. What we do to a picture is said in its `notes`.
"""

import io
import math
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from core.errors import PictureError

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MIN_SIDE_PX: Final = 16
# A JPEG of 10,000 × 10,000 decodes at a fraction of its size; other formats cost four bytes a pixel, and more
# than once.
MAX_PIXELS: Final = 64_000_000
MAX_JPEG_PIXELS: Final = 100_000_000
# No network and no person looks at more than this: larger pictures are reduced right after decoding.
MAX_KEPT_PIXELS: Final = 16_000_000
MAX_FILE_BYTES: Final = 256 * 1024 * 1024

# What Pillow's `reduce` takes as it is.
REDUCIBLE_MODES: Final = frozenset({"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"})
SIXTEEN_BIT_MODES: Final = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})

TIFF_BITS: Final = 258

# What people upload instead of a picture: where its mark stands, the mark, and what to say.
STRANGERS: Final = (
    (0, b"%PDF", "a PDF document; export the picture as JPEG or PNG"),
    (128, b"DICM", "a DICOM file; export the picture as JPEG or PNG"),
    (4, b"ftypheic", "a HEIC photo; export it as JPEG"),
    (4, b"ftypheix", "a HEIC photo; export it as JPEG"),
    (4, b"ftypmif1", "a HEIC photo; export it as JPEG"),
    (4, b"ftypavif", "an AVIF picture; export it as JPEG or PNG"),
    (4, b"ftyp", "a video; take a still picture of it"),
    (0, b"PK\x03\x04", "a zip archive or an office document; unpack it, or export the picture"),
    (0, b"<", "a web page or a drawing in text (HTML, SVG, XML); save the picture itself"),
)

# What Pillow raises on broken bytes, format by format; found by feeding it thousands of them.
DECODE_ERRORS: Final = (
    OSError,
    ValueError,
    SyntaxError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_PILLOW_WARNINGS: Final = ("ignore", None, Warning, re.compile(r"PIL(\.|$)"), 0)


@dataclass(frozen=True)
class Picture:
    """One decoded picture.

    pixels: uint8 RGB, shape (H, W, 3); smaller than the file's own size where `notes` say so.
    width_px, height_px: of the file, once turned upright.
    format: one of FORMATS.
    notes: what was done to it, each a phrase that reads after "This picture: ".
    """

    pixels: np.ndarray
    width_px: int
    height_px: int
    format: str
    notes: tuple[str, ...] = ()


def read_picture(data: bytes | Path, *, name: str) -> Picture:
    """Decode one picture to upright RGB; safe to call from many threads.

    data: the file's bytes, or where it lies. name: what to call it in refusals.

    Raises:
        PictureError: the file is missing, empty, cut off, broken, no picture of FORMATS, too small or too
            large.
    """
    _silence_pillow()
    content = _content(data, name)
    with _open(content, name) as image:
        _check_size(image, name)
        try:
            return _decode(image, content, name)
        except DECODE_ERRORS as problem:
            raise _broken(content, name, problem) from problem


def downscaled(pixels: np.ndarray, *, max_side_px: int) -> np.ndarray:
    """Return the pixels, uint8 (H, W, 3), shrunk so that no side is over `max_side_px`; never enlarged."""
    height, width = pixels.shape[:2]
    scale = max_side_px / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))


def _silence_pillow() -> None:
    """Keep what Pillow warns about (odd EXIF, sizes, palettes) from people who cannot act on it.

    `warnings.catch_warnings` swaps the filters of the whole process, so threads would undo each other; one
    entry that stays does not.
    """
    if _PILLOW_WARNINGS not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")


def _content(data: bytes | Path, name: str) -> bytes:
    if isinstance(data, Path):
        try:
            if not data.is_file():
                raise PictureError(f"{name} is not there: {data} is no file.")
            if data.stat().st_size > MAX_FILE_BYTES:
                raise PictureError(
                    f"{name} is over {MAX_FILE_BYTES // 1024**2} MB; export a smaller picture."
                )
            data = data.read_bytes()
        except OSError as problem:
            raise PictureError(f"{name} cannot be read: {problem.strerror}.") from problem
    if not data:
        raise PictureError(f"{name} is empty (0 bytes); copy or upload it again.")
    return data


def _open(content: bytes, name: str) -> Image.Image:
    """Read the header only; no pixel is decoded yet."""
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as problem:
        raise _too_large(name, "over 170 million pixels", MAX_PIXELS) from problem
    except UnidentifiedImageError as problem:
        raise PictureError(f"{name} {_what_it_is(content)}.") from problem
    except DECODE_ERRORS as problem:
        raise _broken(content, name, problem) from problem


def _what_it_is(content: bytes) -> str:
    for offset, mark, words in STRANGERS:
        if content[offset:].lstrip(b"\xef\xbb\xbf \r\n\t").startswith(mark):
            return f"is {words}"
    formats = ", ".join(FORMATS)
    if content.startswith((b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")):
        return f"begins like a picture but is broken; copy or upload it again ({formats})"
    return f"is not a picture; expected one of {formats}"


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE_PX:
        raise PictureError(
            f"{name} is {width} × {height} pixels, too small to show a lesion; "
            f"expected at least {MIN_SIDE_PX} on each side."
        )
    limit = MAX_JPEG_PIXELS if _format(image) == "JPEG" else MAX_PIXELS
    if width * height > limit:
        raise _too_large(name, f"{width:,} × {height:,} pixels", limit)


def _too_large(name: str, size: str, limit: int) -> PictureError:
    return PictureError(
        f"{name} is {size}, too large to decode safely; "
        f"expected at most {limit // 1_000_000} million: export a smaller picture."
    )


def _format(image: Image.Image) -> str:
    # Phones put two JPEGs into one file (MPO); the first is the photo.
    return "JPEG" if image.format == "MPO" else str(image.format)


def _broken(content: bytes, name: str, problem: BaseException) -> PictureError:
    if isinstance(problem, MemoryError):
        return PictureError(f"{name} needs more memory than there is; export a smaller picture.")
    if "truncated" in str(problem).lower() or _is_cut_off(content):
        return PictureError(f"{name} is cut off: the end of the file is missing; copy or upload it again.")
    return PictureError(f"{name} is broken, not decodable ({problem}); export it again as JPEG or PNG.")


def _is_cut_off(content: bytes) -> bool:
    """Return whether the mark that ends a file of its format is missing."""
    if content.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in content[-64:]
    if content.startswith(b"\x89PNG"):
        return b"IEND" not in content[-64:]
    if content.startswith(b"RIFF"):
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
    return False


def _decode(image: Image.Image, content: bytes, name: str) -> Picture:
    width, height = image.size
    notes: list[str] = []
    if getattr(image, "is_animated", False):
        notes.append("only the first of its frames is used")
    turn = _orientation(image)
    # A TIFF's size is already given as it stands once turned; the others give it as stored.
    if turn >= 5 and image.format != "TIFF":
        width, height = height, width
    if _format(image) == "JPEG":
        _draft(image)
    image.load()
    upright = _upright(image, turn, notes)
    rgb = _rgb(upright, content, name, notes)
    pixels = np.array(_reduced(rgb))
    if pixels.shape[:2] != (height, width):
        notes.append(f"reduced from {width} × {height} to {pixels.shape[1]} × {pixels.shape[0]} pixels")
    return Picture(pixels, width, height, _format(image), tuple(notes))


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where it is missing or cannot be understood."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except DECODE_ERRORS:
        # A camera's broken notes say nothing against its pixels.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: Image.Image, turn: int, notes: list[str]) -> Image.Image:
    if turn == 1:
        return image
    notes.append("turned upright as its camera noted")
    return ImageOps.exif_transpose(image)


def _draft(image: Image.Image) -> None:
    """Let the JPEG decoder itself reduce a very large picture, by 2, 4 or 8: memory follows the result."""
    width, height = image.size
    if width * height > MAX_KEPT_PIXELS:
        factor = _factor(width, height)
        image.draft(None, (math.ceil(width / factor), math.ceil(height / factor)))


def _factor(width: int, height: int) -> int:
    return math.ceil(math.sqrt(width * height / MAX_KEPT_PIXELS))


def _reduced(image: Image.Image) -> Image.Image:
    factor = _factor(*image.size)
    return image if factor <= 1 else image.reduce(factor)


def _rgb(image: Image.Image, content: bytes, name: str, notes: list[str]) -> Image.Image:
    """Return the picture in RGB, whatever its colours were."""
    if image.mode in SIXTEEN_BIT_MODES:
        notes.append("brought from 16 to 8 bits")
        return _eight_bit(image).convert("RGB")
    if image.mode in {"I", "F"}:
        raise PictureError(
            f"{name} holds measurements of 32 bits a pixel, not colours; export it as an 8-bit JPEG or PNG."
        )
    if _png_bits(content) == 16:
        notes.append("brought from 16 to 8 bits")
    if image.mode in REDUCIBLE_MODES:
        # Before anything makes copies: each of 64 million pixels costs four bytes.
        image = _reduced(image)
    if image.has_transparency_data:
        return _on_white(image, notes)
    if image.mode == "CMYK":
        notes.append("converted from printing colours (CMYK)")
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    # TIFF keeps 12-bit data in 16-bit words and says so in a tag.
    bits = image.tag_v2.get(TIFF_BITS, (16,))[0] if isinstance(image, TiffImageFile) else 16
    top = 2**bits - 1
    return Image.fromarray(np.clip(values * (255.0 / top) + 0.5, 0, 255).astype(np.uint8))


def _png_bits(content: bytes) -> int:
    return content[24] if content.startswith(b"\x89PNG") and len(content) > 24 else 8


def _on_white(image: Image.Image, notes: list[str]) -> Image.Image:
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema() == (255, 255):
        # An alpha channel that hides nothing, as screenshots have, is not worth a word.
        return layer.convert("RGB")
    notes.append("transparent parts are shown on white")
    ground = Image.new("RGBA", layer.size, "white")
    ground.alpha_composite(layer)
    return ground.convert("RGB")
