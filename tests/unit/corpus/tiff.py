"""TIFF files, the odd ones written by hand."""

from __future__ import annotations

import struct
import zlib
from functools import partial

import numpy as np
from PIL import Image, ImageCms
from unit.corpus.case import COLOURS, SIZE, TURNED, WHITE, Case, cut, exif, grey, lying, sample, saved

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, SAMPLES = 256, 257, 258, 259, 262, 273, 277
ROWS_PER_STRIP, COUNTS, PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT = 278, 279, 284, 317, 322, 323
TILE_OFFSETS, TILE_COUNTS, SAMPLE_FORMAT = 324, 325, 339
WHITE_IS_ZERO, BLACK_IS_ZERO, COLOUR = 0, 1, 2


def tiff(
    tags: dict[int, tuple[int, ...]], blocks: list[bytes], order: str = "<", *, tiled: bool = False
) -> bytes:
    """A file of one directory, every value a LONG, and its strips or tiles."""
    offsets, counts = (TILE_OFFSETS, TILE_COUNTS) if tiled else (OFFSETS, COUNTS)
    whole = {WIDTH: (SIZE[0],), HEIGHT: (SIZE[1],), COMPRESSION: (1,), **tags}
    whole |= {offsets: (0,) * len(blocks), counts: tuple(len(block) for block in blocks)}
    directory = 8
    values = directory + 2 + 12 * len(whole) + 4
    start = values + sum(4 * len(numbers) for numbers in whole.values() if len(numbers) > 1)
    whole[offsets] = tuple(start + sum(map(len, blocks[:i])) for i in range(len(blocks)))
    entries, beyond = b"", b""
    for tag, value in sorted(whole.items()):
        place = value[0] if len(value) == 1 else values + len(beyond)
        entries += struct.pack(f"{order}HHII", tag, 4, len(value), place)
        beyond += struct.pack(f"{order}{len(value)}I", *value) if len(value) > 1 else b""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    parts = (
        magic,
        struct.pack(f"{order}I", directory),
        struct.pack(f"{order}H", len(whole)),
        entries,
        bytes(4),
    )
    return b"".join((*parts, beyond, *blocks))


def pixels(mode: str = "RGB") -> np.ndarray:
    return np.asarray(sample(mode))


def colour(**more: object) -> dict[int, tuple[int, ...]]:
    return {BITS: (8, 8, 8), PHOTOMETRIC: (COLOUR,), SAMPLES: (3,), ROWS_PER_STRIP: (SIZE[1],)}


def planar() -> bytes:
    planes = [pixels()[..., i].tobytes() for i in range(3)]
    return tiff(colour() | {PLANAR: (2,)}, planes)


def tiled(order: str = "<") -> bytes:
    padded = np.pad(pixels(), ((0, 64 - SIZE[1]), (0, 0), (0, 0)))
    blocks = [padded[y : y + 32, x : x + 32].tobytes() for y in (0, 32) for x in (0, 32)]
    shape = {TILE_WIDTH: (32,), TILE_HEIGHT: (32,), BITS: (8, 8, 8), PHOTOMETRIC: (COLOUR,), SAMPLES: (3,)}
    return tiff(shape, blocks, order, tiled=True)


def deep(order: str, photometric: int = BLACK_IS_ZERO) -> bytes:
    level = pixels("L").astype(np.uint16) * 257
    values = 65535 - level if photometric == WHITE_IS_ZERO else level
    tags = {BITS: (16,), PHOTOMETRIC: (photometric,), SAMPLES: (1,), ROWS_PER_STRIP: (SIZE[1],)}
    return tiff(tags, [values.astype(f"{order}u2").tobytes()], order)


def deep_colour(order: str) -> bytes:
    values = (pixels().astype(np.uint16) * 257).astype(f"{order}u2")
    return tiff(colour() | {BITS: (16, 16, 16)}, [values.tobytes()], order)


