"""The contract of all strategies, and the purpose of each."""

from __future__ import annotations

import functools
import sys
import tracemalloc

import numpy as np
import pytest

from octospoon.domain.acquisition import STRATEGIES, Candidates, strategy, typiclust
from octospoon.domain.acquisition.compiled import near
from octospoon.domain.acquisition.kmeans import kmeans
from octospoon.domain.acquisition.least import ROWS_A_WORKER, Gap, Largest, least
from octospoon.domain.acquisition.strategy import highest
from octospoon.domain.errors import NotConfigured
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.uncertainty import priority

SCORED = [strategy for strategy in STRATEGIES.values() if strategy.score]
EVERY = list(STRATEGIES.values())
NAMED = {"ids": lambda strategy: strategy.name}


def pool(n: int, classes: int = 10, seed: int = 0) -> Candidates:
    rng = np.random.default_rng(seed)
    return Candidates(
        [f"k{i:05d}" for i in range(n)],
        rng.dirichlet(np.full(classes, 0.3), n).astype(np.float32),
        rng.standard_normal((n, 8)).astype(np.float32),
    )


def shuffled(given: Candidates, seed: int = 1) -> Candidates:
    return given.take(np.random.default_rng(seed).permutation(len(given.ids)))


def chosen(strategy, given: Candidates, n: int, seed: str = "s") -> list[str]:
    return [given.ids[i] for i in strategy.select(given, n, seed)]


@pytest.mark.parametrize("strategy", EVERY, **NAMED)
@pytest.mark.parametrize(("size", "n"), [(60, 7), (5, 9), (1, 1), (0, 3), (60, 0), (60, 60)])
def test_selection_is_distinct_and_as_long_as_possible(strategy, size, n):
    indices = strategy.select(pool(size), n, "s")
    assert indices.dtype == np.int64
    assert len(indices) == len(set(indices.tolist())) == min(n, size)
    assert all(0 <= i < size for i in indices)


@pytest.mark.parametrize("strategy", EVERY, **NAMED)
@pytest.mark.parametrize("classes", [2, 1000])
def test_any_number_of_classes(strategy, classes):
    assert len(strategy.select(pool(40, classes), 8, "s")) == 8


@pytest.mark.parametrize("strategy", EVERY, **NAMED)
def test_the_order_of_the_rows_does_not_matter(strategy):
    given = pool(300)
    assert chosen(strategy, given, 20) == chosen(strategy, shuffled(given), 20)


@pytest.mark.parametrize("strategy", EVERY, **NAMED)
def test_ties_are_broken_by_id_in_any_row_order(strategy):
    same = Candidates(
        [f"k{i}" for i in range(30)], np.full((30, 4), 0.25, np.float32), np.ones((30, 3), np.float32)
    )
    assert chosen(strategy, same, 6) == chosen(strategy, shuffled(same), 6)


@pytest.mark.parametrize("strategy", SCORED, **NAMED)
def test_equal_scores_go_by_id_where_nothing_is_drawn(strategy):
    if strategy.name == "power_margin":
        pytest.skip("draws by a hash of the id")
    same = Candidates(
        [f"k{i}" for i in (3, 1, 2, 0)], np.full((4, 4), 0.25, np.float32), np.eye(4, dtype=np.float32)
    )
    assert chosen(strategy, same, 4) == ["k0", "k1", "k2", "k3"]


@pytest.mark.parametrize("strategy", EVERY, **NAMED)
def test_the_input_is_not_mutated(strategy):
    given = pool(50)
    before = given.probabilities.copy(), given.embeddings.copy()
    given.probabilities.flags.writeable = given.embeddings.flags.writeable = False
    strategy.select(given, 10, "s")
    if strategy.score:
        strategy.score(given.probabilities)
    assert np.array_equal(before[0], given.probabilities)
    assert np.array_equal(before[1], given.embeddings)


@pytest.mark.parametrize("strategy", SCORED, **NAMED)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_probabilities_are_refused_by_row(strategy, bad):
    given = pool(50)
    given.probabilities[17, 3] = bad
    with pytest.raises(ValueError, match=r"row 17 .*score that image again"):
        strategy.select(given, 10, "s")


@pytest.mark.parametrize("strategy", [strategy for strategy in EVERY if strategy.needs_embeddings], **NAMED)
def test_non_finite_embeddings_are_refused(strategy):
    given = pool(50)
    given.embeddings[:, 0] = np.nan
    with pytest.raises(ValueError, match="embedding is not finite"):
        strategy.select(given, 10, "s")


