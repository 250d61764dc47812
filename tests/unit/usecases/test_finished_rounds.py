from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fakes.labelling import FakeRounds
from fakes.pool import FakeEntries
from unit.usecases.test_collect import World, deleted, message

from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.tasks import Pick, Round
from octospoon.usecases import finished_rounds
from octospoon.usecases.finished_rounds import FinishedRounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from octospoon.domain.labelling.reconciliation import PoolEntry

IMAGES = 5


class Batches:
    """A round of five images, with the number of batches that were requested."""

    def __init__(self) -> None:
        self.world = World(threshold=100, images=IMAGES)
        self.requests, self.looked_at = 0, 0
        rounds = self.rounds()
        pool = FakeEntries(self.world.pool)
        entries = pool.entries

        def counted(keys: Sequence[str]) -> dict[str, PoolEntry]:
            self.looked_at += len(keys)
            return entries(keys)

        pool.entries = counted
        self.finished = FinishedRounds(rounds, pool, self.world.labels, self.ask)
        self.collect(message(0, updated=1), finished=False)

    def rounds(self) -> FakeRounds:
        picks = tuple(Pick(f"{i}.png", f"e{i}", False, "margin", 0.1, i, None) for i in range(IMAGES))
        rounds = FakeRounds()
        rounds.begin(Round(1, "2026", 1, picks))
        rounds.close(1)
        return rounds

    def ask(self) -> None:
        self.requests += 1

    def collect(self, body: str, *, finished: bool = True) -> int:
        """Count one message; return how many batches it requested."""
        before = self.requests
        replace(self.world.collect, finished=self.finished if finished else None)(body)
        return self.requests - before


def test_last_answer_requests_a_batch_and_a_skip_is_one() -> None:
    batches = Batches()

    batches_asked = [
        batches.collect(message(i, label)) for i, label in enumerate([None, "cat", "no class", "dog"], 1)
    ]

    assert batches_asked == [0, 0, 0, 1]
    assert batches.collect(message(4, "dog")) == 1, "a message that comes twice asks twice: that does no harm"


def test_an_answer_that_is_taken_back_is_waited_for() -> None:
    batches = Batches()
    for i in range(1, IMAGES - 1):
        batches.collect(message(i))
    batches.collect(deleted(1))

    assert batches.collect(message(IMAGES - 1)) == 0
    assert batches.collect(message(1, updated=2, annotator=2)) == 1


def test_while_one_image_still_waits_no_other_is_looked_at() -> None:
    batches = Batches()
    batches.collect(message(1))
    batches.looked_at = 0

    batches.collect(message(3))

    assert batches.looked_at == 2, "the answered image, and the one that is known to wait"


def test_an_image_of_an_older_round_asks_for_nothing() -> None:
    batches = Batches()
    for row in batches.world.pool.table.values():
        row.round_number = 0

    assert [batches.collect(message(i)) for i in range(IMAGES)] == [0] * IMAGES


def test_a_request_that_fails_is_left_to_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = Batches()
    monkeypatch.setattr(finished_rounds, "_PAGE", 2)

    def down() -> None:
        raise ServiceUnavailable("throttled")

    batches.finished._request = down
    for i in range(1, IMAGES):
        batches.collect(message(i))

    assert batches.world.control.state().new_labels == IMAGES
