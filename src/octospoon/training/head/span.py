"""Embeddings in coordinates of their span, in which a head is fitted, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.training.head import logistic

if TYPE_CHECKING:
    import numpy.typing as npt

UNSEEN_LOGIT = -12.0
"""The logit of a class without labels. Its probability is tiny, and its log loss finite."""


class Span(NamedTuple):
    """Centred and scaled embeddings in coordinates of their span.

    Attributes:
        points: float64 [N, R].
        basis: float64 [R, D], orthonormal rows.
        mean: float64 [D], the mean embedding.
        scale: root of the mean squared distance from the mean.
    """

    points: npt.NDArray[np.float64]
    basis: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    scale: float

    @classmethod
    def of(cls, embeddings: npt.NDArray[np.float64]) -> Span:
        """Return the scaled points in coordinates of their span.

        A ridge-regularised solution lies in the span of the rows, so nothing is lost. With fewer labels than
        dimensions, the fit is many times faster.

        Args:
            embeddings: float64 [N, D].
        """
        mean = embeddings.mean(axis=0)
        centred = embeddings - mean
        scale = float(np.sqrt(np.einsum("nd,nd->", centred, centred) / len(centred))) or 1.0
        _, lengths, basis = np.linalg.svd(centred / scale, full_matrices=False)
        basis = basis[lengths > 1e-9 * max(lengths[0], 1e-300)]
        return cls(centred @ basis.T / scale, basis, mean, scale)

    def layer(
        self, model: logistic.Linear, seen: npt.NDArray[np.int64], classes: int, divisor: float
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return weights float32 [D, C] and bias float32 [C] for embeddings.

        Args:
            model: the map of the points to logits of the seen classes.
            seen: int64 [B], ascending, the classes with labels.
            classes: C.
            divisor: the temperature.
        """
        weights, bias = np.zeros((len(self.mean), classes)), np.full(classes, UNSEEN_LOGIT)
        weights[:, seen] = self.basis.T @ model.slope / (self.scale * divisor)
        bias[seen] = model.offset / divisor - self.mean @ weights[:, seen]
        return weights.astype(np.float32), bias.astype(np.float32)

    def within(
        self, weights: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], divisor: float
    ) -> logistic.Linear:
        """Return the map of the points that comes closest to a layer; the inverse of `layer`.

        Args:
            weights: float32 [D, B], of the seen classes.
            bias: float32 [B].
            divisor: the temperature.
        """
        slope = divisor * weights.astype(np.float64)
        return logistic.Linear(self.scale * (self.basis @ slope), divisor * bias + self.mean @ slope)
