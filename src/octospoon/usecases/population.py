"""A bounded sample of all uploads: what accuracy is tightened by, and drift is measured from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from octospoon.domain.batch.draw import spread
from octospoon.domain.evaluation.estimators import DEPLETED
from octospoon.domain.pool.keys import SHARDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.pool.images import PoolRow
    from octospoon.ports.pool import PoolSampling

SAMPLE = 2000
_COUNTED = 64


class Embed(Protocol):
    """Reads images anew."""

    def __call__(self, rows: Sequence[PoolRow]) -> Sequence[PoolRow]:
        """Return rows with the embeddings of another backbone; images that cannot be read are left out."""


@dataclass(frozen=True, slots=True)
class Population:
    """Images that nobody was asked about yet, near to uniformly drawn.

    Attributes:
        rows: the sample, of one backbone.
        size: how many such images there are; an estimate where the pool is large (standard error 3 %).
    """

    rows: tuple[PoolRow, ...]
    size: float

    @property
    def share(self) -> float:
        """The share of these images that is in the sample, in [0, 1]."""
        return min(1.0, len(self.rows) / self.size) if self.size else 1.0

    def resembles_all(self, labelled: int, trained: int) -> bool:
        """Say whether the sample stands for all uploads, though a strategy took `trained` of them out."""
        everything = self.size + labelled
        return bool(self.rows) and trained <= DEPLETED * everything


def sample(
    pool: PoolSampling, backbone: str, seed: str, n: int = SAMPLE, anew: Embed | None = None
) -> Population:
    """Read a sample; how much is read does not grow with the pool.

    Args:
        pool: where from.
        backbone: only rows with its embeddings.
        seed: fixes the sample.
        n: its size; fewer where the pool holds fewer.
        anew: embeds images whose stored embedding is another backbone's; None to leave those out.
    """
    drawn = spread(pool.selectable, n, seed)
    found = pool.rows([one.key for one in drawn])
    rows = [found[one.key] for one in drawn if one.key in found]
    kept = tuple(row for row in rows if row.backbone == backbone)
    if anew is not None:
        kept += tuple(anew([row for row in rows if row.backbone != backbone]))
    return Population(kept, float(len(drawn)) if len(drawn) < n else _size(pool))


def _size(pool: PoolSampling) -> float:
    """Estimate the number of selectable images from how dense their sampling keys lie."""
    total = 0.0
    for shard in range(SHARDS):
        found, more = pool.selectable(shard, -1.0, _COUNTED)
        total += len(found) if more is None else len(found) / more
    return total
