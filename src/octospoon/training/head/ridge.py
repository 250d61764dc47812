"""Ridge regression on targets of 0 and 1, with exact predictions for each row from all other rows.

The squared loss fits every row to the same target, so with few labels each of them counts. Logistic
regression leaves the easy rows aside. All strengths of regularisation come from one decomposition, and no
fold is fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_LEAST_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Problem:
    """Weighted rows and their targets.

    The model of an embedding x is `average` + (x - `mean`) / `unit` · slope. It minimises the sum over rows
    of weight · squared error, plus strength · the squared slope. The average is that of the targets, because
    the rows are centred.

    Attributes:
        rows: float64 [N, D], root of the weight · (x - mean) / unit.
        roots: float64 [N], root of each row's weight; the weights have mean 1.
        targets: float64 [N, C], 1 for a class that is present and 0 for any other.
        mean: float64 [D], the weighted mean of the embeddings.
        unit: float64 [D], for each number of the embedding the root of its part's mean squared distance from
            the mean. So each part has squared length 1 on average.
        average: float64 [C], the weighted mean of the targets.
    """

    rows: Floats
    roots: Floats
    targets: Floats
    mean: Floats
    unit: Floats
    average: Floats

    @classmethod
    def of(cls, embeddings: Floats, targets: Floats, parts: Sequence[int], weights: Floats) -> Problem:
        """Return the problem of some embeddings.

        Args:
            embeddings: float64 [N, D].
            targets: float64 [N, C], 1 for a class that is present and 0 for any other.
            parts: lengths of the embedding's parts, which add up to D.
            weights: float64 [N], positive, of each row, to any scale.
        """
        weights = weights / weights.mean()
        mean = weights @ embeddings / len(weights)
        rows = np.sqrt(weights)[:, np.newaxis] * (embeddings - mean)
        lengths = np.array([float(np.vdot(part, part)) for part in _split(rows, parts)]) / len(rows)
        unit = np.repeat(np.sqrt(np.where(lengths > 0, lengths, 1.0)), parts)
        return cls(rows / unit, np.sqrt(weights), targets, mean, unit, weights @ targets / len(weights))

    def kernels(self, parts: Sequence[int]) -> list[Floats]:
        """Return the matrix of inner products, float64 [N, N], of each part."""
        return [part @ part.T for part in _split(self.rows, parts)]

    def left_out(self, kernel: Floats, strengths: Floats) -> Floats:
        """Return for each strength and row the prediction of a model that was fitted on all other rows.

        This is the closed form of ridge regression, y - (y - f) / (1 - h) with fitted values f and leverages
        h (Allen 1974, Technometrics 16). It holds with row weights and with the average in the model.

        Args:
            kernel: float64 [N, N], a weighted sum of `kernels`.
            strengths: float64 [K].

        Returns:
            float64 [K, N, C].
        """
        values, vectors = np.linalg.eigh(kernel)
        kept = np.maximum(values, 0.0)
        kept = kept / (kept + strengths[:, np.newaxis])
        fitted = vectors @ (kept[:, :, np.newaxis] * (vectors.T @ self._residual))
        return self._without_own(fitted, kept @ (vectors * vectors).T, np.arange(len(self.rows)))

    def solve(self, factors: Floats, strength: float, judged: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return the slope, and predictions for some rows from models that were fitted without the row.

        Args:
            factors: float64 [D], of each number of the embedding.
            strength: of the regularisation, positive.
            judged: int64 [M], positions of these rows.

        Returns:
            The slope of embeddings, float64 [D, C], and the predictions, float64 [M, C].
        """
        rows = self.rows * factors
        near = rows[judged]
        if len(rows) > rows.shape[1]:
            inverse = cho_factor(rows.T @ rows + strength * np.eye(rows.shape[1]))
            slope = cho_solve(inverse, rows.T @ self._residual)
            leverage = np.einsum("nd,dn->n", near, cho_solve(inverse, near.T))
        else:
            kernel = rows @ rows.T
            inverse = cho_factor(kernel + strength * np.eye(len(rows)))
            slope = rows.T @ cho_solve(inverse, self._residual)
            across = kernel[:, judged]
            leverage = cho_solve(inverse, across)[judged, np.arange(len(judged))]
        left_out = self._without_own((near @ slope)[np.newaxis], leverage[np.newaxis], judged)[0]
        return slope * (factors / self.unit)[:, np.newaxis], left_out

    @property
    def _residual(self) -> Floats:
        """The targets about their average, weighted as the rows are, float64 [N, C]."""
        return self.roots[:, np.newaxis] * (self.targets - self.average)

    def _without_own(self, fitted: Floats, leverage: Floats, judged: npt.NDArray[np.int64]) -> Floats:
        """Return predictions for rows without the influence of their own targets, float64 [K, M, C].

        Args:
            fitted: float64 [K, M, C], weighted fitted values about the average.
            leverage: float64 [K, M], without that of the average.
            judged: int64 [M], positions of the rows.
        """
        roots, truth = self.roots[judged], self.targets[judged]
        values = fitted / roots[:, np.newaxis] + self.average
        slack = 1.0 - leverage - roots**2 / len(self.rows)
        return truth - (truth - values) / np.maximum(slack, _LEAST_SLACK)[:, :, np.newaxis]


def _split(rows: Floats, parts: Sequence[int]) -> list[Floats]:
    return np.split(rows, np.cumsum(parts)[:-1], axis=1)
