"""Generate images with about as much detail as a photograph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

DIFFERENT = 4


def generate(folder: Path, picture: str) -> Path:
    """Write images, given as ``WIDTHxHEIGHT.FORMAT``, into a new folder and return the folder."""
    size, kind = picture.split(".")
    width, height = (int(side) for side in size.split("x"))
    target = folder / picture
    target.mkdir()
    for seed in range(DIFFERENT):
        generator = np.random.default_rng(seed)
        coarse = Image.fromarray(generator.integers(0, 256, (height // 60, width // 60, 3), np.uint8))
        grain = Image.fromarray(generator.integers(0, 256, (height // 3, width // 3, 3), np.uint8))
        image = Image.blend(
            coarse.resize((width, height), Image.Resampling.BICUBIC),
            grain.resize((width, height), Image.Resampling.BICUBIC),
            0.12,
        )
        image.save(target / f"{seed}.{kind}", quality=90)
    return target
