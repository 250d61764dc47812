"""PNG files, most written by hand: Pillow writes no 16-bit colour, interlaced or invalid files."""

from __future__ import annotations

import struct
import zlib
from functools import partial

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from unit.corpus.case import COLOURS, SIZE, TURNED, WHITE, Case, cut, exif, flat, grey, lying, sample, saved

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
END = (b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    return SIGNATURE + b"".join(chunk(*content) for content in chunks)


def head(depth: int, colour: int, size: tuple[int, int] = SIZE, interlaced: int = 0) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced)


def rows(pixels: np.ndarray, depth: int) -> bytes:
    """Unfiltered rows of [H, W] or [H, W, C] samples."""
    height = len(pixels)
    flat_rows = pixels.reshape(height, -1)
    if depth == 16:
        packed = flat_rows.astype(">u2").view(np.uint8).reshape(height, -1)
    elif depth == 8:
        packed = flat_rows.astype(np.uint8)
    else:
        bits = np.unpackbits(flat_rows.astype(np.uint8)[..., np.newaxis], axis=2)[..., 8 - depth :]
        packed = np.packbits(bits.reshape(height, -1), axis=1)
    return np.hstack([np.zeros((height, 1), np.uint8), packed]).tobytes()


def data(raw: bytes) -> tuple[bytes, bytes]:
    return b"IDAT", zlib.compress(raw)


def levels(mode: str) -> np.ndarray:
    return np.asarray(sample(mode))


def written(
    pixels: np.ndarray, depth: int, colour: int, *extra: tuple[bytes, bytes], before: bool = True
) -> bytes:
    return png(head(depth, colour), *extra, data(rows(pixels, depth)), END)


def deep(pixels: np.ndarray) -> np.ndarray:
    """16-bit samples whose low byte differs from the high one."""
    return (pixels.astype(np.uint16) << 8) | 0x7F


