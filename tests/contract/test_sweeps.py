from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from octospoon.domain.labelling.reconciliation import Sweep

if TYPE_CHECKING:
    from contract.conftest import Stores

FIRST = Sweep(began=1763813687.25, since=0.0, position=0, finished=False, full_began=1763813687.25)


def test_a_sweep_is_read_as_it_was_saved(stores: Stores) -> None:
    assert stores.sweeps.read() == Sweep()

    assert stores.sweeps.save(Sweep(), FIRST)
    assert stores.sweeps.read() == FIRST


def test_of_two_that_go_on_from_the_same_place_one_wins(stores: Stores) -> None:
    stores.sweeps.save(Sweep(), FIRST)
    ahead = replace(FIRST, position=100)

    assert stores.sweeps.save(FIRST, ahead)
    assert not stores.sweeps.save(FIRST, replace(FIRST, position=50))
    assert stores.sweeps.save(ahead, replace(ahead, finished=True))
    assert not stores.sweeps.save(ahead, replace(ahead, position=200))
    assert stores.sweeps.read() == replace(ahead, finished=True)


def test_a_new_sweep_is_begun_once(stores: Stores) -> None:
    stores.sweeps.save(Sweep(), FIRST)
    done = replace(FIRST, finished=True)
    stores.sweeps.save(FIRST, done)

    assert stores.sweeps.save(done, Sweep(began=2e9, since=FIRST.began, finished=False))
    assert not stores.sweeps.save(done, Sweep(began=2e9 + 1, since=FIRST.began, finished=False))
