"""Fit the served head on every label, and one head per fold that has not seen the fold's audit labels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from octospoon.domain.evaluation.training_record import EVERY_HEAD, TrainingRecord
from octospoon.domain.model_spec import SOFTMAX
from octospoon.training.head.fit import Head, fit_head

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.training.data.dataset import Dataset

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class CrossFit:
    """The heads of one dataset of N images.

    Attributes:
        served: the head that is fitted on every label.
        record: the images, and the fold heads.
        held_out: float64 [N, C], probabilities of each image from a head that was not trained on it; NaN in
            rows without them.
    """

    served: Head
    record: TrainingRecord
    held_out: npt.NDArray[np.float64]


def cross_fit(
    dataset: Dataset,
    classes: int,
    activation: str = SOFTMAX,
    *,
    parts: tuple[int, ...] = (),
    balanced: bool = False,
) -> CrossFit:
    """Fit the served head and the fold heads, each by its own labels alone.

    Args:
        dataset: the labelled images, with their folds.
        classes: C >= 2.
        activation: see `fit_head`.
        parts: see `fit_head`.
        balanced: see `fit_head`.

    Raises:
        BadRequest: there is no label to train on.
    """
    folds, shape = dataset.fold_numbers(), (dataset.embeddings.shape[1], classes)
    numbers = np.unique(folds[folds != EVERY_HEAD]).tolist()

    def fitted(fold: int | None) -> Head:
        rows = np.full(len(dataset), fill_value=True) if fold is None else folds != fold
        if fold is not None and not rows.any():
            return _ignorant(*shape, activation)
        points, labels = dataset.embeddings[rows], dataset.labels[rows]
        return fit_head(points, labels, classes, activation=activation, parts=parts, balanced=balanced)

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(_AT_ONCE) as threads:
        served, *heads = threads.map(fitted, (None, *numbers))
    held_out = served.out_of_fold
    layers = {fold: (head.weights, head.bias) for fold, head in zip(numbers, heads, strict=True)}
    record = TrainingRecord.of(dataset.numbers(), folds, layers, shape, dataset.tuned, activation)
    for fold in numbers:
        held_out[folds == fold] = record.run(fold, dataset.embeddings[folds == fold])
    return CrossFit(served, record, held_out)


def _ignorant(dim: int, classes: int, activation: str) -> Head:
    """Return the head of a fold that has all labels: it predicts every class alike."""
    weights, bias = np.zeros((dim, classes), np.float32), np.zeros(classes, np.float32)
    return Head(weights, bias, 0.0, (1.0,), 1.0, np.empty((0, classes)), activation)
