"""The progress of a backfill outlives its process, and only one writer replaces it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from octospoon.domain.pool.backfill import Backfill

if TYPE_CHECKING:
    from contract.conftest import Stores

RUNNING = Backfill(
    began=1763813687.25,
    prefix="trip 7/",
    since=10.5,
    cursor="trip 7/ä\n.jpg",
    sending_to="trip 7/猫.jpg",
    doubtful=(("", "trip 7/a"), ("trip 7/b", "trip 7/c")),
    queued=7,
    finished=False,
    owner="here:1",
    lease_until=1763813717.75,
)


def test_progress_is_read_as_it_was_written(stores: Stores) -> None:
    assert stores.backfills.read() == Backfill()

    assert stores.backfills.save(Backfill(), RUNNING)

    assert stores.backfills.read() == replace(RUNNING, revision=1)


def test_of_two_writers_only_the_first_replaces_the_progress(stores: Stores) -> None:
    stores.backfills.save(Backfill(), RUNNING)
    first = stores.backfills.read()

    assert stores.backfills.save(first, replace(first, cursor="m"))
    assert not stores.backfills.save(first, replace(first, cursor="z"))
    assert not stores.backfills.save(Backfill(), RUNNING)

    assert stores.backfills.read() == replace(first, cursor="m", revision=2)


def test_the_backlog_begins_with_the_first_look_and_only_shrinks(stores: Stores) -> None:
    assert stores.backlog.until(1763813687.25) == 1763813687.25
    assert stores.backlog.until(1763819999.0) == 1763813687.25

    stores.backlog.reach(1763819999.0)
    assert stores.backlog.until(0.0) == 1763813687.25
    stores.backlog.reach(500.5)
    stores.backlog.reach(1763813687.25)

    assert stores.backlog.until(1763819999.0) == 500.5


def test_a_backfill_before_the_first_look_is_kept(stores: Stores) -> None:
    stores.backlog.reach(0.0)

    assert stores.backlog.until(1763813687.25) == 0.0
