"""Simulate labelling rounds on images with known labels, with the product's own selection and trainer.

No service is needed. Accuracy is always measured on held-out images, which never enter the pool.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.domain.acquisition import rare_classes
from octospoon.domain.acquisition.strategy import highest
from octospoon.domain.batch.compose import (
    CONTROL,
    BatchRules,
    candidates_wanted,
    compose,
    seeks_rare,
    strategy_for,
)
from octospoon.domain.batch.draw import Draw
from octospoon.domain.errors import BadRequest
from octospoon.domain.model_spec import SOFTMAX
from octospoon.domain.pool.images import Candidate, PoolRow, State
from octospoon.domain.pool.keys import unit_hash
from octospoon.training.data.dataset import as_stored
from octospoon.training.head.fit import Head, fit_head
from octospoon.training.head.task_types import HEAD_TASKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from octospoon.domain.acquisition import Strategy
    from octospoon.domain.labelling.tasks import Pick
    from octospoon.domain.monitoring.observations import DriftExample
    from octospoon.training.head.task_types import HeadTask


_SPLIT = 2
"""Smallest number of images that can be shared out."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Images with known labels.

    Attributes:
        embeddings: float32 [N, D], rounded to float16 as the pool stores them.
        labels: int64 [N], in [0, classes); of several classes per image int64 [N, C] of 0 and 1.
        classes: C.
        parts: lengths of the parts of the embedding; see `fit_head`.
        activation: see `fit_head`.
    """

    embeddings: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    classes: int
    parts: tuple[int, ...] = ()
    activation: str = SOFTMAX

    @property
    def task(self) -> HeadTask:
        """How heads are measured."""
        return HEAD_TASKS[self.activation]

    def strata(self) -> npt.NDArray[np.int64]:
        """Return a number of each image, int64 [N]; splits get the same share of every number.

        These are the classes, or else `Evaluator.strata`, where numbers of fewer than two images are joined.
        """
        if self.activation == SOFTMAX:
            return self.labels
        strata = self.task.evaluator.strata(self.labels)
        counts = np.bincount(strata)
        return np.where(counts[strata] < _SPLIT, int(counts.argmax()), strata)

    def naive(self, chosen: npt.NDArray[np.int64]) -> float:
        """Return the metric of equal answers for all images at these positions, int64 [M]; M >= 1."""
        return self.task.naive(self.labels[chosen], self.classes)

    def counts(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the number of labels of each class among the images at these positions, int64 [C]."""
        labels = self.labels[chosen]
        if self.activation == SOFTMAX:
            return np.bincount(labels, minlength=self.classes)
        counts: npt.NDArray[np.int64] = labels.sum(axis=0)
        return counts


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of the images that can be chosen, and of the held-out images; both int64."""

    pool: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plan:
    """The rounds of a simulation.

    Attributes:
        sizes: number of images in each round.
        rules: the other settings of each round's batch, without a control share.
    """

    sizes: tuple[int, ...]
    rules: BatchRules

    @classmethod
    def even(cls, rounds: int, rules: BatchRules) -> Plan:
        """Return a plan of so many equal rounds."""
        return cls((rules.size,) * rounds, rules)

    @classmethod
    def through(cls, stops: Sequence[int], rules: BatchRules) -> Plan:
        """Return a plan with a round that ends at exactly each of these numbers of labels.

        Args:
            stops: ascending; the last is the number of labels at the end.
            rules: their size is that of the rounds; a round before a stop may be smaller.
        """
        sizes: list[int] = []
        for before, after in itertools.pairwise((0, *stops)):
            whole, rest = divmod(after - before, rules.size)
            sizes += [rules.size] * whole + [rest] * bool(rest)
        return cls(tuple(sizes), rules)

    @property
    def labels(self) -> list[int]:
        """The number of labels after each round, audit share included."""
        return list(itertools.accumulate(self.sizes))

    @property
    def batches(self) -> list[BatchRules]:
        """The rules of each round."""
        return [replace(self.rules, size=size) for size in self.sizes]


class Score(NamedTuple):
    """Metrics of a head on held-out images.

    Attributes:
        accuracy: share of images with the right prediction, or another metric; see `Evaluator.metric`.
        balanced: mean of that share over the classes; NaN for several classes per image, because macro F1
            weighs them alike by itself.
    """

    accuracy: float
    balanced: float


def replay(data: Labelled, split: Split, plan: Plan, name: str, seed: int) -> list[Score]:
    """Return the held-out scores after each round for labels that one strategy chooses.

    `CONTROL` labels at random. The batches of a strategy include their audit share, which is drawn at random.
    Both train on every label. So strategies are compared at equal labelling cost.

    Raises:
        BadRequest: the pool is smaller than the labels that the plan asks for.
    """
    if plan.labels[-1] > len(split.pool):
        raise BadRequest(
            f"{plan.labels[-1]} labels of a pool of {len(split.pool)}: ask for fewer, or bring more images"
        )
    if name == CONTROL:
        order = np.random.default_rng(seed).permutation(split.pool)
        return [score(data, split, fit(data, order[:n])) for n in plan.labels]
    return [score(data, split, fitted) for _, fitted in rounds(data, split.pool, plan, name, seed)]


def fit(data: Labelled, chosen: npt.NDArray[np.int64]) -> Head:
    """Train the product's head on the images at these positions."""
    points, labels = data.embeddings[chosen], data.labels[chosen]
    return fit_head(points, labels, data.classes, activation=data.activation, parts=data.parts)


