"""TIFF images with samples of any depth and order, as libtiff shows them; others are refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.imaging.file_kinds import unread
from octospoon.adapters.imaging.limits import affordable
from octospoon.adapters.imaging.orientation import UPRIGHT, orientation
from octospoon.adapters.imaging.pillow_images import PillowImage
from octospoon.adapters.imaging.tiff import directory as tag
from octospoon.adapters.imaging.tiff.layout import Layout
from octospoon.adapters.imaging.tiff.planes import Blocks
from octospoon.adapters.imaging.tiff.source import TiffSource

if TYPE_CHECKING:
    from octospoon.adapters.imaging.open_image import OpenImage
    from octospoon.adapters.imaging.pixels import Source

_MOSAICS = (32_803, 34_892)
"""Photometric interpretations of raw sensor values."""
_RAW_COMPRESSIONS = {32_767: "Sony", 32_769: "Epson", 32_770: "Samsung", 34_713: "Nikon", 65_000: "Kodak"}
_FOR_PILLOW = (
    *(tag.BITS, tag.COMPRESSION, tag.PHOTOMETRIC, tag.FILL_ORDER, tag.SAMPLES, tag.ROWS_PER_STRIP),
    *(
        tag.STRIP_OFFSETS,
        tag.STRIP_COUNTS,
        tag.FAX3_OPTIONS,
        tag.FAX4_OPTIONS,
        tag.TILE_WIDTH,
        tag.TILE_HEIGHT,
    ),
    *(
        tag.TILE_OFFSETS,
        tag.TILE_COUNTS,
        tag.JPEG_TABLES,
        tag.SUBSAMPLING,
        tag.WIDTH,
        tag.HEIGHT,
        *tag.OLD_JPEG,
    ),
)


def tiff(data: bytes) -> OpenImage:
    """Open the first image of a TIFF that is not a thumbnail of another.

    Raises:
        BadImage: reason ``unsupported``, ``truncated``, ``too-large`` or ``too-narrow``.
    """
    directory = _chosen(tag.TiffReader(data))
    layout = Layout.of(directory)
    xmp = bytes(directory.tags.get(tag.XMP, ()))
    oriented = directory.number(tag.ORIENTATION) or orientation(b"", xmp)
    oriented = oriented if 1 <= oriented <= 8 else UPRIGHT
    if not layout.by_pillow:
        return TiffImage(data, directory, layout, oriented)
    tags = {name: directory.tags[name] for name in _FOR_PILLOW if name in directory.tags}
    plain = tag.rewritten(data, tags | {tag.PHOTOMETRIC: (layout.photometric,)})
    return LibtiffImage(plain, oriented, Blocks(directory, layout).cost())


def _chosen(reader: tag.TiffReader) -> tag.Directory:
    chain = reader.directories()
    for directory in chain:
        within = list(reader.sub_directories(directory))
        for page in (directory, *within):
            _refuse_raw(page)
        if _is_reduced(directory) and not all(map(_is_reduced, within)):
            raise unread(
                "a TIFF that begins with a thumbnail of the image in a directory within (a raw photo?)"
            )
    return next((page for page in chain if not _is_reduced(page)), chain[0])


def _refuse_raw(directory: tag.Directory) -> None:
    maker = _RAW_COMPRESSIONS.get(directory.number(tag.COMPRESSION), "")
    if tag.DNG_VERSION in directory.tags:
        maker = "DNG"
    if maker or directory.number(tag.PHOTOMETRIC) in _MOSAICS:
        raise unread(f"a camera's raw photo ({maker or 'mosaic of a sensor'})")


def _is_reduced(directory: tag.Directory) -> bool:
    return bool(directory.number(tag.SUBFILE) & 1) or directory.number(tag.OLD_SUBFILE) == 2


class LibtiffImage(PillowImage):
    """A lossy or fax TIFF, which Pillow and libtiff decode whole.

    Args:
        data: the file with a plain directory.
        oriented: its EXIF orientation, 1 to 8.
        beside: bytes that libtiff unpacks in addition to the image.
    """

    def __init__(self, data: bytes, oriented: int, beside: int) -> None:
        super().__init__("TIFF", data, oriented)
        self._beside = beside

    def cost(self) -> int:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        return affordable(self.size, self.kind, super().cost() + self._beside)


class TiffImage:
    """Implements `octospoon.adapters.imaging.open_image.OpenImage` for every other TIFF.

    Args:
        data: the file.
        directory: of the image.
        layout: of its samples.
        oriented: its EXIF orientation, 1 to 8.
    """

    kind = "TIFF"

    def __init__(self, data: bytes, directory: tag.Directory, layout: Layout, oriented: int) -> None:
        self.size = layout.size
        self.orientation = oriented
        self._data = data
        self._directory = directory
        self._layout = layout
        self._blocks = Blocks(directory, layout)

    def draft(self, size: tuple[int, int]) -> None:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""

    def cost(self) -> int:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        return affordable(self.size, self.kind, self._blocks.cost())

    def load(self) -> Source:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        planes = [self._blocks.plane(self._data, index) for index in range(self._blocks.planes)]
        return TiffSource(planes, self._blocks, self._directory, self._layout)

    def completed(self) -> None:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
