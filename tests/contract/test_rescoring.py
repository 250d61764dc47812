from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.ports.models import ReadingState, ShardReading

if TYPE_CHECKING:
    from contract.conftest import Stores


def test_a_later_turn_starts_the_count_again(stores: Stores) -> None:
    assert stores.rescoring.progress() == (-1, 0)

    stores.rescoring.begin(5, 2)
    for shard in (3, 3, 4):
        stores.rescoring.done(5, shard)
    stores.rescoring.begin(5, 2)
    stores.rescoring.begin(4, 3)
    stores.rescoring.done(4, 5)
    assert stores.rescoring.progress() == (2, 2)

    stores.rescoring.begin(6, 1)
    assert stores.rescoring.progress() == (1, 0), "a roll-back is counted too"


def test_each_shard_has_its_own_order_independent_of_versions(stores: Stores) -> None:
    assert stores.rescoring.orders() == {}

    stores.rescoring.ordered(3, "margin")
    stores.rescoring.reordering(15, "entropy", 100.5)
    stores.rescoring.reordering(4, "entropy", 90.0)
    assert stores.rescoring.orders() == {3: "margin", 4: "", 15: ""}
    assert stores.rescoring.at_work("entropy", 100.5) == {15}
    assert stores.rescoring.at_work("entropy", 90.0) == {4, 15}
    assert stores.rescoring.at_work("margin", 0.0) == set()
    stores.rescoring.ordered(15, "entropy")
    stores.rescoring.ordered(15, "entropy")
    stores.rescoring.ordered(4, "margin")
    stores.rescoring.begin(1, 1)

    assert stores.rescoring.orders() == {3: "margin", 4: "margin", 15: "entropy"}


def test_longer_reach_is_counted_again_and_shorter_ignored(stores: Stores) -> None:
    stores.rescoring.begin(5, 2, "2026-01-31")
    stores.rescoring.begin(5, 2, "2026-02-01")
    assert stores.rescoring.oldest() == "2026-01-31"
    stores.rescoring.done(5, 3, "2026-02-01")
    assert stores.rescoring.progress() == (2, 0)
    stores.rescoring.done(5, 3, "2026-01-31")
    stores.rescoring.done(5, 4)
    assert stores.rescoring.progress() == (2, 2)

    stores.rescoring.begin(5, 2)
    stores.rescoring.done(5, 3, "2026-01-31")
    assert (stores.rescoring.progress(), stores.rescoring.oldest()) == ((2, 0), "")
    stores.rescoring.begin(6, 3, "2026-02-02")
    assert stores.rescoring.oldest() == "2026-02-02"


def test_newest_run_alone_reads_images_again(stores: Stores) -> None:
    assert stores.reading.newest() is None
    assert not stores.reading.takes(ShardReading(1, 3), 0, 10.0, 0.0), "it never began"

    first = stores.reading.begin(5, 2, 1000)
    assert stores.reading.takes(ShardReading(first, 3, seen=7), 0, 10.0, 0.0)
    stores.reading.done(ShardReading(first, 3, 40, 1))
    stores.reading.done(ShardReading(first, 3, 40, 1))
    stores.reading.done(ShardReading(first, 15, 60, 2))
    assert stores.reading.newest() == ReadingState(first, 2, 1000, 2, 100, 3)

    second = stores.reading.begin(5, 2, -1)
    assert second > first
    assert not stores.reading.takes(ShardReading(first, 3), 1, 20.0, 0.0)
    stores.reading.done(ShardReading(first, 3, 41, 0))
    assert stores.reading.newest() == ReadingState(second, 2, -1, 0, 0, 0)

    assert stores.reading.begin(4, 1, 10) == 0, "a later champion has begun"
    assert stores.reading.takes(ShardReading(second, 3), 0, 30.0, 0.0)
    assert stores.reading.begin(6, 3, 10) > second


def test_each_step_of_a_shard_is_taken_by_one_message(stores: Stores) -> None:
    run = stores.reading.begin(1, 1, 100)
    shard, other = ShardReading(run, 3, 5, 1), ShardReading(run, 4)

    assert stores.reading.takes(shard, 2, 1000.0, 900.0)
    assert not stores.reading.takes(shard, 2, 1050.0, 950.0), "the message works, or died just now"
    assert not stores.reading.takes(shard, 1, 2000.0, 1900.0), "a late one of an earlier step"
    assert stores.reading.takes(other, 1, 1050.0, 950.0), "shards do not wait for each other"
    assert stores.reading.takes(shard, 2, 1101.0, 1001.0), "it died"
    assert stores.reading.takes(shard, 3, 1102.0, 1002.0)
    state = stores.reading.newest()
    assert state
    assert (state.shards, state.seen, state.left) == (0, 5, 1)
