"""Pictures from anywhere: decoded upright and in RGB, or refused by name."""

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from core.data.pictures import (
    FORMATS,
    MAX_KEPT_PIXELS,
    MAX_PIXELS,
    MIN_SIDE_PX,
    Picture,
    downscaled,
    read_picture,
)
from core.errors import PictureError

ORIENTATIONS = range(1, 9)


def scene(width: int = 80, height: int = 60) -> np.ndarray:
    """Return smooth colours that differ in every corner, so that lossy formats stay near them."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([60 + 180 * x, 60 + 150 * y, 200 - 120 * x * y], axis=2).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, picture_format: str, **options) -> bytes:
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, picture_format, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    notes = Image.Exif()
    notes[ExifTags.Base.Orientation] = orientation
    notes[ExifTags.Base.Artist] = "Somebody"
    return notes


def png(width: int, height: int, *, depth: int = 8, colours: int = 2, rows: bytes = b"") -> bytes:
    """Return a PNG of any header, whatever its rows hold."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


@pytest.mark.parametrize("picture_format", FORMATS)
def test_a_picture_of_each_format_comes_out_as_it_went_in(picture_format):
    options = {"quality": 95} if picture_format in {"JPEG", "WEBP"} else {}
    picture = read_picture(encoded(scene(), picture_format, **options), name="p")
    assert picture.format == picture_format
    assert (picture.width_px, picture.height_px, picture.notes) == (80, 60, ())
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable
    assert difference(picture.pixels, scene()) < 4


def test_a_file_is_read_from_its_path(tmp_path):
    path = tmp_path / "p.png"
    path.write_bytes(encoded(scene(), "PNG"))
    np.testing.assert_array_equal(read_picture(path, name="p").pixels, scene())


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_turned_photo_is_put_upright(picture_format, orientation):
    # The camera stored the scene so that its note, once followed, gives it back.
    back = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    stored = np.ascontiguousarray(back(scene()))
    picture = read_picture(encoded(stored, picture_format, exif=exif(orientation)), name="p")
    assert picture.pixels.shape == (60, 80, 3)
    assert (picture.width_px, picture.height_px) == (80, 60)
    assert difference(picture.pixels, scene()) < 6
    assert picture.notes == (() if orientation == 1 else ("turned upright as its camera noted",))


def test_broken_exif_does_not_cost_the_picture():
    whole = encoded(scene(), "JPEG", exif=exif(6))
    start = whole.index(b"Exif\0\0") + 6
    broken = whole[:start] + b"\xff" * 20 + whole[start + 20 :]
    picture = read_picture(broken, name="p")
    assert picture.pixels.shape == (60, 80, 3)
    assert picture.notes == ()


def test_sixteen_bit_grey_keeps_its_range():
    ramp = np.linspace(0, 65535, 80).astype(np.uint16)[None].repeat(60, axis=0)
    for picture_format in ("PNG", "TIFF"):
        picture = read_picture(encoded(Image.fromarray(ramp), picture_format), name="p")
        assert picture.notes == ("brought from 16 to 8 bits",)
        np.testing.assert_array_equal(picture.pixels[0, :, 0], np.round(ramp[0] / 257).astype(np.uint8))
        assert (picture.pixels == picture.pixels[..., :1]).all()


def test_sixteen_bit_colour_keeps_its_range():
    row = b"\0" + struct.pack(">3H", 65535, 32768, 257) * 20
    picture = read_picture(png(20, 20, depth=16, rows=row * 20), name="p")
    assert picture.notes == ("brought from 16 to 8 bits",)
    assert picture.pixels[0, 0].tolist() == [255, 128, 1]


def test_thirty_two_bit_measurements_are_refused():
    depths = Image.fromarray(np.linspace(0, 3, 400, dtype=np.float32).reshape(20, 20))
    with pytest.raises(PictureError, match="p holds measurements of 32 bits"):
        read_picture(encoded(depths, "TIFF"), name="p")


