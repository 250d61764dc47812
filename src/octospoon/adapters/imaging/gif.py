"""The first frame of a GIF file, without extensions, which may be damaged."""

from __future__ import annotations

from octospoon.adapters.imaging.limits import MAX_PARTS
from octospoon.domain.errors import BadImage

_EXTENSION, _FRAME, _END = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9
_CONTROL_BYTES = 8


def first_frame(data: bytes) -> bytes:
    """Return the file with its first frame only.

    Raises:
        BadImage: reason ``truncated`` if there is no frame, or ``too-large``.
    """
    head = 13 + _table(data[10:11])
    at, control = head, b""
    for _ in range(MAX_PARTS):
        kind = data[at : at + 1]
        if kind == bytes([_FRAME]):
            stop = _behind_blocks(data, at + 11 + _table(data[at + 9 : at + 10]))
            return b"".join((data[:head], control, data[at:stop], bytes([0, _END])))
        if kind != bytes([_EXTENSION]):
            break
        stop = _behind_blocks(data, at + 2)
        if data[at + 1 : at + 2] == bytes([_GRAPHIC_CONTROL]) and stop - at == _CONTROL_BYTES:
            control = data[at:stop]
        at = stop
    raise BadImage("truncated", "the GIF has no frame")


def _table(flags: bytes) -> int:
    """Return the bytes of a colour table."""
    return 3 * 2 ** (1 + (flags[0] & 7)) if flags and flags[0] & 0x80 else 0


def _behind_blocks(data: bytes, at: int) -> int:
    """Return the position after a chain of sub-blocks, or the end of the file."""
    for _ in range(MAX_PARTS):
        if at >= len(data):
            return len(data)
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise BadImage("too-large", f"over {MAX_PARTS:,} blocks")
