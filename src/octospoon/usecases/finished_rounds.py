"""Request the next batch after the last answer of the newest one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from octospoon.domain.errors import OctospoonError
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from octospoon.domain.labelling.reconciliation import PoolEntry
    from octospoon.domain.labelling.tasks import Pick
    from octospoon.ports.labelling import Labels, Rounds
    from octospoon.ports.pool import PoolEntries

LOG = logging.getLogger(__name__)
_PAGE = 100


class FinishedRounds:
    """The use case. A lost or repeated request does no harm, because `rank` also runs on a schedule.

    Args:
        rounds: the labelling rounds.
        pool: the images.
        labels: the annotations.
        request: requests a new batch.
    """

    def __init__(
        self, rounds: Rounds, pool: PoolEntries, labels: Labels, request: Callable[[], None]
    ) -> None:
        self._rounds = rounds
        self._pool = pool
        self._labels = labels
        self._request = request
        # an image that still waited at the last check: while it waits, no other image is checked
        self._witness: tuple[int, Pick] | None = None

    def __call__(self, keys: Collection[str]) -> bool:
        """Request a new batch if the newest round has one of these images and waits for no answer."""
        try:
            finished = self._finished(keys)
            if finished:
                self._request()
        except OctospoonError:
            LOG.exception("no new batch could be requested: the next scheduled run will choose one")
            return False
        return finished

    def _finished(self, keys: Collection[str]) -> bool:
        number = self._rounds.last_number()
        entries = self._pool.entries(list(keys)).values()
        if not number or all(entry.round_number != number for entry in entries):
            return False
        if self._witness and self._witness[0] == number and self._first_waiting(number, [self._witness[1]]):
            return False
        round_ = self._rounds.read(number)
        waiting = self._first_waiting(number, round_.picks) if round_ else None
        self._witness = (number, waiting) if waiting else None
        return round_ is not None and waiting is None

    def _first_waiting(self, number: int, picks: Collection[Pick]) -> Pick | None:
        """Return the first image of a round that still waits for an answer."""
        rest = list(picks)
        while rest:
            page, rest = rest[:_PAGE], rest[_PAGE:]
            entries = self._pool.entries([pick.key for pick in page])
            for pick in page:
                if self._waits(number, pick, entries.get(pick.key)):
                    return pick
        return None

    def _waits(self, number: int, pick: Pick, entry: PoolEntry | None) -> bool:
        if entry is None or (entry.round_number, entry.etag) != (number, pick.etag):
            return False
        if entry.state is State.CLAIMED:
            return True  # it is being exported
        if entry.state is not State.EXPORTED:
            return False
        # answers without a class and skipped tasks count as answers
        stored = self._labels.of(pick.key)
        return not any(answer.etag == pick.etag and not answer.deleted for answer in stored)
