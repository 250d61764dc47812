"""Fit a calibrated multinomial logistic head on frozen embeddings."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from octospoon.domain.errors import BadRequest
from octospoon.training.head import logistic
from octospoon.training.head.span import Span

if TYPE_CHECKING:
    import numpy.typing as npt

INVERSE_REGULARISATION = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
FOLDS = 5
HELD_OUT = 1000
"""Number of held-out rows that is enough; with more labels, fewer folds are held out."""
_TEMPERATURES = (0.05, 100.0)


@dataclass(frozen=True, slots=True)
class Head:
    """A linear layer before a softmax, and how it was fitted.

    Attributes:
        weights: float32 [D, C].
        bias: float32 [C].
        inverse_regularisation: the value chosen by cross-validation; 0 if nothing was fitted.
        temperature: the divisor of the logits; already folded into the weights.
        out_of_fold: float64 [N, C], calibrated probabilities of each training row from a head that was not
            trained on it; NaN in rows that were not held out.
    """

    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    inverse_regularisation: float
    temperature: float
    out_of_fold: npt.NDArray[np.float64]

    def logits(self, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return logits float64 [N, C] for embeddings float [N, D]."""
        result: npt.NDArray[np.float64] = embeddings.astype(np.float64) @ self.weights + self.bias
        return result


def fit_head(
    embeddings: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    classes: int,
    *,
    seed: int = 0,
    balanced: bool = False,
    unseen: npt.NDArray[np.bool_] | None = None,
    like: Head | None = None,
) -> Head:
    """Fit a head with all `classes`; those without a label get tiny, finite probabilities.

    Embeddings are centred and divided by one number, the root of their mean squared distance from the mean.
    This map and the temperature are folded into the weights. Regularisation and temperature minimise the
    out-of-fold log loss. Equal arguments give an equal head.

    Args:
        embeddings: float [N, D], N >= 1.
        labels: int [N], each in [0, classes).
        classes: C >= 2.
        seed: fixes the folds.
        balanced: weight classes by the inverse of their frequency.
        unseen: bool [N], the rows that the backbone was not trained on. Only these choose regularisation and
            temperature. None for a backbone that was trained on no row.
        like: a head to take regularisation and temperature from, and to start at. Then nothing is held out.

    Raises:
        BadRequest: there is no label to train on.
    """
    if not len(labels):
        raise BadRequest("no label to train on: label images outside the audit share first")
    seen, compact = np.unique(labels, return_inverse=True)
    if len(seen) < 2:
        return _constant(embeddings.shape[1], labels, classes)
    # threads cost more than they gain on such small matrices, and their number would change the last bits
    with threadpool_limits(1, "blas"):
        span = Span.of(embeddings.astype(np.float64))
        if like is not None and like.inverse_regularisation:
            return _fit_like(span, seen, compact, like, balanced=balanced)
        return _fit(span, seen, compact, classes, _held(compact, seed, unseen), balanced=balanced)


class _Held(NamedTuple):
    """The rows that are held out.

    Attributes:
        folds: int [N], the fold of each row.
        wanted: number of folds to hold out, one after another, from fold 0.
        total: number of labels for smoothing the temperature; None for the number of held-out rows.
    """

    folds: npt.NDArray[np.int64]
    wanted: int
    total: int | None


