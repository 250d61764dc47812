"""The structure of a JPEG file: its header, its scans, and whether the image is complete."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from octospoon.adapters.imaging.limits import MAX_PARTS, MAX_SCANS
from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    from collections.abc import Iterator

END = b"\xff\xd9"
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
"""Baseline, extended and progressive frames, Huffman and arithmetic. Others are lossless or hierarchical."""
_NO_FRAMES = {0xC4, 0xC8, 0xCC}
_JPEG_LS = 0xF7
_PROGRESSIVE = {0xC2, 0xCA}
_SCAN, _EOI, _LINES = 0xDA, 0xD9, 0xDC
_ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a body."""
_COMMENT = 0xFE
_JFIF, _EXIF, _ADOBE = 0xE0, 0xE1, 0xEE
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_BREAK = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
"""Ends the data of a scan: a marker that is neither an escaped FF nor a restart."""
_MOST_SAMPLING = 4
_COEFFICIENTS = 64


@dataclass(slots=True)
class JpegFile:
    """The header of a JPEG file, before its first scan.

    Attributes:
        data: the file.
        frame: the marker of the frame, which names the coding; None for none.
        frame_at: position of the frame segment's body.
        body: of the frame segment.
        exif: of the first EXIF segment; empty for none.
        xmp: of the first XMP segment; empty for none.
        dropped: (start, stop) of the segments that do not affect the pixels.
        scans_at: position of the first scan, or of the end of the header.
    """

    data: bytes
    frame: int | None = None
    frame_at: int = 0
    body: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    dropped: list[tuple[int, int]] = field(default_factory=list)
    scans_at: int = 2

    @classmethod
    def parse(cls, data: bytes) -> JpegFile:
        """Read the header.

        Raises:
            BadImage: reason ``unsupported``, ``truncated`` or ``too-large``.
        """
        file = cls(data)
        for marker, at, stop in _segments(data, 2):
            if at > file.scans_at:
                file.dropped.append((file.scans_at, at))
            file.scans_at = at if marker in (_SCAN, _EOI) else stop
            if marker in (_SCAN, _EOI):
                break
            file._note(marker, at, stop)
        file._check()
        return file

    @property
    def progressive(self) -> bool:
        """Whether libjpeg must keep the coefficients of the whole image."""
        return self.frame in _PROGRESSIVE

    def components(self) -> list[tuple[int, int, int]]:
        """Return the number and the horizontal and vertical sampling factors of each component."""
        return [(a, b >> 4, b & 15) for a, b in zip(self.body[6::3], self.body[7::3], strict=False)]

    def stripped(self) -> bytes:
        """Return the file without the segments that do not affect the pixels, which may be damaged."""
        if not self.dropped:
            return self.data
        view, parts, start = memoryview(self.data), [], 0
        for at, stop in self.dropped:
            parts.append(view[start:at])
            start = stop
        return b"".join([*parts, view[start:]])

    def completed(self) -> tuple[bytes, bytes] | None:
        """Return the file, ended after its last scan, in two forms; None if it is incomplete.

        The second form has other bits behind its last scan. A decoder reads these only where the file holds
        fewer blocks than the image has: both forms give the same pixels if, and only if, the file is whole.
        """
        covered, stop = _Coverage(self), None
        for body, end in self.scans():
            covered.add(body)
            stop = end
            if covered.whole():
                break
        if stop is None or not covered.whole():
            return None
        whole = self.stripped()[: stop - sum(after - at for at, after in self.dropped)]
        return whole + END, whole + bytes(range(0x35, 0x75, 3)) * 4 + END

    def scans(self) -> Iterator[tuple[bytes, int]]:
        """Yield the header's body and the end position of each scan, up to the end marker.

        A scan of unknown components ends the image. Data after the image is ignored.
        """
        known = {number for number, _, _ in self.components()}
        for marker, at, stop in _segments(self.data, self.scans_at):
            if marker == _EOI:
                return
            if marker != _SCAN:
                continue
            body = self.data[at + 4 : stop]
            if not _is_scan(body, known):
                return
            next_marker = _BREAK.search(self.data, stop)
            yield body, next_marker.start() if next_marker else self._last_byte(stop)

    def _last_byte(self, start: int) -> int:
        """Return the end of the file, without a trailing half marker."""
        stop = len(self.data)
        while stop > start and self.data[stop - 1] == 0xFF:
            stop -= 1
        return stop

    def _note(self, marker: int, at: int, stop: int) -> None:
        if marker == _JPEG_LS or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES):
            self.frame, self.frame_at, self.body = marker, at + 4, self.data[at + 4 : stop]
        elif marker == _COMMENT or 0xE0 <= marker <= 0xEF:
            self._note_application(marker, at, stop)

    def _note_application(self, marker: int, at: int, stop: int) -> None:
        body = self.data[at + 4 : min(stop, at + 4 + len(_XMP_NAME))]
        if marker == _JFIF and body.startswith(b"JFIF\0") and stop - at >= 18:
            return
        if marker == _ADOBE and body.startswith(b"Adobe") and stop - at >= 16:
            return
        if marker == _EXIF and body.startswith(b"Exif\0\0"):
            self.exif = self.exif or self.data[at + 4 : stop]
        elif marker == _EXIF and body.startswith(_XMP_NAME):
            self.xmp = self.xmp or self.data[at + 4 : stop]
        self.dropped.append((at, stop))

    def _check(self) -> None:
        if self.frame is None:
            return
        if self.frame not in _FRAMES:
            raise BadImage("unsupported", f"lossless or hierarchical JPEG (FF{self.frame:02X})")
        if len(self.body) < 6:
            raise BadImage("truncated", "the JPEG's frame header is cut off")
        if self.body[0] != 8:
            raise BadImage("unsupported", f"JPEG with {self.body[0]} bits a sample")
        if any(not 1 <= n <= _MOST_SAMPLING for _, across, down in self.components() for n in (across, down)):
            raise BadImage("truncated", "the JPEG's sampling factors are damaged")
        if self.body[1:3] == b"\0\0" and self._counts_lines():
            raise BadImage("unsupported", "JPEG whose height stands behind its first scan")
        self._check_scans()

    def _check_scans(self) -> None:
        if not self.progressive or self.data.count(b"\xff\xda", self.scans_at) <= MAX_SCANS:
            return
        if (scans := sum(1 for _ in self.scans())) > MAX_SCANS:
            raise BadImage("too-large", f"{scans} scans are over {MAX_SCANS}")

    def _counts_lines(self) -> bool:
        for body, end in self.scans():
            return bool(body) and self.data[end : end + 2] == bytes([0xFF, _LINES])
        return False


