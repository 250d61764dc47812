from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from octospoon.domain.labelling.reconciliation import TaskSync

if TYPE_CHECKING:
    from contract.conftest import Stores

FIRST = TaskSync(began=1763813687.25, since=0.0, position=0, finished=False, full_began=1763813687.25)


def test_a_sweep_is_read_as_it_was_saved(stores: Stores) -> None:
    assert stores.task_syncs.read() == TaskSync()

    assert stores.task_syncs.save(TaskSync(), FIRST)
    assert stores.task_syncs.read() == FIRST


def test_one_of_two_continuations_wins(stores: Stores) -> None:
    stores.task_syncs.save(TaskSync(), FIRST)
    ahead = replace(FIRST, position=100)

    assert stores.task_syncs.save(FIRST, ahead)
    assert not stores.task_syncs.save(FIRST, replace(FIRST, position=50))
    assert stores.task_syncs.save(ahead, replace(ahead, finished=True))
    assert not stores.task_syncs.save(ahead, replace(ahead, position=200))
    assert stores.task_syncs.read() == replace(ahead, finished=True)


def test_a_new_sweep_is_begun_once(stores: Stores) -> None:
    stores.task_syncs.save(TaskSync(), FIRST)
    finished = replace(FIRST, finished=True)
    stores.task_syncs.save(FIRST, finished)

    assert stores.task_syncs.save(finished, TaskSync(began=2e9, since=FIRST.began, finished=False))
    assert not stores.task_syncs.save(finished, TaskSync(began=2e9 + 1, since=FIRST.began, finished=False))
