"""Draws from the pool by sampling keys, reading no more of a large pool than of a small one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from octospoon.domain.pool.keys import SHARDS, unit_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octospoon.domain.pool.images import Candidate

# Of Poisson(EXPECTED) items in a window more than AT_MOST would come once in 1e20 windows.
EXPECTED = 32
AT_MOST = 96
_READ_WHOLE = 64
_WIDEST = 0.5
_PATIENCE = 300


class Page(Protocol):
    """Reads one shard in the order of sampling keys, as `ports.pool.PoolSampling.selectable` does."""

    def __call__(
        self, shard: int, start: float, limit: int, end: float = 1.0
    ) -> tuple[list[Candidate], float | None]:
        """Return up to `limit` images in (start, end], and where to go on; None where there is no more."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Images drawn uniformly, without replacement.

    Attributes:
        images: in the order of the draw.
        pool_size: number of images they were drawn from.
        exact: True where the pool was counted, False where its size is an estimate.
    """

    images: Sequence[Candidate]
    pool_size: float
    exact: bool = True

    def probability(self, n: int) -> float | None:
        """Return the probability with which any image was among the first n drawn; None of an empty pool."""
        return min(1.0, n / self.pool_size) if self.pool_size else None


def draw(page: Page, n: int, seed: str) -> Draw:
    """Draw n images uniformly without replacement; the seed fixes the draw.

    A pool of some hundreds, or of some 4·n, is read whole. Of a larger one, windows of one width are read at
    random places; a window's items have the slots 0, 1, …, and whichever holds a random slot below a bound is
    drawn. So every image has the same chance, width / bound, in every trial, however unevenly the sampling
    key numbers lie (rejection sampling, as of B+-trees: Olken and Rotem 1989, Random sampling from B+ trees).
    This is exact as long as no window holds more than the bound: see AT_MOST.

    The pool's size is then estimated from all windows that were read, with a relative standard error of about
    0.1 / sqrt(n).

    Args:
        page: reads the pool.
        n: how many; fewer come back where the pool holds fewer.
        seed: a name of the draw.
    """
    if n <= 0:
        return Draw((), 0.0, exact=False)
    limit = max(_READ_WHOLE, n * 4 // SHARDS)
    heads = [page(shard, -1.0, limit) for shard in range(SHARDS)]
    if all(more is None for _, more in heads):
        images = sorted(
            itertools.chain.from_iterable(found for found, _ in heads),
            key=lambda one: (unit_hash("draw", seed, one.key), one.key),
        )
        return Draw(tuple(images[:n]), len(images))
    # a function of the pool alone, not of the seed: the width favours nobody
    densest = max(len(found) / (1.0 if more is None else more) for found, more in heads)
    width, bound = min(_WIDEST, EXPECTED / densest), AT_MOST
    while True:
        drawn = _trials(page, n, seed, width, bound)
        if drawn is not None:
            return drawn
        bound = 2 * bound  # numbers that no hash gave


def _trials(page: Page, n: int, seed: str, width: float, bound: int) -> Draw | None:
    """Draw from windows; None where a window holds more items than the bound."""
    drawn: dict[str, Candidate] = {}
    read = trials = 0
    while len(drawn) < n and trials < _PATIENCE * n:
        salt = f"{seed}/{bound}/{trials}"
        shard = int(unit_hash("window shard", salt) * SHARDS)
        items = list(_window(page, shard, unit_hash("window", salt), width, bound + 1))
        if len(items) > bound:
            return None
        trials, read = trials + 1, read + len(items)
        slot = int(unit_hash("slot", salt) * bound)
        if slot < len(items):
            drawn.setdefault(items[slot].key, items[slot])
    return Draw(tuple(drawn.values()), SHARDS * read / (trials * width), exact=False)


def _window(page: Page, shard: int, start: float, width: float, limit: int) -> Iterator[Candidate]:
    """Yield up to `limit` items of (start, start + width] on the ring of one shard's numbers."""
    found, _ = page(shard, start, limit, min(1.0, start + width))
    yield from found
    if start + width > 1.0 and len(found) < limit:
        yield from page(shard, -1.0, limit - len(found), start + width - 1.0)[0]


def spread(page: Page, n: int, seed: str) -> list[Candidate]:
    """Return n images from all over the pool, for strategies that choose among them without scores.

    Two reads per shard at most: one stretch of every ring of sampling keys, from a point that the seed
    gives, and of what was read n by a hash. Near to uniform, as hashes lie near to evenly; where the
    probability matters, use `draw`.
    """
    stretch = max(8, 4 * n // SHARDS)
    found: dict[str, Candidate] = {}
    for shard in range(SHARDS):
        start = unit_hash("stretch", seed, str(shard))
        found |= {one.key: one for one in _window(page, shard, start, 1.0, stretch)}
    return sorted(found.values(), key=lambda one: (unit_hash("spread", seed, one.key), one.key))[:n]
