"""Fit a calibrated linear head on frozen embeddings."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from octospoon.domain.errors import BadRequest
from octospoon.domain.evaluation.activation import activated
from octospoon.domain.model_spec import SOFTMAX
from octospoon.training.head.links import LINKS
from octospoon.training.head.ridge import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from octospoon.training.head.links import Link

    Floats = npt.NDArray[np.float64]

STRENGTHS = 10.0 ** np.arange(-3.0, 2.0, 0.5)
"""Strengths of the regularisation, for rows of squared length 1 on average."""
USUAL_STRENGTH, STRENGTH_PRIOR = 0.2, 0.3
"""The strength that is preferred, and the precision of its logarithm's prior: it decides with few labels."""
RATIOS = (4.0, 16.0)
"""How much more the squared distances in one part of the embedding may count than those in another."""
RATIO_PRIOR = 0.5
"""Precision of the prior of a ratio's logarithm, which prefers equal parts."""
ENOUGH = 600
"""Number of rows that choose strength and parts and that calibrate; of more labels, a sample is taken."""
FOLDS = 5
UNSEEN_LOGIT = -12.0
"""The logit of a class without labels. Its probability is tiny, and its log loss finite."""


@dataclass(frozen=True, slots=True)
class Head:
    """A linear layer before a softmax or sigmoids, and how it was fitted.

    Attributes:
        weights: float32 [D, C].
        bias: float32 [C].
        strength: of the regularisation; 0 if nothing was fitted.
        shares: share of each part of the embedding in the squared distances between images; they add up to 1.
        scale: factor from predicted targets to logits; already folded into the weights.
        out_of_fold: float64 [N, C], calibrated probabilities of each training row from a head that was not
            trained on it; NaN in rows that were not held out.
        activation: one of `octospoon.domain.model_spec.ACTIVATIONS`.
    """

    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    strength: float
    shares: tuple[float, ...]
    scale: float
    out_of_fold: Floats
    activation: str = SOFTMAX

    def params(self) -> dict[str, str]:
        """Return how the head was fitted, as parameters of a run."""
        return {
            "regularisation": f"{self.strength:.4g}",
            "part_shares": ", ".join(f"{share:.4g}" for share in self.shares),
            "logit_scale": f"{self.scale:.4g}",
        }

    def logits(self, embeddings: npt.NDArray[np.floating]) -> Floats:
        """Return logits float64 [N, C] for embeddings float [N, D]."""
        result: Floats = embeddings.astype(np.float64) @ self.weights + self.bias
        return result

    def probabilities(self, embeddings: npt.NDArray[np.floating]) -> Floats:
        """Return probabilities float64 [N, C] for embeddings float [N, D]."""
        return activated(self.logits(embeddings), self.activation).astype(np.float64)


def fit_head(
    embeddings: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    classes: int,
    *,
    activation: str = SOFTMAX,
    parts: tuple[int, ...] = (),
    seed: int = 0,
    balanced: bool = False,
    unseen: npt.NDArray[np.bool_] | None = None,
) -> Head:
    """Fit a head with all `classes`; those without a label get small, finite probabilities.

    This is ridge regression on targets of 0 and 1. The strength of the regularisation, the shares of the
    parts, and the scale and offsets that make logits of predictions minimise the log loss of rows that are
    left out one at a time, with weak priors. Neither location nor scale of a part matters. Equal arguments
    give an equal head.

    Args:
        embeddings: float [N, D], N >= 1.
        labels: int [N], each in [0, classes); with sigmoids int [N, C], 1 for a class that is present.
        classes: C >= 2.
        activation: one of `octospoon.domain.model_spec.ACTIVATIONS`.
        parts: lengths of the parts of the embedding, which add up to D; empty if it has only one.
        seed: fixes the sample of more than ENOUGH labels.
        balanced: weight classes by the inverse of their frequency; with sigmoids, each row's rarest class.
        unseen: bool [N], the rows that the backbone was not trained on. Only these choose strength and shares
            and calibrate. None for a backbone that was trained on no row.

    Raises:
        BadRequest: there is no label, the parts do not add up to D, or an embedding is not finite.
    """
    _check(embeddings, labels, parts)
    if activation == SOFTMAX and len(np.unique(labels)) < 2:
        return _constant(embeddings.shape[1], labels, classes)
    # threads cost more than they gain on such small matrices, and their number would change the last bits
    with threadpool_limits(1, "blas"):
        data = _Data.of(embeddings.astype(np.float64), labels, activation, parts, balanced=balanced)
        judges = np.arange(len(labels)) if unseen is None else np.flatnonzero(unseen)
        return replace(_fit(data, classes, judges, seed), activation=activation)


