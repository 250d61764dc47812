"""JPEG files."""

from __future__ import annotations

import struct
from functools import partial

from PIL import Image, ImageChops
from unit.corpus.case import SIZE, TURNED, Case, cut, exif, grey, lying, sample, saved

WIDE = (640, 480)


def plain(**options: object) -> bytes:
    return saved(sample(), "JPEG", quality=92, **options)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(*segments: bytes) -> bytes:
    """Insert segments right after the start of the file."""
    data = plain()
    return data[:2] + b"".join(segments) + data[2:]


def patched_frame(marker: int = 0xC0, precision: int = 8, size: tuple[int, int] = SIZE) -> bytes:
    """Change the frame's header, so that it contradicts the data."""
    data = bytearray(plain())
    at = data.index(b"\xff\xc0")
    data[at + 1] = marker
    data[at + 4 : at + 9] = struct.pack(">BHH", precision, size[1], size[0])
    return bytes(data)


def tiny(frame: int, scan: bytes, *tables: bytes) -> bytes:
    """A grey image of 64×48 whose data is all zero."""
    header = struct.pack(">BHHBBBB", 8, SIZE[1], SIZE[0], 1, 1, 0x11, 0)
    parts = (segment(0xDB, b"\0" + bytes([1] * 64)), segment(frame, header), *tables, segment(0xDA, scan))
    return b"\xff\xd8" + b"".join(parts) + bytes(1000) + b"\xff\xd9"


def lossless() -> bytes:
    """Predictor 1, and every difference zero: one bit each."""
    table = b"\0" + bytes([1] + [0] * 15) + b"\0"
    return tiny(0xC3, bytes([1, 1, 0, 1, 0, 0]), segment(0xC4, table))


def arithmetic() -> bytes:
    return tiny(0xC9, bytes([1, 1, 0, 0, 63, 0]))


def cmyk_pixels() -> Image.Image:
    return sample("CMYK", WIDE)


def ycck() -> bytes:
    """Pillow writes no YCCK: four channels are written as they are and then declared to be YCCK."""
    *ink, black = cmyk_pixels().split()
    channels = [*Image.merge("RGB", ink).convert("YCbCr").split(), ImageChops.invert(black)]
    # the encoder inverts CMYK, as Adobe does
    stored = Image.merge("CMYK", [ImageChops.invert(channel) for channel in channels])
    data = bytearray(saved(stored, "JPEG", quality=95))
    at = data.index(b"Adobe")
    data[at + 11] = 2
    return bytes(data)


def many_scans() -> bytes:
    """A progressive file with its last scan a thousand times. Each scan is a pass over the whole image."""
    data = saved(Image.new("RGB", (2000, 2000)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 1000 + b"\xff\xd9"


def damaged() -> bytes:
    data = bytearray(saved(sample(size=WIDE), "JPEG", quality=92))
    middle = len(data) // 2
    data[middle : middle + 20] = bytes(range(20))
    return bytes(data)


def multi_image() -> bytes:
    return saved(sample(), "MPO", save_all=True, append_images=[Image.new("RGB", SIZE)], quality=92)


def turned(orientation: int) -> bytes:
    return saved(lying(orientation), "JPEG", quality=95, exif=exif(orientation))


def exif_segment(body: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + body)


LOOP = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8) + struct.pack("<I", 8)
AS_TEXT = b"II*\0\x08\0\0\0" + struct.pack("<HHHI4s", 1, 0x0112, 2, 4, b"six\0") + bytes(4)
FAR = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x010F, 2, 2**31, 2**31) + bytes(4)
PROFILE = [segment(0xE2, b"ICC_PROFILE\0" + bytes([i, 200]) + bytes(65_000)) for i in range(1, 201)]