@pytest.mark.parametrize(
    "strategy", [strategy for strategy in EVERY if strategy.score or strategy.needs_embeddings], **NAMED
)
def test_what_a_strategy_needs_and_lacks_is_named(strategy):
    with pytest.raises(ValueError, match="this strategy needs"):
        strategy.select(Candidates(["a", "b"]), 1, "s")


@pytest.mark.parametrize("strategy", SCORED, **NAMED)
@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3, 2)])
def test_wrong_shapes_are_refused(strategy, shape):
    with pytest.raises(ValueError, match="at least two classes"):
        strategy.score(np.full(shape, 0.5, np.float32))


@pytest.mark.parametrize("strategy", SCORED, **NAMED)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_grow_with_doubt(strategy, dtype):
    rows = np.array([[1, 0, 0], [0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [1 / 3, 1 / 3, 1 / 3]], dtype)
    scores = strategy.score(rows)
    assert scores.dtype == np.float64
    assert np.all(np.diff(scores) > 0)
    assert scores.min() >= 0
    assert scores.max() <= 1 + 1e-9


@pytest.mark.parametrize("strategy", SCORED, **NAMED)
def test_scores_of_chunks_equal_scores_of_rows(strategy):
    given = pool(40_000, 9).probabilities
    picked = [0, 1, 29_126, 29_127, 39_999]
    assert np.allclose(strategy.score(given)[picked], strategy.score(given[picked]))


def _uncertainty(row):
    return CLASSIFICATION.uncertainties(row[np.newaxis])[0]


@pytest.mark.parametrize("strategy", SCORED, **NAMED)
def test_the_stored_priority_is_the_score(strategy):
    row = pool(1).probabilities[0]
    assert priority(_uncertainty(row), strategy.name) == pytest.approx(
        float(strategy.score(row[np.newaxis])[0])
    )


@pytest.mark.parametrize("name", ["random", "typiclust"])
def test_strategies_without_a_score_have_no_priority(name):
    assert priority(_uncertainty(np.array([0.2, 0.8])), name) == 0.0


def test_an_unknown_strategy_is_named_with_those_that_exist():
    with pytest.raises(NotConfigured, match="margin_diverse"):
        strategy("magic")


def test_uncertainty_of_one_image():
    score = _uncertainty(np.array([0.1, 0.6, 0.3], np.float64))
    assert (score.top_class, score.confidence) == (1, 0.6)
    assert score.least_confidence == pytest.approx(0.4)
    assert score.margin == pytest.approx(0.7)
    assert score.entropy == pytest.approx(0.8979 / np.log(3), abs=1e-4)


def test_uncertainty_against_sorting():
    rows = pool(500, 7).probabilities.astype(np.float64)
    ordered = np.sort(rows, axis=1)
    assert np.array_equal(strategy("margin").score(rows), 1 - (ordered[:, -1] - ordered[:, -2]))  # type: ignore[misc]
    assert np.array_equal(strategy("least_confidence").score(rows), 1 - ordered[:, -1])  # type: ignore[misc]


drawn = functools.cache(pool)
"""For large pools that no test changes."""


@functools.cache
def in_any_order(size):
    """Return the ids of a large pool in an order that is independent of the rows."""
    return tuple(drawn(size, 5).ids[i] for i in np.random.default_rng(3).permutation(size))


@functools.cache
def fully_sorted(name, order, size, dtype):
    """Return the rows of a large pool, and all their indices by a full sort."""
    rows = drawn(size, 5).probabilities.round(2).astype(dtype, order=order)
    rows.flags.writeable = False
    scores = strategy(name).score(rows)  # type: ignore[misc]
    return rows, np.lexsort((np.array(in_any_order(size)), -scores))


@pytest.mark.parametrize("name", ["margin", "least_confidence"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        *((4_000, dtype) for dtype in (np.float16, np.float32, np.longdouble)),
        *((ROWS_A_WORKER, dtype) for dtype in (np.float16, np.float32, np.float64)),
    ],
)
@pytest.mark.parametrize("n", [1, 700, 3_999])
def test_the_fast_selection_is_that_of_a_full_sort(name, order, size, dtype, n):
    rows, expected = fully_sorted(name, order, size, dtype)
    selected = strategy(name).select(Candidates(in_any_order(size), rows), n, "s")
    assert np.array_equal(selected, expected[:n])


@pytest.mark.parametrize("measure", [Gap(), Largest()])
@pytest.mark.parametrize("classes", [2, 3, 4, 6, 7, 8, 9, 40])
def test_without_the_compiler_the_same_rows_are_found(monkeypatch, measure, classes):
    rows = drawn(ROWS_A_WORKER + 7, classes).probabilities.round(5)
    chosen_rows = least(measure, rows, 300)
    assert 300 <= len(chosen_rows) < 400
    monkeypatch.setitem(sys.modules, "octospoon.domain.acquisition.compiled", None)
    assert np.array_equal(least(measure, rows, 300), chosen_rows)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1, 2, 4])
