"""Relate what a model's input shows to the uploaded image.

A resize rule may squash an upload, crop it, or put it on grey. So a place in the input is another place in
the upload. A `Region` has all that is needed to convert one into the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class Region(NamedTuple):
    """The edges of a model's input, as shares of the uploaded image in the orientation in which it is shown.

    A letterboxed input reaches beyond the upload: its left edge is below 0 or its top edge is.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    @property
    def transposed(self) -> Region:
        """The region after the image's axes are swapped."""
        return Region(self.top, self.left, self.bottom, self.right)


WHOLE = Region()
"""The input shows the whole upload, as after the rule ``squash``."""


class Framed(NamedTuple):
    """An uploaded image in the form that a model takes.

    Attributes:
        pixels: uint8 [H, W, 3], RGB, upright.
        region: the part of the upload that they show.
    """

    pixels: npt.NDArray[np.uint8]
    region: Region = WHOLE


def letterbox(size: tuple[int, int], image: tuple[int, int]) -> tuple[int, int]:
    """Return the size that fits an image into an input without a change of its proportions.

    Args:
        size: width and height of the input.
        image: width and height of the image.

    Returns:
        Width and height, neither larger than the input's, rounded as by Ultralytics' ``LetterBox``.
    """
    scale = min(size[0] / image[0], size[1] / image[1])
    width, height = (max(1, min(most, round(side * scale))) for most, side in zip(size, image, strict=True))
    return width, height


def letterbox_offset(size: tuple[int, int], inner: tuple[int, int]) -> tuple[int, int]:
    """Return where the fitted image begins: pixels to its left and above it. An odd pixel goes to the end."""
    return (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2


def letterbox_region(size: tuple[int, int], inner: tuple[int, int]) -> Region:
    """Return the region of an input of a size that holds a fitted image; see `letterbox`."""
    (width, height), (left, top) = inner, letterbox_offset(size, inner)
    return Region(-left / width, -top / height, (size[0] - left) / width, (size[1] - top) / height)


def in_upload(boxes: npt.NDArray[np.float32], region: Region) -> npt.NDArray[np.float32]:
    """Return boxes as shares of the upload, clipped to it; a box outside of it has no area.

    Args:
        boxes: float32 [K, 4]: x1, y1, x2, y2 as shares of the input.
        region: the part of the upload that the input shows.
    """
    if region == WHOLE:
        return np.clip(boxes, 0, 1)
    left, top, right, bottom = region
    scale, start = np.array([right - left, bottom - top] * 2), np.array([left, top] * 2)
    placed: npt.NDArray[np.float32] = np.clip(boxes * scale + start, 0, 1).astype(np.float32)
    return placed


def in_input(boxes: npt.NDArray[np.float64], region: Region) -> npt.NDArray[np.float64]:
    """Return boxes as shares of the input, which may reach beyond it.

    Args:
        boxes: float64 [M, 4]: x1, y1, x2, y2 as shares of the upload.
        region: the part of the upload that the input shows.
    """
    left, top, right, bottom = region
    placed: npt.NDArray[np.float64] = (boxes - np.array([left, top] * 2)) / np.array(
        [right - left, bottom - top] * 2
    )
    return placed
