"""Compose a labelling batch: uniform draws for audit and control, the drift share, and a strategy's choice.

The shares are filled in this order. So the drift share never reduces the uniform draws, and the strategy
fills any unused part of the drift share.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.acquisition import STRATEGIES, Candidates, Strategy, strategy
from octospoon.domain.acquisition.rare_classes import imbalanced
from octospoon.domain.batch.class_share import NEW_CLASS
from octospoon.domain.batch.comparable import by_detector, commonest
from octospoon.domain.batch.drift_share import DRIFT, by_score, waiting
from octospoon.domain.batch.limits import Limits, within
from octospoon.domain.labelling.blinding import blinded, interleaved
from octospoon.domain.labelling.tasks import Pick
from octospoon.domain.pool.boxes import of_classes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from octospoon.domain.batch.comparable import Group
    from octospoon.domain.batch.draw import Draw
    from octospoon.domain.monitoring.observations import DriftExample
    from octospoon.domain.pool.images import Candidate, PoolRow
    from octospoon.domain.task_types.task_type import TaskType

COLD_START = "typiclust"
CONTROL = "random"
AUTO, ALWAYS, NEVER = "auto", "always", "never"
CANDIDATES_PER_PICK = 10
COLD_CANDIDATES = 2000


@dataclass(frozen=True, slots=True)
class BatchRules:
    """The settings of labelling batches.

    Attributes:
        size: images per batch.
        audit_share: share drawn uniformly, on which models are judged, in [0, 1].
        control_share: share drawn uniformly and trained on, for comparison, in [0, 1].
        limits: limits on the rest, which the strategy chooses.
        drift_share: share for the uploads that differ most, while drift is confirmed, in [0, 1].
        class_share: share for added classes, while they have few labels, in [0, 1].
        blind: whether annotators see no prediction for the drawn shares and as many other images.
        rare_classes: whether the strategy looks for rare classes: `AUTO` (while the pool's classes are
            imbalanced), `ALWAYS` or `NEVER`.
    """

    size: int
    audit_share: float
    control_share: float = 0.0
    limits: Limits = field(default_factory=Limits)
    drift_share: float = 0.0
    class_share: float = 0.0
    blind: bool = True
    rare_classes: str = AUTO

    @property
    def audit(self) -> int:
        """Number of images drawn uniformly, on which models are judged."""
        return round(self.size * self.audit_share)

    def drawing(self, audit: int) -> BatchRules:
        """Return these rules with so many images in the audit share."""
        return replace(self, audit_share=audit / self.size)

    @property
    def control(self) -> int:
        """Number of images drawn uniformly and trained on."""
        return min(round(self.size * self.control_share), self.size - self.audit)

    @property
    def drift(self) -> int:
        """Largest number of images in the drift share."""
        return min(round(self.size * self.drift_share), self.size - self.audit - self.control)

    @property
    def new_classes(self) -> int:
        """Largest number of images in the share of added classes."""
        left = self.size - self.audit - self.control - self.drift
        return min(round(self.size * self.class_share), left)


def strategy_for(name: str, *, has_head: bool) -> Strategy:
    """Return the named strategy, or the cold-start strategy if it needs a head and there is none.

    Raises:
        NotConfigured: there is no strategy of that name.
    """
    wanted = strategy(name)
    return STRATEGIES[COLD_START] if wanted.needs_probabilities and not has_head else wanted


def may_seek_rare(rules: BatchRules, chosen: Strategy) -> bool:
    """Return whether batches may look for rare classes, by these rules and with this strategy."""
    return chosen.seeks_rare and rules.rare_classes != NEVER


def seeks_rare(rules: BatchRules, chosen: Strategy, shares: npt.NDArray[np.floating]) -> bool:
    """Return whether a batch looks for rare classes.

    Args:
        rules: settings of the batch.
        chosen: the strategy.
        shares: float [C], the share of each class in the pool, as the model predicts it.
    """
    if not may_seek_rare(rules, chosen) or len(shares) < 2:
        return False
    return rules.rare_classes == ALWAYS or imbalanced(shares)


def candidates_wanted(n: int, chosen: Strategy) -> int:
    """Return the number of candidates to read from the pool for a choice of n images.

    They come from `RankingPool.top` if the strategy needs probabilities, otherwise from `draw.spread`.
    """
    return max(CANDIDATES_PER_PICK * n, 0 if chosen.needs_probabilities else COLD_CANDIDATES)


def compose(
    *,
    rules: BatchRules,
    drawn: Draw,
    candidates: Sequence[Candidate],
    rows: Mapping[str, PoolRow],
    chosen: Strategy,
    task_type: TaskType,
    seed: str,
    drifted: Sequence[DriftExample] = (),
    promising: Sequence[DriftExample] = (),
    labels: npt.NDArray[np.int64] | None = None,
) -> tuple[Pick, ...]:
    """Choose a batch of at most `rules.size` distinct images.

    The order mixes the shares evenly, so a batch that is labelled halfway has every share in proportion.

    Args:
        rules: settings of the batch.
        drawn: a uniform draw of `rules.audit + rules.control` images, or fewer if the pool has fewer.
        candidates: the images that the strategy may choose from; see `candidates_wanted`.
        rows: rows of the pool for all these images, by key; an image without a row is skipped.
        chosen: the strategy, from `strategy_for`.
        task_type: the kind of label, whose outcomes the strategy compares.
        seed: fixes every random choice; a name of the round.
        drifted: the drift examples; empty unless drift is confirmed.
        promising: images for the share of added classes, see `class_share.examples`.
        labels: int64 [C], the number of labels of each class so far, in the order of the rows' probabilities;
            None if the batch does not look for rare classes, see `seeks_rare`.
    """
    picks = _at_random(drawn, rules)
    picks += _reserved(picks, rows, drifted, (DRIFT, rules.drift), rules.limits)
    picks += _reserved(picks, rows, promising, (NEW_CLASS, rules.new_classes), rules.limits)
    groups = by_detector(_without(picks, candidates), rows, chosen, STRATEGIES[COLD_START])
    groups = [replace(group, pool=_meant(group.pool, task_type, labels)) for group in groups]
    picks += _from_groups(groups, rules.size - len(picks), seed, rules.limits)
    if rules.blind:
        picks = blinded(picks, seed)
    return tuple(replace(pick, rank=rank) for rank, pick in enumerate(interleaved(picks, seed)))


def _at_random(drawn: Draw, rules: BatchRules) -> list[Pick]:
    """Return the audit share and the control share, from the images of a uniform draw."""
    audit = drawn.images[: rules.audit]
    control = drawn.images[rules.audit : rules.audit + rules.control]
    return [
        _pick(image, CONTROL, None, audit=share is audit, probability=drawn.probability(len(share)))
        for share in (audit, control)
        for image in share
    ]


def _without(picks: Sequence[Pick], images: Sequence[Candidate]) -> list[Candidate]:
    taken = {pick.key for pick in picks}
    return [image for image in images if image.key not in taken]


def _reserved(
    picks: Sequence[Pick],
    rows: Mapping[str, PoolRow],
    examples: Sequence[DriftExample],
    share: tuple[str, int],
    limits: Limits,
) -> list[Pick]:
    """Choose the best examples for a share, its name and size, without quotas.

    Such images are often of one class or one folder.
    """
    scores = {example.key: example.score for example in examples}
    left, apart = _without(picks, waiting(examples, rows)), Limits(limits.min_distance)
    best = by_score(share[0], scores)
    chosen = _chosen(commonest(left, rows, best), share[1], "", apart, fill=False)
    return [replace(pick, score=scores[pick.key]) for pick in chosen]


def _from_groups(groups: Sequence[Group], n: int, seed: str, limits: Limits) -> list[Pick]:
    """Choose n images from groups that cannot be compared, the preferred first.

    A group fills as many places as it has candidates for, `CANDIDATES_PER_PICK` each, so that its strategy
    has a choice. What is left then goes to the preferred groups.
    """
    picks: list[Pick] = []
    for needed in (CANDIDATES_PER_PICK, 1) if len(groups) > 1 else (1,):
        for group in groups:
            left = group.without({pick.key for pick in picks})
            places = min(n - len(picks), len(left.images) // needed)
            picks += _chosen(left, places, seed, limits)
    return picks


def _chosen(group: Group, n: int, seed: str, limits: Limits, *, fill: bool = True) -> list[Pick]:
    images, pool, chosen = group.images, group.pool, group.strategy
    if not images or n <= 0:
        return []
    if not chosen.needs_probabilities and not chosen.needs_embeddings:
        limits = Limits()
    scores = chosen.score(pool.predicted()).tolist() if chosen.score else [None] * len(images)
    indices = within(limits, chosen.select, pool, n, seed, fill=fill)
    return [_pick(images[i], chosen.name, scores[i], audit=False, probability=None) for i in indices]


def _meant(pool: Candidates, task_type: TaskType, labels: npt.NDArray[np.int64] | None) -> Candidates:
    """Return candidates with the outcomes that a strategy compares, and the labels of their classes."""
    if pool.probabilities is None or not len(pool.ids):
        return pool
    outcomes = task_type.outcomes(pool.probabilities)
    shares = np.stack([of_classes(predicted) for predicted in pool.probabilities])
    known = labels is not None and len(labels) == shares.shape[1]
    return replace(pool, probabilities=shares, labels=labels if known else None, outcomes=outcomes)


def _pick(
    image: Candidate, name: str, score: float | None, *, audit: bool, probability: float | None
) -> Pick:
    return Pick(image.key, image.etag, audit, name, score, 0, probability)