CASES = [
    Case("jpeg/plain.jpg", plain),
    Case("jpeg/progressive.jpg", partial(plain, progressive=True)),
    Case("jpeg/full-chroma.jpg", partial(plain, subsampling=0)),
    Case("jpeg/restart-markers.jpg", partial(plain, restart_marker_blocks=1)),
    Case("jpeg/stored-as-rgb.jpg", partial(plain, keep_rgb=True)),
    Case("jpeg/grey.jpg", lambda: saved(sample("L"), "JPEG", quality=92), colours=grey()),
    Case("jpeg/cmyk.jpg", lambda: saved(cmyk_pixels(), "JPEG", quality=95)),
    Case("jpeg/ycck.jpg", ycck),
    Case("jpeg/multi-picture.jpg", multi_image),
    Case("jpeg/odd-size.jpg", lambda: saved(sample(size=(641, 479)), "JPEG", quality=92)),
    Case("jpeg/wrong-extension.png", plain),
    Case("jpeg/no-extension", plain),
    Case("jpeg/no-end-marker.jpg", lambda: plain()[:-2]),
    Case("jpeg/garbage-behind.jpg", lambda: plain() + b"\xff\xd8garbage" * 1000),
    Case("jpeg/garbage-before.jpg", lambda: b"garbage" + plain(), "not-an-image"),
    Case("jpeg/arithmetic-coding.jpg", arithmetic, colours=None),
    Case("jpeg/lossless.jpg", lossless, "unsupported"),
    Case("jpeg/12-bit.jpg", partial(patched_frame, 0xC1, 12), "unsupported"),
    Case("jpeg/hierarchical.jpg", partial(patched_frame, 0xC5), "unsupported"),
    Case("jpeg/jpeg-ls.jpg", partial(patched_frame, 0xF7), "unsupported"),
    Case("jpeg/65535-a-side.jpg", partial(patched_frame, size=(65_535, 65_535)), "too-large"),
    Case("jpeg/more-rows-than-data.jpg", partial(patched_frame, size=(64, 8_000)), colours=None),
    Case("jpeg/no-height.jpg", partial(patched_frame, size=(64, 0)), "truncated"),
    Case("jpeg/thousand-scans.jpg", many_scans, "too-large"),
    Case("jpeg/damaged.jpg", damaged, colours=None),
    Case("jpeg/exif-garbage.jpg", lambda: with_segments(exif_segment(b"no tiff at all"))),
    Case("jpeg/exif-empty.jpg", lambda: with_segments(exif_segment(b""))),
    Case("jpeg/exif-cut.jpg", lambda: with_segments(exif_segment(b"II*\0\x08\0\0\0\x05"))),
    Case("jpeg/exif-loop.jpg", lambda: with_segments(exif_segment(LOOP))),
    Case("jpeg/exif-text-for-a-number.jpg", lambda: with_segments(exif_segment(AS_TEXT))),
    Case("jpeg/exif-out-of-the-file.jpg", lambda: with_segments(exif_segment(FAR))),
    Case("jpeg/exif-64k.jpg", lambda: with_segments(exif_segment(b"II*\0\x08\0\0\0" + b"\1" * 65_000))),
    Case("jpeg/exif-orientation-9.jpg", lambda: saved(sample(), "JPEG", quality=92, exif=exif(9))),
    Case("jpeg/profile-of-13-megabytes.jpg", lambda: with_segments(*PROFILE), megabytes=50),
    Case("jpeg/index-of-pictures-broken.jpg", lambda: with_segments(segment(0xE2, b"MPF\0garbage"))),
    *[Case(f"jpeg/orientation-{i}.jpg", partial(turned, i)) for i in TURNED],
    *[
        Case(f"jpeg/cut-at-{at}.jpg", partial(lambda at: cut(plain(), at), at), "truncated")
        for at in (2, 3, 10, 100, 0.3, 0.6, 0.9)
    ],
    Case("jpeg/cut-progressive.jpg", lambda: cut(plain(progressive=True), 0.7), "truncated"),
]
