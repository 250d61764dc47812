"""Act on images that a person selected: a labelling round, retirement from the pool, and its undoing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest, Conflict, ServiceUnavailable
from octospoon.domain.labelling.addresses import why_not_shown
from octospoon.domain.labelling.manual import MOST, NOTE, manual_picks
from octospoon.domain.labelling.tasks import Round
from octospoon.domain.pool.images import RETIRED, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.ports.clock import Clock
    from octospoon.ports.labelling import Rounds
    from octospoon.ports.models import Champions
    from octospoon.ports.pool import PoolEntries, PoolRows


@dataclass(frozen=True, slots=True)
class Moved:
    """Images whose state changed, and how many did not because they are in another state.

    Attributes:
        moved: number of images.
        left: number of images that were left as they are.
    """

    moved: int
    left: int


@dataclass(frozen=True, slots=True)
class ManualRound:
    """Begins a labelling round with the images that a person selected; `rank` then exports it.

    Attributes:
        pool: the images.
        rounds: the labelling rounds.
        champions: the model in service, which is recorded with the round.
        clock: the time.
        jobs: returns the number of training jobs started so far.
    """

    pool: PoolRows
    rounds: Rounds
    champions: Champions
    clock: Clock
    jobs: Callable[[], int]

    def __call__(self, keys: Sequence[str]) -> Round:
        """Store a round with the selectable images among `keys`, in this order.

        Raises:
            BadRequest: none can be selected, or there are too many.
            Conflict: another round is being exported.
            ServiceUnavailable: there is no model yet, so that `rank` cannot export.
        """
        if len(keys) > MOST:
            raise BadRequest(f"{len(keys):,} images are selected: one round takes at most {MOST}")
        if self.rounds.open() is not None:
            raise Conflict("a round is being sent to the annotators: try again in a few minutes")
        pointer = self.champions.pointer()
        if pointer is None:
            raise ServiceUnavailable("no model is in service yet: run `octospoon init-model` first")
        known = self.pool.rows(list(dict.fromkeys(keys)))
        rows = [known[key] for key in dict.fromkeys(keys) if key in known]
        free = [row for row in rows if row.state is State.SCORED and not why_not_shown(row.key)]
        if not free:
            raise BadRequest("none of these images can be selected: all have tasks, labels or no score")
        created = datetime.fromtimestamp(self.clock.now(), UTC).isoformat()
        number, picks = self.rounds.last_number() + 1, manual_picks(free)
        wanted = Round(number, created, pointer[0].version, picks, self.jobs(), (NOTE,))
        if self.rounds.begin(wanted) != wanted:
            raise Conflict("another round was begun at the same time: try again in a few minutes")
        return wanted


@dataclass(frozen=True, slots=True)
class Retire:
    """Takes images out of the pool, so that no round chooses them. Nothing is deleted.

    A retired image is in quarantine with the reason `RETIRED`, until it is restored or new bytes arrive.

    Attributes:
        pool: the images.
    """

    pool: PoolEntries

    def __call__(self, keys: Sequence[str]) -> Moved:
        """Retire the selectable images among `keys`."""
        entries = self.pool.entries(keys)
        free = [entry for entry in entries.values() if entry.state is State.SCORED]
        moved = sum(self.pool.withdraw(entry, RETIRED, "a person took it out of the pool") for entry in free)
        return Moved(moved, len(keys) - moved)

    def undo(self, keys: Sequence[str]) -> Moved:
        """Make the retired images among `keys` selectable again."""
        entries = self.pool.entries(keys)
        retired = [
            entry
            for entry in entries.values()
            if entry.state is State.QUARANTINED and entry.reason == RETIRED
        ]
        moved = sum(self.pool.release(entry) for entry in retired)
        return Moved(moved, len(keys) - moved)
