"""Fit a head with one calibrated sigmoid per class on frozen embeddings.

This is ridge regression on the classes as numbers, 1 for present and 0 for absent. Its predictions for each
row from all other rows have a closed form, so no fold is fitted again (Allen 1974, Technometrics 16). A
scale for all classes and an offset for each turn them into logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from octospoon.domain.activation import activated
from octospoon.domain.errors import BadRequest
from octospoon.domain.model_spec import SIGMOID
from octospoon.training.head.fit import Head

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

STRENGTHS = 10.0 ** np.arange(-3.0, 2.5, 0.5)
"""Strengths of the regularisation, for rows of squared length 1 on average."""
TYPICAL_SCALE = 6.0
"""The scale of predictions from which few labels deviate little."""
_OFFSET_PRIOR = 0.1
"""Precision of the normal prior of an offset; that of the logarithm of the scale is 1."""
_LEAST_SLACK = 1e-9


def fit_sigmoid_head(embeddings: npt.NDArray[np.floating], targets: npt.NDArray[np.int64]) -> Head:
    """Fit a head; the strength of the regularisation minimises the log loss of rows that are left out.

    Equal arguments give an equal head.

    Args:
        embeddings: float [N, D], N >= 1.
        targets: int [N, C], 1 for a class that is present.

    Raises:
        BadRequest: there is no label to train on, or an embedding is not finite.
    """
    if not len(targets):
        raise BadRequest("no label to train on: label images outside the audit share first")
    broken = int(np.sum(~np.isfinite(embeddings).all(axis=1)))
    if broken:
        raise BadRequest(f"{broken} of {len(targets)} embeddings are not finite: score these images again")
    # threads cost more than they gain on such small matrices, and their number would change the last bits
    with threadpool_limits(1, "blas"):
        return _fit(embeddings.astype(np.float64), targets.astype(np.float64))


def _fit(embeddings: Floats, targets: Floats) -> Head:
    mean, average = embeddings.mean(axis=0), targets.mean(axis=0)
    centred = embeddings - mean
    unit = float(np.sqrt(np.einsum("nd,nd->", centred, centred) / len(centred))) or 1.0
    rows, residual = centred / unit, targets - average
    values, vectors = np.linalg.eigh(rows @ rows.T)
    values, turned = np.maximum(values, 0.0), vectors.T @ residual
    smoothed = _smoothed(targets)
    best: tuple[float, float, _Calibration, Floats] | None = None
    for strength in STRENGTHS.tolist():
        kept = values / (values + strength)
        slack = np.maximum(1.0 - (vectors * vectors) @ kept - 1.0 / len(rows), _LEAST_SLACK)
        fitted = vectors @ (kept[:, np.newaxis] * turned) + average
        left_out = targets - (targets - fitted) / slack[:, np.newaxis]
        calibration = _calibrated(left_out, smoothed)
        if best is None or calibration.loss < best[0]:
            best = calibration.loss, strength, calibration, left_out
    if best is None:
        raise BadRequest("no strength of the regularisation to choose from")
    _, strength, calibration, left_out = best
    slope = rows.T @ (vectors @ (turned / (values + strength)[:, np.newaxis])) / unit
    weights = slope * calibration.scale
    bias = (average - mean @ slope) * calibration.scale + calibration.offsets
    held_out = activated(left_out * calibration.scale + calibration.offsets, SIGMOID)
    return Head(
        weights.astype(np.float32),
        bias.astype(np.float32),
        1.0 / strength,
        1.0 / calibration.scale,
        held_out.astype(np.float64),
    )


def _smoothed(targets: Floats) -> Floats:
    """Return the targets of Platt (1999), float64 [N, C]: held-out rows give no infinite confidence."""
    present = targets.sum(axis=0)
    absent = len(targets) - present
    result: Floats = np.where(targets == 1, (present + 1) / (present + 2), 1 / (absent + 2))
    return result


class _Calibration(NamedTuple):
    """The scale of all logits, their offsets float64 [C], and the loss with its priors."""

    scale: float
    offsets: Floats
    loss: float


def _calibrated(predictions: Floats, targets: Floats) -> _Calibration:
    """Return what minimises the mean log loss of float64 [N, C] predictions, summed over the classes."""
    count, middle = len(targets), float(np.log(TYPICAL_SCALE))

    def loss(values: Floats) -> tuple[float, Floats]:
        scale, offsets = np.exp(values[0]), values[1:]
        logits = predictions * scale + offsets
        residual = (activated(logits, SIGMOID) - targets) / count
        away = values[0] - middle
        penalty = (away**2 + _OFFSET_PRIOR * float(offsets @ offsets)) / (2 * count)
        gradient = np.concatenate(
            [
                [float(np.vdot(residual, predictions)) * scale + away / count],
                residual.sum(axis=0) + _OFFSET_PRIOR * offsets / count,
            ]
        )
        return float((np.logaddexp(0, logits) - targets * logits).sum() / count) + penalty, gradient

    first = np.concatenate([[middle], np.zeros(predictions.shape[1])])
    limits = [(np.log(0.05), np.log(500.0)), *[(None, None)] * predictions.shape[1]]
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=limits)
    return _Calibration(float(np.exp(found.x[0])), found.x[1:], float(found.fun))
