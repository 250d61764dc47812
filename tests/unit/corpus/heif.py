"""HEIC and AVIF files, and other formats of the ISO base media family."""

from __future__ import annotations

import io
import struct
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image
from unit.corpus.case import COLOURS, SIZE, TURNED, WHITE, Case, cut, exif, grey, lying, sample, saved

BLACK = Image.new("RGB", SIZE)
LEFT_ONLY = (COLOURS[0], WHITE, COLOURS[2], WHITE)


def heic(image: Image.Image | None = None, *more: Image.Image, **options: Any) -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    file = pillow_heif.from_pillow(image or sample())
    for extra in more:
        file.add_from_pillow(extra)
    file.save(buffer, **{"quality": 90} | options)
    return buffer.getvalue()


def deep(bits: int) -> bytes:
    """Ten or twelve bits a sample, as phones write HDR photos."""
    import pillow_heif

    levels = np.asarray(sample()).astype(np.uint16) * 257
    buffer = io.BytesIO()
    pillow_heif.encode("RGB;16", SIZE, levels.tobytes(), buffer, quality=90, save_to_12bit=bits == 12)
    return buffer.getvalue()


def half_clear() -> Image.Image:
    image = sample("RGBA")
    mask = Image.new("L", SIZE, 0)
    mask.paste(255, (0, 0, SIZE[0] // 2, SIZE[1]))
    image.putalpha(mask)
    return image


def avif(image: Image.Image | None = None, **options: object) -> bytes:
    return saved(image or sample(), "AVIF", **{"quality": 90, "speed": 9, "max_threads": 1} | options)


def turned(kind: str, orientation: int) -> bytes:
    """Pillow and pillow-heif convert EXIF's orientation into properties of the file."""
    image = lying(orientation)
    if kind == "AVIF":
        return avif(image, exif=exif(orientation))
    return heic(image, exif=exif(orientation).tobytes())


def claim(data: bytes, width: int, height: int) -> bytes:
    """The header declares another size than the data has."""
    whole = bytearray(data)
    at = whole.index(b"ispe") + 8
    whole[at : at + 8] = struct.pack(">II", width, height)
    return bytes(whole)


def damaged(data: bytes) -> bytes:
    at = data.index(b"mdat") + 40
    return data[:at] + bytes(60) + data[at + 60 :]


def exif_damaged() -> bytes:
    """Pillow's reader alone would reject the file."""
    whole = bytearray(avif(exif=tagged()))
    at = whole.index(b"a maker") - 40
    begin = max(whole.find(b"II*\0", at), whole.find(b"MM\0*", at))
    whole[begin : begin + 8] = b"garbage!"
    return bytes(whole)


def tagged() -> bytes:
    tags = exif(1)
    tags[0x010F] = "a maker of phones"
    return tags.tobytes()


def box(*brands: bytes) -> bytes:
    """The first box of a file of the family, and noise."""
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands)
    return struct.pack(">I", len(body) + 4) + body + np.random.default_rng(0).bytes(4000)


HEICS = [
    Case("heic/plain.heic", heic),
    Case("heic/wrong-extension.jpg", heic),
    Case("heic/odd-size.heic", lambda: heic(sample(size=(641, 479)))),
    Case("heic/grey.heic", lambda: heic(sample("L")), colours=grey()),
    Case("heic/alpha.heic", lambda: heic(half_clear()), colours=LEFT_ONLY),
    Case("heic/full-chroma.heic", partial(heic, chroma=444)),
    *[Case(f"heic/{bits}-bit.heic", partial(deep, bits)) for bits in (10, 12)],
    Case("heic/burst.heic", lambda: heic(sample(), BLACK, BLACK)),
    Case("heic/burst-primary-last.heic", lambda: heic(BLACK, BLACK, sample(), primary_index=2)),
    Case("heic/exif-garbage.heic", partial(heic, exif=b"Exif\0\0garbage")),
    Case("heic/xmp-garbage.heic", partial(heic, xmp=b"\xff\xfe<<")),
    Case("heic/garbage-behind.heic", lambda: heic() + b"garbage" * 100),
    Case("heic/60000-a-side.heic", lambda: claim(heic(), 60_000, 60_000), "too-large"),
    Case("heic/other-size-than-its-data.heic", lambda: claim(heic(), 640, 480), "truncated"),
    Case("heic/header-and-noise.heic", partial(box, b"heic", b"mif1"), "truncated"),
    Case("heic/damaged.heic", lambda: damaged(heic(sample(size=(640, 480)))), colours=None),
    *[Case(f"heic/orientation-{i}.heic", partial(turned, "HEIC", i)) for i in TURNED],
    *[
        Case(f"heic/cut-at-{at}.heic", partial(lambda at: cut(heic(), at), at), "truncated")
        for at in (12, 40, 0.5, 0.9)
    ],
]

AVIFS = [
    Case("avif/plain.avif", avif),
    Case("avif/grey.avif", lambda: avif(sample("L")), colours=grey()),
    Case("avif/alpha.avif", lambda: avif(half_clear()), colours=LEFT_ONLY),
    Case("avif/animated.avif", partial(avif, save_all=True, append_images=[BLACK])),
    Case("avif/exif-garbage.avif", exif_damaged),
    Case("avif/15000-a-side.avif", lambda: claim(avif(), 15_000, 15_000), "too-large"),
    Case("avif/header-and-noise.avif", partial(box, b"avif", b"mif1"), "truncated"),
    *[Case(f"avif/orientation-{i}.avif", partial(turned, "AVIF", i)) for i in TURNED],
    *[
        Case(f"avif/cut-at-{at}.avif", partial(lambda at: cut(avif(), at), at), "truncated")
        for at in (12, 40, 0.5, 0.9)
    ],
]

OTHERS = [
    Case("not_ours/film.mp4", partial(box, b"isom", b"mp42"), "not-an-image"),
    Case("not_ours/film.mov", partial(box, b"qt  "), "not-an-image"),
    Case("not_ours/photo.cr3", partial(box, b"crx ", b"isom"), "unsupported"),
    Case("not_ours/jpeg-inside.heif", partial(box, b"mif1", b"jpeg"), "unsupported"),
    Case("not_ours/h264-inside.heif", partial(box, b"avci", b"mif1"), "unsupported"),
    Case("not_ours/h266-inside.heif", partial(box, b"vvic", b"mif1"), "unsupported"),
]

WRITTEN = HEICS if find_spec("pillow_heif") and find_spec("pi_heif") else []
"""None in an environment that is older than pyproject.toml; the packaging tests read HEIC in any case."""

CASES = [*WRITTEN, *AVIFS, *OTHERS]
