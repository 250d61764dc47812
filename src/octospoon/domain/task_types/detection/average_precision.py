"""Compute average precision as COCO's evaluation does, for many resamples of the images at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.task_types.detection.matching import THRESHOLDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.task_types.detection.matching import Matches

RECALLS = np.linspace(0.0, 1.0, 101)
"""The recalls at which precision is read."""
_CHUNK = 1 << 22


def average_precision(
    matches: Matches, weights: npt.NDArray[np.int64] | None = None, *, interpolated: bool = True
) -> npt.NDArray[np.float64]:
    """Return the average precision of each class, float64 [B, C, T]; NaN for a class without objects.

    It is the mean over RECALLS of the largest precision at that recall or a higher one (Lin et al. 2014,
    arXiv 1405.0312). A resample needs no new matching: an image that was drawn k times counts k times.

    Args:
        matches: of N images.
        weights: int64 [B, N], how often each image is in each of B resamples; None for the images themselves.
        interpolated: whether the largest precision at a recall or a higher one is read, as COCO does it. It
            is biased upwards. Otherwise the precision at that recall is read: for the hit k at the rank r it
            is (k - 1/2) / (r - 1/2). This is half way between k / r, which is biased upwards, and the
            unbiased (k - 1) / (r - 1) of Haldane 1945 (doi 10.1093/biomet/33.3.222), which the first hit
            does not have.
    """
    count, classes = matches.objects.shape
    drawn = np.ones((1, count), np.int64) if weights is None else weights
    result = np.full((len(drawn), classes, len(THRESHOLDS)), np.nan)
    for label in range(classes):
        of_class = matches.classes == label
        images, hits = matches.images[of_class], matches.hits[of_class]
        size = max(1, _CHUNK // max(1, len(images)))
        for start in range(0, len(drawn), size):
            part = drawn[start : start + size]
            objects = part @ matches.objects[:, label]
            there = np.flatnonzero(objects)
            copies = part[there][:, images]
            result[start + there, label] = _of_class(copies, hits, objects[there], interpolated)
    return result


def precision_at_recalls(matches: Matches) -> npt.NDArray[np.float64]:
    """Return the precision that COCO reads at each of RECALLS at an overlap of one half, float64 [C, 101].

    Its mean is AP50. NaN for a class without objects.

    Args:
        matches: of N images.
    """
    classes = matches.objects.shape[1]
    result = np.full((classes, len(RECALLS)), np.nan)
    for label in range(classes):
        objects = matches.objects[:, label].sum(keepdims=True)
        rank = np.flatnonzero(matches.hits[matches.classes == label, 0])[np.newaxis] + 1
        if objects[0]:
            right = np.arange(1, rank.shape[1] + 1)[np.newaxis]
            result[label] = _read(right, rank, _fewest(objects), interpolated=True)[0]
    return result


def _of_class(
    copies: npt.NDArray[np.int64],
    hits: npt.NDArray[np.bool_],
    objects: npt.NDArray[np.int64],
    interpolated: bool,
) -> npt.NDArray[np.float64]:
    """Return the average precision of one class in each resample, float64 [B, T].

    Args:
        copies: int64 [B, D], how often each detection is in each resample, by descending score.
        hits: bool [D, T].
        objects: int64 [B], > 0, number of objects.
        interpolated: see `average_precision`.
    """
    total = copies.cumsum(axis=1)
    fewest = _fewest(objects) if interpolated else np.maximum(_fewest(objects), 1)
    result = np.empty((len(objects), len(THRESHOLDS)))
    for at in range(len(THRESHOLDS)):
        right = copies[:, hits[:, at]].cumsum(axis=1)
        result[:, at] = _read(right, total[:, hits[:, at]], fewest, interpolated).mean(axis=1)
    return result


def _read(
    right: npt.NDArray[np.int64],
    ranks: npt.NDArray[np.int64],
    fewest: npt.NDArray[np.int64],
    interpolated: bool,
) -> npt.NDArray[np.float64]:
    """Return the precision at each of RECALLS, float64 [B, 101]; 0 at recalls that are not reached.

    Precision rises at hits only, so no other place can be the best at its recall.

    Args:
        right: int64 [B, H], the number of hits up to each hit.
        ranks: int64 [B, H], the number of detections up to each hit.
        fewest: int64 [B, 101], the number of hits that each recall needs.
        interpolated: see `average_precision`.
    """
    rows, hits = right.shape
    if not hits:
        return np.zeros(fewest.shape)
    less = 0.0 if interpolated else 0.5
    precision = np.maximum(right - less, 0) / (np.maximum(ranks - less, 0) + np.spacing(1))
    if interpolated:
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # the first place with enough hits, in one search over all rows, whose numbers lie apart
    row = np.arange(rows)[:, np.newaxis]
    apart = row * (int(max(right.max(initial=0), fewest.max(initial=0))) + 1)
    first = np.searchsorted((right + apart).ravel(), (fewest + apart).ravel()).reshape(fewest.shape)
    read = np.take_along_axis(precision, np.minimum(first - row * hits, hits - 1), axis=1)
    return np.where(fewest <= right[:, -1:], read, 0.0)


def _fewest(objects: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the fewest hits that reach each of RECALLS, int64 [B, 101], for numbers of objects [B]."""
    counts, place = np.unique(objects, return_inverse=True)
    table = [np.searchsorted(np.arange(n + 1) / n, RECALLS) for n in counts.tolist()]
    return np.array(table, np.int64).reshape(-1, len(RECALLS))[place]


def mean_over_classes(precision: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean over the classes that have objects, float64 [B, ...]; NaN without any.

    Args:
        precision: float64 [B, C, ...], NaN for classes without objects.
    """
    there = np.isfinite(precision)
    count = there.sum(axis=1)
    total = np.where(there, precision, 0.0).sum(axis=1)
    result: npt.NDArray[np.float64] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result
