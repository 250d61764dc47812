"""The predictions of a detector: its detections, its uncertainty, and the boxes that annotators see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.domain.pool.images import Uncertainty
from octospoon.domain.task_types.detection.label import DECIMALS, Box, Boxes
from octospoon.domain.task_types.task_type import Predicted
from octospoon.domain.uncertainty import normalised_entropy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

COORDINATES = 4
"""The columns of a prediction before the scores of the classes: x1, y1, x2, y2."""
DOUBTFUL = 0.05
"""Detections below this score do not count: they are background to the model."""
THRESHOLD = 0.3
"""A box is predicted at this score or above.

It is below one half, because annotators delete a false box faster than they draw a missed one.
"""


@dataclass(frozen=True, slots=True)
class Detections:
    """The detections of N images: every used row of the predictions, as its most probable class.

    Attributes:
        images: int64 [D], ascending, the position of the image.
        boxes: float64 [D, 4], x1, y1, x2, y2.
        classes: int64 [D].
        scores: float64 [D], > 0.
    """

    images: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]


def detections(predictions: npt.NDArray[np.floating], at_least: float = 0.0) -> Detections:
    """Return the detections of images. An object has one class, as in labels: the one with the largest score.

    Args:
        predictions: float [N, K, 4 + C], C >= 1.
        at_least: the smallest score; rows with a score of 0 are unused.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    if predictions.ndim != 3 or predictions.shape[2] <= COORDINATES:
        raise ValueError(f"predictions must be [N, K, 4 + C] with C >= 1, not {predictions.shape}")
    if not (finite := np.isfinite(predictions).all(axis=(1, 2))).all():
        raise ValueError(
            f"row {int(np.flatnonzero(~finite)[0])} of the predictions is not finite: score that image again "
            "with a sound model, or leave its row out"
        )
    best = predictions[..., COORDINATES:].argmax(axis=2)
    scores = np.take_along_axis(predictions[..., COORDINATES:], best[..., np.newaxis], axis=2)[..., 0]
    images, rows = np.nonzero((scores > 0) & (scores >= at_least))
    return Detections(
        images.astype(np.int64),
        predictions[images, rows, :COORDINATES].astype(np.float64),
        best[images, rows].astype(np.int64),
        scores[images, rows].astype(np.float64),
    )


class Doubt(NamedTuple):
    """The entropies of an image's detections in bits, put together in three ways.

    Attributes:
        total: float64 [N], their sum; a crowded image has a larger one.
        mean: float64 [N]; 0 without a detection.
        largest: float64 [N]; 0 without a detection.
    """

    total: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    largest: npt.NDArray[np.float64]


def doubt(predictions: npt.NDArray[np.floating]) -> Doubt:
    """Return how unsure a model is whether the detections of each image are objects of their classes.

    The sum is the uncertainty of PPAL (Yang, Huang and Crowley 2024, arXiv 2211.11612, section 3.2), without
    its weights of classes: the binary entropy of every detection at `DOUBTFUL` or above.

    Args:
        predictions: float [N, K, 4 + C].

    Raises:
        ValueError: see `detections`.
    """
    given, count = detections(predictions, DOUBTFUL), len(predictions)
    sure = np.clip(given.scores, 0.0, 1.0)
    doubts = normalised_entropy(np.column_stack([sure, 1.0 - sure]))
    total = np.bincount(given.images, doubts, count).astype(np.float64)
    largest = np.zeros(count)
    np.maximum.at(largest, given.images, doubts)
    return Doubt(total, total / np.maximum(np.bincount(given.images, minlength=count), 1), largest)


def outcomes(predictions: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return what strategies compare, float64 [N, 2]: that a prediction stands, and that it does not.

    The second is u / 2 for u = s / (1 + s), with the sum s of `doubt`. It is below one half and keeps the
    order of the sums. It is a score in the form of a probability.

    Args:
        predictions: float [N, K, 4 + C].
    """
    total = doubt(predictions).total
    fails = 0.5 * total / (1.0 + total)
    return np.column_stack([1.0 - fails, fails])


def uncertainties(predictions: npt.NDArray[np.floating]) -> list[Uncertainty]:
    """Return every uncertainty score of each image; all three have the order of the sum of `doubt`.

    `top_class` and `confidence` are those of the detection with the largest score; class 0 with confidence 0
    stands for no detection.

    Args:
        predictions: float [N, K, 4 + C].

    Raises:
        ValueError: see `detections`.
    """
    pairs = outcomes(predictions)
    entropy = normalised_entropy(pairs).tolist()
    scores = predictions[..., COORDINATES:].max(axis=1, initial=0.0)
    top = scores.argmax(axis=1).tolist()
    return [
        Uncertainty(
            least_confidence=1.0 - stands,
            margin=1.0 - (stands - fails),
            entropy=entropy[i],
            top_class=top[i],
            confidence=float(scores[i, top[i]]),
        )
        for i, (stands, fails) in enumerate(pairs.tolist())
    ]


def confidence(predictions: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the probability that every detection is rightly shown or left out, float64 [N].

    Detections count as independent, and as shown from one half.

    Args:
        predictions: float [N, K, 4 + C].
    """
    given = detections(predictions, DOUBTFUL)
    result = np.ones(len(predictions))
    sure = np.clip(given.scores, 0.0, 1.0)
    np.multiply.at(result, given.images, np.maximum(sure, 1.0 - sure))
    return result


def counts(predictions: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return how many boxes of each class `predicted` gives, int64 [N, C].

    Args:
        predictions: float [N, K, 4 + C].

    Raises:
        ValueError: see `detections`.
    """
    given = _predicted(predictions)
    result = np.zeros((len(predictions), predictions.shape[2] - COORDINATES), np.int64)
    np.add.at(result, (given.images, given.classes), 1)
    return result


def _predicted(predictions: npt.NDArray[np.floating]) -> Detections:
    """Return the detections that people see, with rounded coordinates within the image."""
    given = detections(predictions, THRESHOLD)
    shares = given.boxes.clip(0, 1).round(DECIMALS) + 0.0  # turns -0.0 into 0.0
    whole = (shares[:, :2] < shares[:, 2:]).all(axis=1)
    return Detections(given.images[whole], shares[whole], given.classes[whole], given.scores[whole])


def predicted(predictions: npt.NDArray[np.floating], classes: Sequence[str]) -> list[Predicted]:
    """Return the boxes at `THRESHOLD` or above, and the confidence in all of them; see `confidence`.

    Boxes are cut off at the edges of the image. Those without an area are left out.

    Args:
        predictions: float [N, K, 4 + C].
        classes: C class names.
    """
    given = _predicted(predictions)
    shown: list[list[tuple[Box, float]]] = [[] for _ in predictions]
    columns = (column.tolist() for column in (given.images, given.boxes, given.classes, given.scores))
    for image, shares, label, score in zip(*columns, strict=True):
        shown[image].append((Box(classes[label], *shares), score))
    form, sure = Boxes(), confidence(predictions).tolist()
    return [
        Predicted(
            form.write(tuple(box for box, _ in sorted(drawn))),
            sure[i],
            tuple(score for _, score in sorted(drawn)),
        )
        for i, drawn in enumerate(shown)
    ]
