"""Images of red and blue rectangles, which a small detector learns in seconds."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from octospoon.domain.task_types.detection.label import Box, Boxes

CLASSES = ("blue", "red")
COLOURS = {"blue": (30, 60, 220), "red": (220, 40, 30)}


def drawn(rng: np.random.Generator, size: tuple[int, int]) -> tuple[bytes, str]:
    """Return an image of up to three rectangles, and its label."""
    width, height = size
    pixels = rng.integers(90, 150, (height, width, 3), np.uint8)
    boxes: list[Box] = []
    for _ in range(rng.integers(0, 4)):
        name = CLASSES[rng.integers(2)]
        w, h = (int(rng.integers(side // 5, side // 3)) for side in size)
        x, y = int(rng.integers(width - w)), int(rng.integers(height - h))
        shares = (x / width, y / height, (x + w) / width, (y + h) / height)
        if all(shares[2] < b.x1 or shares[0] > b.x2 or shares[3] < b.y1 or shares[1] > b.y2 for b in boxes):
            pixels[y : y + h, x : x + w] = COLOURS[name]
            boxes.append(Box(name, *shares))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue(), Boxes().write(tuple(boxes))
