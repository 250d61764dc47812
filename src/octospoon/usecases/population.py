"""Draw a bounded sample of the unlabelled images: it tightens accuracy estimates and measures drift."""

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
    """Embeds images again, with another backbone."""

    def __call__(self, rows: Sequence[PoolRow]) -> Sequence[PoolRow]:
        """Return the rows with new embeddings; images that cannot be read are left out."""


@dataclass(frozen=True, slots=True)
class Population:
    """A nearly uniform sample of the selectable images.

    Attributes:
        rows: the sample, of one backbone.
        size: the number of selectable images; an estimate if the pool is large (standard error 3 %).
    """

    rows: tuple[PoolRow, ...]
    size: float

    @property
    def share(self) -> float:
        """The share of the selectable images that is in the sample, in [0, 1]."""
        return min(1.0, len(self.rows) / self.size) if self.size else 1.0

    def resembles_all(self, labelled: int, trained: int) -> bool:
        """Return whether the sample represents all uploads, although `trained` were taken out."""
        everything = self.size + labelled
        return bool(self.rows) and trained <= DEPLETED * everything


def sample(
    pool: PoolSampling, backbone: str, seed: str, n: int = SAMPLE, anew: Embed | None = None
) -> Population:
    """Read a sample; the reads do not grow with the pool.

    Args:
        pool: the images.
        backbone: the sample has only rows with this backbone's embeddings.
        seed: fixes the sample.
        n: size of the sample; smaller if the pool has fewer images.
        anew: embeds images whose stored embedding is another backbone's; None to leave those out.
    """
    drawn = spread(pool.selectable, n, seed)
    stored = pool.rows([candidate.key for candidate in drawn])
    rows = [stored[candidate.key] for candidate in drawn if candidate.key in stored]
    kept = tuple(row for row in rows if row.backbone == backbone)
    if anew is not None:
        kept += tuple(anew([row for row in rows if row.backbone != backbone]))
    return Population(kept, float(len(drawn)) if len(drawn) < n else _size(pool))


def _size(pool: PoolSampling) -> float:
    """Estimate the number of selectable images from the density of their sampling keys.

    Sampling keys are uniform in [0, 1): if k keys of a shard lie below x, the shard has about k / x images.
    """
    total = 0.0
    for shard in range(SHARDS):
        page, last_key = pool.selectable(shard, -1.0, _COUNTED)
        total += len(page) if last_key is None else len(page) / last_key
    return total
