"""One hostile or odd file, and the required result."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

Colour = tuple[int, int, int]
Quadrants = tuple[Colour, Colour, Colour, Colour]

COLOURS: Quadrants = ((220, 30, 40), (30, 200, 60), (40, 60, 230), (240, 230, 90))
"""Of the sample: top left, top right, bottom left, bottom right."""
WHITE: Colour = (255, 255, 255)
SIZE = (64, 48)


@dataclass(frozen=True)
class Case:
    """A file that is made when it is needed.

    Attributes:
        name: the object's key.
        make: its bytes.
        reason: of its quarantine; empty where it must be scored.
        colours: in the middle of its four quadrants; None where they mean nothing.
        tolerance: by which each colour channel may differ.
        megabytes: by which the process may grow.
        seconds: of CPU that it may take.
    """

    name: str
    make: Callable[[], bytes]
    reason: str = ""
    colours: Quadrants | None = COLOURS
    tolerance: int = 12
    megabytes: int = 20
    seconds: float = 0.5


def sample(mode: str = "RGB", size: tuple[int, int] = SIZE, colours: Quadrants = COLOURS) -> Image.Image:
    """Four quadrants of different colour: no generation or flip leaves them as they are."""
    width, height = size
    pixels = np.empty((height, width, 3), np.uint8)
    for i, colour in enumerate(colours):
        top, left = i // 2 * (height // 2), i % 2 * (width // 2)
        pixels[top : top + (height + 1) // 2, left : left + (width + 1) // 2] = colour
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey(colours: Quadrants = COLOURS) -> Quadrants:
    """Return colours converted to greyscale (ITU-R 601-2, as in Pillow)."""
    levels = [round((299 * r + 587 * g + 114 * b) / 1000) for r, g, b in colours]
    return tuple((level,) * 3 for level in levels)  # type: ignore[return-value]


def flat(*colour: int) -> Quadrants:
    """Return four quadrants of one colour."""
    return ((colour * 3)[:3],) * 4  # type: ignore[return-value]


def cut(data: bytes, at: float) -> bytes:
    """Return the first part of a file: a share of it if `at` is below 1, else that many bytes."""
    return data[: int(at * len(data)) if at < 1 else int(at)]


TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How the sample lies in a file that carries an EXIF orientation."""


def lying(orientation: int) -> Image.Image:
    generation = TURNED[orientation]
    return sample() if generation is None else sample().transpose(generation)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags
