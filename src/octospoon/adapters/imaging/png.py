"""The chunks of a PNG file that hold the pixels, without metadata, which may be damaged."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, field

from octospoon.adapters.imaging.limits import MAX_PARTS
from octospoon.domain.errors import BadImage

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
_PALETTE_COLOUR = 3
_TRANSPARENCY = {0: 2, 2: 6}
"""Bytes of a tRNS chunk, by colour type; a palette has one for each colour."""
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel, by colour type."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced image: left, top, horizontal step, vertical step."""
_XMP_NAME = b"XML:com.adobe.xmp\0"
_MOST_METADATA = 1_000_000
_PIECE = 1_000_000
_NAME = re.compile(rb"[A-Za-z]{4}")


@dataclass(slots=True)
class PngFile:
    """The relevant chunks of a PNG file.

    Attributes:
        data: the file.
        depth: bits per sample.
        colour: PNG's number of the colour type.
        exif: content of the eXIf chunk; empty for none.
        xmp: the XMP text; empty for none.
        parts: (start, stop) of the chunks that hold the pixels.
        needless: whether there are other chunks.
    """

    data: bytes
    depth: int = 0
    colour: int = 0
    exif: bytes = b""
    xmp: bytes = b""
    parts: list[tuple[int, int]] = field(default_factory=list)
    needless: bool = False
    _damaged: list[tuple[int, int]] = field(default_factory=list)
    _colours: int = 0

    @classmethod
    def parse(cls, data: bytes) -> PngFile:
        """Read the chunks.

        Raises:
            BadImage: reason ``truncated``, ``unsupported`` or ``too-large``.
        """
        file = cls(data)
        at = len(_SIGNATURE)
        for _ in range(MAX_PARTS):
            if at + 12 > len(data):
                break
            (length,) = struct.unpack_from(">I", data, at)
            kind, stop = data[at + 4 : at + 8], at + 12 + length
            if not _NAME.fullmatch(kind) or (stop > len(data) and kind != b"IDAT"):
                break
            if kind == b"IEND":
                return file._checked(ended=True)
            file._note(kind, at, stop)
            at = stop
        else:
            raise BadImage("too-large", f"over {MAX_PARTS:,} chunks")
        return file._checked(ended=False)

    def stripped(self) -> bytes:
        """Return the file without the chunks that do not affect the pixels."""
        if not self.needless:
            return self.data
        view = memoryview(self.data)
        chunks = [view[at:stop] for at, stop in self.parts]
        if chunks and self.parts[-1][1] > len(self.data):  # the last chunk is cut off
            rest = chunks[-1][8:]
            chunks[-1] = memoryview(struct.pack(">I", len(rest)) + b"IDAT" + rest + bytes(4))
        return b"".join([_SIGNATURE, *chunks, _END])

    def _raw_bytes(self) -> int:
        """Return the bytes of all rows, unpacked."""
        head = self.parts[0][0] + 8 if self.parts else 0
        if not head or len(self.data) < head + 13:
            raise BadImage("truncated", "the PNG has no header")
        width, height = struct.unpack_from(">II", self.data, head)
        bits = self.depth * _SAMPLES.get(self.colour, 1)
        passes = _PASSES if self.data[head + 12] else ((0, 0, 1, 1),)
        sizes = [(-((left - width) // right), -((top - height) // down)) for left, top, right, down in passes]
        return sum(h * (1 + -(-w * bits // 8)) for w, h in sizes if w > 0 and h > 0)

    def _note(self, kind: bytes, at: int, stop: int) -> None:
        sound = zlib.crc32(memoryview(self.data)[at + 4 : stop - 4]) == int.from_bytes(
            self.data[stop - 4 : stop], "big"
        )
        if kind == b"IDAT":
            self.parts.append((at, stop))
            if not sound:
                self._damaged.append((at, stop))
        elif kind == b"IHDR" and not self.parts:
            self.parts.append((at, stop))
            self.depth, self.colour = self.data[at + 16], self.data[at + 17]
        elif kind == b"PLTE":
            self._note_palette(at, stop)
        elif kind == b"tRNS" and sound and self._is_transparency(stop - at - 12):
            self.parts.append((at, stop))
        else:
            self._note_other(kind, at, stop, sound=sound)

    def _note_palette(self, at: int, stop: int) -> None:
        if self.colour == _PALETTE_COLOUR and not self._colours:
            self.parts.append((at, stop))
            self._colours = (stop - at - 12) // 3
        else:
            self.needless = True

    def _is_transparency(self, length: int) -> bool:
        if self.colour == _PALETTE_COLOUR:
            return 0 < length <= self._colours
        return length == _TRANSPARENCY.get(self.colour)

    def _note_other(self, kind: bytes, at: int, stop: int, *, sound: bool) -> None:
        self.needless = True
        if kind[:1].isupper():
            if not sound:
                raise BadImage("truncated", f"the PNG's chunk {kind!r} is damaged")
            what = "Apple's own kind of PNG (CgBI)" if kind == b"CgBI" else f"PNG with a chunk {kind!r}"
            raise BadImage("unsupported", f"{what} is not read")
        if not sound:
            return
        body = memoryview(self.data)[at + 8 : stop - 4]
        if kind == b"eXIf":
            self.exif = self.exif or bytes(body[:_MOST_METADATA])
        elif kind == b"iTXt" and bytes(body[: len(_XMP_NAME)]) == _XMP_NAME:
            self.xmp = self.xmp or _text(bytes(body[len(_XMP_NAME) :]))

    def _checked(self, *, ended: bool) -> PngFile:
        """If the checksum of a data chunk is wrong, check the checksum of all unpacked data instead."""
        self.needless |= not ended
        if not self._damaged:
            return self
        unpacker, missing = zlib.decompressobj(), self._raw_bytes()
        try:
            for at, stop in self.parts:
                if self.data[at + 4 : at + 8] == b"IDAT":
                    missing -= _unpack(unpacker, self.data[at + 8 : stop - 4])
        except zlib.error as error:
            raise BadImage("truncated", f"the PNG's data is damaged: {error}") from error
        if missing > 0:
            raise BadImage("truncated", "the PNG's data is cut off")
        return self


def _unpack(unpacker: zlib._Decompress, packed: bytes) -> int:
    """Return the number of unpacked bytes."""
    count = 0
    while packed and not unpacker.eof:
        count += len(unpacker.decompress(packed, _PIECE))
        packed = unpacker.unconsumed_tail
    return count


def _text(body: bytes) -> bytes:
    """Return the text of an iTXt chunk without its keyword; empty if it is damaged."""
    packed, _, rest = body[:1], body[1:2], body[2:]
    text = rest.split(b"\0", 2)[-1]
    if packed != b"\1":
        return text[:_MOST_METADATA]
    try:
        return zlib.decompressobj().decompress(text, _MOST_METADATA)
    except zlib.error:
        return b""
