"""The pixels of labelled images, on disk: there may be more than fit into memory."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.imaging.decode import decode
from octospoon.domain.errors import BadImage
from octospoon.training.data.dataset import read_labelled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.ports.images import ImageStore

_READERS = 8
_log = logging.getLogger(__name__)


def read(
    images: Sequence[LabelledImage], store: ImageStore, spec: ModelSpec, folder: Path
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Read and decode pictures as the model sees them.

    Args:
        images: N of them.
        store: where they are.
        spec: of the model.
        folder: where the pixels are kept.

    Returns:
        uint8 [N, H, W, 3], mapped from a file, and bool [N]: which could be read. A picture that is gone,
        unreadable or no longer the one that was labelled is black.
    """
    shape = (len(images), spec.height, spec.width, 3)
    pixels: npt.NDArray[np.uint8] = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, shape)

    def load(position: int) -> bool:
        image = images[position]
        try:
            data = read_labelled(store, image)
            pixels[position] = decode(data, spec.height, spec.width, spec.resize)
        except BadImage as error:
            _log.warning("%s is not learned from: %s", image.key, error)
            return False
        return True

    with ThreadPoolExecutor(_READERS) as threads:
        readable = np.fromiter(threads.map(load, range(len(images))), bool, len(images))
    return pixels, readable
