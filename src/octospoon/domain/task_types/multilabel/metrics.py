"""Compute metrics of a model with one sigmoid per class, on labels that it was not trained on.

Targets are int64 [N, C], 1 for a class that is present and 0 for any other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.task_types.multilabel.predictions import THRESHOLD

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Targets = npt.NDArray[np.int64]

_TINY = 1e-15


def hits(probabilities: Floats, targets: Targets) -> npt.NDArray[np.bool_]:
    """Return whether each class is rightly predicted as present or absent, bool [N, C]."""
    result: npt.NDArray[np.bool_] = (probabilities >= THRESHOLD) == (targets == 1)
    return result


def subset_accuracy(probabilities: Floats, targets: Targets) -> float:
    """Return the share of images whose whole set of classes is right; NaN for N = 0."""
    return float(hits(probabilities, targets).all(axis=1).mean()) if len(targets) else math.nan


def f1_scores(probabilities: Floats, targets: Targets) -> npt.NDArray[np.float64]:
    """Return 2·TP / (2·TP + FP + FN) of each class, float64 [C]; NaN without occurrence or prediction."""
    predicted, present = probabilities >= THRESHOLD, targets == 1
    both = (predicted & present).sum(axis=0)
    total = predicted.sum(axis=0) + present.sum(axis=0)
    scores = np.full(len(total), np.nan)
    np.divide(2 * both, total, out=scores, where=total > 0)
    return scores


def macro_f1(probabilities: Floats, labels: Targets) -> float:
    """Return the mean of `f1_scores` over the classes that occur or are predicted; NaN for N = 0.

    It is 1 if no class occurs and none is predicted.
    """
    if not len(labels):
        return math.nan
    scores = f1_scores(probabilities, labels)
    known = np.isfinite(scores)
    return float(scores[known].mean()) if known.any() else 1.0


def micro_f1(probabilities: Floats, labels: Targets) -> float:
    """Return the F1 score of all classes' decisions together; NaN for N = 0, 1 if there is none to find."""
    if not len(labels):
        return math.nan
    predicted, present = probabilities >= THRESHOLD, labels == 1
    total = int(predicted.sum() + present.sum())
    return 2 * int((predicted & present).sum()) / total if total else 1.0


def losses(probabilities: Floats, targets: Targets) -> npt.NDArray[np.float64]:
    """Return the mean log loss of each image's classes in nats, float64 [N]."""
    wide = probabilities.astype(np.float64)
    true = np.where(targets == 1, wide, 1.0 - wide)
    result: npt.NDArray[np.float64] = -np.log(np.maximum(true, _TINY)).mean(axis=1)
    return result


def log_loss(probabilities: Floats, labels: Targets) -> float:
    """Return the mean of `losses`; NaN for N = 0."""
    return float(losses(probabilities, labels).mean()) if len(labels) else math.nan


def excess(probabilities: Floats, targets: Targets) -> npt.NDArray[np.float64]:
    """Return mean confidence minus the share of right decisions of each image, float64 [N]."""
    sure = np.maximum(probabilities, 1 - probabilities).astype(np.float64)
    result: npt.NDArray[np.float64] = sure.mean(axis=1) - hits(probabilities, targets).mean(axis=1)
    return result


def overconfidence(probabilities: Floats, labels: Targets) -> float:
    """Return the mean of `excess`; NaN for N = 0."""
    return float(excess(probabilities, labels).mean()) if len(labels) else math.nan


def calibration_error(probabilities: Floats, labels: Targets, bins: int = 10) -> float:
    """Return the expected calibration error over all decisions (Guo et al., arXiv 1706.04599); NaN for N = 0.

    Decisions are binned by the probability that the class is present, which is compared with how often it is.
    """
    shares, there = probabilities.astype(np.float64).ravel(), (labels == 1).ravel()
    if not len(shares):
        return math.nan
    index = np.minimum((shares * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(index, weights=shares - there, minlength=bins)
    return float(np.abs(gaps).sum() / len(shares))