class _Data(NamedTuple):
    """Rows and options of `fit_head`.

    Attributes:
        embeddings: float64 [N, D].
        targets: float64 [N, B] of 0 and 1.
        seen: int64 [B], ascending, the classes of the targets.
        strata: int64 [N], see `Link.strata`.
        parts: lengths of the parts of the embedding, at least one.
        link: of the activation.
        balanced: see `fit_head`.
    """

    embeddings: Floats
    targets: Floats
    seen: npt.NDArray[np.int64]
    strata: npt.NDArray[np.int64]
    parts: tuple[int, ...]
    link: Link
    balanced: bool

    @classmethod
    def of(
        cls,
        embeddings: Floats,
        labels: npt.NDArray[np.int64],
        activation: str,
        parts: tuple[int, ...],
        *,
        balanced: bool,
    ) -> _Data:
        """Return the rows; a softmax has targets for the classes with labels alone."""
        link = LINKS[activation]
        strata = link.strata(labels)
        if activation == SOFTMAX:
            seen, position = np.unique(labels, return_inverse=True)
            targets = np.eye(len(seen))[position]
        else:
            seen, targets = np.arange(labels.shape[1]), labels.astype(np.float64)
        return cls(embeddings, targets, seen, strata, parts or (embeddings.shape[1],), link, balanced)

    def rows(self, chosen: npt.NDArray[np.int64]) -> _Data:
        """Return the data of some rows."""
        return self._replace(
            embeddings=self.embeddings[chosen], targets=self.targets[chosen], strata=self.strata[chosen]
        )

    @property
    def weights(self) -> Floats:
        """The weight of each row, float64 [N]: 1, or N / (strata present · rows of its stratum)."""
        if not self.balanced:
            return np.ones(len(self.strata))
        _, position, count = np.unique(self.strata, return_inverse=True, return_counts=True)
        shares: Floats = len(self.strata) / (len(count) * count)
        return shares[position]

    def problem(self) -> Problem:
        """Return the regression of the targets."""
        return Problem.of(self.embeddings, self.targets, self.parts, self.weights)

    def smoothed(self, judges: npt.NDArray[np.int64], count: int) -> Floats:
        """Return what rows shall predict, times the weight of the row; see `Link.smoothed`."""
        return self.link.smoothed(self.targets[judges], self.weights[judges], count)


def _fit(data: _Data, classes: int, judges: npt.NDArray[np.int64], seed: int) -> Head:
    """Choose, fit all rows and calibrate; see `fit_head`.

    Args:
        data: of all rows.
        classes: C.
        judges: int64 [M], ascending, positions of the rows that choose and calibrate.
        seed: see `fit_head`.
    """
    count, link, seen = len(data.strata), data.link, data.seen
    judges = judges[_sample(data.strata[judges], ENOUGH, seed)]
    others = np.setdiff1d(np.arange(count), judges)
    others = others[_sample(data.strata[others], ENOUGH - len(judges), seed)]
    used = np.sort(np.concatenate([judges, others]))
    chosen = _choose(data.rows(used), np.searchsorted(used, judges), count)
    problem = data.problem()
    slope, left_out = problem.solve(np.repeat(np.sqrt(chosen.shares), data.parts), chosen.strength, judges)
    smoothed = data.smoothed(judges, count)
    scale, offsets = link.scale_and_offsets(left_out, smoothed, count, chosen.scale)
    weights, bias = np.zeros((len(slope), classes)), np.full(classes, UNSEEN_LOGIT)
    weights[:, seen] = scale * slope
    bias[seen] = link.settled(scale * (problem.average - problem.mean @ slope) + offsets)
    held_out = np.full((count, classes), np.nan)
    held_out[judges] = 0.0
    held_out[np.ix_(judges, seen)] = link.probabilities(scale * left_out + offsets)
    shares = tuple(chosen.shares.tolist())
    return Head(weights.astype(np.float32), bias.astype(np.float32), chosen.strength, shares, scale, held_out)


