"""scikit-learn's handwritten digits as PNG files: 1,797 real images for the demo and the tests.

The test set of Alpaydin and Kaynak's "Optical Recognition of Handwritten Digits" (UCI, CC BY 4.0).
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

if TYPE_CHECKING:
    import numpy.typing as npt

CLASSES = tuple(str(digit) for digit in range(10))
SIZE = 64
SPLIT_SEED = 0


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the pool and of the held-out third, both int64 and ascending."""

    pool: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]


@functools.cache
def _data() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    images, labels = load_digits(return_X_y=True)
    return images.reshape(-1, 8, 8), labels


def labels() -> npt.NDArray[np.int64]:
    """Return the class of every image, int64 [1797], positions in CLASSES."""
    return _data()[1]


def ink(index: int) -> npt.NDArray[np.float64]:
    """Return the ink of an image, float64 [8, 8] in [0, 1]; 0 is the background."""
    grey: npt.NDArray[np.float64] = _data()[0][index]
    return grey / 16


def png_bytes(index: int) -> bytes:
    """Return an image as an 8-bit grey PNG of SIZE×SIZE pixels, enlarged so that people can read it."""
    grey = np.round(_data()[0][index] * (255 / 16)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def split() -> Split:
    """Return the fixed split: a third held out, stratified by class, seed SPLIT_SEED."""
    every = np.arange(len(labels()))
    pool, held_out = train_test_split(every, test_size=1 / 3, stratify=labels(), random_state=SPLIT_SEED)
    return Split(np.sort(pool), np.sort(held_out))
