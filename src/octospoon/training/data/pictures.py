"""Read the pixels of labelled images into a file on disk, because they may not fit into memory."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.adapters.imaging.decode import frame
from octospoon.domain.errors import BadImage
from octospoon.domain.pool.framing import WHOLE
from octospoon.training.data.dataset import read_labelled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.pool.framing import Region
    from octospoon.ports.images import ImageStore

_READERS = 8
_log = logging.getLogger(__name__)


class Read(NamedTuple):
    """The pixels of N images.

    Attributes:
        pixels: uint8 [N, H, W, 3], memory-mapped.
        readable: bool [N], True for images that could be read. Others are gone, unreadable or replaced since
            they were labelled, and their pixels are black.
        regions: the part of each image that its pixels show.
    """

    pixels: npt.NDArray[np.uint8]
    readable: npt.NDArray[np.bool_]
    regions: list[Region]


def read(images: Sequence[LabelledImage], store: ImageStore, spec: ModelSpec, folder: Path) -> Read:
    """Read and decode images into the model's input size.

    Args:
        images: N labelled images.
        store: the store that holds the image files.
        spec: the model's input format.
        folder: where the file of pixels is written.
    """
    shape = (len(images), spec.height, spec.width, 3)
    regions = [WHOLE] * len(images)
    pixels: npt.NDArray[np.uint8] = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, shape)

    def load(position: int) -> bool:
        image = images[position]
        try:
            data = read_labelled(store, image)
            pixels[position], regions[position] = frame(data, spec.height, spec.width, spec.resize)
        except BadImage as error:
            _log.warning("%s is left out of training: %s", image.key, error)
            return False
        return True

    with ThreadPoolExecutor(_READERS) as threads:
        readable = np.fromiter(threads.map(load, range(len(images))), bool, len(images))
    return Read(pixels, readable, regions)