class _Coverage:
    """The coefficients that the scans so far contain, by component and bit."""

    def __init__(self, file: JpegFile) -> None:
        self._progressive = file.progressive
        self._lowest = {number: [99] * _COEFFICIENTS for number, _, _ in file.components()}

    def add(self, body: bytes) -> None:
        """Add a scan, given the body of its header."""
        count = body[0]
        first, last, bits = body[1 + 2 * count : 4 + 2 * count]
        if not self._progressive:
            first, last, bits = 0, _COEFFICIENTS - 1, 0
        for number in body[1 : 1 + 2 * count : 2]:
            lowest = self._lowest[number]
            for k in range(first, min(last, _COEFFICIENTS - 1) + 1):
                lowest[k] = bits & 15

    def whole(self) -> bool:
        return bool(self._lowest) and all(not any(lowest) for lowest in self._lowest.values())


def _segments(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment; ignore bytes between segments."""
    for _ in range(MAX_PARTS):
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            if at >= 0 and data[at : at + 2] == END:
                yield _EOI, at, at + 2
            return
        marker = data[at + 1]
        if marker in (0x00, 0xFF) or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        stop = at + 2 + length
        if marker != _EOI and (length < 2 or stop > len(data)):
            return
        yield marker, at, at + 2 if marker == _EOI else stop
        at = at + 2 if marker == _EOI else stop
    raise BadImage("too-large", f"over {MAX_PARTS:,} segments")


def _is_scan(body: bytes, known: set[int]) -> bool:
    return (
        bool(body)
        and 1 <= body[0] <= 4
        and len(body) == 4 + 2 * body[0]
        and known.issuperset(body[1 : 1 + 2 * body[0] : 2])
    )
