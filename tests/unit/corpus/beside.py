"""Damage outside the pixels, which must not reject the image, and similar damage that must."""

from __future__ import annotations

import struct
import zlib
from functools import partial

import numpy as np
from PIL import Image
from unit.corpus import jpeg, png, tiff
from unit.corpus.case import COLOURS, SIZE, Case, cut, exif, grey, lying, sample, saved

RGB = png.RGB


def chunk(kind: bytes, body: bytes, flip: int = 0) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ flip)


def with_chunks(*before: bytes, after: bytes = b"") -> bytes:
    pixels = chunk(*png.data(png.rows(png.levels("RGB"), 8)))
    return png.SIGNATURE + chunk(*png.head(8, RGB)) + b"".join(before) + pixels + after + chunk(*png.END)


def data_checksum() -> bytes:
    """The chunk's checksum is wrong. The data, and the checksum inside it, are right."""
    whole = bytearray(with_chunks())
    at = whole.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", whole, at)
    whole[at + 8 + length] ^= 0xFF
    return bytes(whole)


def data_damaged() -> bytes:
    """Stored without packing, so that one wrong byte is one wrong colour, and no error of unpacking."""
    stored = zlib.compress(png.rows(png.levels("RGB"), 8), 0)
    body = bytearray(png.png(png.head(8, RGB), (b"IDAT", stored), png.END))
    at = body.index(b"IDAT") + 3_000
    body[at : at + 500] = bytes(500)
    return bytes(body)


def oriented() -> bytes:
    pixels = chunk(*png.data(png.rows(np.asarray(lying(3)), 8)))
    head = png.SIGNATURE + chunk(*png.head(8, RGB))
    return head + chunk(b"gAMA", b"\0") + chunk(b"eXIf", exif(3).tobytes()[6:]) + pixels + chunk(*png.END)


PROFILE = zlib.compress(b"profile")
CONTROL = struct.pack(">IIIIIHHBB", 0, *SIZE, 0, 0, 1, 10, 0, 0)
PNG_CHUNKS = {
    "tEXt-checksum": chunk(b"tEXt", b"Comment\0hello", 1),
    "pHYs-checksum": chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1), 1),
    "iCCP-checksum": chunk(b"iCCP", b"p\0\0" + PROFILE, 1),
    "iTXt-checksum": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>", 1),
    "sRGB-checksum": chunk(b"sRGB", b"\0", 1),
    "eXIf-checksum": chunk(b"eXIf", exif(6).tobytes(), 1),
    "unknown-checksum": chunk(b"zzZz", b"what", 1),
    "tRNS-checksum": chunk(b"tRNS", struct.pack(">3H", *COLOURS[0]), 1),
    "tRNS-short": chunk(b"tRNS", b"\0"),
    "iCCP-of-method-1": chunk(b"iCCP", b"p\0\1" + PROFILE),
    "iCCP-empty": chunk(b"iCCP", b""),
    "iCCP-garbage": chunk(b"iCCP", b"p\0\0garbage"),
    "iTXt-empty": chunk(b"iTXt", b""),
    "iTXt-packed-garbage": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0garbage"),
    "zTXt-empty": chunk(b"zTXt", b""),
    "zTXt-of-method-7": chunk(b"zTXt", b"a\0\7xyz"),
    "zTXt-garbage": chunk(b"zTXt", b"a\0\0xyz"),
    "tEXt-not-latin": chunk(b"tEXt", b"\xff\xfe\0\xff"),
    "gAMA-short": chunk(b"gAMA", b"\0"),
    "pHYs-short": chunk(b"pHYs", b"\0"),
    "cHRM-short": chunk(b"cHRM", b"\0"),
    "sRGB-empty": chunk(b"sRGB", b""),
    "eXIf-empty": chunk(b"eXIf", b""),
    "tIME-short": chunk(b"tIME", b"\0"),
    "PLTE-in-colour-checksum": chunk(b"PLTE", bytes(6), 1),
    "acTL-short": chunk(b"acTL", b"\0"),
    "acTL-of-no-frames": chunk(b"acTL", bytes(8)),
    "acTL-twice": chunk(b"acTL", struct.pack(">II", 2, 0)) * 2,
    "fcTL-short": chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", b"\0"),
    "fcTL-out-of-order": chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", b"\0\0\0\7" + CONTROL[4:]),
    "fcTL-larger": chunk(b"acTL", struct.pack(">II", 2, 0))
    + chunk(b"fcTL", CONTROL[:4] + struct.pack(">II", 999, 999) + CONTROL[12:]),
    "fcTL-missing": chunk(b"acTL", struct.pack(">II", 2, 0)),
}