def alpha(pixels: np.ndarray, opaque: int) -> np.ndarray:
    """With alpha: only the left half is opaque."""
    solid = np.zeros((*pixels.shape[:2], 1), pixels.dtype)
    solid[:, : SIZE[0] // 2] = opaque
    return np.concatenate([pixels.reshape(*pixels.shape[:2], -1), solid], axis=2)


LEFT_ONLY = (COLOURS[0], WHITE, COLOURS[2], WHITE)
LEFT_GREY = (grey()[0], WHITE, grey()[2], WHITE)
INDICES = np.repeat(np.repeat(np.arange(4).reshape(2, 2), SIZE[1] // 2, 0), SIZE[0] // 2, 1)
COLOURMAP = (b"PLTE", bytes(value for colour in COLOURS for value in colour))
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def interlaced(pixels: np.ndarray, depth: int, colour: int) -> bytes:
    raw = b"".join(rows(pixels[top::down, left::right], depth) for left, top, right, down in ADAM7)
    return png(head(depth, colour, interlaced=1), data(raw), END)


def palette(depth: int, *extra: tuple[bytes, bytes]) -> bytes:
    return written(INDICES, depth, PALETTE, COLOURMAP, *extra)


def grey_steps(depth: int) -> bytes:
    return written(INDICES % 2**depth, depth, GREY)


def steps(depth: int) -> tuple[tuple[int, int, int], ...]:
    most = 2**depth - 1
    return tuple((round(255 * (i % 2**depth) / most),) * 3 for i in range(4))


def triple(*values: int) -> tuple[bytes, bytes]:
    return b"tRNS", struct.pack(f">{len(values)}H", *values)


def bomb(kind: bytes, begin: bytes) -> bytes:
    """A chunk that unpacks to 100 MB."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()
    return written(levels("RGB"), 8, RGB, (kind, begin + packed))


def many_texts() -> bytes:
    """Each text is within Pillow's bound, together they unpack to 90 MB."""
    text = (b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000)))
    return written(levels("RGB"), 8, RGB, *[text] * 100)


def endless_data() -> bytes:
    """The image's rows, and then 100 MB more in the same stream."""
    packer = zlib.compressobj(9)
    packed = packer.compress(rows(levels("RGB"), 8))
    packed += b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()
    return png(head(8, RGB), (b"IDAT", packed), END)


def claim(width: int, height: int, colour: int = RGB) -> bytes:
    return png(head(8, colour, (width, height)), data(b""), END)


def broken_checksum(kind: bytes) -> bytes:
    whole = bytearray(written(levels("RGB"), 8, RGB))
    at = whole.index(kind) - 4
    length = struct.unpack_from(">I", whole, at)[0]
    whole[at + 8 + length] ^= 0xFF
    return bytes(whole)


def wrong_filter() -> bytes:
    raw = bytearray(rows(levels("RGB"), 8))
    raw[0] = 77
    return png(head(8, RGB), data(bytes(raw)), END)


def animated(**options: object) -> bytes:
    return saved(sample(), "PNG", save_all=True, append_images=[Image.new("RGB", SIZE)], **options)


def hidden_default() -> bytes:
    """An animation whose still image is not one of its frames."""
    black = Image.new("RGB", SIZE)
    return saved(sample(), "PNG", save_all=True, default_image=True, append_images=[black, black])


def ninety_megapixels() -> bytes:
    """A few bytes of palette and transparency: converted whole it would take a gigabyte."""
    image = Image.new("P", (10_000, 9_000), 1)
    image.putpalette(bytes(3) + bytes(COLOURS[0]))
    return saved(image, "PNG", transparency=0)


def turned_by_xmp() -> bytes:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="6"/>')
    return saved(lying(6), "PNG", pnginfo=info)


def plain() -> bytes:
    return saved(sample(), "PNG")


CASES = [
    Case("png/plain.png", plain),
    Case("png/wrong-extension.jpg", plain),
    Case("png/16-bit.png", lambda: written(deep(levels("RGB")), 16, RGB)),
    Case(
        "png/16-bit-alpha.png",
        lambda: written(alpha(deep(levels("RGB")), 0xFFFF), 16, RGBA),
        colours=LEFT_ONLY,
    ),
    Case("png/16-bit-grey.png", lambda: written(deep(levels("L")), 16, GREY), colours=grey()),
    Case(
        "png/16-bit-grey-alpha.png",
        lambda: written(alpha(deep(levels("L")), 0xFFFF), 16, GREY_ALPHA),
        colours=LEFT_GREY,
    ),
    Case(
        "png/16-bit-one-transparent.png",
        lambda: written(deep(levels("RGB")), 16, RGB, triple(*((c << 8) | 0x7F for c in COLOURS[3]))),
        colours=(*COLOURS[:3], WHITE),
    ),
    Case(
        "png/16-bit-grey-one-transparent.png",
        lambda: written(deep(levels("L")), 16, GREY, triple((int(levels("L")[-1, -1]) << 8) | 0x7F)),
        colours=(*grey()[:3], WHITE),
    ),
    Case("png/alpha.png", lambda: written(alpha(levels("RGB"), 255), 8, RGBA), colours=LEFT_ONLY),
    Case("png/grey-alpha.png", lambda: written(alpha(levels("L"), 255), 8, GREY_ALPHA), colours=LEFT_GREY),
    Case("png/grey.png", lambda: written(levels("L"), 8, GREY), colours=grey()),
    *[Case(f"png/palette-{depth}-bit.png", partial(palette, depth)) for depth in (2, 4, 8)],
    *[Case(f"png/grey-{d}-bit.png", partial(grey_steps, d), colours=steps(d)) for d in (1, 2, 4)],
    Case(
        "png/palette-transparent.png",
        lambda: palette(4, (b"tRNS", bytes([255, 0, 255, 0]))),
        colours=LEFT_ONLY,
    ),
    Case(
        "png/palette-too-short.png", lambda: written(INDICES, 8, PALETTE, (b"PLTE", bytes(3))), colours=None
    ),
    Case("png/palette-missing.png", lambda: written(INDICES, 8, PALETTE), colours=None),
    Case(
        "png/one-transparent.png",
        lambda: written(levels("RGB"), 8, RGB, triple(*COLOURS[1])),
        colours=(COLOURS[0], WHITE, *COLOURS[2:]),
    ),
    Case(
        "png/grey-one-transparent.png",
        lambda: written(levels("L"), 8, GREY, triple(int(levels("L")[0, 0]))),
        colours=(WHITE, *grey()[1:]),
    ),
    Case("png/absent-one-transparent.png", lambda: written(levels("RGB"), 8, RGB, triple(0, 0, 0))),
    Case(
        "png/black-and-white-transparent.png",
        lambda: written(INDICES % 2, 1, GREY, triple(0)),
        colours=flat(*WHITE),
    ),
    Case("png/interlaced.png", lambda: interlaced(levels("RGB"), 8, RGB)),
    Case("png/interlaced-16-bit-grey.png", lambda: interlaced(deep(levels("L")), 16, GREY), colours=grey()),
    Case("png/animated.png", animated),
    Case("png/animated-with-still.png", hidden_default),
    Case("png/no-end.png", lambda: plain()[:-12]),
    Case("png/garbage-behind.png", lambda: plain() + b"garbage" * 1000),
    Case("png/garbage-before.png", lambda: b"\n" + plain(), "not-an-image"),
    Case("png/no-data.png", lambda: png(head(8, RGB), END), "truncated"),
    Case("png/data-empty.png", lambda: claim(*SIZE), "truncated"),
    Case("png/header-only.png", lambda: png(head(8, RGB)), "truncated"),
    Case("png/no-header.png", lambda: png(data(b""), END), "truncated"),
    Case("png/depth-3.png", lambda: png(head(3, RGB), data(b"")), "truncated"),
    Case("png/colour-7.png", lambda: png(head(8, 7), data(b"")), "truncated"),
    Case("png/wrong-filter.png", wrong_filter, "truncated"),
    Case("png/checksum-of-header.png", partial(broken_checksum, b"IHDR"), "truncated"),
    Case("png/text-bomb.png", partial(bomb, b"zTXt", b"a\0\0")),
    Case("png/unicode-bomb.png", partial(bomb, b"iTXt", b"a\0\1\0\0\0")),
    Case("png/profile-bomb.png", partial(bomb, b"iCCP", b"a\0\0")),
    Case("png/hundred-texts.png", many_texts),
    Case("png/more-data-than-rows.png", endless_data),
    Case("png/no-width.png", partial(claim, 0, 5), "truncated"),
    Case("png/2-billion-a-side.png", partial(claim, 2**31 - 1, 2**31 - 1), "too-large"),
    Case("png/30000-a-side.png", partial(claim, 30_000, 30_000), "too-large"),
    Case("png/9000-a-side-of-nothing.png", partial(claim, 9_000, 9_000), "truncated"),
    Case("png/column.png", partial(claim, 1, 100_000_000, GREY), "too-large"),
    Case("png/row.png", partial(claim, 60_000, 1), "too-narrow"),
    Case("png/90-megapixels.png", ninety_megapixels, colours=flat(*COLOURS[0]), megabytes=150, seconds=5.0),
    Case("png/turned-by-xmp.png", turned_by_xmp),
    Case("png/exif-garbage.png", lambda: written(levels("RGB"), 8, RGB, (b"eXIf", b"garbage"))),
    *[
        Case(f"png/orientation-{i}.png", partial(lambda i: saved(lying(i), "PNG", exif=exif(i)), i))
        for i in TURNED
    ],
    *[
        Case(f"png/cut-at-{at}.png", partial(lambda at: cut(plain(), at), at), "truncated")
        for at in (8, 20, 33, 45, 0.6, 0.8)
    ],
]
