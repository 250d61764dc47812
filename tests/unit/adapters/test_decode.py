from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from octospoon.adapters.decode import MAX_PIXELS, decode
from octospoon.domain.errors import BadImage


def picture(width: int = 60, height: int = 40, mode: str = "RGB") -> Image.Image:
    """Red on the left half, blue on the right, a green stripe along the top quarter."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 250
    pixels[:, width // 2 :, 2] = 250
    pixels[: height // 4] = (0, 250, 0)
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def is_upright(pixels: np.ndarray) -> bool:
    w = pixels.shape[1]
    top, left, right = pixels[1, w // 2], pixels[-2, 2], pixels[-2, -3]
    return top.argmax() == 1 and left.argmax() == 0 and right.argmax() == 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("resize", ["squash", "cover"])
def test_every_format_and_both_rules(kind: str, resize: str) -> None:
    pixels = decode(saved(picture(), kind), 20, 24, resize)

    assert pixels.shape == (20, 24, 3)
    assert pixels.dtype == np.uint8
    assert is_upright(pixels)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "I;16"])
def test_every_mode(mode: str) -> None:
    if mode == "I;16":
        grey = np.asarray(picture(mode="L")).astype(np.uint16) * 257
        data = saved(Image.fromarray(grey))
    else:
        data = saved(picture(mode=mode), "TIFF" if mode == "CMYK" else "PNG")
    expected = decode(
        saved(picture(mode="L" if mode in ("L", "LA", "1", "I;16") else "RGB")), 20, 24, "squash"
    )

    pixels = decode(data, 20, 24, "squash").astype(int)

    assert np.abs(pixels - expected).mean() < (40 if mode == "1" else 3)


def test_transparency_lies_over_white() -> None:
    pixels = decode(saved(Image.new("RGBA", (10, 10), (255, 0, 0, 0))), 4, 4, "squash")

    assert (pixels == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = picture(64, 32)
    if orientation in inverse:
        stored = stored.transpose(Image.Transpose(inverse[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation

    pixels = decode(saved(stored, "JPEG", exif=exif, quality=95), 32, 64, "squash")

    assert is_upright(pixels)


def test_scaled_jpeg_decoding_stays_close_to_the_full_one() -> None:
    generator = np.random.default_rng(0)
    noise = Image.fromarray(generator.integers(0, 256, (45, 80, 3), np.uint8)).resize((1920, 1080))
    data = saved(noise, "JPEG", quality=92)

    scaled = decode(data, 64, 64, "cover").astype(float)
    full = decode(saved(Image.open(io.BytesIO(data)), "PNG"), 64, 64, "cover").astype(float)

    mean_square = ((scaled - full) ** 2).mean()
    assert 10 * np.log10(255**2 / mean_square) > 35


def test_cover_keeps_proportions_and_squash_does_not() -> None:
    disc = Image.new("L", (200, 100), 0)
    disc.paste(255, (75, 25, 125, 75))
    data = saved(disc)

    cover, squash = decode(data, 40, 40, "cover"), decode(data, 40, 40, "squash")

    assert (cover[20, :, 0] > 127).sum() == (cover[:, 20, 0] > 127).sum() == 20
    assert (squash[20, :, 0] > 127).sum() == 10


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG by hand: Pillow writes neither 16-bit colour nor sizes that lie."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0))
    parts = (header, *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def plain_png(depth: int, colour: int, values: tuple[int, ...], *extra: bytes) -> bytes:
    row = b"\0" + np.array(values * 8, ">u2" if depth == 16 else ">u1").tobytes()
    return png((8, 8), depth, colour, row * 8, *extra)


RED = (0xC8, 0x32, 0x10)
RED_16 = (0xC8FF, 0x32FF, 0x10FF)
WHITE = (255, 255, 255)


def palette_picture() -> Image.Image:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *RED])
    return image


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        (plain_png(16, 2, RED_16), RED),
        (plain_png(16, 6, (*RED_16, 0xFFFF)), RED),
        (plain_png(16, 6, (*RED_16, 0)), WHITE),
        (plain_png(16, 0, (0xC8FF,)), (0xC8,) * 3),
        (plain_png(16, 4, (0xC8FF, 0)), WHITE),
        (plain_png(8, 2, RED, chunk(b"tRNS", struct.pack(">HHH", *RED))), WHITE),
        (plain_png(8, 2, RED, chunk(b"tRNS", struct.pack(">HHH", 0, 0, 0))), RED),
        (plain_png(8, 0, (9,), chunk(b"tRNS", struct.pack(">H", 9))), WHITE),
        (saved(palette_picture()), RED),
        (saved(palette_picture(), transparency=1), WHITE),
        (saved(palette_picture(), transparency=b"\xff\x00"), WHITE),
        (saved(palette_picture(), "GIF", transparency=1), WHITE),
        (saved(Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG", quality=95), RED),
        (saved(Image.new("RGB", (16, 16), RED).convert("CMYK"), "TIFF"), RED),
    ],
    ids=[
        "16-bit rgb",
        "16-bit rgba",
        "16-bit rgba, transparent",
        "16-bit grey",
        "16-bit grey with alpha",
        "rgb, its colour transparent",
        "rgb, another colour transparent",
        "grey, its colour transparent",
        "palette",
        "palette, one transparent",
        "palette with alphas",
        "gif, one transparent",
        "inverted cmyk jpeg",
        "cmyk tiff",
    ],
)
def test_every_way_to_write_a_colour(data: bytes, colour: tuple[int, ...]) -> None:
    pixels = decode(data, 4, 4, "squash").astype(int)

    assert np.abs(pixels - colour).max() <= 2


def bomb() -> bytes:
    side = int(MAX_PIXELS**0.5) + 1
    return saved(Image.new("1", (side, side)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am a text file", "not-an-image"),
        (saved(picture(400, 400), "JPEG")[:1500], "truncated"),
        (saved(picture(400, 400), "PNG")[:300], "truncated"),
        (saved(picture(), "WEBP")[:60], "truncated"),
        (saved(picture(), "JPEG2000"), "not-an-image"),
        (saved(Image.new("F", (4, 4)), "TIFF"), "unsupported"),
        (bomb(), "too-large"),
        (png((2**31 - 1, 2**31 - 1), 8, 2, b""), "too-large"),
        (png((1, MAX_PIXELS), 8, 0, b""), "too-large"),
        (saved(Image.new("RGB", (1, 50_000))), "too-narrow"),
        (saved(Image.new("RGB", (50_000, 1)), "JPEG"), "too-narrow"),
        (png((0, 5), 8, 2, b""), "not-an-image"),
        (png((8, 8), 8, 2, b""), "truncated"),
        (plain_png(8, 2, RED, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100_000_000)))), "truncated"),
    ],
    ids=[
        "empty",
        "text",
        "cut jpeg",
        "cut png",
        "cut webp",
        "foreign format",
        "float",
        "bomb",
        "absurd size",
        "column",
        "narrow png",
        "narrow jpeg",
        "no width",
        "no pixels",
        "profile bomb",
    ],
)
def test_bad_pictures_are_refused_with_their_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage) as caught:
        decode(data, 32, 32, "squash")

    assert caught.value.reason == reason


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 1000)])
@pytest.mark.parametrize("resize", ["squash", "cover"])
def test_the_smallest_and_narrowest_pictures_that_count(size: tuple[int, int], resize: str) -> None:
    assert (decode(saved(Image.new("RGB", size, RED)), 4, 4, resize) == RED).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_counts_by_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])

    assert decode(data, 4, 4, "squash")[0, 0].argmax() == 0


def shape_or_reason(data: bytes) -> tuple[int, ...] | str:
    try:
        return decode(data, 8, 8, "cover").shape
    except BadImage as bad:
        return bad.reason


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_damage_ends_as_a_picture_or_as_a_bad_one_and_never_as_another_error(kind: str) -> None:
    generator = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    sound = saved(picture(), kind, exif=exif) if kind != "BMP" else saved(picture(), kind)
    reasons = {"not-an-image", "too-large", "too-narrow", "truncated", "unsupported"}
    for _ in range(200):
        data = bytearray(sound)
        reach = generator.choice([40, 200, len(data)])
        for place in generator.integers(0, min(len(data), reach), generator.integers(1, 10)):
            data[place] = generator.choice([0, 255, generator.integers(256)])
        assert shape_or_reason(bytes(data)) in {(8, 8, 3), *reasons}