@pytest.mark.parametrize("picture_format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_and_said(picture_format):
    picture = read_picture(encoded(Image.fromarray(scene()).convert("CMYK"), picture_format), name="p")
    assert picture.notes == ("converted from printing colours (CMYK)",)
    assert difference(picture.pixels, scene()) < 6


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_plain_grey_bilevel_and_palette_become_rgb(mode):
    picture = read_picture(encoded(Image.fromarray(scene()).convert(mode), "PNG"), name="p")
    assert picture.pixels.shape == (60, 80, 3)
    assert picture.notes == ()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_shown_on_white(mode):
    layer = Image.new("RGBA", (40, 40), (90, 90, 90, 255))
    layer.paste((0, 0, 0, 0), (0, 0, 20, 40))
    picture = read_picture(encoded(layer.convert(mode), "PNG"), name="p")
    assert picture.notes == ("transparent parts are shown on white",)
    assert picture.pixels[0, 0].tolist() == [255, 255, 255]
    assert np.abs(picture.pixels[0, -1].astype(int) - 90).max() <= 6


def test_half_transparent_colours_mix_with_white():
    picture = read_picture(
        encoded(Image.new("RGBA", (20, 20), (255, 0, 0, 128)), "WEBP", lossless=True), name="p"
    )
    assert np.abs(picture.pixels[0, 0].astype(int) - [255, 127, 127]).max() <= 1


def test_an_alpha_that_hides_nothing_is_not_worth_a_note():
    assert read_picture(encoded(Image.fromarray(scene()).convert("RGBA"), "PNG"), name="p").notes == ()


@pytest.mark.parametrize("picture_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_used(picture_format):
    options = {"lossless": True} if picture_format == "WEBP" else {}
    red, blue = Image.new("RGB", (20, 20), (200, 0, 0)), Image.new("RGB", (20, 20), (0, 0, 200))
    moving = encoded(red, picture_format, save_all=True, append_images=[blue, red], **options)
    picture = read_picture(moving, name="p")
    assert picture.notes == ("only the first of its frames is used",)
    assert picture.pixels[10, 10].tolist() == [200, 0, 0]


@pytest.mark.parametrize("picture_format", FORMATS)
def test_a_file_that_is_cut_off_is_refused_as_such(picture_format):
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    whole = encoded(noise, picture_format)
    with pytest.raises(PictureError, match=r"mole\.x (is cut off|begins like a picture but is broken)"):
        read_picture(whole[: len(whole) // 3], name="mole.x")
    with pytest.raises(PictureError, match=r"mole\.x"):
        read_picture(whole[:12], name="mole.x")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"%PDF-1.7 and so on", "is a PDF document; export"),
        (b"These are words.", "is not a picture; expected one of JPEG, PNG"),
        (b"\0" * 4096, "is not a picture"),
        (b"PK\x03\x04 archive", "is a zip archive or an office document"),
        (b"\0\0\0\x18ftypheic\0\0", "is a HEIC photo; export it as JPEG"),
        (b"\0\0\0\x18ftypmp42\0\0", "is a video"),
        (b"\0" * 128 + b"DICM", "is a DICOM file; export"),
        (b"\xef\xbb\xbf\n <svg xmlns=''/>", "is a web page or a drawing in text"),
        (b"\x89PNG\r\n\x1a\n", "begins like a picture but is broken"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
        (b"P6 20 20 255\n" + b"\0" * 1200, "is not a picture"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_it_is(content, words):
    with pytest.raises(PictureError, match=f"p {words}"):
        read_picture(content, name="p")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "gone.jpg", tmp_path):
        with pytest.raises(PictureError, match="mole is not there"):
            read_picture(path, name="mole")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (MIN_SIDE_PX - 1, 400), (400, 1)])
def test_a_picture_too_small_to_show_anything_is_refused(width, height):
    with pytest.raises(
        PictureError, match=rf"p is {width} × {height} pixels, too small .* at least {MIN_SIDE_PX}"
    ):
        read_picture(encoded(Image.new("RGB", (width, height)), "PNG"), name="p")


def test_the_smallest_picture_allowed_is_read():
    side = (MIN_SIDE_PX, MIN_SIDE_PX)
    assert read_picture(encoded(Image.new("RGB", side), "PNG"), name="p").pixels.shape == (*side, 3)


@pytest.mark.parametrize(
    ("width", "height"), [(10_000, 10_000), (8_001, 8_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)]
)
def test_a_bomb_is_refused_from_its_header_alone(width, height):
    bomb = png(width, height)
    assert len(bomb) < 100
    with pytest.raises(
        PictureError, match=f"p is .*too large to decode safely; .*{MAX_PIXELS // 1_000_000} million"
    ):
        read_picture(bomb, name="p")


def test_text_that_unpacks_to_gigabytes_is_refused():
    body = b"Comment\0\0" + zlib.compress(b"\0" * 80_000_000)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    whole = png(20, 20, rows=(b"\0" * 61) * 20)
    with pytest.raises(PictureError, match="p is broken"):
        read_picture(whole[:33] + chunk + whole[33:], name="p")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_huge_jpeg_is_reduced_while_it_is_decoded(progressive):
    huge = encoded(Image.new("RGB", (10_000, 10_000), (200, 140, 120)), "JPEG", progressive=progressive)
    picture = read_picture(huge, name="p")
    assert (picture.width_px, picture.height_px) == (10_000, 10_000)
    assert picture.pixels.shape == (2500, 2500, 3)
    assert picture.notes == ("reduced from 10000 × 10000 to 2500 × 2500 pixels",)
    assert np.abs(picture.pixels[1000, 1000].astype(int) - [200, 140, 120]).max() < 4


def test_a_jpeg_beyond_its_limit_is_refused_before_it_is_decoded():
    small = encoded(scene(), "JPEG")
    frame = small.index(b"\xff\xc0") + 5
    for height, width in ((12_000, 12_000), (65_535, 65_535)):
        with pytest.raises(PictureError, match=r"p is .*too large"):
            read_picture(small[:frame] + struct.pack(">HH", height, width) + small[frame + 4 :], name="p")


@pytest.mark.parametrize(("mode", "width"), [("L", 8_000), ("RGBA", 4_100), ("P", 5_000)])
def test_a_large_picture_is_kept_at_a_size_worth_keeping(mode, width):
    picture = read_picture(encoded(Image.new(mode, (width, 5_000)), "PNG", compress_level=1), name="p")
    height_px, width_px = picture.pixels.shape[:2]
    assert height_px * width_px <= MAX_KEPT_PIXELS
    assert abs(width_px / height_px - width / 5_000) < 0.01
    assert picture.notes[-1].startswith(f"reduced from {width} × 5000 to")


def test_a_phones_twelve_megapixels_are_kept():
    picture = read_picture(encoded(Image.new("RGB", (4_032, 3_024)), "JPEG"), name="p")
    assert picture.pixels.shape == (3_024, 4_032, 3)
    assert picture.notes == ()


def test_pillows_warnings_reach_nobody():
    palette = Image.fromarray(scene()).convert("P")
    palette.info["transparency"] = bytes([0, 128] + [255] * 254)
    odd = [
        encoded(palette, "PNG", transparency=palette.info["transparency"]),
        encoded(Image.new("L", (9_500, 9_500)), "JPEG"),
        png(9_500, 9_500),
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for content in odd:
            try:
                read_picture(content, name="p")
            except PictureError:
                continue
    assert caught == []


def test_pillows_limits_stay_as_they_are():
    before = Image.MAX_IMAGE_PIXELS
    read_picture(encoded(scene(), "JPEG"), name="p")
    assert before == Image.MAX_IMAGE_PIXELS


def test_many_threads_read_what_one_reads():
    files = [encoded(np.roll(scene(), shift, axis=1), kind) for shift in range(8) for kind in FORMATS]
    alone = [read_picture(content, name="p").pixels for content in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda content: read_picture(content, name="p").pixels, files * 4))
    for number, pixels in enumerate(together):
        np.testing.assert_array_equal(pixels, alone[number % len(files)])


NOISE = np.random.default_rng(1).integers(0, 255, (24, 24, 3), dtype=np.uint8)
SEEDS_OF_FUZZ = {
    **{name: encoded(NOISE, name) for name in FORMATS},
    "PNG palette": encoded(Image.fromarray(NOISE).convert("P"), "PNG"),
    "PNG exif": encoded(NOISE, "PNG", exif=exif(6)),
    "JPEG exif": encoded(NOISE, "JPEG", exif=exif(6)),
    "GIF moving": encoded(NOISE, "GIF", save_all=True, append_images=[Image.fromarray(NOISE[::-1])]),
    "PNG moving": encoded(NOISE, "PNG", save_all=True, append_images=[Image.fromarray(NOISE[::-1])]),
    "WEBP moving": encoded(NOISE, "WEBP", save_all=True, append_images=[Image.fromarray(NOISE[::-1])]),
    "TIFF packed": encoded(NOISE, "TIFF", compression="tiff_lzw"),
}


def read_or_refuse(content: bytes) -> Picture | PictureError:
    try:
        return read_picture(content, name="mole")
    except PictureError as refusal:
        return refusal


@pytest.mark.parametrize("seed", SEEDS_OF_FUZZ)
@given(data=st.data())
def test_damaged_files_are_read_or_refused_but_never_crash(seed, data):
    content = bytearray(SEEDS_OF_FUZZ[seed])
    # Headers are where damage does most.
    places = st.integers(0, len(content) - 1) | st.integers(0, min(120, len(content) - 1))
    for place in data.draw(st.lists(places, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    outcome = read_or_refuse(bytes(content[:cut]))
    if isinstance(outcome, Picture):
        assert outcome.pixels.ndim == 3
        assert min(outcome.pixels.shape[:2]) >= 1
    else:
        assert str(outcome).startswith("mole ")


@given(content=st.binary(max_size=300))
def test_bytes_at_random_are_refused(content):
    with pytest.raises(PictureError):
        read_picture(content, name="mole")


@pytest.mark.parametrize(("max_side_px", "shape"), [(40, (30, 40, 3)), (80, (60, 80, 3)), (500, (60, 80, 3))])
def test_downscaling_shrinks_and_never_enlarges(max_side_px, shape):
    small = downscaled(scene(), max_side_px=max_side_px)
    assert small.shape == shape
    assert small.dtype == np.uint8
    assert abs(small.mean() - scene().mean()) < 1


def test_a_thread_of_a_picture_keeps_one_pixel():
    assert downscaled(np.zeros((2_000, 20, 3), np.uint8), max_side_px=50).shape == (50, 1, 3)
