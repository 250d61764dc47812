"""Images of several handwritten digits, whose boxes are known: for demos, benchmarks and tests of task types.

Digits of scikit-learn's set are pasted at random places and sizes on a textured background. An image has
0 to MOST digits, and crowded images are rare. The classes' frequencies fall by a constant factor: the first
class is 13 times as frequent as the last.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from octospoon.cli.datasets import digits

if TYPE_CHECKING:
    import numpy.typing as npt

CLASSES = digits.CLASSES
WIDTH, HEIGHT = 256, 192
MOST = 6
"""Digits in an image at most."""
LEAST_SIDE, LARGEST_SIDE = 24, 80
"""Pixels of a digit's side before its margin is cut off."""
FREQUENCIES = 0.75 ** np.arange(len(CLASSES)) / np.sum(0.75 ** np.arange(len(CLASSES)))
"""Probability of each class for each digit that is placed, float64 [10]."""
_COUNTS = np.array([0.08, 0.2, 0.24, 0.2, 0.14, 0.09, 0.05])
"""Probability of each number of digits, 0 to MOST."""
_LEAST_INK = 0.25
"""Ink, as a share of its maximum, from which a pixel belongs to the box."""
_MOST_OVERLAP = 0.05
"""Largest share of the smaller of two boxes that may be covered by the other."""
_ATTEMPTS = 30
_CONTRAST = (50.0, 110.0)
"""Grey levels between ink and the mean of the background."""


@dataclass(frozen=True, slots=True)
class Mosaic:
    """An image and the digits in it.

    Attributes:
        pixels: uint8 [HEIGHT, WIDTH, 3].
        boxes: float64 [M, 4], 0 <= M <= MOST: x1, y1, x2, y2 as shares of the image's sides.
        classes: int64 [M], positions in CLASSES.
    """

    pixels: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]

    @property
    def present(self) -> tuple[str, ...]:
        """The names of the classes that are in the image, in the order of CLASSES."""
        return tuple(CLASSES[position] for position in np.unique(self.classes))

    @property
    def named_boxes(self) -> tuple[tuple[str, float, float, float, float], ...]:
        """Class name, x1, y1, x2 and y2 of each digit."""
        return tuple(
            (CLASSES[position], x1, y1, x2, y2)
            for position, (x1, y1, x2, y2) in zip(self.classes.tolist(), self.boxes.tolist(), strict=True)
        )

    def png_bytes(self) -> bytes:
        """Return the image as a PNG file."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "PNG")
        return buffer.getvalue()


def mosaic(index: int, *, held_out: bool = False, seed: int = 0) -> Mosaic:
    """Return one image, which depends on the arguments alone.

    Args:
        index: number of the image, at least 0.
        held_out: True for digits of `digits.split().held_out`, which no other image shows; False for others.
        seed: of the whole set; equal seeds and indices give equal images.
    """
    rng = np.random.default_rng((seed, index, held_out))
    canvas = _background(rng)
    ink = _contrasting(canvas, rng)
    boxes: list[tuple[int, int, int, int]] = []
    classes: list[int] = []
    for _ in range(int(rng.choice(MOST + 1, p=_COUNTS))):
        position = int(rng.choice(len(CLASSES), p=FREQUENCIES))
        glyph = _glyph(int(rng.choice(_drawn(held_out)[position])), rng)
        place = _free_place(glyph.shape, boxes, rng)
        if place is None:  # no room is left
            continue
        x, y = place
        boxes.append((x, y, x + glyph.shape[1], y + glyph.shape[0]))
        classes.append(position)
        part = canvas[y : y + glyph.shape[0], x : x + glyph.shape[1]]
        part += glyph[:, :, np.newaxis] * (ink - part)
    scale = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], np.float64)
    return Mosaic(
        np.clip(np.round(canvas), 0, 255).astype(np.uint8),
        np.array(boxes, np.float64).reshape(-1, 4) / scale,
        np.array(classes, np.int64),
    )


@functools.cache
def _drawn(held_out: bool) -> list[npt.NDArray[np.int64]]:
    """Return the indices of the digits of each class, in one of the two parts of the set."""
    part = digits.split().held_out if held_out else digits.split().pool
    return [part[digits.labels()[part] == position] for position in range(len(CLASSES))]


def _glyph(index: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a digit's ink in [0, 1] without its margin, float64 [h, w], of a random size.

    Sizes are log-uniform, so small digits are as frequent as in photos of things at all distances.
    """
    side = round(float(np.exp(rng.uniform(np.log(LEAST_SIDE), np.log(LARGEST_SIDE)))))
    grey = Image.fromarray((digits.ink(index) * 255).astype(np.uint8))
    ink = np.asarray(grey.resize((side, side), Image.Resampling.BICUBIC), np.float64) / 255
    rows, columns = (np.flatnonzero(ink.max(axis=axis) >= _LEAST_INK) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _background(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a coloured surface of smooth spots with fine noise, float64 [HEIGHT, WIDTH, 3] in [0, 255]."""
    spots = rng.uniform(-25, 25, (6, 8, 3)) + rng.uniform(90, 165, 3)
    smooth = Image.fromarray(np.round(spots).astype(np.uint8)).resize(
        (WIDTH, HEIGHT), Image.Resampling.BICUBIC
    )
    return np.asarray(smooth, np.float64) + rng.normal(0, 10, (HEIGHT, WIDTH, 1))


def _contrasting(canvas: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the colour of an image's ink, float64 [3]: darker or lighter than its background."""
    distance = rng.choice([-1.0, 1.0]) * rng.uniform(*_CONTRAST)
    ink: npt.NDArray[np.float64] = canvas.mean(axis=(0, 1)) + distance + rng.uniform(-15, 15, 3)
    return ink.clip(0, 255)


def _free_place(
    shape: tuple[int, ...], taken: list[tuple[int, int, int, int]], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Return x and y of a place with little overlap, or None after _ATTEMPTS."""
    height, width = shape
    for _ in range(_ATTEMPTS):
        x, y = int(rng.integers(WIDTH - width + 1)), int(rng.integers(HEIGHT - height + 1))
        if all(_overlap((x, y, x + width, y + height), other) <= _MOST_OVERLAP for other in taken):
            return x, y
    return None


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Return the common area as a share of the smaller of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(0, width) * max(0, height) / min(areas)