@pytest.mark.parametrize("row", [0, 60_000, ROWS_A_WORKER - 1])
def test_no_number_that_is_not_finite_is_overlooked(number, place, row):
    rows = np.full((ROWS_A_WORKER, 5), 0.2, np.float32)
    rows[row, place] = number
    with pytest.raises(ValueError, match=f"row {row} "):
        least(Gap(), rows, 1)


@pytest.mark.parametrize("classes", [4, 5, 6, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_code_reads_only_the_given_rows(classes, dtype):
    whole = np.full((50 * classes + 2) * np.dtype(dtype).itemsize, 255, np.uint8)  # NaN everywhere
    rows = whole[1 : 1 + 50 * classes * np.dtype(dtype).itemsize].view(dtype).reshape(50, classes)
    assert not rows.flags.aligned
    rows[:] = pool(50, classes).probabilities
    ordered = np.sort(rows, axis=1)
    gap, indices, measures = ordered[:, -1] - ordered[:, -2], np.full(51, -1), np.empty(51, dtype)
    for start, stop in [(0, 50), (3, 50), (0, 47), (5, 12), (9, 9), (50, 50)]:
        border = np.median(gap)
        count, finite = near(rows, start, stop, border, True, indices, measures)
        assert finite
        assert np.array_equal(indices[:count], start + np.flatnonzero(gap[start:stop] <= border))
        assert np.array_equal(measures[:count], gap[indices[:count]])
    for row in range(50):
        for place in range(classes):
            spoilt = rows.copy()
            spoilt[row, place] = np.inf
            assert not near(spoilt, 0, 50, dtype(0), True, indices, measures)[1]
            assert near(spoilt, row + 1, 50, dtype(0), True, indices, measures)[1]


@pytest.mark.parametrize("step", [1, 2])
def test_rows_that_lie_apart_or_turned_are_read_too(step):
    rows = np.repeat(pool(ROWS_A_WORKER, 6).probabilities, step, axis=1)[::-1, ::step]
    scores = strategy("margin").score(rows)  # type: ignore[misc]
    expected = np.argsort(-scores, kind="stable")[:20]
    assert np.array_equal(strategy("margin").select(Candidates(range(len(rows)), rows), 20, "s"), expected)


def test_finite_rows_whose_sum_is_not_are_measured():
    rows = np.full((ROWS_A_WORKER, 3), 0.2, np.float64)
    rows[70_000:] = [1.5e308, 1e308, 1e308]
    assert np.array_equal(least(Largest(), -rows, 5), np.arange(70_000, ROWS_A_WORKER))


def test_ties_at_the_border_are_kept_in_little_memory():
    rows = np.full((100_000, 2), 0.5, np.float32)
    assert len(least(Gap(), rows, 10)) == 100_000
    rows = pool(200_000, 10).probabilities
    tracemalloc.start()
    strategy("margin").select(Candidates(range(200_000), rows), 1000, "s")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_number_of_workers_does_not_matter(order):
    rows = pool(350_000, 3).probabilities.round(4).astype(np.float32, order=order)
    ids = [f"{i:06d}" for i in np.random.default_rng(2).permutation(350_000)]
    scores = strategy("margin").score(rows)  # type: ignore[misc]
    expected = np.lexsort((np.array(ids), -scores))[:500]
    assert np.array_equal(strategy("margin").select(Candidates(ids, rows), 500, "s"), expected)
    for workers in (1, 2, 3):
        rows_found = least(Gap(), rows, 500, workers)
        assert set(expected.tolist()) <= set(rows_found.tolist())
        assert len(rows_found) == len(set(rows_found.tolist()))
    rows[340_000, 1] = rows[120_000, 2] = np.nan
    with pytest.raises(ValueError, match="row 120000 "):
        strategy("margin").select(Candidates(ids, rows), 500, "s")


def test_numbers_below_zero_are_measured_like_others():
    rows = np.random.default_rng(0).standard_normal((30_000, 3)).astype(np.float32) - 3
    scores = strategy("margin").score(rows)  # type: ignore[misc]
    ids = [f"{i:05d}" for i in range(30_000)]
    expected = np.argsort(-scores, kind="stable")[:50]
    assert np.array_equal(strategy("margin").select(Candidates(ids, rows), 50, "s"), expected)


def test_large_finite_numbers_are_not_taken_for_infinite_ones():
    rows = np.full((4, 3), 3e38, np.float32)
    assert strategy("margin").score(rows).tolist() == [1.0] * 4  # type: ignore[misc]


def test_kmeans_of_many_clusters_is_repeatable_and_near_the_points():
    points = np.random.default_rng(0).standard_normal((3000, 6))
    centres = kmeans(points, 400, "s")
    again = kmeans(points, 400, "s")
    assert np.array_equal(centres.assignment, again.assignment)
    assert not np.array_equal(centres.assignment, kmeans(points, 400, "t").assignment)
    assert centres.distance.sum() < 0.35 * (points**2).sum()
    assert np.count_nonzero(np.bincount(centres.assignment, minlength=400)) > 390


@pytest.mark.parametrize("name", ["random", "power_margin", "typiclust", "margin_diverse"])
def test_another_round_draws_otherwise(name):
    given = pool(300)
    assert chosen(strategy(name), given, 20, "round-1") != chosen(strategy(name), given, 20, "round-2")


def test_random_is_uniform():
    given = pool(20)
    counts = np.zeros(20)
    for round_number in range(2000):
        counts[strategy("random").select(given, 5, str(round_number))] += 1
    assert np.all(np.abs(counts / 2000 - 0.25) < 0.05)


def test_power_margin_prefers_small_margins_but_takes_others_too():
    rows = np.zeros((400, 2))
    rows[:, 0] = np.linspace(0.5, 1.0, 400)
    rows[:, 1] = 1 - rows[:, 0]
    given = Candidates([f"{i:03d}" for i in range(400)], rows)
    picked = strategy("power_margin").select(given, 50, "s")
    assert picked.mean() < 130
    assert picked.max() > 60


def test_margin_diverse_takes_one_of_each_group_of_look_alikes():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((5, 8)) * 50
    group = np.repeat(np.arange(5), 10)
    embeddings = centres[group] + rng.standard_normal((50, 8))
    rows = np.full((50, 2), 0.5)
    picked = strategy("margin_diverse").select(
        Candidates([str(i) for i in range(50)], rows, embeddings), 5, "s"
    )
    assert sorted(group[picked]) == [0, 1, 2, 3, 4]


def test_margin_diverse_looks_at_the_uncertain_ones_only():
    rows = np.tile([1.0, 0.0], (500, 1))
    rows[:50] = 0.5
    given = Candidates([f"{i:03d}" for i in range(500)], rows, pool(500).embeddings)
    assert set(strategy("margin_diverse").select(given, 5, "s")) <= set(range(50))


def test_typiclust_takes_the_densest_point_of_the_largest_clusters():
    rng = np.random.default_rng(0)
    large, small = rng.standard_normal((80, 4)), rng.standard_normal((20, 4)) + 40
    points = np.concatenate([large, small, [[300.0] * 4]])
    given = Candidates([f"{i:03d}" for i in range(101)], None, points)
    picked = strategy("typiclust").select(given, 2, "s")
    assert 100 not in picked
    typical = typiclust.typicality(points[:80])
    assert typical[0] == pytest.approx(
        1 / np.mean(np.sort(np.linalg.norm(points[:80] - points[0], axis=1))[1:21]), rel=1e-6
    )


def test_highest_refuses_non_finite_scores():
    with pytest.raises(ValueError, match="not finite"):
        highest(np.array([1.0, np.nan]), ["a", "b"], 1)


def test_kmeans_finds_separate_groups_and_bears_coinciding_points():
    points = np.repeat(np.array([[0.0, 0.0], [9.0, 9.0], [0.0, 9.0]]), 10, axis=0)
    centres = kmeans(points, 3, "s")
    assert sorted(len(m) for m in centres.members()) == [10, 10, 10]
    assert centres.distance.max() < 1e-9
    same = kmeans(np.ones((6, 2)), 3, "s")
    assert sum(len(m) for m in same.members()) == 6
