"""GIF, BMP and WebP files, formats that octospoon does not read, and files that are no images."""

from __future__ import annotations

import io
import struct
import zipfile
from functools import partial

import numpy as np
from PIL import Image
from unit.corpus.case import (
    COLOURS,
    SIZE,
    TURNED,
    WHITE,
    Case,
    cut,
    exif,
    flat,
    grey,
    lying,
    sample,
    saved,
)

BLACK = Image.new("RGB", SIZE)


def gif(**options: object) -> bytes:
    return saved(sample().quantize(4), "GIF", **options)


def corner() -> bytes:
    """A frame that covers only the top left quadrant of its canvas."""
    whole = bytearray(gif(interlace=0))
    at = whole.index(b"\x2c")
    small = bytearray(saved(sample(size=(32, 24), colours=(COLOURS[0],) * 4).quantize(4), "GIF", interlace=0))
    small[6:10] = struct.pack("<HH", *SIZE)
    return bytes(small) if at else b""


def gif_claim(width: int, height: int) -> bytes:
    whole = bytearray(gif())
    whole[6:10] = struct.pack("<HH", width, height)
    at = whole.index(b"\x2c")
    whole[at + 5 : at + 9] = struct.pack("<HH", width, height)
    return bytes(whole)


def bmp(mode: str = "RGB") -> bytes:
    return saved(sample(mode), "BMP")


def bmp_header(
    width: int, height: int, bits: int, compression: int, body: bytes, palette: bytes = b""
) -> bytes:
    start = 14 + 40 + len(palette)
    colours = len(palette) // 4
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(body), 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + palette + body


def upside_down() -> bytes:
    """Rows from the top: a negative height."""
    body = np.asarray(sample())[..., ::-1].tobytes()
    return bmp_header(SIZE[0], -SIZE[1], 24, 0, body)


PALETTE = b"".join(bytes([*colour[::-1], 0]) for colour in COLOURS)