PNGS = [
    *[Case(f"png/beside/{name}.png", partial(with_chunks, body)) for name, body in PNG_CHUNKS.items()],
    *[
        Case(f"png/behind/{name}.png", partial(with_chunks, after=body))
        for name, body in {
            "fdAT-short": chunk(b"fdAT", b"\0"),
            "fdAT-without-control": chunk(b"fdAT", bytes(20)),
            "tEXt-checksum": chunk(b"tEXt", b"a\0b", 1),
            "cut-off": struct.pack(">I", 1000) + b"tEXtabc",
            "no-name": struct.pack(">I", 4) + b"\0\1\2\3" + bytes(8),
        }.items()
    ],
    Case("png/beside/turned-and-broken.png", oriented),
    Case("png/data-checksum.png", data_checksum),
    *[
        Case(f"png/cut-by-{count}.png", partial(lambda count: png.plain()[:-count], count))
        for count in (1, 11, 13, 16, 18, 20)
    ],
    Case("png/cut-by-40.png", lambda: png.plain()[:-40], "truncated"),
    Case("png/interlaced-cut-by-18.png", lambda: png.interlaced(png.levels("RGB"), 8, RGB)[:-18]),
    Case("png/data-damaged.png", data_damaged, "truncated"),
    Case("png/of-apple.png", lambda: with_chunks(chunk(b"CgBI", b"\x50\0\x20\2")), "unsupported"),
    Case("png/unknown-critical.png", lambda: with_chunks(chunk(b"ABCD", b"")), "unsupported"),
    Case("png/damaged-critical.png", lambda: with_chunks(chunk(b"ABCD", b"", 1)), "truncated"),
]

segment = jpeg.segment
ICC = b"ICC_PROFILE\0"
JPEG_SEGMENTS = {
    "JFIF-empty": segment(0xE0, b""),
    "JFIF-short": segment(0xE0, b"JFIF\0\1"),
    "JFXX-garbage": segment(0xE0, b"JFXX\0\x99garbage"),
    "ICC-name-only": segment(0xE2, ICC),
    "ICC-short": segment(0xE2, ICC + b"\1"),
    "ICC-second-of-three": segment(0xE2, ICC + b"\2\3garbage"),
    "ICC-of-none": segment(0xE2, ICC + b"\0\0garbage"),
    "Adobe-short": segment(0xEE, b"Adobe"),
    "Adobe-empty": segment(0xEE, b""),
    "MPF-empty": segment(0xE2, b"MPF\0"),
    "MPF-short": segment(0xE2, b"MPF\0II*\0\x08\0\0\0"),
    "MPF-of-no-pictures": segment(
        0xE2, b"MPF\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0xB001, 4, 1, 2) + bytes(4)
    ),
    "Photoshop-short": segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed"),
    "Photoshop-garbage": segment(0xED, b"Photoshop 3.0\x00" + bytes(range(200))),
    "Exif-far": jpeg.exif_segment(b"MM\0*\xff\xff\xff\xff"),
    "Exif-resolution-of-zero": jpeg.exif_segment(
        b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x011A, 5, 1, 26) + bytes(12)
    ),
    "XMP-garbage": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0\xff\xfe<<<"),
    "comment-binary": segment(0xFE, bytes(range(256))),
    "application-15": segment(0xEF, bytes(300)),
    "bytes-between": b"between",
}


def tail(at: int, **options: object) -> bytes:
    """Return a truncated file of one scan or many, followed by a phone maker's trailer."""
    whole = saved(sample(size=jpeg.WIDE), "JPEG", quality=92, **options)
    return whole[:at] + b"\0\0\x01\x0aSEFH" + np.random.default_rng(0).bytes(100_000) + b"SEFT"