class _Choice(NamedTuple):
    """Strength of the regularisation, shares of the parts float64 [P], and the scale without offsets."""

    strength: float
    shares: Floats
    scale: float


def _choose(data: _Data, judges: npt.NDArray[np.int64], count: int) -> _Choice:
    """Return what minimises the log loss of the judges, each left out of the fit, plus the priors.

    Args:
        data: at most ENOUGH rows.
        judges: int64 [M], positions of the rows that judge.
        count: number of labels of the whole fit, against which the priors are weighed.
    """
    problem, smoothed = data.problem(), data.smoothed(judges, count)
    kernels = problem.kernels(data.parts)
    usual = STRENGTH_PRIOR * np.log(STRENGTHS / USUAL_STRENGTH) ** 2 / 2
    best, least = _Choice(USUAL_STRENGTH, np.ones(1), 1.0), np.inf
    for shares in _shares(len(kernels)):
        kernel = sum(share * part for share, part in zip(shares, kernels, strict=True))
        scales, losses = data.link.scales(problem.left_out(kernel, STRENGTHS)[:, judges], smoothed, count)
        equal = RATIO_PRIOR * np.log(shares.max() / shares.min()) ** 2 / 2
        losses = losses + (usual + equal) / count
        at = int(losses.argmin())
        if losses[at] < least:
            least = losses[at]
            best = _Choice(float(STRENGTHS[at]), shares, float(scales[at]))
    return best


def _shares(parts: int) -> Iterator[Floats]:
    """Yield shares of the parts, float64 [P]: equal ones, then one part ahead of the others by each ratio."""
    yield np.full(parts, 1.0 / parts)
    if parts > 1:
        for part, ratio in itertools.product(range(parts), RATIOS):
            shares = np.ones(parts)
            shares[part] = ratio
            yield shares / shares.sum()


def _check(
    embeddings: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], parts: tuple[int, ...]
) -> None:
    if not len(labels):
        raise BadRequest("no label to train on: label images outside the audit share first")
    if parts and sum(parts) != embeddings.shape[1]:
        raise BadRequest(f"the parts {parts} of the embedding do not add up to {embeddings.shape[1]}")
    broken = int(np.sum(~np.isfinite(embeddings).all(axis=1)))
    if broken:
        raise BadRequest(f"{broken} of {len(labels)} embeddings are not finite: score these images again")


def _constant(dim: int, labels: npt.NDArray[np.int64], classes: int) -> Head:
    """Return a head that predicts class frequencies, with one count added to each class (Laplace)."""
    bias = np.log(np.bincount(labels, minlength=classes) + 1.0) - np.log(len(labels) + classes)
    nothing = np.full((len(labels), classes), np.nan)
    return Head(np.zeros((dim, classes), np.float32), bias.astype(np.float32), 0.0, (1.0,), 1.0, nothing)


def fold_of(labels: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each row, int [N] in [0, FOLDS), with every class spread evenly over the folds."""
    folds = np.empty(len(labels), np.int64)
    folds[_by_class(labels, seed)] = np.arange(len(labels)) % FOLDS
    return folds


def _sample(labels: npt.NDArray[np.int64], most: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the positions of at most so many rows, ascending, in which every stratum has its share."""
    if len(labels) <= most:
        return np.arange(len(labels))
    spread = np.linspace(0, len(labels), max(most, 0), endpoint=False).astype(np.int64)
    return np.sort(_by_class(labels, seed)[spread])


def _by_class(labels: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Return the positions of the rows, class after class, shuffled within each."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return order[np.argsort(labels[order], kind="stable")]
