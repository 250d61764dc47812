"""BMP images of 16 and 32 bits with colour masks; Pillow reads all other BMP images."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from octospoon.adapters.imaging.limits import affordable, check_size
from octospoon.adapters.imaging.orientation import UPRIGHT
from octospoon.adapters.imaging.pillow_images import PillowImage
from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.adapters.imaging.open_image import OpenImage
    from octospoon.adapters.imaging.pixels import Source

    Words = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]

_WINDOWS_HEADERS = (40, 52, 56, 64, 108, 124)
_OS2_HEADER = 64
_PLAIN, _BIT_FIELDS, _ALPHA_BIT_FIELDS = 0, 3, 6
_FILE_HEADER = 14
_MASKS_AT = _FILE_HEADER + 40
_DEFAULT_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_UNSAID_MASKS = {16: _DEFAULT_MASKS[16], 32: (0xFF0000, 0xFF00, 0xFF, 0xFF000000)}
"""The masks of a file that declares masks which are all zero."""
_BAND = 512


@dataclass(frozen=True, slots=True)
class _Header:
    size: tuple[int, int]
    from_the_top: bool
    bits: int
    masks: tuple[int, int, int, int]
    start: int

    @property
    def row_bytes(self) -> int:
        return (self.size[0] * self.bits + 31) // 32 * 4


def bmp(data: bytes) -> OpenImage:
    """Open a BMP.

    Raises:
        BadImage: reason ``unsupported``, ``truncated``, ``too-large`` or ``too-narrow``.
    """
    header = _masked(data)
    return PillowImage("BMP", data) if header is None else BmpImage(data, header)


def _masked(data: bytes) -> _Header | None:
    """Return the header of an uncompressed file of 16 or 32 bits per pixel; None for any other file."""
    if len(data) < _MASKS_AT:
        return None
    (start, length, width, height, _, bits, compression) = struct.unpack_from("<IIiiHHI", data, 10)
    fields = (_BIT_FIELDS, _ALPHA_BIT_FIELDS) if length != _OS2_HEADER else ()
    if length not in _WINDOWS_HEADERS or bits not in (16, 32) or compression not in (_PLAIN, *fields):
        return None
    check_size(width, abs(height))
    masks = _DEFAULT_MASKS[bits]
    if compression != _PLAIN:
        has_alpha = length >= 56 or compression == _ALPHA_BIT_FIELDS
        masks = _read_masks(data, has_alpha=has_alpha)
        masks = masks if any(masks) else _UNSAID_MASKS[bits]
    if start < _MASKS_AT:  # some programs write no offset
        start = _FILE_HEADER + length + (12 if compression != _PLAIN and length == 40 else 0)
    return _Header((width, abs(height)), height < 0, bits, masks, start)


def _read_masks(data: bytes, *, has_alpha: bool) -> tuple[int, int, int, int]:
    if len(data) < _MASKS_AT + 16:
        raise BadImage("truncated", "the BMP's header is cut off")
    red, green, blue, alpha = struct.unpack_from("<IIII", data, _MASKS_AT)
    for mask in (red, green, blue, alpha if has_alpha else 0):
        if "01" in f"{mask:b}":
            raise BadImage("unsupported", f"BMP with a mask of separate bits ({mask:#x}) is not read")
    return red, green, blue, alpha if has_alpha else 0


class BmpImage:
    """Implements `octospoon.adapters.imaging.open_image.OpenImage` for a file with masks.

    Args:
        data: the file.
        header: of the file.
    """

    kind = "BMP"
    orientation = UPRIGHT

    def __init__(self, data: bytes, header: _Header) -> None:
        self.size = header.size
        self._data = data
        self._header = header

    def draft(self, size: tuple[int, int]) -> None:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""

    def cost(self) -> int:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        return affordable(self.size, self.kind, self._header.row_bytes * self.size[1])

    def load(self) -> Source:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        header, height = self._header, self.size[1]
        if header.start + header.row_bytes * height > len(self._data):
            raise BadImage("truncated", "the BMP ends before its last row")
        kind = np.dtype(f"<u{header.bits // 8}")
        count = header.row_bytes // kind.itemsize
        words = np.frombuffer(self._data, kind, count * height, header.start).reshape(height, count)
        words = words[:, : self.size[0]]
        return BmpSource(words if header.from_the_top else words[::-1], header.masks)

    def completed(self) -> None:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""


class BmpSource:
    """Implements `octospoon.adapters.imaging.pixels.Source`; alpha that is zero everywhere is ignored.

    Args:
        words: uint16 or uint32 [height, width], one for each pixel.
        masks: of red, green, blue and alpha.
    """

    note = ""

    def __init__(self, words: Words, masks: tuple[int, int, int, int]) -> None:
        self.size = (words.shape[1], words.shape[0])
        self._words = words
        self._masks = masks[:3]
        seen = masks[3] and any((words[i : i + _BAND] & masks[3]).any() for i in range(0, len(words), _BAND))
        self._alpha = masks[3] if seen else 0

    def whole(self) -> None:
        """See `octospoon.adapters.imaging.pixels.Source`."""

    def band(self, start: int, stop: int) -> Image.Image:
        """See `octospoon.adapters.imaging.pixels.Source`."""
        words = self._words[start:stop]
        colours = Image.fromarray(np.stack([_channel(words, mask) for mask in self._masks], axis=2))
        if not self._alpha:
            return colours
        colours.putalpha(Image.fromarray(_channel(words, self._alpha)))
        return colours.convert("RGBa")


def _channel(words: Words, mask: int) -> npt.NDArray[np.uint8]:
    if not mask:
        return np.zeros(words.shape, np.uint8)
    lowest = (mask & -mask).bit_length() - 1
    most = mask >> lowest
    values = (words & mask) >> lowest
    if most > 255:
        return (values >> (most.bit_length() - 8)).astype(np.uint8)
    return (
        values.astype(np.uint8) if most == 255 else (values.astype(np.uint32) * 255 // most).astype(np.uint8)
    )