def twelve_bit() -> bytes:
    values = (pixels("L").astype(np.uint16) << 4).reshape(-1, 2)
    packed = np.stack(
        [values[:, 0] >> 4, (values[:, 0] & 15) << 4 | values[:, 1] >> 8, values[:, 1] & 255], axis=1
    )
    tags = {BITS: (12,), PHOTOMETRIC: (BLACK_IS_ZERO,), SAMPLES: (1,), ROWS_PER_STRIP: (SIZE[1],)}
    return tiff(tags, [packed.astype(np.uint8).tobytes()])


def numbers(values: np.ndarray, sample_format: int) -> bytes:
    tags = {BITS: (values.itemsize * 8,), PHOTOMETRIC: (BLACK_IS_ZERO,), SAMPLES: (1,)}
    more = {ROWS_PER_STRIP: (SIZE[1],), SAMPLE_FORMAT: (sample_format,)}
    return tiff(tags | more, [values.tobytes()])


def inverted() -> bytes:
    tags = {BITS: (8,), PHOTOMETRIC: (WHITE_IS_ZERO,), SAMPLES: (1,), ROWS_PER_STRIP: (SIZE[1],)}
    return tiff(tags, [(255 - pixels("L")).tobytes()])


def alpha(extra: int) -> bytes:
    """Only the left half is opaque: extra samples 2 are plain alpha, 1 are premultiplied."""
    whole = np.dstack([pixels(), np.full(SIZE[::-1], 255, np.uint8)])
    whole[:, SIZE[0] // 2 :, 3] = 0
    if extra == 1:
        whole[:, SIZE[0] // 2 :] = 0
    tags = {BITS: (8, 8, 8, 8), SAMPLES: (4,), 338: (extra,)}
    return tiff(colour() | tags, [whole.tobytes()])


def predicted() -> bytes:
    """Deflate, with differences between neighbours instead of values."""
    differences = np.diff(pixels(), axis=1, prepend=np.zeros((SIZE[1], 1, 3), np.uint8))
    return tiff(colour() | {COMPRESSION: (8,), PREDICTOR: (2,)}, [zlib.compress(differences.tobytes())])


def lab() -> bytes:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    return saved(ImageCms.applyTransform(sample(), to_lab), "TIFF")


def pages() -> bytes:
    return saved(sample(), "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))])


def packed(kind: str, mode: str = "RGB") -> bytes:
    return saved(sample(mode), "TIFF", compression=kind)


def unknown(compression: int) -> bytes:
    return tiff(colour() | {COMPRESSION: (compression,)}, [pixels().tobytes()])


def claim(width: int, height: int) -> bytes:
    return tiff(colour() | {WIDTH: (width,), HEIGHT: (height,), ROWS_PER_STRIP: (height,)}, [b"\0" * 100])


def packed_claim() -> bytes:
    """A strip of a few bytes that claims to be 90 megapixels."""
    tags = {WIDTH: (10_000,), HEIGHT: (9_000,), ROWS_PER_STRIP: (9_000,), COMPRESSION: (8,)}
    return tiff(colour() | tags, [zlib.compress(bytes(1000))])


def endless_directory() -> bytes:
    """A directory that names itself as the next one."""
    data = bytearray(tiff(colour(), [pixels().tobytes()]))
    (count,) = struct.unpack_from("<H", data, 8)
    struct.pack_into("<I", data, 10 + 12 * count, 8)
    return bytes(data)


LEVELS = pixels("L")
MONOCHROME = ((0, 0, 0), WHITE, (0, 0, 0), WHITE)


def monochrome(kind: str) -> bytes:
    return saved(sample(colours=MONOCHROME).convert("1"), "TIFF", compression=kind)


CASES = [
    Case("tiff/plain.tif", lambda: saved(sample(), "TIFF")),
    Case("tiff/wrong-extension.jpg", lambda: saved(sample(), "TIFF")),
    Case("tiff/big-endian.tif", partial(tiled, ">")),
    Case("tiff/bigtiff.tif", lambda: saved(sample(), "TIFF", big_tiff=True)),
    Case("tiff/tiled.tif", tiled),
    Case("tiff/planar.tif", planar),
    Case("tiff/pages.tif", pages),
    Case("tiff/predictor.tif", predicted),
    *[
        Case(f"tiff/{kind}.tif", partial(packed, kind))
        for kind in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg", "zstd", "lzma")
    ],
    *[
        Case(f"tiff/{kind}.tif", partial(monochrome, kind), colours=MONOCHROME)
        for kind in ("group3", "group4", "raw")
    ],
    Case("tiff/grey-16-bit.tif", partial(deep, "<"), colours=grey()),
    Case("tiff/grey-16-bit-big-endian.tif", partial(deep, ">"), colours=grey()),
    Case("tiff/grey-16-bit-white-is-zero.tif", partial(deep, "<", WHITE_IS_ZERO), colours=grey()),
    Case("tiff/white-is-zero.tif", inverted, colours=grey()),
    Case("tiff/grey-12-bit.tif", twelve_bit, colours=grey()),
    Case("tiff/16-bit.tif", partial(deep_colour, "<")),
    Case("tiff/16-bit-big-endian.tif", partial(deep_colour, ">")),
    Case("tiff/float.tif", lambda: numbers(LEVELS.astype("<f4"), 3), "unsupported"),
    Case("tiff/double.tif", lambda: numbers(LEVELS.astype("<f8"), 3), "unsupported"),
    Case("tiff/32-bit.tif", lambda: numbers(LEVELS.astype("<u4") << 23, 1), "unsupported"),
    Case("tiff/signed-16-bit.tif", lambda: numbers(LEVELS.astype("<i2") << 7, 2), "unsupported"),
    Case("tiff/cmyk.tif", lambda: saved(sample("CMYK"), "TIFF")),
    Case("tiff/lab.tif", lab),
    Case("tiff/ycbcr.tif", lambda: saved(sample("YCbCr"), "TIFF")),
    Case("tiff/palette.tif", lambda: saved(sample().quantize(4), "TIFF")),
    Case("tiff/alpha.tif", partial(alpha, 2), colours=(COLOURS[0], WHITE, COLOURS[2], WHITE)),
    Case("tiff/alpha-premultiplied.tif", partial(alpha, 1), colours=(COLOURS[0], WHITE, COLOURS[2], WHITE)),
    Case("tiff/compression-unknown.tif", partial(unknown, 12_345), "unsupported"),
    Case("tiff/compression-jpeg-2000.tif", partial(unknown, 34_712), "unsupported"),
    Case("tiff/compression-next.tif", partial(unknown, 32_766), "unsupported"),
    Case(
        "tiff/fifty-samples.tif",
        lambda: tiff(colour() | {SAMPLES: (50,), BITS: (8,) * 50}, [b"\0"]),
        "unsupported",
    ),
    Case("tiff/no-strips.tif", lambda: tiff(colour(), []), "truncated"),
    Case("tiff/100000-a-side.tif", partial(claim, 100_000, 100_000), "too-large"),
    Case("tiff/8000-a-side-of-nothing.tif", partial(claim, 8_000, 8_000), "truncated"),
    Case("tiff/strip-bomb.tif", packed_claim, "too-large"),
    Case("tiff/no-width.tif", partial(claim, 0, 5), "truncated"),
    Case("tiff/directory-names-itself.tif", endless_directory),
    Case("tiff/directory-out-of-the-file.tif", lambda: b"II*\0\xff\xff\xff\x7f", "truncated"),
    Case("tiff/garbage-behind.tif", lambda: saved(sample(), "TIFF") + b"garbage" * 100),
    *[
        Case(f"tiff/orientation-{i}.tif", partial(lambda i: saved(lying(i), "TIFF", exif=exif(i)), i))
        for i in TURNED
    ],
    *[
        Case(f"tiff/cut-at-{at}.tif", partial(lambda at: cut(packed("tiff_lzw"), at), at), "truncated")
        for at in (4, 9, 0.5, 0.9)
    ],
    *[
        Case(
            f"tiff/cut-raw-at-{at}.tif", partial(lambda at: cut(saved(sample(), "TIFF"), at), at), "truncated"
        )
        for at in (0.1, 0.9)
    ],
]
