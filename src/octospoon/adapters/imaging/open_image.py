"""An open image file, as every format's reader gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from octospoon.adapters.imaging.pixels import Source


class OpenImage(Protocol):
    """An image file whose header is read.

    Attributes:
        kind: one of `file_kinds.FORMATS`.
        size: width and height in pixels as stored in the file, before orientation.
        orientation: EXIF's number, 1 to 8.
    """

    kind: str
    size: tuple[int, int]
    orientation: int

    def draft(self, size: tuple[int, int]) -> None:
        """Let the decoder scale the image down, to no less than a size, if its format supports this."""

    def cost(self) -> int:
        """Return the bytes of memory that decoding takes.

        Raises:
            BadImage: reason ``too-large``.
        """

    def load(self) -> Source:
        """Decode the pixels. For some formats `orientation` is known only after this call."""

    def completed(self) -> OpenImage | None:
        """Return the image if `load` failed although no pixel is missing; else None."""
