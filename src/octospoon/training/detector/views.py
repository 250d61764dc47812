"""Make augmented versions of an image, with its boxes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.training.detector.options import DetectorOptions

LEAST_VISIBLE = 0.4
"""A box is dropped if a smaller share of its area remains inside the view."""


def augmented(
    pixels: npt.NDArray[np.uint8],
    targets: npt.NDArray[np.float64],
    options: DetectorOptions,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Mirror, scale, move and brighten an image at random, and its boxes with it.

    Args:
        pixels: uint8 [H, W, 3].
        targets: float64 [M, 5]: x1, y1, x2, y2 as shares of the image's sides, and the class.
        options: which changes, and their largest extent.
        rng: the source of randomness.

    Returns:
        The view's pixels, of the same shape, and its targets, float64 [L, 5], L <= M.
    """
    if options.flip and rng.random() < 0.5:
        pixels, targets = mirrored(pixels, targets)
    if options.scale > 1:
        most = math.log(options.scale)
        side = math.exp(rng.uniform(-most, most))
        left, top = (rng.uniform(min(0.0, 1 - side), max(0.0, 1 - side)) for _ in range(2))
        pixels, targets = seen_through(pixels, targets, left, top, side)
    if options.brightness:
        factor = 1 + options.brightness * rng.uniform(-1, 1)
        pixels = np.clip(np.round(pixels * factor), 0, 255).astype(np.uint8)
    return pixels, targets


def mirrored(
    pixels: npt.NDArray[np.uint8], targets: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Exchange left and right."""
    turned = targets.copy()
    turned[:, [0, 2]] = 1 - targets[:, [2, 0]]
    return np.ascontiguousarray(pixels[:, ::-1]), turned


def seen_through(
    pixels: npt.NDArray[np.uint8], targets: npt.NDArray[np.float64], left: float, top: float, side: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Return what a window shows, enlarged or reduced to the image's size.

    Args:
        pixels: uint8 [H, W, 3].
        targets: see `augmented`.
        left: of the window, as a share of the image's width; negative to the left of the image.
        top: likewise.
        side: of the window, as a share of the image's sides; above 1 it shows the image smaller, with the
            image's mean colour around it.
    """
    height, width = pixels.shape[:2]
    fill = tuple(int(level) for level in pixels.mean(axis=(0, 1)))
    window = (side, 0.0, left * width, 0.0, side, top * height)
    seen = Image.fromarray(pixels).transform(
        (width, height), Image.Transform.AFFINE, window, Image.Resampling.BILINEAR, fillcolor=fill
    )
    moved = targets.copy()
    moved[:, :4] = (targets[:, :4] - np.array([left, top, left, top])) / side
    return np.asarray(seen), visible(moved)


def visible(targets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return boxes cut off at the image's edges, without those of which too little is left.

    Args:
        targets: float64 [M, 5], as for `augmented`; boxes may reach beyond the image.

    Returns:
        float64 [L, 5], L <= M.
    """
    whole, cut = _areas(targets), targets.copy()
    cut[:, :4] = cut[:, :4].clip(0, 1)
    return cut[(_areas(cut) > 0) & (_areas(cut) >= LEAST_VISIBLE * whole)]


def _areas(targets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the areas of boxes, float64 [M]."""
    areas: npt.NDArray[np.float64] = (targets[:, 2:4] - targets[:, :2]).prod(axis=1)
    return areas
