"""Match detections with the objects of their images, once for every threshold of COCO's evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.task_types.detection.geometry import overlaps
from octospoon.domain.task_types.detection.predictions import COORDINATES, detections

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from octospoon.domain.task_types.detection.predictions import Detections

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""The overlaps from which a detection counts as a hit: T = 10."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Which detections are hits. Detections are in the order of descending scores; equal ones keep theirs.

    Attributes:
        images: int64 [D], the position of the image.
        classes: int64 [D].
        scores: float64 [D].
        hits: bool [D, T], whether the detection is the match of an object, for each of THRESHOLDS.
        objects: int64 [N, C], the number of objects of each class in each image.
    """

    images: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    hits: npt.NDArray[np.bool_]
    objects: npt.NDArray[np.int64]


def match(predictions: npt.NDArray[np.floating], targets: npt.NDArray[np.float64]) -> Matches:
    """Match the detections of each image and class with its objects, as the evaluation of COCO does it.

    In the order of descending scores, each detection gets the free object that it overlaps most with, if the
    overlap reaches the threshold (Everingham et al. 2010, doi 10.1007/s11263-009-0275-4; Lin et al. 2014,
    arXiv 1405.0312).

    Args:
        predictions: float [N, K, 4 + C].
        targets: float64 [N, M, 5], x1, y1, x2, y2, class; the class of padding is -1.
    """
    given = detections(predictions)
    order = np.argsort(-given.scores, kind="stable")
    hits = np.zeros((len(order), len(THRESHOLDS)), np.bool_)
    classes = predictions.shape[2] - COORDINATES
    for image, label, places in _groups(given, order, classes):
        objects = targets[image][targets[image, :, 4] == label, :4]
        hits[places] = assigned(overlaps(given.boxes[order[places]], objects)) >= 0
    return Matches(
        given.images[order], given.classes[order], given.scores[order], hits, _counts(targets, classes)
    )


def _groups(
    given: Detections, order: npt.NDArray[np.int64], classes: int
) -> Iterator[tuple[int, int, npt.NDArray[np.int64]]]:
    """Yield an image, a class and the places in `order` of its detections, in the order of their scores."""
    group = given.images[order] * classes + given.classes[order]
    places = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[places], prepend=-1))
    for part in np.split(places, starts[1:]) if len(places) else ():
        yield *divmod(int(group[part[0]]), classes), part


def assigned(overlap: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the object that each detection of an image and class gets, int64 [D, T]; -1 for none.

    Args:
        overlap: float64 [D, G], of the detections in the order of descending scores, with the objects.
    """
    taken = np.full((len(overlap), len(THRESHOLDS)), -1)
    free = np.ones((len(THRESHOLDS), overlap.shape[1]), np.bool_)
    for row, shares in enumerate(overlap if overlap.shape[1] else ()):
        allowed = np.where(free & (shares >= THRESHOLDS[:, np.newaxis]), shares, -1.0)
        # of equal overlaps, COCO's evaluation takes the last
        best = allowed.shape[1] - 1 - allowed[:, ::-1].argmax(axis=1)
        matched = np.take_along_axis(allowed, best[:, np.newaxis], axis=1)[:, 0] >= 0
        taken[row, matched] = best[matched]
        free[np.flatnonzero(matched), best[matched]] = False
    return taken


def _counts(targets: npt.NDArray[np.float64], classes: int) -> npt.NDArray[np.int64]:
    """Return the number of objects of each class in each image, int64 [N, C]."""
    images, rows = np.nonzero(targets[..., 4] >= 0)
    pairs = images * classes + targets[images, rows, 4].astype(np.int64)
    return np.bincount(pairs, minlength=len(targets) * classes).reshape(len(targets), classes)
