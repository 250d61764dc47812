from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from octospoon.domain.labelling.removals import Proposal, proposal
from octospoon.domain.labelling.tasks import Annotation

if TYPE_CHECKING:
    from contract.conftest import Stores

PROJECT = "7 of 2026-01-01T00:00:00.000000Z"


def annotation(i: int) -> Annotation:
    key = f"ä {i:02d}.png"
    return Annotation(key, "e", f"u{i}", i, "2026-01-01T00:00:01Z", "1", "cat", project=PROJECT)


def test_what_is_missing_is_kept_page_by_page(stores: Stores) -> None:
    pages = {"": [annotation(3), annotation(4)], "ä 04.png\x1fu4": [annotation(1)]}
    for page, missing in pages.items():
        stores.missing.add("walk-1", page, missing)
    stores.missing.add("walk-1", "", [annotation(9)])  # the same page, read again
    stores.missing.add("walk-10", "", [annotation(5)])

    assert stores.missing.of("walk-1") == [annotation(1), annotation(3), annotation(4)]
    assert stores.missing.of("walk-2") == []


def test_a_proposal_is_replaced_only_by_who_knows_it(stores: Stores) -> None:
    nothing = stores.proposals.read()
    assert nothing == Proposal()
    first = proposal([annotation(1), annotation(2)], PROJECT, "walk-1", 5.5)
    second = proposal([annotation(1)], PROJECT, "walk-2", 6.5)

    assert stores.proposals.save(nothing, first)
    assert stores.proposals.read() == first
    assert not stores.proposals.save(nothing, second)
    accepted = replace(first, accepted=True)
    assert stores.proposals.save(first, accepted)
    assert not stores.proposals.save(first, second), "a person has accepted it meanwhile"
    assert stores.proposals.save(accepted, replace(accepted, applied=1))
    assert stores.proposals.save(accepted, Proposal())
    assert stores.proposals.read() == Proposal()