def video(size: int = 4_000_000) -> bytes:
    return np.random.default_rng(0).bytes(size)


def motion(**options: object) -> bytes:
    """A phone's motion photo: the appended video contains FF DA by chance, once in 64 KB."""
    return saved(sample(size=jpeg.WIDE), "JPEG", quality=92, **options) + b"\xff\xda" * 300 + video()


def no_sampling() -> bytes:
    data = bytearray(saved(sample(size=jpeg.WIDE), "JPEG", quality=92, progressive=True))
    at = data.index(b"\xff\xc2")
    for i in range(3):
        data[at + 11 + 3 * i] = 0x10
    return bytes(data)


def last_scan_missing() -> bytes:
    """Cut exactly between two scans: every byte is valid, but the image is incomplete."""
    whole = saved(sample(size=jpeg.WIDE), "JPEG", quality=92, progressive=True)
    return whole[: whole.rindex(b"\xff\xda")]


def lines_behind() -> bytes:
    """The header gives the height 0; the real height follows the scan."""
    whole = jpeg.patched_frame(size=(SIZE[0], 0))
    return whole[:-2] + segment(0xDC, struct.pack(">H", SIZE[1])) + whole[-2:]


JPEGS = [
    *[
        Case(f"jpeg/beside/{name}.jpg", partial(jpeg.with_segments, body))
        for name, body in JPEG_SEGMENTS.items()
    ],
    Case("jpeg/no-end-progressive.jpg", lambda: jpeg.plain(progressive=True)[:-2]),
    Case(
        "jpeg/no-end-grey.jpg",
        lambda: saved(sample("L"), "JPEG", quality=92)[:-2],
        colours=grey(),
        tolerance=13,
    ),
    Case("jpeg/no-end-restarts.jpg", lambda: jpeg.plain(restart_marker_blocks=1)[:-2]),
    Case("jpeg/half-an-end.jpg", lambda: jpeg.plain()[:-1]),
    Case("jpeg/no-end-trailer.jpg", partial(tail, -2)),
    Case("jpeg/no-end-trailer-progressive.jpg", partial(tail, -2, progressive=True)),
    Case("jpeg/cut-and-trailer.jpg", partial(tail, -400), "truncated"),
    Case("jpeg/cut-and-trailer-progressive.jpg", partial(tail, -200, progressive=True), "truncated"),
    Case("jpeg/last-scan-missing.jpg", last_scan_missing, "truncated"),
    Case("jpeg/cut-by-eight-bytes.jpg", lambda: jpeg.plain()[:-8], "truncated"),
    Case("jpeg/motion-photo.jpg", motion),
    Case("jpeg/motion-photo-progressive.jpg", partial(motion, progressive=True)),
    Case("jpeg/sampling-of-zero.jpg", no_sampling, "truncated"),
    Case("jpeg/height-behind-the-scan.jpg", lines_behind, "unsupported"),
]


def gif(*extensions: bytes, after: bytes = b"\x3b") -> bytes:
    whole = saved(sample().quantize(4), "GIF", interlace=0)
    at = whole.index(b"\x2c")
    return whole[:at] + b"".join(extensions) + whole[at:-1] + after


def animation(at: float) -> bytes:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), np.uint8))
    return cut(saved(sample(), "GIF", save_all=True, append_images=[noise]), at)


GIFS = [
    Case("gif/no-trailer.gif", partial(gif, after=b"")),
    Case("gif/extension-unknown.gif", partial(gif, b"\x21\x77\x03abc\0")),
    Case("gif/application-short.gif", partial(gif, b"\x21\xff\x02ab\0")),
    Case("gif/application-empty.gif", partial(gif, b"\x21\xff\0")),
    Case("gif/loop-short.gif", partial(gif, b"\x21\xff\x0bNETSCAPE2.0\x01\x01\0")),
    Case("gif/control-short.gif", partial(gif, b"\x21\xf9\x01\x01\0")),
    Case("gif/control-long.gif", partial(gif, b"\x21\xf9\x08\x01\0\0\0\0\0\0\0\0")),
    Case("gif/comment-of-no-text.gif", partial(gif, b"\x21\xfe\x04\xff\xfe\xfd\xfc\0")),
    Case("gif/garbage-for-a-second-frame.gif", partial(gif, after=b"\x2cgarbage")),
    Case("gif/cut-in-the-second-frame.gif", partial(animation, 0.7)),
]


