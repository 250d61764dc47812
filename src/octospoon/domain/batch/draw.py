"""Draw images from the pool by sampling keys, with a number of reads that does not grow with the pool.

DynamoDB cannot return the i-th item of an index, so a uniform draw cannot choose positions. It can read a
range of sampling keys. These keys are hashes and not perfectly even, so an image drawn by the next key after
a random number would be more likely after a large gap. Rejection sampling removes that bias.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from octospoon.domain.pool.keys import SHARDS, unit_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octospoon.domain.pool.images import Candidate

EXPECTED = 32
"""Expected number of items in a window."""
AT_MOST = 96
"""Bound on the items in a window: a Poisson variable with mean EXPECTED exceeds it once in 1e20 windows."""
_READ_WHOLE = 64
"""Items per shard up to which the whole pool is read."""
_WIDEST = 0.5
_PATIENCE = 300
"""Trials per image before a draw ends with fewer images, as it does if nearly all are drawn."""


class Page(Protocol):
    """A function that reads one shard in the order of sampling keys, such as `PoolSampling.selectable`."""

    def __call__(
        self, shard: int, start: float, limit: int, end: float = 1.0
    ) -> tuple[list[Candidate], float | None]:
        """Return up to `limit` images with keys in (start, end], and where to continue; None at the end.

        Args:
            shard: the shard, in [0, SHARDS).
            start: read keys greater than this.
            limit: largest number of images.
            end: read keys up to this.
        """


@dataclass(frozen=True, slots=True)
class Draw:
    """Images drawn uniformly, without replacement.

    Attributes:
        images: in the order of the draw.
        pool_size: number of images in the pool.
        exact: True if the pool was counted, False if its size is an estimate.
    """

    images: Sequence[Candidate]
    pool_size: float
    exact: bool = True

    def probability(self, n: int) -> float | None:
        """Return the probability of each image to be among the first n drawn; None for an empty pool."""
        return min(1.0, n / self.pool_size) if self.pool_size else None


def draw(page: Page, n: int, seed: str) -> Draw:
    """Draw n images uniformly without replacement; the seed fixes the draw.

    A pool of a few hundred images, or of about 4·n, is read whole. A larger pool is sampled in trials. Each
    trial reads a window of fixed width at a random place and draws a random slot below a bound. If the window
    has an item in that slot, the item is drawn. Otherwise the trial draws nothing. So each image has the same
    probability in each trial, width / (SHARDS · bound), for any distribution of the sampling keys (rejection
    sampling: Olken and Rotem 1989, Random sampling from B+ trees). The draw is exact unless a window exceeds
    its bound (about 1 in 10²⁰); then it starts again with a bound twice as large.

    The windows also give an estimate of the pool's size, with a relative standard error of about
    0.1 / sqrt(n).

    Args:
        page: reads the pool.
        n: number of images; fewer are returned if the pool has fewer.
        seed: a name of the draw.
    """
    if n <= 0:
        return Draw((), 0.0, exact=False)
    limit = max(_READ_WHOLE, n * 4 // SHARDS)
    heads = [page(shard, -1.0, limit) for shard in range(SHARDS)]
    if all(more is None for _, more in heads):
        images = sorted(
            itertools.chain.from_iterable(items for items, _ in heads),
            key=lambda image: (unit_hash("draw", seed, image.key), image.key),
        )
        return Draw(tuple(images[:n]), len(images))
    # The width depends on the pool alone and not on the seed, so it favours no image.
    densest = max(len(items) / (1.0 if more is None else more) for items, more in heads)
    width, bound = min(_WIDEST, EXPECTED / densest), AT_MOST
    while True:
        drawn = _trials(page, n, seed, width, bound)
        if drawn is not None:
            return drawn
        bound = 2 * bound  # happens only if the sampling keys are not hashes


def _trials(page: Page, n: int, seed: str, width: float, bound: int) -> Draw | None:
    """Draw from windows until n images are drawn; None if a window has more items than the bound.

    A partial result of too small a bound is not used: an item beyond the bound could never be drawn.
    """
    drawn: dict[str, Candidate] = {}
    read = trials = 0
    while len(drawn) < n and trials < _PATIENCE * n:
        salt = f"{seed}/{bound}/{trials}"
        shard = int(unit_hash("window shard", salt) * SHARDS)
        # one item more than the bound is enough to see that the bound is exceeded
        items = list(_window(page, shard, unit_hash("window", salt), width, bound + 1))
        if len(items) > bound:
            return None
        trials, read = trials + 1, read + len(items)
        slot = int(unit_hash("slot", salt) * bound)
        if slot < len(items):
            drawn.setdefault(items[slot].key, items[slot])
    return Draw(tuple(drawn.values()), SHARDS * read / (trials * width), exact=False)


def _window(page: Page, shard: int, start: float, width: float, limit: int) -> Iterator[Candidate]:
    """Yield up to `limit` items with keys in (start, start + width], where keys continue at 0 after 1.

    The keys form a ring, so that images near 0 and 1 are in as many windows as all others.
    """
    items, _ = page(shard, start, limit, min(1.0, start + width))
    yield from items
    if start + width > 1.0 and len(items) < limit:
        yield from page(shard, -1.0, limit - len(items), start + width - 1.0)[0]


def spread(page: Page, n: int, seed: str) -> list[Candidate]:
    """Return n images from all over the pool, for strategies that choose among them without scores.

    Reads one seeded range per shard, with at most two reads each, then samples n images by hash. The result
    is nearly uniform, because hashes are nearly even. Use `draw` if the probability must be exact.

    Args:
        page: reads the pool.
        n: number of images; fewer are returned if the pool has fewer.
        seed: fixes the ranges and the sample.
    """
    stretch = max(8, 4 * n // SHARDS)
    images: dict[str, Candidate] = {}
    for shard in range(SHARDS):
        start = unit_hash("stretch", seed, str(shard))
        images |= {image.key: image for image in _window(page, shard, start, 1.0, stretch)}
    return sorted(images.values(), key=lambda image: (unit_hash("spread", seed, image.key), image.key))[:n]
