"""How predictions of the ridge regression become probabilities: one softmax, or one sigmoid per class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from octospoon.domain.evaluation.activation import activated
from octospoon.domain.model_spec import SIGMOID, SOFTMAX
from octospoon.domain.task_types.multilabel.evaluation import MultilabelEvaluator
from octospoon.training.head import calibration

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


class Link(Protocol):
    """Turns predictions of targets, 1 for a class that is present and 0 for any other, into probabilities."""

    def strata(self, labels: Integers) -> Integers:
        """Return a number of each row, int64 [N]; samples get the same share of every number.

        Args:
            labels: int64 [N] for a softmax, int64 [N, C] for sigmoids.
        """

    def smoothed(self, targets: Floats, weights: Floats, count: int) -> Floats:
        """Return what rows shall predict; the sum over the last axis is the row's weight.

        Args:
            targets: float64 [M, C] of 0 and 1.
            weights: float64 [M].
            count: N, the number of labels of the whole fit, of which these rows are a fair sample.
        """

    def scales(self, predictions: Floats, smoothed: Floats, count: int) -> tuple[Floats, Floats]:
        """Return the scale of each model without offsets, float64 [K], and its loss, float64 [K].

        Args:
            predictions: float64 [K, M, C].
            smoothed: from `smoothed`.
            count: N.
        """

    def scale_and_offsets(
        self, predictions: Floats, smoothed: Floats, count: int, start: float
    ) -> tuple[float, Floats]:
        """Return the factor from predictions to logits, and what is added then, float64 [C].

        Args:
            predictions: float64 [M, C].
            smoothed: from `smoothed`.
            count: N.
            start: from `scales`.
        """

    def probabilities(self, logits: Floats) -> Floats:
        """Return probabilities float64 [M, C]."""

    def settled(self, bias: Floats) -> Floats:
        """Return the bias float64 [C] in the form that is stored."""


class Softmax:
    """Implements `Link` for one class per image."""

    def strata(self, labels: Integers) -> Integers:
        """Return the class."""
        return labels

    def smoothed(self, targets: Floats, weights: Floats, count: int) -> Floats:
        """Return float64 [M, C]; see `calibration.smoothed`."""
        labels, classes = targets.argmax(axis=1), targets.shape[1]
        return calibration.smoothed(labels, classes, count) * weights[:, np.newaxis]

    def scales(self, predictions: Floats, smoothed: Floats, count: int) -> tuple[Floats, Floats]:
        """Return scales and losses; see `calibration.scales`."""
        return calibration.scales(predictions, smoothed, count)

    def scale_and_offsets(
        self, predictions: Floats, smoothed: Floats, count: int, start: float
    ) -> tuple[float, Floats]:
        """Return scale and offsets; see `calibration.scale_and_offsets`."""
        return calibration.scale_and_offsets(predictions, smoothed, count, start)

    def probabilities(self, logits: Floats) -> Floats:
        """Return probabilities that sum to one."""
        shares: Floats = np.exp(log_softmax(logits, axis=1))
        return shares

    def settled(self, bias: Floats) -> Floats:
        """Return the bias about its mean, because only differences matter."""
        about: Floats = bias - bias.mean()
        return about


class Sigmoids:
    """Implements `Link` for several classes per image.

    Each class is a problem of two outcomes, present and absent, with the targets t and 1 - t. The ridge
    regression of 1 - t is 1 minus that of t. So all classes together are a softmax over two outcomes with
    M·C rows, and `calibration.scales` serves them too. The scale is common; each class has its own offset.
    """

    strata = staticmethod(MultilabelEvaluator().strata)

    def smoothed(self, targets: Floats, weights: Floats, count: int) -> Floats:
        """Return float64 [M, C, 2] for present and absent.

        The true outcome has (n + 1) / (n + 2) for the n of N labels with this outcome (Platt 1999).
        """
        shares = targets.mean(axis=0) * count
        sure = np.where(targets == 1, (shares + 1) / (shares + 2), 1 / (count - shares + 2))
        return np.stack([sure, 1 - sure], axis=2) * weights[:, np.newaxis, np.newaxis]

    def scales(self, predictions: Floats, smoothed: Floats, count: int) -> tuple[Floats, Floats]:
        """Return scales and losses of the two outcomes; the loss is the mean over rows and classes."""
        outcomes = np.stack([predictions, 1 - predictions], axis=3)
        return calibration.scales(outcomes.reshape(len(predictions), -1, 2), smoothed.reshape(-1, 2), count)

    def scale_and_offsets(
        self, predictions: Floats, smoothed: Floats, count: int, start: float
    ) -> tuple[float, Floats]:
        """Return what minimises the mean log loss over rows and classes, with the priors of `calibration`.

        The logit of a class is scale · (2 · prediction - 1) + its offset.
        """
        classes, total = predictions.shape[1], smoothed.sum()
        present, weights = smoothed[:, :, 0], smoothed.sum(axis=2)
        signed, middle = 2 * predictions - 1, np.log(calibration.TYPICAL_SCALE)
        # an offset has M of the M·C decisions, and its prior counts as PRIOR of N of them
        precision = calibration.PRIOR / count * np.array([1.0, *[1.0 / classes] * classes])

        def loss(values: Floats) -> tuple[float, Floats]:
            scale, offsets = np.exp(values[0]), values[1:]
            logits = scale * signed + offsets
            residual = (activated(logits, SIGMOID) * weights - present) / total
            away = np.concatenate([[values[0] - middle], offsets])
            gradient = np.concatenate([[np.vdot(residual, signed) * scale], residual.sum(axis=0)])
            penalty = float(precision @ away**2) / 2
            losses = weights * np.logaddexp(0.0, logits) - present * logits
            return float(losses.sum() / total) + penalty, gradient + precision * away

        first = np.concatenate([[np.log(start)], np.zeros(classes)])
        limits = [tuple(np.log(calibration.SCALES))] + [(None, None)] * classes
        best = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=limits).x
        scale = float(np.exp(best[0]))
        return 2 * scale, best[1:] - scale

    def probabilities(self, logits: Floats) -> Floats:
        """Return a probability of each class."""
        return activated(logits, SIGMOID).astype(np.float64)

    def settled(self, bias: Floats) -> Floats:
        """Return the bias, because each class stands alone."""
        return bias


LINKS: Mapping[str, Link] = {SOFTMAX: Softmax(), SIGMOID: Sigmoids()}
"""The link of each activation."""
