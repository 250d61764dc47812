from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from contract.test_pool import embedded, image, pick, prediction
from octospoon.domain.batch.draw import spread
from octospoon.domain.labelling.reconciliation import FullAudit, PoolEntry
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from contract.conftest import Stores


def entry(stores: Stores, i: int) -> PoolEntry:
    return stores.entries.entries([image(i).key])[image(i).key]


def selectable(stores: Stores) -> set[str]:
    candidates = [*stores.ranking.top(99), *spread(stores.pool.selectable, 99, "s")]
    return {candidate.key for candidate in candidates}


def test_every_image_is_on_exactly_one_page(stores: Stores) -> None:
    for i in range(7):
        stores.scoring.put_score(image(i), prediction(0.5))
    stores.scoring.put_quarantine(image(9), "empty", "no bytes")
    entries, end = stores.entries.page("", 3)
    while end:
        page, end = stores.entries.page(end, 3)
        entries += page

    assert sorted(entry.key for entry in entries) == [image(i).key for i in (*range(7), 9)]
    refused = next(entry for entry in entries if entry.state is State.QUARANTINED)
    assert (refused.etag, refused.reason) == ("e", "empty")


def test_a_claim_that_is_over_goes_back_to_both_indexes(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5))
    stores.scoring.put_score(image(2), embedded(2))
    for i in (1, 2):
        stores.ranking.claim(pick(i), 7, 99.0)
    assert (entry(stores, 1).round_number, entry(stores, 1).claim_until) == (7, 99.0)

    for i in (1, 2):
        assert stores.entries.release(entry(stores, i))
    assert {candidate.key for candidate in stores.ranking.top(9)} == {image(1).key}
    assert selectable(stores) == {image(1).key, image(2).key}
    assert (entry(stores, 1).state, entry(stores, 1).claim_until) == (State.SCORED, 0.0)


def test_renewed_claim_or_changed_bytes_are_left_alone(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5))
    stores.ranking.claim(pick(1), 7, 99.0)
    before = entry(stores, 1)
    stores.ranking.claim(pick(1), 7, 199.0)

    assert not stores.entries.release(before)
    assert not stores.entries.adopt(before, 5)
    assert not stores.entries.withdraw(before, "gone", "")
    stores.scoring.put_score(image(1, "newer", "1F"), prediction(0.5))
    assert not stores.entries.release(before)
    assert entry(stores, 1).state is State.SCORED


def test_an_image_with_a_task_is_no_longer_selectable(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5))

    assert stores.entries.adopt(entry(stores, 1), 11)
    assert entry(stores, 1).state is State.EXPORTED
    assert selectable(stores) == set()
    assert stores.entries.release(entry(stores, 1))
    assert selectable(stores) == {image(1).key}


def test_an_image_whose_object_is_gone_can_come_back(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5))

    assert stores.entries.withdraw(entry(stores, 1), "gone", "the object was deleted")
    assert (entry(stores, 1).state, entry(stores, 1).reason) == (State.QUARANTINED, "gone")
    assert selectable(stores) == set()
    assert stores.pool.rows([image(1).key]) == {}
    assert stores.scoring.put_score(image(1), prediction(0.5)), "the same bytes, uploaded again"
    assert selectable(stores) == {image(1).key}


def test_a_full_audit_moves_by_compare_and_swap(stores: Stores) -> None:
    first = FullAudit(began=12.5, phase="bucket", finished=False)

    assert stores.full_audits.read() == FullAudit()
    assert stores.full_audits.save(FullAudit(), first)
    assert stores.full_audits.read() == first
    ahead = replace(first, cursor="dir/\u00e4 001.png")
    assert stores.full_audits.save(first, ahead)
    assert not stores.full_audits.save(first, replace(first, cursor="b"))
    assert stores.full_audits.read() == ahead
