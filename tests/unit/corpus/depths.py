"""TIFF and BMP files of every depth, order and packing, and raw photos, which are TIFF files too."""

from __future__ import annotations

import struct
import zlib
from functools import partial

import numpy as np
from unit.corpus import png
from unit.corpus.case import COLOURS, SIZE, WHITE, Case, flat, grey, sample
from unit.corpus.tiff import (
    BITS,
    BLACK_IS_ZERO,
    COLOUR,
    COMPRESSION,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES,
    TILE_HEIGHT,
    TILE_WIDTH,
    WHITE_IS_ZERO,
    tiff,
)

RGB, LEVELS = np.asarray(sample()), np.asarray(sample("L"))
INDICES = png.INDICES.astype(np.uint8)
LARGEST, LARGEST_OF_KIND, EXTRA, COLOUR_MAP, FILL_ORDER, SUBFILE = 281, 341, 338, 320, 266, 254
LEFT_ONLY = (COLOURS[0], WHITE, COLOURS[2], WHITE)
DEFLATE = 8


def packed(values: np.ndarray, bits: int, order: str = "<") -> bytes:
    """Pack rows of [H, W] or [H, W, C] samples; each row starts at a new byte."""
    flat_rows = values.reshape(len(values), -1)
    if bits == 16:
        return flat_rows.astype(f"{order}u2").tobytes()
    planes = (flat_rows[..., np.newaxis].astype(np.uint32) >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(planes.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()


def scaled(pixels: np.ndarray, bits: int) -> np.ndarray:
    return np.round(pixels.astype(float) * (2**bits - 1) / 255).astype(np.uint32)


def made(
    pixels: np.ndarray,
    bits: int,
    *,
    photometric: int | None = None,
    order: str = "<",
    planar: bool = False,
    rows: int = SIZE[1],
    compression: int = 1,
    **more: tuple[int, ...],
) -> bytes:
    """Return a file of samples that are already scaled."""
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    planes = [pixels[..., i] for i in range(samples)] if planar and samples > 1 else [pixels]
    blocks = [packed(plane[i : i + rows], bits, order) for plane in planes for i in range(0, SIZE[1], rows)]
    blocks = [zlib.compress(block) if compression == DEFLATE else block for block in blocks]
    meaning = photometric if photometric is not None else COLOUR if samples > 2 else BLACK_IS_ZERO
    tags = {BITS: (bits,) * samples, PHOTOMETRIC: (meaning,), SAMPLES: (samples,), ROWS_PER_STRIP: (rows,)}
    tags |= {COMPRESSION: (compression,), PLANAR: (2 if planar else 1,)}
    return tiff(tags | {int(tag[1:]): value for tag, value in more.items()}, blocks, order)


def differenced(bits: int, order: str = "<", *, planar: bool = False, tiled: bool = False) -> bytes:
    """Deflate, with differences between neighbours."""
    values = scaled(RGB, bits).astype(np.uint16 if bits == 16 else np.uint8)
    across = 32 if tiled else SIZE[0]
    parts = [values[:, x : x + across] for x in range(0, SIZE[0], across)]
    parts = [np.diff(part, axis=1, prepend=np.zeros_like(part[:, :1])) for part in parts]
    more = {f"t{PREDICTOR}": (2,)}
    if not tiled:
        return made(parts[0], bits, order=order, planar=planar, rows=16, compression=DEFLATE, **more)
    parts = [np.pad(part, ((0, 64 - SIZE[1]), (0, 0), (0, 0))) for part in parts]
    blocks = [zlib.compress(packed(part[y : y + 32], bits, order)) for y in (0, 32) for part in parts]
    tags = {
        BITS: (bits,) * 3,
        PHOTOMETRIC: (COLOUR,),
        SAMPLES: (3,),
        COMPRESSION: (DEFLATE,),
        PREDICTOR: (2,),
    }
    return tiff(tags | {TILE_WIDTH: (32,), TILE_HEIGHT: (32,)}, blocks, order, tiled=True)


def palette(scale: int, bits: int = 8, compression: int = 1) -> bytes:
    table = np.zeros((3, 2**bits), int)
    table[:, :4] = np.array(COLOURS).T * scale
    values = tuple(int(value) for value in table.ravel())
    return made(INDICES, bits, photometric=3, compression=compression, **{f"t{COLOUR_MAP}": values})


def reversed_bits() -> bytes:
    turned = np.packbits(np.unpackbits(RGB[..., np.newaxis], axis=3)[..., ::-1], axis=3)[..., 0]
    return made(turned, 8, **{f"t{FILL_ORDER}": (2,)})


def alpha(kind: tuple[int, ...], opaque: int, bits: int = 8) -> bytes:
    whole = np.dstack([RGB, np.zeros(SIZE[::-1], np.uint8)])
    whole[:, : SIZE[0] // 2, 3] = opaque
    more = {f"t{EXTRA}": kind} if kind else {}
    return made(scaled(whole, bits), bits, **more)


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def raw_photo(*marks: tuple[int, int, int, int], within: int = 32_803, compression: int = 1) -> bytes:
    """A thumbnail in the first directory, and the photo in a directory within it, as a mosaic."""
    thumbnail, mosaic = bytes(40 * 30 * 3), np.zeros((48, 64), "<u2").tobytes()
    count = 11 + len(marks)
    at = 8 + 2 + 12 * count + 4
    sub = at + len(thumbnail)
    entries = [
        (254, 4, 1, 1),
        (256, 4, 1, 40),
        (257, 4, 1, 30),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
    ]
    entries += [
        (273, 4, 1, at),
        (277, 3, 1, 3),
        (278, 4, 1, 30),
        (279, 4, 1, len(thumbnail)),
        (330, 4, 1, sub),
    ]
    first = (
        struct.pack("<H", count)
        + b"".join(entry(*fields) for fields in sorted([*entries, *marks]))
        + bytes(4)
    )
    photo = [(254, 4, 1, 0), (256, 4, 1, 64), (257, 4, 1, 48), (258, 3, 1, 16), (259, 3, 1, compression)]
    photo += [(262, 3, 1, within), (273, 4, 1, sub + 2 + 12 * 8 + 4), (277, 3, 1, 1)]
    second = struct.pack("<H", 8) + b"".join(entry(*fields) for fields in photo) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + first + thumbnail + second + mosaic


def big(order: str) -> bytes:
    """BigTIFF, as microscopes' programs write it in either byte order."""

    def big_entry(tag: int, kind: int, *values: int) -> bytes:
        letter = {3: "H", 4: "I"}[kind]
        body = struct.pack(f"{order}{len(values)}{letter}", *values).ljust(8, b"\0")
        return struct.pack(f"{order}HHQ", tag, kind, len(values)) + body

    start = 16 + 8 + 20 * 9 + 8
    entries = [big_entry(256, 4, SIZE[0]), big_entry(257, 4, SIZE[1]), big_entry(258, 3, 8, 8, 8)]
    entries += [big_entry(259, 4, 1), big_entry(262, 4, 2), big_entry(273, 4, start), big_entry(277, 4, 3)]
    entries += [big_entry(278, 4, SIZE[1]), big_entry(279, 4, RGB.nbytes)]
    magic = b"II+\0" if order == "<" else b"MM\0+"
    head = magic + struct.pack(f"{order}HHQ", 8, 0, 16) + struct.pack(f"{order}Q", 9)
    return head + b"".join(entries) + bytes(8) + RGB.tobytes()


def bmp(bits: int, masks: tuple[int, ...], header: int, opaque: int = 0, compression: int = 3) -> bytes:
    """Masks of red, green, blue and alpha; `opaque` is the share of alpha, 0 or 1."""
    words = np.zeros(SIZE[::-1], np.uint32)
    for i, mask in enumerate(masks[:3]):
        low = (mask & -mask).bit_length() - 1
        words |= np.round(RGB[..., i] / 255 * (mask >> low)).astype(np.uint32) << low
    if len(masks) > 3:
        words[:, : SIZE[0] // 2] |= masks[3] * opaque
    body = words[::-1].astype(f"<u{bits // 8}").tobytes()
    info = struct.pack("<IiiHHIIiiII", header, *SIZE, 1, bits, compression, len(body), 2835, 2835, 0, 0)
    fields = struct.pack(f"<{len(masks)}I", *masks) if compression else b""
    after = fields if header == 40 else b""
    info = (info + (b"" if header == 40 else fields)).ljust(header, b"\0") + after
    start = 14 + len(info)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + body


BGRA = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
A1555, A4444 = (0x7C00, 0x3E0, 0x1F, 0x8000), (0xF00, 0xF0, 0xF, 0xF000)
TWELVE = {f"t{LARGEST}": (4095,)}

TIFFS = [
    *[
        Case(f"tiff/{name}-of-{bits}-bit{'-planes' * planar}{'-big-endian' * (order == '>')}.tif",
             partial(made, scaled(pixels, bits), bits, planar=planar, order=order, rows=20),
             colours=colours, tolerance=60 if bits < 3 else 14)
        for name, pixels, colours in (("rgb", RGB, COLOURS), ("grey", LEVELS, grey()))
        for bits in (2, 4, 8, 10, 12, 14, 16)
        for planar in (False, True)
        for order in "<>"
        if not (planar and name == "grey") and not (order == ">" and bits != 16)
    ],
    Case("tiff/rgb-16-bit-planes-packed.tif",
         partial(made, scaled(RGB, 16), 16, planar=True, rows=20, compression=DEFLATE)),
    Case("tiff/white-is-zero-4-bit.tif",
         partial(made, 15 - scaled(LEVELS, 4), 4, photometric=WHITE_IS_ZERO), colours=grey()),
    Case("tiff/white-is-zero-16-bit-big-endian.tif",
         partial(made, 65_535 - scaled(LEVELS, 16), 16, photometric=WHITE_IS_ZERO, order=">"),
         colours=grey()),
    *[Case(f"tiff/differences-{bits}-bit{order}{kind}.tif",
           partial(differenced, bits, order, planar=kind == "planes", tiled=kind == "tiles"))
      for bits in (8, 16) for order in "<>" for kind in ("strips", "planes", "tiles")],
    *[Case(f"tiff/map-{bits}-bit-of-{scale}.tif", partial(palette, scale, bits))
      for bits in (2, 4, 8) for scale in (1, 256, 257)],
    Case("tiff/map-packed-of-1.tif", partial(palette, 1, 8, DEFLATE)),
    Case("tiff/reversed-bits.tif", reversed_bits),
    Case("tiff/bigtiff-little-endian.tif", partial(big, "<")),
    Case("tiff/bigtiff-big-endian.tif", partial(big, ">")),
    Case("tiff/signed-8-bit.tif",
         partial(made, LEVELS // 2, 8, **{f"t{SAMPLE_FORMAT}": (2,)}), "unsupported"),
    Case("tiff/signed-16-bit-planes.tif",
         partial(made, scaled(RGB, 15), 16, planar=True, **{f"t{SAMPLE_FORMAT}": (2, 2, 2)}), "unsupported"),
    Case("tiff/twelve-of-sixteen.tif", partial(made, scaled(LEVELS, 12), 16, **TWELVE), colours=grey()),
    Case("tiff/twelve-of-sixteen-of-kind.tif",
         partial(made, scaled(LEVELS, 12), 16, **{f"t{LARGEST_OF_KIND}": (4095,)}), colours=grey()),
    Case("tiff/twelve-of-sixteen-packed.tif",
         partial(made, scaled(LEVELS, 12), 16, compression=DEFLATE, **TWELVE), colours=grey()),
    Case("tiff/twelve-of-sixteen-unsaid.tif", partial(made, scaled(LEVELS, 12), 16), colours=grey()),
    Case("tiff/twelve-of-sixteen-rgb.tif",
         partial(made, scaled(RGB, 12), 16, **{f"t{LARGEST}": (4095,) * 3})),
    Case("tiff/twelve-of-sixteen-white-is-zero.tif",
         partial(made, 4095 - scaled(LEVELS, 12), 16, photometric=WHITE_IS_ZERO, **TWELVE), colours=grey()),
    Case("tiff/ten-of-sixteen.tif",
         partial(made, scaled(LEVELS, 10), 16, **{f"t{LARGEST}": (1023,)}), colours=grey()),
    Case("tiff/largest-that-is-wrong.tif",
         partial(made, scaled(LEVELS, 16), 16, **{f"t{LARGEST}": (255,)}), colours=grey()),
    Case("tiff/alpha-of-16-bit.tif", partial(alpha, (2,), 255, 16), colours=LEFT_ONLY),
    Case("tiff/alpha-unsaid.tif", partial(alpha, (), 255), colours=LEFT_ONLY),
    Case("tiff/alpha-unsaid-all-zero.tif", partial(alpha, (), 0)),
    Case("tiff/alpha-all-zero.tif", partial(alpha, (2,), 0), colours=flat(*WHITE)),
    Case("tiff/fourth-sample-of-no-meaning.tif", partial(alpha, (0,), 0)),
    Case("tiff/three-greys.tif", partial(made, RGB, 8, photometric=1), "unsupported"),
    Case("tiff/ycbcr-subsampled.tif",
         lambda: made(np.asarray(sample("YCbCr")), 8, photometric=6, t530=(2, 2)), "unsupported"),
    Case("tiff/no-colour-map.tif", partial(made, INDICES, 8, photometric=3), "truncated"),
    Case("raw/photo.dng", partial(raw_photo, (50_706, 1, 4, 0x401)), "unsupported"),
    Case("raw/photo.nef", partial(raw_photo, within=1, compression=34_713), "unsupported"),
    Case("raw/photo.arw", partial(raw_photo, within=32_803, compression=32_767), "unsupported"),
    Case("raw/photo-with-a-thumbnail.tif", partial(raw_photo, within=1), "unsupported"),
    Case("raw/thumbnail-alone.tif", partial(made, RGB, 8, **{f"t{SUBFILE}": (1,)})),
]  # fmt: skip

BMPS = [
    *[Case(f"bmp/alpha-all-zero-{header}.bmp", partial(bmp, 32, BGRA, header)) for header in (56, 108, 124)],
    *[Case(f"bmp/alpha-half-{header}.bmp", partial(bmp, 32, BGRA, header, 1), colours=LEFT_ONLY)
      for header in (56, 108, 124)],
    *[Case(f"bmp/masks-{header}.bmp", partial(bmp, 32, BGRA[:3], header)) for header in (40, 52, 108)],
    Case("bmp/masks-alpha-40.bmp", partial(bmp, 32, BGRA, 40, 1, 6), colours=LEFT_ONLY),
    Case("bmp/alpha-all-zero-alpha-40.bmp", partial(bmp, 32, BGRA, 40, 0, 6)),
    Case("bmp/alpha-1555-all-zero.bmp", partial(bmp, 16, A1555, 108)),
    Case("bmp/alpha-1555.bmp", partial(bmp, 16, A1555, 108, 1), colours=LEFT_ONLY),
    Case("bmp/alpha-4444-all-zero.bmp", partial(bmp, 16, A4444, 124), tolerance=20),
    Case("bmp/alpha-4444.bmp", partial(bmp, 16, A4444, 124, 1), colours=LEFT_ONLY, tolerance=20),
    Case("bmp/ten-bits.bmp", partial(bmp, 32, (0x3FF00000, 0xFFC00, 0x3FF), 108)),
    Case("bmp/rgb-order.bmp", partial(bmp, 32, (0xFF, 0xFF00, 0xFF0000), 108)),
    Case("bmp/plain-32.bmp", partial(bmp, 32, BGRA, 40, 0, 0)),
    Case("bmp/plain-16.bmp", partial(bmp, 16, A1555, 40, 0, 0)),
    Case("bmp/split-mask.bmp", lambda: bmp(32, (0xFF0000, 0xFF00, 0xFF), 108).replace(
        struct.pack("<I", 0xFF0000), struct.pack("<I", 0xF0F000), 1), "unsupported"),
]  # fmt: skip

PNGS = [
    Case("png/twelve-of-sixteen.png", lambda: png.written(scaled(LEVELS, 12), 16, png.GREY), colours=grey()),
    Case("png/twelve-of-sixteen-rgb.png", lambda: png.written(scaled(RGB, 12), 16, png.RGB), "unsupported"),
    Case("png/black-16-bit.png", lambda: png.written(RGB * 0, 16, png.RGB), colours=flat(0, 0, 0)),
]

CASES = [*TIFFS, *BMPS, *PNGS]
