from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
import pytest

from octospoon.domain.batch.draw import AT_MOST, draw, spread
from octospoon.domain.pool.images import Candidate
from octospoon.domain.pool.keys import SHARDS


class Images:
    """The images of one shard. An image is created when it is first read."""

    def __init__(self, shard, numbers):
        self.shard, self.numbers = shard, numbers
        self.created: list[Candidate | None] = [None] * len(numbers)

    def __getitem__(self, part):
        page = self.created[part]
        if None in page:
            for i in range(*part.indices(len(self.numbers))):
                if self.created[i] is None:
                    self.created[i] = Candidate(f"{self.shard}/{i}", "", None, self.numbers[i])
            page = self.created[part]
        return page


class Index:
    """A pool's sampling-key index: sorted numbers per shard, and counts of queries and items read."""

    def __init__(self, shards):
        self.shards = [np.sort(numbers) for numbers in shards]
        self.numbers = [numbers.tolist() for numbers in self.shards]
        self.images = [Images(shard, numbers) for shard, numbers in enumerate(self.numbers)]
        self.items = self.queries = 0

    def __call__(self, shard, start, limit, end=1.0):
        numbers, images = self.numbers[shard], self.images[shard]
        first = bisect_right(numbers, start)
        page = images[first : min(first + limit, bisect_right(numbers, end))]
        self.items += len(page)
        self.queries += 1
        return page, page[-1].sampling_key if len(page) == limit else None


def even(size: int, seed: int = 0) -> Index:
    rng = np.random.default_rng(seed)
    return Index([rng.random(n) for n in rng.multinomial(size, np.full(SHARDS, 1 / SHARDS))])


def clustered(size: int) -> Index:
    """Return numbers whose density rises and falls between 0.1 and 1.9 eight times."""
    rng = np.random.default_rng(1)
    grid = np.linspace(0, 1, 10_001)
    cumulative = grid + 0.9 * (1 - np.cos(16 * np.pi * grid)) / (16 * np.pi)
    return Index([np.interp(rng.random(size // SHARDS), cumulative, grid) for _ in range(SHARDS)])


def keys(drawn) -> list[str]:
    return [image.key for image in drawn.images]


def deviation(counts: np.ndarray, draws: int, n: int) -> float:
    """Return chi-squared of draws without replacement, in standard deviations from its mean."""
    size = len(counts)
    expected = draws * n / size
    chi = float(((counts - expected) ** 2).sum() / (expected * (1 - n / size)))
    return (chi - size) / math.sqrt(2 * size)


@pytest.mark.parametrize("index", [clustered(96), clustered(1600)], ids=["whole", "read"])
def test_ten_thousand_draws_are_uniform_however_the_numbers_lie(index):
    places = {f"{shard}/{i}": 0 for shard in range(SHARDS) for i in range(len(index.shards[shard]))}
    for number in range(10_000):
        for key in keys(draw(index, 3, f"round-{number}-audit")):
            places[key] += 1
    counts = np.array(list(places.values()))
    assert counts.sum() == 30_000
    assert abs(deviation(counts, 10_000, 3)) < 4


def test_density_of_numbers_does_not_matter():
    index = clustered(1600)
    crowd = np.concatenate([np.sin(16 * np.pi * numbers) > 0 for numbers in index.shards])
    order = {f"{s}/{i}": k for k, (s, i) in enumerate((s, i) for s in range(SHARDS) for i in range(100))}
    hits = sum(crowd[order[key]] for i in range(2000) for key in keys(draw(index, 5, str(i))))
    expected = 10_000 * crowd.mean()
    assert abs(hits - expected) < 4 * math.sqrt(expected * (1 - crowd.mean()))


@pytest.mark.parametrize("size", [100, 5000])
def test_the_seed_fixes_the_draw(size):
    index = even(size)
    assert draw(index, 10, "a") == draw(index, 10, "a")
    assert keys(draw(index, 10, "a")) != keys(draw(index, 10, "b"))
    assert spread(index, 10, "a") == spread(index, 10, "a")
    assert spread(index, 10, "a") != spread(index, 10, "b")


def test_a_small_pool_is_counted():
    drawn = draw(even(200), 10, "s")
    assert drawn.exact
    assert drawn.probability(10) == 10 / 200
    assert len(set(keys(drawn))) == 10


def test_a_large_pool_is_estimated_without_bias():
    index = even(100_000)
    sizes = [draw(index, 10, str(i)).pool_size for i in range(100)]
    assert not draw(index, 10, "s").exact
    assert np.mean(sizes) == pytest.approx(100_000, rel=0.015)
    assert np.std(sizes) / 100_000 < 0.05
    assert np.std(sizes, ddof=1) > 0


@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_pool_smaller_than_the_draw_is_drawn_whole(size):
    drawn = draw(even(size), 9, "s")
    assert len(set(keys(drawn))) == size
    assert drawn.probability(size) == (1.0 if size else None)
    assert len(spread(even(size), 9, "s")) == size


@pytest.mark.parametrize("n", [1500, 1999, 3000])
def test_a_draw_of_most_of_a_pool(n):
    assert len(set(keys(draw(even(2000), n, "s")))) == min(n, 2000)


def test_nothing_is_read_for_nothing():
    index = even(50)
    assert keys(draw(index, 0, "s")) == []
    assert index.queries == 0


def test_more_rows_than_the_bound_are_still_drawn_from():
    crowd = np.linspace(0.5, 0.5001, 40 * AT_MOST)
    index = Index([np.concatenate([np.linspace(0, 1, 200, endpoint=False), crowd]) for _ in range(SHARDS)])
    assert len(set(keys(draw(index, 30, "s")))) == 30


def test_reads_do_not_grow_with_the_pool():
    items, queries = [], []
    for size in (10_000, 100_000, 1_000_000):
        index = even(size)
        for i in range(20):
            draw(index, 10, f"s{i}")
        items.append(index.items / 20)
        queries.append(index.queries / 20)
    assert max(items) < 1.2 * min(items)
    assert max(items) < 2500
    assert max(queries) < 80
