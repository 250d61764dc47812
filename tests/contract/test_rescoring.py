from __future__ import annotations

from typing import TYPE_CHECKING

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
