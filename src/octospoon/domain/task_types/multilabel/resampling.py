"""Macro F1 of many resamples of the same images at once, for bootstraps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.task_types.multilabel.predictions import THRESHOLD

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


def drawn(images: int, resamples: int) -> Floats:
    """Return how often each image is in each resample of the bootstrap, float64 [B, N].

    The resamples have a fixed seed, so that equal arguments give equal intervals.
    """
    rng = np.random.default_rng(0)
    return rng.multinomial(images, np.full(images, 1.0 / images), resamples).astype(np.float64)


def macro_f1s(
    probabilities: npt.NDArray[np.floating], targets: npt.NDArray[np.int64], weights: Floats
) -> Floats:
    """Return `metrics.macro_f1` of each resample, float64 [B].

    Args:
        probabilities: float [N, C].
        targets: int [N, C], 1 for a class that is present.
        weights: float64 [B, N], how often each image counts.
    """
    predicted, present = probabilities >= THRESHOLD, targets == 1
    both = weights @ (predicted & present)
    total = weights @ (predicted.astype(np.float64) + present)
    scores = np.zeros_like(total)
    np.divide(2 * both, total, out=scores, where=total > 0)
    known = (total > 0).sum(axis=1)
    means: Floats = np.where(known > 0, scores.sum(axis=1) / np.maximum(known, 1), 1.0)
    return means
