from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from octospoon.domain.acquisition import STRATEGIES, Candidates, strategy
from octospoon.domain.batch.limits import Limits, group_of, within

CHOOSING = [strategy for strategy in STRATEGIES.values() if strategy.name != "random"]
NAMED = {"ids": lambda strategy: strategy.name}


def pool(originals: int, copies: int) -> Candidates:
    """Return a pool of `copies` near copies of each image, which differ by 1e-4. Each copy has a folder."""
    rng = np.random.default_rng(0)
    embeddings = np.repeat(rng.standard_normal((originals, 16)), copies, axis=0)
    embeddings += 1e-4 * rng.standard_normal(embeddings.shape)
    probabilities = np.repeat(rng.dirichlet(np.ones(4), originals), copies, axis=0)
    ids = [f"cam-{copy}/{i:03d}.jpg" for i in range(originals) for copy in range(copies)]
    return Candidates(ids, probabilities, embeddings)


def chosen(given: Candidates, strategy, n: int, limits: Limits) -> list[str]:
    positions = within(limits, strategy.select, given, n, "s")
    assert len(set(positions.tolist())) == len(positions) == min(n, len(given.ids))
    return [given.ids[i] for i in positions]


def originals(keys: list[str]) -> list[str]:
    return [key.partition("/")[2] for key in keys]


def farther_than(given: Candidates, keys: list[str], distance: float) -> bool:
    rows = given.embeddings[[given.ids.index(key) for key in keys]]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return bool((1 - unit @ unit.T)[~np.eye(len(keys), dtype=bool)].min() >= distance)


@pytest.mark.parametrize("strategy", CHOOSING, **NAMED)
def test_no_batch_holds_near_copies_while_other_images_are_left(strategy):
    given, limits = pool(30, 5), Limits(min_distance=0.001)

    keys = chosen(given, strategy, 25, limits)

    assert len(set(originals(keys))) == 25
    assert farther_than(given, keys, 0.001)
    assert len(set(originals(chosen(given, strategy, 40, limits)))) == 30


def test_copies_fill_nothing_where_something_else_does():
    given, margin = pool(30, 5), strategy("margin")

    positions = within(Limits(min_distance=0.001), margin.select, given, 40, "s", fill=False)

    assert sorted(originals([given.ids[i] for i in positions])) == [f"{i:03d}.jpg" for i in range(30)]
    assert len(within(Limits(), margin.select, given, 40, "s", fill=False)) == 40


def test_without_the_limit_margin_takes_the_copies():
    keys = chosen(pool(30, 5), strategy("margin"), 25, Limits())

    assert len(set(originals(keys))) == 5


@pytest.mark.parametrize("strategy", CHOOSING, **NAMED)
def test_no_predicted_class_has_more_than_its_share(strategy):
    given = pool(200, 1)
    predicted = dict(zip(given.ids, given.probabilities.argmax(axis=1).tolist(), strict=True))

    keys = chosen(given, strategy, 30, Limits(class_quota=0.3))

    assert max(Counter(predicted[key] for key in keys).values()) <= 9


@pytest.mark.parametrize("strategy", CHOOSING, **NAMED)
def test_no_folder_has_more_than_its_share(strategy):
    keys = chosen(pool(30, 5), strategy, 25, Limits(group_quota=0.2))

    assert max(Counter(map(group_of, keys)).values()) == 5


def test_share_is_rounded_up_and_short_supply_fills_the_batch():
    given = pool(30, 2)

    assert Counter(map(group_of, chosen(given, strategy("margin"), 3, Limits(group_quota=0.4)))) == {
        "cam-0": 2,
        "cam-1": 1,
    }
    assert len(chosen(given, strategy("margin"), 60, Limits(0.001, 0.1, 0.1))) == 60


@pytest.mark.parametrize("strategy", CHOOSING, **NAMED)
def test_combined_limits_do_not_depend_on_row_order(strategy):
    given, limits = pool(60, 3), Limits(0.001, 0.4, 0.5)
    other = given.take(np.random.default_rng(1).permutation(180))

    assert chosen(given, strategy, 20, limits) == chosen(other, strategy, 20, limits)


def test_what_was_wanted_first_stays_first():
    given = pool(60, 1)

    assert chosen(given, strategy("margin"), 10, Limits(0.001)) == chosen(
        given, strategy("margin"), 10, Limits()
    )


def test_an_embedding_of_zeros_is_near_to_nothing():
    given = Candidates(["a", "b"], np.full((2, 2), 0.5), np.zeros((2, 3)))

    assert chosen(given, strategy("margin"), 2, Limits(0.001)) == ["a", "b"]


@pytest.mark.parametrize("key", ["a.jpg", "x/a.jpg", "x/y/a.jpg"])
def test_a_group_is_a_folder(key):
    assert group_of(key) == key.rpartition("/")[0]