def score(data: Labelled, split: Split, fitted: Head) -> Score:
    """Return how good a head is on the held-out images."""
    truth = data.labels[split.held_out]
    if data.activation != SOFTMAX:
        answers = fitted.probabilities(data.embeddings[split.held_out])
        return Score(data.task.evaluator.metric(answers, truth), np.nan)
    right = fitted.logits(data.embeddings[split.held_out]).argmax(axis=1) == truth
    recalls = [right[truth == name].mean() for name in np.unique(truth)]
    return Score(float(right.mean()), float(np.mean(recalls)))


def rounds(
    data: Labelled,
    pool: npt.NDArray[np.int64],
    plan: Plan,
    name: str,
    seed: int,
    imported: npt.NDArray[np.int64] | None = None,
) -> Iterator[tuple[npt.NDArray[np.int64], Head]]:
    """Yield after each round the positions of the training images, in order, and the head fitted on them.

    Args:
        data: the images.
        pool: int64, positions that can be chosen.
        plan: the rounds.
        name: name of the strategy.
        seed: fixes every random choice.
        imported: int64, positions in the pool whose labels were imported before the first round.
    """
    train = np.empty(0, np.int64) if imported is None else imported
    left = np.setdiff1d(pool, train)
    fitted = fit(data, train) if len(train) else None
    for number, rules in enumerate(plan.batches):
        counts = data.counts(train)
        picks = Table(data, left, fitted).batch(rules, name, f"{seed}/{number}", labels=counts)
        chosen = np.array([int(pick.key) for pick in picks], np.int64)
        train, left = np.concatenate([train, chosen]), np.setdiff1d(left, chosen)
        fitted = fit(data, train)
        yield train, fitted


class Table:
    """Images as rows of the pool table. The key of an image is its position, with zeros in front.

    Args:
        data: the images.
        left: int64, positions of the rows.
        fitted: the head that scored them; None before the first.
    """

    def __init__(self, data: Labelled, left: npt.NDArray[np.int64], fitted: Head | None) -> None:
        self._keys = [f"{position:08d}" for position in left.tolist()]
        self._task_type = data.task.task_type
        self._guesses = None if fitted is None else fitted.probabilities(data.embeddings[left])
        stored = None if self._guesses is None else as_stored(self._guesses)
        self.rows = {
            key: PoolRow(
                key, "", State.SCORED, 1, "", data.embeddings[left[i]], None if stored is None else stored[i]
            )
            for i, key in enumerate(self._keys)
        }

    def batch(
        self,
        rules: BatchRules,
        name: str,
        seed: str,
        promising: Sequence[DriftExample] = (),
        labels: npt.NDArray[np.int64] | None = None,
    ) -> tuple[Pick, ...]:
        """Choose a batch.

        Args:
            rules: of the batch.
            name: name of the strategy.
            seed: fixes every random choice.
            promising: images for the share of added classes.
            labels: int64 [C], the number of training labels of each class; None if it is unknown.
        """
        chosen = strategy_for(name, has_head=self._guesses is not None)
        looked_at = self._uniform(rare_classes.LOOKED_AT, f"{seed}/rare")
        rare = labels is not None and seeks_rare(rules, chosen, self._shares(looked_at))
        candidates = self._candidates(chosen, rules.size, seed)
        if rare:
            candidates = list({image.key: image for image in (*looked_at, *candidates)}.values())
        return compose(
            rules=rules,
            drawn=Draw(self._uniform(rules.audit, f"{seed}/audit"), len(self._keys)),
            candidates=candidates,
            rows=self.rows,
            chosen=chosen,
            task_type=self._task_type,
            seed=seed,
            promising=promising,
            labels=labels if rare else None,
        )

    def _shares(self, images: Sequence[Candidate]) -> npt.NDArray[np.float64]:
        """Return the share of each class among these images, as the head predicts it; empty without one."""
        rows = [self.rows[image.key].probabilities for image in images]
        known = [probabilities for probabilities in rows if probabilities is not None]
        return np.mean(known, axis=0, dtype=np.float64) if known else np.empty(0)

    def _uniform(self, n: int, seed: str) -> list[Candidate]:
        order = sorted(self._keys, key=lambda key: unit_hash("replay", key, seed))
        return [_candidate(key, None) for key in order[:n]]

    def _candidates(self, chosen: Strategy, n: int, seed: str) -> Sequence[Candidate]:
        wanted = candidates_wanted(n, chosen)
        if chosen.score is None or self._guesses is None:
            return self._uniform(wanted, seed)
        outcomes = self._task_type.outcomes(self._guesses)
        scores = chosen.score(self._guesses if outcomes is None else outcomes)
        return [_candidate(self._keys[i], float(scores[i])) for i in highest(scores, self._keys, wanted)]


def _candidate(key: str, priority: float | None) -> Candidate:
    return Candidate(key, "", priority, 0.0)
