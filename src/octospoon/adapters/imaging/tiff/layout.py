"""The layout of a TIFF's samples. Layouts that are not known to decode correctly are refused by name."""

from __future__ import annotations

from dataclasses import dataclass

from octospoon.adapters.imaging.limits import check_size
from octospoon.adapters.imaging.tiff import directory as tag
from octospoon.domain.errors import BadImage

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, CIELAB: 3}
"""Colour samples per pixel, without extra samples, by photometric interpretation."""
RAW, PACKBITS = 1, 32_773
_LOSSLESS = {
    5: "LZW",
    8: "Deflate",
    32_946: "Deflate",
    PACKBITS: "PackBits",
    34_925: "LZMA",
    50_000: "Zstandard",
}
_PREDICTED = (5, 8, 32_946, 34_925, 50_000)
FAX = (2, 3, 4)
_OLD_JPEG, JPEG = 6, 7
_NAMES = {
    **_LOSSLESS,
    32_766: "NeXT",
    32_809: "ThunderScan",
    34_661: "JBIG",
    34_676: "SGILog",
    34_677: "SGILog",
    34_712: "JPEG 2000",
    33_003: "JPEG 2000",
    33_005: "JPEG 2000",
    34_887: "LERC",
    50_001: "WebP",
    50_002: "JPEG XL",
    52_546: "JPEG XL",
}
_FORMATS = {2: "signed", 3: "floating-point", 5: "complex signed", 6: "complex"}
_MOST_SAMPLES = 6
_BITS = range(1, 17)
_UNASSOCIATED, _ASSOCIATED, _COREL = 2, 1, 999
_PLAIN_COEFFICIENTS = (0.299, 0.587, 0.114)
_PLAIN_REFERENCE = (0, 255, 128, 255, 128, 255)


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of an image's samples.

    Attributes:
        size: width and height.
        photometric: TIFF's number of the photometric interpretation.
        compression: TIFF's number of the compression.
        bits: per sample.
        samples: per pixel.
        alpha: 0 for none, 1 multiplied into the colours, 2 not multiplied, 3 undeclared.
        planar: whether each sample has its own plane.
        predictor: 2 if samples are stored as differences, else 1.
        reversed_bits: whether the bits of each byte are stored from lowest to highest.
    """

    size: tuple[int, int]
    photometric: int
    compression: int
    bits: int
    samples: int
    alpha: int
    planar: bool
    predictor: int
    reversed_bits: bool

    @property
    def colours(self) -> int:
        """Colour samples per pixel, without extra samples."""
        return _COLOURS[self.photometric]

    @property
    def by_pillow(self) -> bool:
        """Whether Pillow decodes the image whole, as for a lossy or fax file."""
        return self.compression in (*FAX, _OLD_JPEG, JPEG)

    @classmethod
    def of(cls, directory: tag.Directory) -> Layout:
        """Read a directory.

        Raises:
            BadImage: reason ``unsupported``, ``truncated``, ``too-large`` or ``too-narrow``.
        """
        number = directory.number
        if not {tag.WIDTH, tag.HEIGHT} <= directory.tags.keys():
            raise BadImage("truncated", "the TIFF has no width or height")
        check_size(number(tag.WIDTH), number(tag.HEIGHT))
        compression = number(tag.COMPRESSION, RAW)
        if compression not in (RAW, *_LOSSLESS, *FAX, _OLD_JPEG, JPEG):
            raise _unread(f"of compression {_NAMES.get(compression, compression)}")
        photometric = _photometric(directory, compression)
        samples = number(
            tag.SAMPLES, 3 if compression in (_OLD_JPEG, JPEG) and photometric in (RGB, YCBCR) else 1
        )
        layout = cls(
            (number(tag.WIDTH), number(tag.HEIGHT)),
            photometric,
            compression,
            _bits(directory, samples),
            samples,
            _alpha(directory, photometric, samples),
            number(tag.PLANAR, 1) == 2 and samples > 1,
            number(tag.PREDICTOR, 1) if compression in _PREDICTED else 1,
            number(tag.FILL_ORDER, 1) == 2,
        )
        layout._check(directory)
        return layout

    def _check(self, directory: tag.Directory) -> None:
        if self.predictor not in (1, 2) or (self.predictor == 2 and self.bits not in (8, 16)):
            raise _unread(f"with predictor {self.predictor} on {self.bits} bits a sample")
        if self.photometric in (CIELAB, YCBCR) and (self.bits != 8 or self.samples > 3):
            raise _unread(f"with {self.samples} samples of {self.bits} bits in CIELab or YCbCr")
        if self.photometric == PALETTE and self.bits > 8:
            raise _unread(f"with a palette of {self.bits} bits")
        if self.photometric == CMYK and directory.number(tag.INK_SET, 1) != 1:
            raise _unread("of inks that are not CMYK")
        if self.photometric == YCBCR and not self.by_pillow:
            _check_ycbcr(directory, self)
        if self.by_pillow and (self.planar or self.bits != (1 if self.compression in FAX else 8)):
            raise _unread(f"of a lossy or fax compression with planes or {self.bits} bits a sample")
        if self.compression in FAX and (self.samples > 1 or self.photometric > BLACK_IS_ZERO):
            raise _unread("of a fax compression in colour")


def _unread(what: str) -> BadImage:
    return BadImage("unsupported", f"TIFF {what} is not read")


def _photometric(directory: tag.Directory, compression: int) -> int:
    samples = directory.number(tag.SAMPLES, 1)
    default = RGB if samples >= 3 else WHITE_IS_ZERO if compression in FAX else BLACK_IS_ZERO
    if compression in (_OLD_JPEG, JPEG):
        default = YCBCR
    photometric = YCBCR if compression == _OLD_JPEG else directory.number(tag.PHOTOMETRIC, default)
    if photometric not in _COLOURS:
        raise _unread(f"of photometric interpretation {photometric}")
    return photometric


def _bits(directory: tag.Directory, samples: int) -> int:
    if not 1 <= samples <= _MOST_SAMPLES:
        raise _unread(f"with {samples} samples a pixel")
    bits = set(directory.tags.get(tag.BITS, (1,))[:samples])
    formats = set(directory.tags.get(tag.SAMPLE_FORMAT, (1,))[:samples])
    if unread := formats - {1, 4}:
        names = ", ".join(_FORMATS.get(number, f"unknown ({number})") for number in sorted(unread))
        raise _unread(f"with {names} samples, which have no fixed range,")
    if len(bits) > 1 or not bits.issubset(_BITS):
        raise _unread(f"with {', '.join(map(str, sorted(bits)))} bits a sample")
    return bits.pop()


def _alpha(directory: tag.Directory, photometric: int, samples: int) -> int:
    extra = samples - _COLOURS[photometric]
    if extra < 0:
        raise _unread(f"with {samples} samples a pixel of photometric interpretation {photometric}")
    if not extra:
        return 0
    kinds = directory.tags.get(tag.EXTRA_SAMPLES, ())
    first = kinds[0] if kinds else None
    if first is None and photometric == RGB and extra == 1:
        return 3
    if first == _COREL:
        return 3
    if (first is None or not first) and photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) and extra > 1:
        raise _unread(f"with {samples} channels of unknown meaning")
    return first if first in (_ASSOCIATED, _UNASSOCIATED) and photometric != CMYK else 0


def _check_ycbcr(directory: tag.Directory, layout: Layout) -> None:
    width, height = layout.size
    whole = 3 * width * height
    counts = directory.tags.get(tag.STRIP_COUNTS, ())
    default = (1, 1) if layout.compression == RAW and sum(counts) == whole else (2, 2)
    if directory.tags.get(tag.SUBSAMPLING, default)[:2] != (1, 1):
        raise _unread("of YCbCr with subsampled colour, but not of JPEG,")
    for name, plain in ((tag.COEFFICIENTS, _PLAIN_COEFFICIENTS), (tag.REFERENCE, _PLAIN_REFERENCE)):
        values = directory.tags.get(name, ())
        stated = [a / b for a, b in zip(values[::2], values[1::2], strict=False) if b]
        if values and any(abs(a - b) > 0.01 for a, b in zip(stated, plain, strict=False)):
            raise _unread("of YCbCr with coefficients or a range of its own")