def _held(labels: npt.NDArray[np.int64], seed: int, unseen: npt.NDArray[np.bool_] | None) -> _Held:
    """Return the folds for int [N] labels; with `unseen`, bool [N], one fold of the unseen rows."""
    if unseen is None:
        return _Held(fold_of(labels, seed), min(FOLDS, -(-HELD_OUT * FOLDS // len(labels))), None)
    # Smooth the temperature as for a head with all N labels out of fold. The few unseen rows alone would
    # make the head far too uncertain.
    return _Held(np.where(unseen, 0, 1), 1, len(labels))


def _fit(
    span: Span,
    seen: npt.NDArray[np.int64],
    compact: npt.NDArray[np.int64],
    classes: int,
    held: _Held,
    *,
    balanced: bool,
) -> Head:
    """Choose regularisation and temperature out of fold, then fit all rows; see `fit_head`.

    Args:
        span: of the N embeddings.
        seen: int64 [B], ascending, the classes with labels.
        compact: int64 [N], the labels as positions in `seen`.
        classes: C.
        held: which rows are held out.
        balanced: see `fit_head`.
    """
    held_out = _out_of_fold(span.points, compact, held, balanced=balanced)
    calibrated = {c: temperature(logits, compact, held.total) for c, logits in held_out.items()}
    best = min(INVERSE_REGULARISATION, key=lambda c: calibrated[c][1])
    divisor = calibrated[best][0]
    model = logistic.fit(span.points, compact, len(seen), best, balanced=balanced)
    probabilities = np.zeros((len(compact), classes))
    probabilities[:, seen] = np.exp(log_softmax(held_out[best] / divisor, axis=1))
    return Head(*span.layer(model, seen, classes, divisor), best, divisor, probabilities)


def _fit_like(
    span: Span,
    seen: npt.NDArray[np.int64],
    compact: npt.NDArray[np.int64],
    like: Head,
    *,
    balanced: bool,
) -> Head:
    """Fit all rows with the regularisation and temperature of another head; see `_fit` for the arguments."""
    classes = like.weights.shape[1]
    best, divisor = like.inverse_regularisation, like.temperature
    start = span.within(like.weights[:, seen], like.bias[seen], divisor)
    model = logistic.fit(span.points, compact, len(seen), best, balanced=balanced, start=start)
    nothing = np.full((len(compact), classes), np.nan)
    return Head(*span.layer(model, seen, classes, divisor), best, divisor, nothing)


def _constant(dim: int, labels: npt.NDArray[np.int64], classes: int) -> Head:
    """Return a head that predicts class frequencies, with one count added to each class (Laplace)."""
    bias = np.log(np.bincount(labels, minlength=classes) + 1.0) - np.log(len(labels) + classes)
    nothing = np.full((len(labels), classes), np.nan)
    return Head(np.zeros((dim, classes), np.float32), bias.astype(np.float32), 0.0, 1.0, nothing)


def fold_of(labels: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each row, int [N] in [0, FOLDS), with every class spread evenly over the folds."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), np.int64)
    folds[order] = np.arange(len(labels)) % FOLDS
    return folds


def _out_of_fold(
    points: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    held: _Held,
    *,
    balanced: bool,
) -> dict[float, npt.NDArray[np.float64]]:
    """Return out-of-fold logits for each strength of regularisation.

    Rows in folds that are not held out stay NaN. Within a fold, each fit starts from the solution of the one
    before, which saves iterations. With many labels the strengths are split into two such sequences, so that
    two cores have work.

    Args:
        points: float64 [N, R].
        labels: int64 [N].
        held: which rows are held out.
        balanced: see `fit_head`.

    Returns:
        float64 [N, C] by inverse regularisation.
    """
    classes = int(labels.max()) + 1
    held_out = {inverse: np.full((len(labels), classes), np.nan) for inverse in INVERSE_REGULARISATION}
    middle = len(INVERSE_REGULARISATION) // 2 if len(labels) > HELD_OUT else len(INVERSE_REGULARISATION)

    def path(task: tuple[int, tuple[float, ...]]) -> None:
        fold, strengths = task
        out = held.folds == fold
        if not out.any() or len(np.unique(labels[~out])) < 2:
            return
        model = None
        for inverse in strengths:
            model = logistic.fit(points[~out], labels[~out], classes, inverse, balanced=balanced, start=model)
            held_out[inverse][out] = model.logits(points[out])

    parts = [part for part in (INVERSE_REGULARISATION[:middle], INVERSE_REGULARISATION[middle:]) if part]
    with ThreadPoolExecutor(len(parts)) as threads:
        list(threads.map(path, itertools.product(range(held.wanted), parts)))
    return held_out


def temperature(
    logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], count: int | None = None
) -> tuple[float, float]:
    """Return the temperature that minimises the log loss (Guo et al., arXiv 1706.04599), and that loss.

    Targets are smoothed as Platt (1999) did for two classes: (N + 1) / (N + C) for the true class and
    1 / (N + C) for each other. Otherwise held-out rows that are all right would give infinite confidence.

    Args:
        logits: float64 [M, C]; rows with NaN are ignored.
        labels: int [M].
        count: N, if it differs from the number of these rows.
    """
    known = np.isfinite(logits).all(axis=1)
    if not known.any():
        return 1.0, 0.0
    values, truth = logits[known], labels[known]
    n, classes = count or len(truth), values.shape[1]

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(values / np.exp(log_temperature), axis=1)
        true = scaled[np.arange(len(truth)), truth].mean()
        return float(-(n * true + scaled.sum(axis=1).mean()) / (n + classes))

    low, high = np.log(_TEMPERATURES)
    minimum = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return float(np.exp(minimum.x)), float(minimum.fun)
