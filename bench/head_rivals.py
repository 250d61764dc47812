"""Other linear heads for few labels, to compare with the product's: each gives weights and a bias.

All of them choose their one setting, and a temperature, by the log loss of the same five folds. Those that
need unlabelled images get the embeddings of the pool.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading

from octospoon.training.head.calibration import temperature
from octospoon.training.head.fit import FOLDS, UNSEEN_LOGIT, Head, fit_head, fold_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Labels = npt.NDArray[np.int64]

STRENGTHS = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
SHRINKAGES = (0.98, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02)
WHITENING = 0.5
SURE = 0.95
UNLABELLED = 1500


class Task(NamedTuple):
    """Embeddings float [N, D], labels int [N], C, parts, and embeddings of unlabelled images float [M, D]."""

    points: npt.NDArray[np.floating]
    labels: Labels
    classes: int
    parts: tuple[int, ...]
    pool: npt.NDArray[np.floating]


class Line(NamedTuple):
    """Weights float [D, C] and bias float [C]."""

    weights: npt.NDArray[np.floating]
    bias: npt.NDArray[np.floating]


def product(task: Task) -> Line:
    """Fit the product's head."""
    head = _fitted(task)
    return Line(head.weights, head.bias)


def without_parts(task: Task) -> Line:
    """Fit the product's head as if the embedding had one part."""
    return product(task._replace(parts=()))


def logistic(task: Task) -> Line:
    """Fit multinomial logistic regression, the product's head until version 0.3."""
    return _cross_validated(task, STRENGTHS, _logistic)


def discriminant(task: Task) -> Line:
    """Fit linear discriminant analysis with a covariance shrunk towards a multiple of the identity."""
    return _cross_validated(task, SHRINKAGES, _discriminant)


def prototypes(task: Task) -> Line:
    """Fit the nearest class mean."""
    return _cross_validated(task, (1.0,), _discriminant)


def whitened(task: Task) -> Line:
    """Fit the product's head on embeddings whitened by the shrunk covariance of the pool."""
    centred = task.pool - task.pool.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    lengths = np.sqrt((1 - WHITENING) * np.maximum(values, 0) + WHITENING * values.mean())
    matrix = (vectors / lengths) @ vectors.T
    line = without_parts(task._replace(points=task.points @ matrix))
    return Line(matrix @ line.weights, line.bias)


def self_trained(task: Task) -> Line:
    """Fit the product's head once more with its sure guesses, if the true labels say that this helps."""
    first = _fitted(task)
    sure = softmax(first.logits(task.pool), axis=1)
    chosen = np.flatnonzero(sure.max(axis=1) > SURE)[:UNLABELLED]
    return _guarded(task, first, chosen, sure[chosen].argmax(axis=1))


def propagated(task: Task) -> Line:
    """Fit the product's head once more with labels spread along nearest neighbours, guarded likewise."""
    first = _fitted(task)
    pool = task.pool[:UNLABELLED]
    points = np.concatenate([task.points, pool])
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    known = np.concatenate([task.labels, np.full(len(pool), -1)])
    if len(np.unique(task.labels)) < 2:
        return Line(first.weights, first.bias)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spread = LabelSpreading(kernel="knn", n_neighbors=10, alpha=0.5, max_iter=50).fit(points, known)
    shares = np.nan_to_num(spread.label_distributions_[len(task.labels) :])
    chosen = np.flatnonzero(shares.max(axis=1) > np.median(shares.max(axis=1)))
    return _guarded(task, first, chosen, spread.classes_[shares[chosen].argmax(axis=1)])


def stacked(task: Task) -> Line:
    """Average the logits of the product's head and of logistic regression."""
    lines = product(task), logistic(task)
    seen = np.unique(task.labels)
    bias = np.full(task.classes, UNSEEN_LOGIT)
    bias[seen] = sum(line.bias[seen] - line.bias[seen].mean() for line in lines) / 2
    return Line((lines[0].weights + lines[1].weights) / 2, bias)


RIVALS: dict[str, Callable[[Task], Line]] = {
    "logistic": logistic,
    "ridge": product,
    "ridge-one-part": without_parts,
    "discriminant": discriminant,
    "prototypes": prototypes,
    "ridge-whitened": whitened,
    "self-training": self_trained,
    "propagation": propagated,
    "stack": stacked,
}


def _fitted(task: Task) -> Head:
    return fit_head(task.points, task.labels, task.classes, parts=task.parts)


