from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from fakes.memory import FakeClock, FakePool, FakeRescoring

from octospoon.domain.acquisition import uncertainty
from octospoon.domain.entities import ImageRef, Pick, Prediction, State
from octospoon.domain.errors import BadRequest
from octospoon.domain.keys import SHARDS, shard
from octospoon.domain.model_spec import ChampionPointer
from octospoon.usecases.rescore import Reorder, RescorePool

BACKBONE = "b" * 64
IMAGES = 400


class Head:
    def __init__(self, seed: int) -> None:
        self.weights = np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32)

    def run(self, embedding):
        powers = np.exp(embedding @ self.weights)
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@dataclass
class World:
    """A pool, a queue, and the use case as deployed with one strategy."""

    strategy: str = "margin"
    version: int = 1
    turn: int | None = None
    pool: FakePool = field(default_factory=FakePool)
    progress: FakeRescoring = field(default_factory=FakeRescoring)
    clock: FakeClock = field(default_factory=FakeClock)
    queue: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        for i in range(IMAGES):
            said = Prediction(0, BACKBONE, rng.standard_normal(4).astype(np.float32), None)
            self.pool.put_score(ImageRef(f"{i:04d}", "e", "1", 1), said)
        rescore = self.pool.rescore

        def counted(rows, predictions):
            self.written += [row.key for row in rows]
            return rescore(rows, predictions)

        self.pool.rescore = counted

    @property
    def order(self) -> str:
        return {"margin": "margin", "margin_diverse": "margin", "entropy": "entropy"}[self.strategy]

    def case(self) -> RescorePool:
        self.pool.strategy = self.strategy
        classes, turn = ("a", "b", "c"), self.version if self.turn is None else self.turn
        pointer = ChampionPointer(self.version, "a", "m", BACKBONE, "h", "c", classes, turn=turn)
        return RescorePool(
            self.pool,
            self.progress,
            lambda: (pointer, Head(self.version)),
            self.queue.append,
            self.clock,
            self.order,
            workers=1,
        )

    def work(self, deadline: float = 1e12) -> int:
        """Take every message off the queue; return how many there were."""
        done = 0
        while self.queue:
            self.case().segment(self.queue.pop(0), deadline)
            done += 1
        return done

    def reorder(self) -> int:
        return Reorder(self.progress, self.queue.append, self.order)(self.version)

    def check(self) -> None:
        """Every selectable row is scored by the champion."""
        head = Head(self.version)
        for row in self.pool.table.values():
            if row.state is State.SCORED:
                expected = head.run(row.prediction.embedding[np.newaxis])[0]
                assert row.prediction.model_version == self.version
                assert row.prediction.probabilities == pytest.approx(expected, abs=1e-6)


def test_a_new_champion_scores_every_row_once_and_says_in_which_order() -> None:
    world = World()

    assert world.case().champion_changed() == SHARDS
    assert world.work() == SHARDS

    world.check()
    assert len(world.written) == IMAGES
    assert world.progress.progress() == (1, SHARDS)
    assert world.progress.orders() == dict.fromkeys(range(SHARDS), "margin")
    assert world.reorder() == 0, "nothing is left to do"

    world.version = 2
    world.case().champion_changed()
    world.work()
    world.check()
    assert len(world.written) == 2 * IMAGES


def test_after_a_roll_back_the_pool_has_the_scores_of_the_version_in_service() -> None:
    world = scored()
    world.version = 2
    world.case().champion_changed()
    world.work()
    late = world.queue.copy()

    world.version, world.turn = 1, 3
    world.case().champion_changed()
    world.queue += late
    world.work()

    world.check()
    assert {row.prediction.turn for row in world.pool.table.values()} == {3}
    assert world.progress.progress() == (1, SHARDS)


def test_a_shard_with_embeddings_of_another_backbone_is_not_done(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    row = world.pool.table["0007"]
    row.prediction = replace(row.prediction, backbone="c" * 64)
    world.case().champion_changed()

    from octospoon.usecases import rescore

    original, rescore.PAGE = rescore.PAGE, 10
    try:
        world.work(deadline=0.0)  # the row's page and the shard's end are in messages of their own
    finally:
        rescore.PAGE = original

    assert world.progress.progress() == (1, SHARDS - 1)
    assert world.pool.table["0007"].prediction.model_version == 0
    assert len(world.written) == IMAGES - 1
    assert f"1 rows of shard {shard('0007')} have another backbone's embeddings" in caplog.text


def scored() -> World:
    world = World()
    world.case().champion_changed()
    world.work()
    world.written.clear()
    return world


def test_a_strategy_of_the_same_order_needs_no_rescan() -> None:
    world = scored()
    world.strategy = "margin_diverse"

    assert world.reorder() == 0
    assert world.queue == []


def test_a_strategy_of_another_order_rewrites_every_row_once() -> None:
    world = scored()
    world.strategy = "entropy"

    assert world.reorder() == SHARDS
    world.reorder()  # the next run of rank, before the first message was taken
    world.work()

    assert sorted(world.written) == sorted(world.pool.table)
    assert world.reorder() == 0
    best = max(world.pool.table.values(), key=lambda row: uncertainty(row.prediction.probabilities).entropy)
    assert world.pool.table[world.pool.top(1)[0].key] is best


def test_a_rescan_that_is_cut_off_goes_on_where_it_was() -> None:
    world = scored()
    world.strategy = "entropy"
    world.reorder()
    sizes = np.bincount([shard(key) for key in world.pool.table], minlength=SHARDS)

    from octospoon.usecases import rescore

    original, rescore.PAGE = rescore.PAGE, 10
    try:
        messages = world.work(deadline=0.0)  # every invocation has time for one page
    finally:
        rescore.PAGE = original

    assert messages == sum(size // 10 + 1 for size in sizes)
    assert sorted(world.written) == sorted(world.pool.table)
    assert world.reorder() == 0


def test_a_shard_whose_message_was_lost_is_queued_again() -> None:
    world = scored()
    world.strategy = "entropy"
    world.reorder()
    del world.queue[5]
    world.work()

    assert world.reorder() == 1
    world.work()
    assert world.reorder() == 0
    assert len(world.written) == IMAGES


def test_going_back_half_way_leaves_no_shard_half_ordered() -> None:
    world = scored()
    world.strategy = "entropy"
    world.reorder()
    first, second = world.queue[:2]
    world.queue.clear()
    world.case().segment(first, 1e12)

    def dies(rows, predictions):
        raise RuntimeError

    kept, world.pool.rescore = world.pool.rescore, dies
    with pytest.raises(RuntimeError):
        world.case().segment(second, 1e12)
    world.pool.rescore = kept
    world.strategy = "margin"

    assert world.reorder() == 2
    assert world.progress.orders()[1] == ""


def test_taken_images_are_left_alone() -> None:
    world = scored()
    world.pool.claim(Pick("0007", "e", False, "margin", None, 0, None), 1, 9.0)
    world.strategy, world.version = "entropy", 2
    world.case().champion_changed()
    world.work()

    assert world.pool.table["0007"].prediction.model_version == 1
    world.check()


def test_messages_of_an_older_champion_and_of_somebody_else() -> None:
    world = scored()
    world.strategy = "entropy"
    world.reorder()
    world.version = 2

    world.work()

    assert world.written == []
    with pytest.raises(BadRequest, match="not a message of ours"):
        world.case().segment("{}", 1e12)