def run_length() -> bytes:
    """RLE8: each row two runs, from the bottom."""
    half = SIZE[0] // 2
    row = [bytes([half, 2 - i, half, 3 - i, 0, 0]) for i in (0, 2)]
    return bmp_header(*SIZE, 8, 1, row[0] * (SIZE[1] // 2) + row[1] * (SIZE[1] // 2) + b"\0\1", PALETTE)


def single_runs() -> bytes:
    """RLE8 of ten megapixels, a run for every pixel."""
    body = (bytes([1, 1]) * 4000 + b"\0\0") * 300
    return bmp_header(4000, 300, 8, 1, body + b"\0\1", PALETTE)


def five_six_five() -> bytes:
    pixels = np.asarray(sample())[::-1].astype(np.uint16)
    packed = (pixels[..., 0] >> 3 << 11) | (pixels[..., 1] >> 2 << 5) | (pixels[..., 2] >> 3)
    return bmp_header(*SIZE, 16, 3, packed.astype("<u2").tobytes(), struct.pack("<III", 0xF800, 0x7E0, 0x1F))


def webp(**options: object) -> bytes:
    return saved(sample(), "WEBP", quality=95, **options)


def webp_canvas(width: int, height: int) -> bytes:
    """An extended file that claims another canvas than its frame has."""
    whole = bytearray(webp(exif=exif(1)))
    at = whole.index(b"VP8X") + 12
    whole[at : at + 6] = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return bytes(whole)


def see_through(kind: str, **options: object) -> bytes:
    image = sample("RGBA")
    mask = Image.new("L", SIZE, 0)
    mask.paste(255, (0, 0, SIZE[0] // 2, SIZE[1]))
    image.putalpha(mask)
    return saved(image, kind, **options)


def solid(kind: str, **options: object) -> bytes:
    return saved(Image.new("RGB", (10_000, 9_000), COLOURS[0]), kind, **options)


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("picture.png", saved(sample(), "PNG"))
    return buffer.getvalue()


def noise(size: int = 4000) -> bytes:
    return np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()


LEFT_ONLY = (COLOURS[0], WHITE, COLOURS[2], WHITE)

GIFS = [
    Case("gif/plain.gif", gif),
    Case("gif/interlaced.gif", partial(gif, interlace=1)),
    Case("gif/flat.gif", partial(gif, interlace=0)),
    Case("gif/animated.gif", lambda: saved(sample(), "GIF", save_all=True, append_images=[BLACK, BLACK])),
    Case("gif/transparent.gif", partial(see_through, "GIF"), colours=LEFT_ONLY),
    Case("gif/frame-in-a-corner.gif", corner, colours=None),
    Case("gif/grey.gif", lambda: saved(sample("L"), "GIF"), colours=grey()),
    Case("gif/65535-a-side.gif", partial(gif_claim, 65_535, 65_535), "too-large"),
    Case("gif/9000-a-side-of-nothing.gif", partial(gif_claim, 9_000, 9_000), "truncated"),
    Case("gif/no-frame.gif", lambda: gif()[:20] + b"\x3b", "truncated"),
    Case("gif/garbage-behind.gif", lambda: gif() + b"garbage" * 100),
    Case("gif/no-width.gif", partial(gif_claim, 0, 48), "truncated"),
    *[
        Case(f"gif/cut-at-{at}.gif", partial(lambda at: cut(gif(), at), at), "truncated")
        for at in (6, 12, 0.5)
    ],
]

BMPS = [
    Case("bmp/plain.bmp", bmp),
    Case("bmp/grey.bmp", partial(bmp, "L"), colours=grey()),
    Case("bmp/palette.bmp", lambda: saved(sample().quantize(4), "BMP")),
    Case("bmp/monochrome.bmp", lambda: saved(Image.new("1", SIZE, 1), "BMP"), colours=flat(*WHITE)),
    Case("bmp/from-the-top.bmp", upside_down),
    Case("bmp/565.bmp", five_six_five),
    Case("bmp/run-length.bmp", run_length),
    Case("bmp/a-run-for-each-pixel.bmp", single_runs, colours=flat(*COLOURS[1]), seconds=5.0),
    Case("bmp/30000-a-side.bmp", lambda: bmp_header(30_000, 30_000, 24, 0, b""), "too-large"),
    Case("bmp/9000-a-side.bmp", lambda: bmp_header(9_000, 9_000, 24, 0, b"\0"), "truncated"),
    Case("bmp/run-length-9000.bmp", lambda: bmp_header(9_000, 9_000, 8, 1, b"\xff\1", PALETTE), "truncated"),
    Case("bmp/jpeg-inside.bmp", lambda: bmp_header(*SIZE, 0, 4, saved(sample(), "JPEG")), "unsupported"),
    Case("bmp/header-of-5-bytes.bmp", lambda: b"BM" + bytes(8) + b"\x1a\0\0\0\5\0\0\0", "truncated"),
    Case("bmp/depth-5.bmp", lambda: bmp_header(*SIZE, 5, 0, bytes(9000)), "unsupported"),
    *[
        Case(f"bmp/cut-at-{at}.bmp", partial(lambda at: cut(bmp(), at), at), "truncated")
        for at in (14, 40, 0.5)
    ],
]

WEBPS = [
    Case("webp/lossy.webp", webp),
    Case("webp/lossless.webp", partial(webp, lossless=True)),
    Case("webp/alpha.webp", partial(see_through, "WEBP", lossless=True), colours=LEFT_ONLY),
    Case("webp/animated.webp", partial(webp, save_all=True, append_images=[BLACK, BLACK])),
    Case("webp/wrong-extension.jpg", webp),
    Case("webp/exif-garbage.webp", partial(webp, exif=b"garbage")),
    Case("webp/16-million-a-side.webp", partial(webp_canvas, 2**24, 2**24), "too-large"),
    Case("webp/60000-a-side.webp", partial(webp_canvas, 60_000, 60_000), "too-large"),
    Case("webp/canvas-too-wide.webp", partial(webp_canvas, 640, 48), "truncated"),
    Case("webp/90-megapixels.webp", partial(solid, "WEBP", lossless=True, method=0), "too-large"),
    *[
        Case(
            f"webp/orientation-{i}.webp",
            partial(lambda i: saved(lying(i), "WEBP", quality=95, exif=exif(i)), i),
        )
        for i in TURNED
    ],
    *[
        Case(f"webp/cut-at-{at}.webp", partial(lambda at: cut(webp(), at), at), "truncated")
        for at in (12, 25, 0.5, 0.9)
    ],
]

UNREAD = {
    "photo.cr2": b"II*\0\x10\0\0\0CR\2\0",
    "photo.crw": b"II\x1a\0\0\0HEAPCCDR",
    "photo.raf": b"FUJIFILMCCD-RAW 0201",
    "photo.orf": b"IIRO\x08\0\0\0",
    "photo.rw2": b"IIU\0\x18\0\0\0",
    "photo.x3f": b"FOVb",
    "photo.mrw": b"\0MRM",
    "photo.jxr": b"II\xbc\x01",
    "boxes.jxl": b"\0\0\0\x0cJXL \r\n\x87\n",
    "cursor.cur": b"\0\0\2\0\1\0",
    "light.hdr": b"#?RADIANCE\n",
    "texture.dds": b"DDS |\0\0\0",
    "quick.qoi": b"qoif",
    "scan.djvu": b"AT&TFORM",
    "scan.dcm": bytes(128) + b"DICM",
    "sky.fits": b"SIMPLE  =                    T",
    "grey.pgm": b"P5\n64 48\n255\n",
    "colour.ppm": b"P6 64 48 255\n",
    "layers.xcf": b"gimp xcf v011\0",
    "drawing.wmf": b"\xd7\xcd\xc6\x9a\0\0",
}

FOREIGN = [
    Case("not_ours/boxes.jp2", lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + noise(), "unsupported"),
    *[
        Case(f"not_ours/{name}", partial(lambda start: start + noise(), start), "unsupported")
        for name, start in UNREAD.items()
    ],
    Case("not_ours/film.avi", lambda: b"RIFF\0\0\1\0AVI LIST" + noise(), "not-an-image"),
    Case("not_ours/film.mkv", lambda: b"\x1a\x45\xdf\xa3" + noise(), "not-an-image"),
    Case("not_ours/photo.jp2", lambda: saved(sample(), "JPEG2000"), "unsupported"),
    Case("not_ours/codestream.j2k", lambda: b"\xff\x4f\xff\x51" + noise(), "unsupported"),
    Case("not_ours/photo.jxl", lambda: b"\xff\x0a" + noise(), "unsupported"),
    Case("not_ours/picture.psd", lambda: b"8BPS\0\1" + bytes(6) + noise(), "unsupported"),
    Case("not_ours/favicon.ico", lambda: saved(sample(), "ICO"), "unsupported"),
    Case("not_ours/render.exr", lambda: b"\x76\x2f\x31\x01" + noise(), "unsupported"),
    Case("not_ours/scan.pdf", lambda: b"%PDF-1.7\n" + noise(), "not-an-image"),
    Case("not_ours/drawing.svg", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not-an-image"),
    Case("not_ours/page.html", lambda: b"<html><body>404 Not Found</body></html>", "not-an-image"),
    Case("not_ours/archive.zip", archive, "not-an-image"),
    Case("not_ours/empty.jpg", lambda: b"", "empty"),
    Case("not_ours/one-byte.jpg", lambda: b"\xff", "not-an-image"),
    Case("not_ours/text.jpg", lambda: b"hello, I am a text file", "not-an-image"),
    Case("not_ours/zeros.png", lambda: bytes(100_000), "not-an-image"),
    Case("not_ours/noise.png", noise, "not-an-image"),
]

MODEL = [
    Case(
        "model/no-number.png",
        lambda: saved(Image.new("RGB", SIZE, (255, 0, 255)), "PNG"),
        "model-output",
        None,
    ),
    Case(
        "model/wrong-shape.png",
        lambda: saved(Image.new("RGB", SIZE, (255, 255, 0)), "PNG"),
        "model-output",
        None,
    ),
]
"""Valid images for which the test's model gives invalid answers."""

CASES = [*GIFS, *BMPS, *WEBPS, *FOREIGN, *MODEL]