def _guarded(task: Task, first: Head, chosen: Labels, guesses: Labels) -> Line:
    """Return the head of true and guessed labels, or the first if the true labels do not prefer the other."""
    real = np.arange(len(task.labels) + len(chosen)) < len(task.labels)
    if len(chosen) and first.strength:
        more = fit_head(
            np.concatenate([task.points, task.pool[chosen]]),
            np.concatenate([task.labels, guesses]),
            task.classes,
            parts=task.parts,
            unseen=real,
        )
        if _loss(more.out_of_fold[real], task.labels) < _loss(first.out_of_fold, task.labels):
            return Line(more.weights, more.bias)
    return Line(first.weights, first.bias)


def _loss(probabilities: Floats, labels: Labels) -> float:
    known = np.isfinite(probabilities).all(axis=1)
    return float(-np.log(np.maximum(probabilities[known, labels[known]], 1e-9)).mean())


def _cross_validated(
    task: Task,
    settings: Sequence[float],
    path: Callable[[Floats, Labels, int, Sequence[float]], dict[float, Line]],
) -> Line:
    """Choose the setting and a temperature by five folds, and fit all rows, in coordinates of their span."""
    seen, labels = np.unique(task.labels, return_inverse=True)
    if len(seen) < 2:
        return without_parts(task)
    mean = task.points.mean(axis=0, dtype=np.float64)
    centred = task.points - mean
    scale = float(np.sqrt((centred**2).sum() / len(centred))) or 1.0
    _, lengths, basis = np.linalg.svd(centred / scale, full_matrices=False)
    basis = basis[lengths > 1e-9 * max(lengths[0], 1e-300)]
    points = centred @ basis.T / scale
    folds = fold_of(labels, 0)
    held_out = {setting: np.full((len(labels), len(seen)), np.nan) for setting in settings}
    for fold in range(FOLDS):
        out = folds == fold
        if out.any() and len(np.unique(labels[~out])) > 1:
            for setting, line in path(points[~out], labels[~out], len(seen), settings).items():
                held_out[setting][out] = points[out] @ line.weights + line.bias
    calibrated = {setting: temperature(logits, labels) for setting, logits in held_out.items()}
    best = min(settings, key=lambda setting: calibrated[setting][1])
    line = path(points, labels, len(seen), (best,))[best]
    weights, bias = np.zeros((len(mean), task.classes)), np.full(task.classes, UNSEEN_LOGIT)
    weights[:, seen] = basis.T @ line.weights / (scale * calibrated[best][0])
    bias[seen] = line.bias / calibrated[best][0] - mean @ weights[:, seen]
    return Line(weights, bias)


def _logistic(points: Floats, labels: Labels, classes: int, settings: Sequence[float]) -> dict[float, Line]:
    model, lines = LogisticRegression(warm_start=True, max_iter=500, tol=1e-4), {}
    for setting in settings:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(C=setting).fit(points, labels)
        weights, bias = np.zeros((points.shape[1], classes)), np.zeros(classes)
        if len(model.classes_) == 2:
            # scikit-learn has one slope for two classes
            signs = np.array([-0.5, 0.5])
            weights[:, model.classes_], bias[model.classes_] = model.coef_.T * signs, model.intercept_ * signs
        else:
            weights[:, model.classes_], bias[model.classes_] = model.coef_.T, model.intercept_
        lines[setting] = Line(weights, bias)
    return lines


def _discriminant(
    points: Floats, labels: Labels, classes: int, settings: Sequence[float]
) -> dict[float, Line]:
    counts = np.bincount(labels, minlength=classes)
    means = np.eye(classes)[labels].T @ points / np.maximum(counts, 1)[:, np.newaxis]
    within = points - means[labels]
    values, vectors = np.linalg.eigh(within.T @ within / len(points))
    average = max(float(values.mean()), 1e-12)
    priors = np.log((counts + 1.0) / (len(labels) + classes))
    lines = {}
    for setting in settings:
        inverse = (vectors / ((1 - setting) * np.maximum(values, 0) + setting * average)) @ vectors.T
        weights = inverse @ means.T * setting
        bias = -0.5 * np.einsum("cr,rc->c", means, weights) + setting * priors
        lines[setting] = Line(weights, bias)
    return lines


def accuracy_and_calibration(line: Line, points: npt.NDArray[np.floating], labels: Labels) -> list[float]:
    """Return accuracy, balanced accuracy, log loss and expected calibration error on held-out images."""
    logs = log_softmax(points.astype(np.float64) @ line.weights + line.bias, axis=1)
    probabilities = np.exp(logs) * (1 - 1e-4) + 1e-4 / logs.shape[1]
    right = probabilities.argmax(axis=1) == labels
    recalls = [right[labels == name].mean() for name in np.unique(labels)]
    loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
    sure = probabilities.max(axis=1)
    bins = np.minimum((sure * 10).astype(int), 9)
    gaps = [abs((right[bins == b] - sure[bins == b]).sum()) for b in range(10)]
    return [float(right.mean()), float(np.mean(recalls)), float(loss), float(np.sum(gaps) / len(labels))]
