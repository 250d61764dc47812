"""Group candidates into those that a strategy can compare: one backbone, one list of classes, one detector.

While a new model is rolled out, rows of several models are in the pool. Probabilities are computed again from
embeddings, so this lasts for minutes, and the commonest kind is used. Boxes need the image, so a pool may
hold those of several detectors for long: each detector is a group of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.domain.acquisition import Candidates
from octospoon.domain.pool.boxes import classes_of, together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from octospoon.domain.acquisition import Strategy
    from octospoon.domain.pool.images import Candidate, PoolRow


@dataclass(frozen=True, slots=True)
class Group:
    """Images that a strategy can compare.

    Attributes:
        images: the images.
        pool: the arrays that the strategy needs, in the same order.
        strategy: the strategy.
    """

    images: Sequence[Candidate]
    pool: Candidates
    strategy: Strategy

    def without(self, keys: set[str]) -> Group:
        """Return the group without some images."""
        left = np.array([i for i, image in enumerate(self.images) if image.key not in keys], np.int64)
        return Group([self.images[i] for i in left], self.pool.take(left), self.strategy)


class _Kind(NamedTuple):
    generation: int
    backbone: str
    classes: int


def commonest(images: Sequence[Candidate], rows: Mapping[str, PoolRow], chosen: Strategy) -> Group:
    """Return the largest group of images that a strategy can compare.

    Args:
        images: the candidates; those without a row, or without probabilities that it needs, are left out.
        rows: rows of the pool, by key.
        chosen: the strategy.
    """
    if not chosen.needs_probabilities and not chosen.needs_embeddings:
        return Group(list(images), Candidates([image.key for image in images]), chosen)
    usable = _usable(images, rows, chosen)
    kinds = Counter(_kind(rows[image.key]) for image in usable)
    if not kinds:
        return Group([], Candidates([]), chosen)
    kept = max(kinds, key=lambda kind: (kinds[kind], kind))
    return _group([image for image in usable if _kind(rows[image.key]) == kept], rows, chosen)


def by_detector(
    images: Sequence[Candidate], rows: Mapping[str, PoolRow], chosen: Strategy, cold: Strategy
) -> list[Group]:
    """Return the groups that a strategy chooses from, the one of the newest detector first.

    Images that no detector has seen are the last group. If no row has boxes, there is one group, the largest.

    Args:
        images: the candidates.
        rows: rows of the pool, by key.
        chosen: the strategy.
        cold: the strategy for images that no detector has seen.
    """
    boxes = [image for image in images if image.key in rows and _has_boxes(rows[image.key])]
    if not boxes or not chosen.needs_probabilities:
        return [commonest(images, rows, chosen)]
    detectors: defaultdict[_Kind, list[Candidate]] = defaultdict(list)
    for image in boxes:
        row = rows[image.key]
        detectors[_kind(row)._replace(generation=row.generation)].append(image)
    groups = [_group(detectors[kind], rows, chosen) for kind in sorted(detectors, reverse=True)]
    unseen = [image for image in images if image.key in rows and rows[image.key].probabilities is None]
    return [*groups, commonest(unseen, rows, cold)] if unseen else groups


def _usable(images: Sequence[Candidate], rows: Mapping[str, PoolRow], chosen: Strategy) -> list[Candidate]:
    usable = [image for image in images if image.key in rows]
    if chosen.needs_probabilities:
        usable = [image for image in usable if rows[image.key].probabilities is not None]
    return usable


def _group(images: Sequence[Candidate], rows: Mapping[str, PoolRow], chosen: Strategy) -> Group:
    kept = [rows[image.key] for image in images]
    probabilities = [row.probabilities for row in kept if row.probabilities is not None]
    pool = Candidates(
        [row.key for row in kept],
        together(probabilities) if chosen.needs_probabilities else None,
        np.stack([row.embedding for row in kept]),
    )
    return Group(images, pool, chosen)


def _kind(row: PoolRow) -> _Kind:
    return _Kind(0, row.backbone, 0 if row.probabilities is None else classes_of(row.probabilities))


def _has_boxes(row: PoolRow) -> bool:
    return row.probabilities is not None and row.probabilities.ndim > 1
