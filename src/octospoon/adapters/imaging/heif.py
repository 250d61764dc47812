"""HEIC images, as phones take them. libheif decodes them and is loaded for the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from octospoon.adapters.imaging.limits import affordable, check_size
from octospoon.adapters.imaging.orientation import UPRIGHT
from octospoon.domain.errors import BadImage, NotConfigured

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.adapters.imaging.pixels import Source

_CHANNELS = {"L": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}
_BYTES, _DEEP_BYTES = 5, 10
"""Bytes per pixel that decoding takes: for eight bits without alpha, and for everything else."""


class HeifImage:
    """Implements `octospoon.adapters.imaging.open_image.OpenImage` for the primary image of a file.

    libheif applies the orientation in the file's properties. EXIF repeats it and is ignored.

    Args:
        data: the file.

    Raises:
        BadImage: reason ``unsupported``, ``too-large`` or ``too-narrow``.
    """

    kind = "HEIC"
    orientation = UPRIGHT

    def __init__(self, data: bytes) -> None:
        file = _library().HeifFile(data)
        if not len(file):
            raise BadImage("unsupported", "a HEIF file without a still image is not read")
        self._image = file[file.primary_index]
        self.size: tuple[int, int] = self._image.size
        check_size(*self.size)
        if self._image.mode not in _CHANNELS:
            raise BadImage("unsupported", f"HEIC with pixels of mode {self._image.mode} is not read")

    def draft(self, size: tuple[int, int]) -> None:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""

    def cost(self) -> int:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        plain = self._image.info["bit_depth"] == 8 and self._image.mode in ("L", "RGB")
        return affordable(
            self.size, self.kind, self.size[0] * self.size[1] * (_BYTES if plain else _DEEP_BYTES)
        )

    def load(self) -> Source:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        pixels = np.frombuffer(self._image.data, np.uint8)
        width, height = self.size = self._image.size
        channels = _CHANNELS[self._image.mode]
        rows = pixels.reshape(height, self._image.stride)[:, : width * channels]
        return HeifSource(rows, self.size, self._image.mode)

    def completed(self) -> None:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""


class HeifSource:
    """Implements `octospoon.adapters.imaging.pixels.Source`.

    Args:
        rows: [height, width × channels].
        size: width and height.
        mode: Pillow's name of the pixel format.
    """

    note = ""

    def __init__(self, rows: npt.NDArray[np.uint8], size: tuple[int, int], mode: str) -> None:
        self.size = size
        self._rows = rows
        self._mode = mode

    def whole(self) -> None:
        """See `octospoon.adapters.imaging.pixels.Source`."""

    def band(self, start: int, stop: int) -> Image.Image:
        """See `octospoon.adapters.imaging.pixels.Source`."""
        part = Image.frombytes(self._mode, (self.size[0], stop - start), self._rows[start:stop].tobytes())
        if self._mode in ("LA", "RGBA"):
            return part.convert("RGBA").convert("RGBa")
        return part.convert("RGBa") if self._mode == "La" else part


def _library() -> Any:  # noqa: ANN401 - it has no types
    try:
        import pi_heif
    except ImportError as error:  # not the fault of the image
        raise NotConfigured("pi-heif, which reads HEIC, is not installed in this environment") from error
    options = pi_heif.options
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    options.DECODE_THREADS = 1
    return pi_heif
