from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from octospoon.domain.acquisition import STRATEGIES
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.errors import BadRequest
from octospoon.training import simulation
from octospoon.training.head.fit import fit_head
from octospoon.training.simulation import Labelled, Plan, Split, replay

PLAN = Plan.even(3, BatchRules(20, 0.2))


def data(n: int = 300, spread: float = 1.0) -> tuple[Labelled, Split]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, n)
    embeddings = 3 * np.eye(4, 8)[labels] + spread * rng.standard_normal((n, 8))
    order = rng.permutation(n)
    return Labelled(embeddings.astype(np.float32), labels, 4), Split(order[: n * 2 // 3], order[n * 2 // 3 :])


class Trained(list):
    """Records the labels that each head was trained on, in order."""

    def __init__(self, monkeypatch):
        original = simulation.fit

        def fit(given, chosen):
            self.append(chosen.tolist())
            return original(given, chosen)

        monkeypatch.setattr(simulation, "fit", fit)


@pytest.mark.parametrize("name", STRATEGIES)
def test_held_out_images_never_enter_the_pool(name, monkeypatch):
    (given, split), trained = data(), Trained(monkeypatch)

    curve = replay(given, split, PLAN, name, 1)

    assert len(curve) == len(trained) == 3
    assert all(0.5 < score.accuracy <= 1 for score in curve)
    for chosen in trained:
        assert set(chosen) <= set(split.pool.tolist())
        assert len(set(chosen)) == len(chosen)


def test_a_strategy_trains_on_its_audit_share_as_random_does(monkeypatch):
    (given, split), trained = data(), Trained(monkeypatch)

    replay(given, split, PLAN, "margin_diverse", 1)
    replay(given, split, PLAN, "random", 1)

    assert [len(chosen) for chosen in trained] == [20, 40, 60, 20, 40, 60]
    assert trained[1][:20] == trained[0], "what was labelled stays labelled"


@pytest.mark.parametrize("name", ["random", "margin", "margin_diverse"])
def test_the_seed_fixes_the_curve(name):
    given, split = data(spread=2.0)

    first = replay(given, split, PLAN, name, 1)
    assert replay(given, split, PLAN, name, 1) == first
    assert replay(given, split, PLAN, name, 2) != first


def test_the_order_of_the_pool_does_not_matter():
    given, split = data(spread=2.0)
    turned = Split(split.pool[::-1], split.held_out)

    assert replay(given, split, PLAN, "margin_diverse", 3) == replay(given, turned, PLAN, "margin_diverse", 3)


def test_accuracy_is_that_on_the_held_out_images_alone():
    given, split = data()
    labels = given.labels.copy()
    labels[split.held_out] = (labels[split.held_out] + 1) % 4
    wrong = Labelled(given.embeddings, labels, 4)

    right, none = (replay(labelled, split, PLAN, "random", 1)[-1].accuracy for labelled in (given, wrong))

    assert right > 0.9
    assert none < 0.1


def test_more_labels_than_images_are_refused():
    given, split = data(60)

    with pytest.raises(BadRequest, match="60 labels of a pool of 40"):
        replay(given, split, PLAN, "random", 1)


@pytest.mark.parametrize(
    ("labels", "batch", "rounds"),
    [
        ([50], 20, [20, 40, 50]),
        ([60], 20, [20, 40, 60]),
        ([20], 20, [20]),
        ([21], 20, [20, 21]),
        ([15, 50, 90], 20, [15, 35, 50, 70, 90]),
    ],
)
@pytest.mark.parametrize("name", ["random", "margin"])
def test_a_plan_stops_at_exactly_the_labels_asked_for(labels, batch, rounds, name, monkeypatch):
    (given, split), trained = data(), Trained(monkeypatch)
    plan = Plan.through(labels, BatchRules(batch, 0.0))

    curve = replay(given, split, plan, name, 1)

    assert plan.labels == rounds
    assert len(curve) == len(rounds)
    assert [len(chosen) for chosen in trained] == rounds


def test_balanced_accuracy_counts_every_class_alike():
    given, _ = data()
    few = np.flatnonzero(given.labels == 0)[:5]
    many = np.flatnonzero(given.labels == 1)[:45]
    split = Split(np.arange(100, 300), np.concatenate([few, many]))
    always_one = fit_head(given.embeddings[:2], np.array([1, 1]), 4)

    score = simulation.score(given, split, always_one)

    assert score.accuracy == pytest.approx(0.9)
    assert score.balanced == pytest.approx(0.5)


def test_the_simulated_head_knows_the_parts_of_the_embedding():
    given, split = data()
    dim = given.embeddings.shape[1]
    fitted = simulation.fit(replace(given, parts=(2, dim - 2)), split.pool[:40])
    assert len(fitted.shares) == 2
    assert len(simulation.fit(given, split.pool[:40]).shares) == 1