def webp(*chunks: tuple[bytes, bytes], cut_by: int = 0, size: int | None = None) -> bytes:
    """An extended file with more chunks after its image."""
    plain = saved(sample(), "WEBP", quality=95)
    head = b"VP8X" + struct.pack("<II", 10, 0x2C) + b"".join(struct.pack("<I", n - 1)[:3] for n in SIZE)
    body = b"WEBP" + head + plain[12:]
    body += b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    whole = b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body
    return whole[: len(whole) - cut_by]


WEBPS = [
    Case("webp/exif-cut.webp", partial(webp, (b"EXIF", bytes(1000)), cut_by=500)),
    Case("webp/xmp-garbage.webp", partial(webp, (b"XMP ", b"\xff\xfe<<"))),
    Case("webp/profile-behind.webp", partial(webp, (b"ICCP", b"garbage"))),
    Case("webp/unknown-chunk.webp", partial(webp, (b"abcd", b"garbage"))),
    Case("webp/flags-without-chunks.webp", webp),
    Case("webp/size-too-large.webp", partial(webp, size=2**31)),
    Case("webp/size-too-small.webp", partial(webp, size=100)),
    Case("webp/garbage-behind.webp", lambda: saved(sample(), "WEBP", quality=95) + b"garbage" * 999),
]


def tagged(*entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    """A file with more entries: tag, type, count, value or place."""
    whole = tiff.tiff(tiff.colour(), [tiff.pixels().tobytes()], order)
    (count,) = struct.unpack_from(f"{order}H", whole, 8)
    old = [struct.unpack_from(f"{order}HHII", whole, 10 + 12 * i) for i in range(count)]
    every = sorted([*old, *entries])
    directory = struct.pack(f"{order}H", len(every))
    directory += b"".join(struct.pack(f"{order}HHII", *entry) for entry in every) + bytes(4)
    return whole[:4] + struct.pack(f"{order}I", len(whole)) + whole[8:] + directory


def second_directory(at: int) -> bytes:
    whole = bytearray(tiff.tiff(tiff.colour(), [tiff.pixels().tobytes()]))
    (count,) = struct.unpack_from("<H", whole, 8)
    struct.pack_into("<I", whole, 10 + 12 * count, at)
    return bytes(whole)


FAR = 2**31
TIFFS = [
    Case("tiff/text-out-of-the-file.tif", partial(tagged, (270, 2, 1000, FAR))),
    Case("tiff/text-of-4-gigabytes.tif", partial(tagged, (270, 2, 2**32 - 1, 8))),
    Case("tiff/resolution-out-of-the-file.tif", partial(tagged, (282, 5, 1, FAR), (283, 5, 1, FAR))),
    Case("tiff/resolution-of-zero.tif", partial(tagged, (282, 5, 1, 8), (283, 3, 0, 0))),
    Case("tiff/resolution-as-text.tif", partial(tagged, (282, 2, 4, 0x41424344), (296, 2, 4, 0x41424344))),
    Case("tiff/profile-out-of-the-file.tif", partial(tagged, (34_675, 7, 50_000, FAR))),
    Case("tiff/exif-out-of-the-file.tif", partial(tagged, (34_665, 4, 1, FAR))),
    Case("tiff/exif-loop.tif", partial(tagged, (34_665, 4, 1, 8))),
    Case("tiff/type-unknown.tif", partial(tagged, (305, 99, 4, 0))),
    Case("tiff/orientation-9.tif", partial(tagged, (274, 3, 1, 9))),
    Case("tiff/orientation-as-text.tif", partial(tagged, (274, 2, 4, 0x41424344))),
    Case("tiff/within-out-of-the-file.tif", partial(tagged, (330, 4, 1, FAR))),
    Case("tiff/second-directory-out-of-the-file.tif", partial(second_directory, FAR)),
]


CASES = [*PNGS, *JPEGS, *GIFS, *WEBPS, *TIFFS]
