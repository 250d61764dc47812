"""Draw a uniform sample of the images with imported labels, for people to confirm."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest, ServiceUnavailable
from octospoon.domain.labelling.addresses import why_not_shown
from octospoon.domain.labelling.imported import IMPORTED
from octospoon.domain.labelling.tasks import Pick, Round
from octospoon.domain.pool.keys import unit_hash
from octospoon.usecases.rank import CLAIM_SECONDS, EXPORT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.ports.clock import Clock
    from octospoon.ports.imported_labels import ImportedLabels
    from octospoon.ports.labelling import Rounds

_BUSY = "`rank` is exporting a round now: run the command again in some minutes"


@dataclass(frozen=True, slots=True)
class AuditDraw:
    """A sample for people to confirm.

    Attributes:
        round_number: number of its round.
        drawn: number of its images.
        imported: number of images with an imported label, from which it was drawn.
    """

    round_number: int
    drawn: int
    imported: int


@dataclass(frozen=True, slots=True)
class DrawAudit:
    """The use case: store a round, and claim its images; `rank` then exports it as any open round.

    The drawn images belong to the audit share: models are measured on people's answers for them. Their
    imported labels no longer count. The round is stored before an image is changed, and this run holds the
    lease on exporting it meanwhile. A run that dies leaves a smaller round, which is still uniform.

    Attributes:
        imports: the imported labels.
        rounds: the labelling rounds.
        clock: the time.
        model_version: of the model in service.
        jobs: number of training jobs started so far.
    """

    imports: ImportedLabels
    rounds: Rounds
    clock: Clock
    model_version: int
    jobs: int

    def __call__(self, count: int) -> AuditDraw:
        """Draw up to `count` images.

        Raises:
            BadRequest: no image has an imported label that counts.
            ServiceUnavailable: another round is being exported.
        """
        if self.rounds.open() is not None:
            raise ServiceUnavailable(_BUSY)
        round_, imported = self._choose(count)
        now = self.clock.now()
        until = now + EXPORT_SECONDS
        if self.rounds.begin(round_) != round_ or not self.rounds.acquire(round_.number, now, until):
            raise ServiceUnavailable(_BUSY)
        claimed_until = now + CLAIM_SECONDS
        drawn = sum(self.imports.draw(pick, round_.number, claimed_until) for pick in round_.picks)
        self.rounds.release(round_.number, until)
        return AuditDraw(round_.number, drawn, imported)

    def _choose(self, count: int) -> tuple[Round, int]:
        """Choose a round: the images with the lowest hashes, with a memory for `count` images."""
        number = self.rounds.last_number() + 1
        seed, imported = f"round-{number}-imported", 0

        def hashed() -> Iterator[tuple[float, str, str]]:
            nonlocal imported
            for key, etag in self.imports.counting():
                if not why_not_shown(key):
                    imported += 1
                    yield unit_hash("imported audit", seed, key), key, etag

        lowest = heapq.nsmallest(count, hashed())
        if not lowest:
            raise BadRequest("no image has an imported label that counts: import labels first")
        probability = len(lowest) / imported
        picks = tuple(
            Pick(key, etag, True, IMPORTED, None, rank, probability, blind=True)
            for rank, (_, key, etag) in enumerate(lowest)
        )
        created = datetime.fromtimestamp(self.clock.now(), UTC).isoformat()
        return Round(number, created, self.model_version, picks, self.jobs), imported
