"""How much boxes overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def overlaps(boxes: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the intersection over union (Jaccard 1901) of every pair of boxes, float64 [D, G] in [0, 1].

    It is computed from corner, width and height, as the evaluation of COCO does it. So both agree at an
    overlap that equals a threshold. A box without an area overlaps with nothing.

    Args:
        boxes: float [D, 4], x1, y1, x2, y2.
        others: float [G, 4].
    """
    first, second = boxes.astype(np.float64)[:, np.newaxis], others.astype(np.float64)[np.newaxis]
    sizes, others_sizes = first[..., 2:] - first[..., :2], second[..., 2:] - second[..., :2]
    ends = np.minimum(first[..., :2] + sizes, second[..., :2] + others_sizes)
    common = np.maximum(ends - np.maximum(first[..., :2], second[..., :2]), 0.0).prod(axis=2)
    union = sizes.prod(axis=2) + others_sizes.prod(axis=2) - common
    shares = np.zeros(common.shape)
    np.divide(common, union, out=shares, where=(common > 0) & (union > 0))
    return shares
