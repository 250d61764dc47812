"""The statistics of a detector's predictions that drift compares: how sure it is of what, and of how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.task_types.detection.predictions import COORDINATES, DOUBTFUL, THRESHOLD, detections

if TYPE_CHECKING:
    import numpy.typing as npt

_WHOLE = 2
"""Columns after those of the classes: the number of boxes, and their mean score."""


def of_predictions(predictions: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the statistics of each image, float32 [N, C + 2].

    The first C are the largest score of each class, 0 without a box of it. They stand for the class
    probabilities of a classifier: the image shows the class if one of its boxes does. Then come the number of
    shown boxes, and the mean score of all detections at `DOUBTFUL` or above, 0 without one. Maximum, sum and
    mean over the detections are how Brust et al. (2018, arXiv 1809.09875) sum up an image.

    Scores are rounded to float16, as rows of the pool hold them. Otherwise stored predictions would differ
    from computed ones, most of all near 1.

    Args:
        predictions: float [N, K, 4 + C].

    Raises:
        ValueError: see `detections`.
    """
    images, classes = len(predictions), predictions.shape[2] - COORDINATES
    given = detections(predictions, DOUBTFUL)
    scores = given.scores.astype(np.float16).astype(np.float64)
    result = np.zeros((images, classes + _WHOLE))
    np.maximum.at(result, (given.images, given.classes), scores)
    shown = given.images[scores >= THRESHOLD]
    result[:, classes] = np.bincount(shown, minlength=images)
    count = np.bincount(given.images, minlength=images)
    result[:, classes + 1] = np.bincount(given.images, scores, images) / np.maximum(count, 1)
    return result.astype(np.float32)


def shown_classes(statistics: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Return the classes of which a box is shown, bool [N, C], from float [N, C + 2]."""
    result: npt.NDArray[np.bool_] = statistics[:, :-_WHOLE] >= THRESHOLD
    return result
