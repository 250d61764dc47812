"""The chunks of a WebP file that hold the pixels of its first frame, without metadata."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_FRAME = b"ANMF"
_PIXELS = (b"VP8 ", b"VP8L", b"ALPH", b"ANIM", _FRAME)
_BESIDE = 0x20 | 0x08 | 0x04
"""Flags of an extended file for a colour profile, EXIF and XMP."""


@dataclass(slots=True)
class WebpFile:
    """The relevant parts of a WebP file.

    Attributes:
        canvas: declared width and height of an extended file; 1×1 for any other.
        exif: content of the EXIF chunk; empty for none.
        xmp: content of the XMP chunk; empty for none.
        stripped: the file without metadata chunks.
    """

    canvas: tuple[int, int]
    exif: bytes
    xmp: bytes
    stripped: bytes

    @classmethod
    def parse(cls, data: bytes) -> WebpFile:
        """Parse the chunks; a chunk that is cut off is the last one."""
        canvas, at, framed = (1, 1), 12, False
        beside, parts = {b"EXIF": b"", b"XMP ": b""}, list[bytes]()
        while at + 8 <= len(data):
            kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
            stop = at + 8 + length + length % 2
            if kind == b"VP8X" and not parts and length >= 10:
                canvas = _canvas(data, at + 8)
                flags = bytes([data[at + 8] & ~_BESIDE]) if at + 8 < len(data) else b""
                parts.append(data[at : at + 8] + flags + data[at + 9 : stop])
            elif kind in _PIXELS and not (kind == _FRAME and framed):
                parts.append(data[at:stop])
                framed = kind == _FRAME
            elif kind in beside:
                beside[kind] = beside[kind] or data[at + 8 : stop]
            at = stop
        body = b"WEBP" + b"".join(parts)
        return cls(canvas, beside[b"EXIF"], beside[b"XMP "], b"RIFF" + struct.pack("<I", len(body)) + body)


def _canvas(data: bytes, at: int) -> tuple[int, int]:
    width, height = (int.from_bytes(data[at + i : at + i + 3], "little") for i in (4, 7))
    return 1 + width, 1 + height
