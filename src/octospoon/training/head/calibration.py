"""Turn held-out predictions into calibrated probabilities: a scale, and an offset for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

TYPICAL_SCALE = 5.0
"""The scale of ridge predictions that is expected without labels; with 50 to 500 labels it is 2 to 8."""
PRIOR = 2.0
"""Precision of the normal priors: of the scale's logarithm about TYPICAL_SCALE, of each offset about 0."""
SCALES = (0.05, 500.0)
"""The least and the largest scale."""
_STEPS = 8
_TEMPERATURES = (0.05, 100.0)


def smoothed(labels: npt.NDArray[np.int64], classes: int, count: int) -> Floats:
    """Return float64 [M, C]: (N + 1) / (N + C) for the true class and 1 / (N + C) for each other.

    Platt (1999) did so for two classes. Otherwise held-out rows that are all right would give infinite
    confidence.

    Args:
        labels: int [M] in [0, classes).
        classes: C.
        count: N, the number of labels of the whole fit.
    """
    targets = np.full((len(labels), classes), 1.0 / (count + classes))
    targets[np.arange(len(labels)), labels] = (count + 1.0) / (count + classes)
    return targets


def scales(predictions: Floats, targets: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the scale of each of K models that minimises its log loss, and that loss.

    The loss is the mean over the rows. The prior counts as much as PRIOR of N labels.

    Args:
        predictions: float64 [K, M, C].
        targets: float64 [M, C]; a row's sum is its weight.
        count: N.

    Returns:
        Scales float64 [K] and losses float64 [K].
    """
    middle = np.log(TYPICAL_SCALE)
    logs = np.full(len(predictions), middle)
    centred = predictions - predictions.mean(axis=2, keepdims=True)
    weights, total = targets.sum(axis=1), targets.sum()
    right = np.einsum("mc,kmc->k", targets, centred)
    for step in range(_STEPS + 1):
        scale = np.exp(logs)
        logits = centred * scale[:, np.newaxis, np.newaxis]
        top = logits.max(axis=2, keepdims=True)
        shares = np.exp(logits - top)
        sums = shares.sum(axis=2)
        if step == _STEPS:
            break
        shares /= sums[:, :, np.newaxis]
        mean = np.einsum("kmc,kmc->km", shares, centred)
        spread = np.einsum("kmc,kmc,kmc->km", shares, centred, centred) - mean**2
        # Newton's method in the logarithm of the scale; the loss is convex in the scale, so half of the
        # curvature in the scale is a safe lower limit
        first = (mean @ weights - right) / total * scale
        second = (spread @ weights) / total * scale**2
        slope = first + PRIOR * (logs - middle) / count
        curvature = np.maximum(second + first, second / 2) + PRIOR / count
        logs = np.clip(logs - np.clip(slope / curvature, -1.0, 1.0), *np.log(SCALES))
    losses = ((np.log(sums) + top[:, :, 0]) @ weights - scale * right) / total
    return scale, losses + PRIOR * (logs - middle) ** 2 / (2 * count)


def scale_and_offsets(predictions: Floats, targets: Floats, count: int, start: float) -> tuple[float, Floats]:
    """Return the scale and the offsets of the logits, float64 [C], that minimise the log loss.

    The offsets correct how often each class is predicted (bias-corrected temperature scaling, Alexandari et
    al. 2020, arXiv 1901.06852).

    Args:
        predictions: float64 [M, C].
        targets: float64 [M, C]; a row's sum is its weight.
        count: N.
        start: the scale without offsets.
    """
    weights, total = targets.sum(axis=1, keepdims=True), targets.sum()
    middle = np.log(TYPICAL_SCALE)

    def loss(values: Floats) -> tuple[float, Floats]:
        scale, offsets = np.exp(values[0]), values[1:]
        logs = log_softmax(scale * predictions + offsets, axis=1)
        residual = (np.exp(logs) * weights - targets) / total
        away = np.concatenate([[values[0] - middle], offsets])
        gradient = np.concatenate([[np.vdot(residual, predictions) * scale], residual.sum(axis=0)])
        penalty = PRIOR * float(away @ away) / (2 * count)
        return float(-np.vdot(targets, logs) / total) + penalty, gradient + PRIOR * away / count

    first = np.concatenate([[np.log(start)], np.zeros(predictions.shape[1])])
    limits = [tuple(np.log(SCALES))] + [(None, None)] * predictions.shape[1]
    best = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=limits).x
    return float(np.exp(best[0])), best[1:]


def temperature(
    logits: Floats, labels: npt.NDArray[np.int64], count: int | None = None
) -> tuple[float, float]:
    """Return the temperature that minimises the log loss (Guo et al., arXiv 1706.04599), and that loss.

    Targets are `smoothed`.

    Args:
        logits: float64 [M, C]; rows with NaN are ignored.
        labels: int [M].
        count: N, if it differs from the number of these rows.
    """
    known = np.isfinite(logits).all(axis=1)
    if not known.any():
        return 1.0, 0.0
    values = logits[known]
    targets = smoothed(labels[known], values.shape[1], count or len(values))

    def loss(log_temperature: float) -> float:
        logs = log_softmax(values / np.exp(log_temperature), axis=1)
        return float(-np.vdot(targets, logs) / len(values))

    low, high = np.log(_TEMPERATURES)
    minimum = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return float(np.exp(minimum.x)), float(minimum.fun)
