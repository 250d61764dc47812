"""Write the rows of uploads: new rows many at once, all others one by one."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from octospoon.domain.errors import ServiceUnavailable
from octospoon.usecases.scoring.outcomes import Known, Outcome, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

    from octospoon.domain.pool.images import ImageRef, KnownScore, ScoredImage
    from octospoon.ports.pool import ScoringPool
    from octospoon.usecases.scoring.outcomes import Predicted, Step

ROWS_A_CALL = 25
"""The most rows that one call to the pool takes."""


@dataclass(slots=True)
class RowWriter:
    """Writes the results of the pipeline into the pool.

    Attributes:
        pool: where the rows are written.
        resolve_label: resolves an image's label; called when an image's bytes changed.
        known: the scores that the pool had when the batch began, by key.
        writers: the threads that write.
        steps: each upload's result, or the future that has it, by key.
        waiting: scores that are not yet handed to a writer.
    """

    pool: ScoringPool
    resolve_label: Callable[[str], object]
    known: Future[dict[str, KnownScore]]
    writers: ThreadPoolExecutor
    steps: dict[str, Step] = field(default_factory=dict)
    waiting: list[ScoredImage] = field(default_factory=list)

    def add(self, key: str, predicted: Future[Predicted | None]) -> None:
        """Write one upload's row, or keep it until there are enough for one call."""
        if (error := predicted.exception()) is not None:
            self.steps[key] = error if isinstance(error, Exception) else RuntimeError(repr(error))
            return
        result = predicted.result()
        if isinstance(result, Rejected):
            self.steps[key] = self.writers.submit(self._quarantine, result)
        elif isinstance(result, Known):
            self.steps[key] = self.writers.submit(self._note, result) if result.newer else Outcome.KNOWN
        elif isinstance(result, Outcome):
            self.steps[key] = result
        elif result is not None and self._is_same_upload(result.image):
            self.steps[key] = self.writers.submit(self._refresh, result)
        elif result is not None:
            self.waiting.append(result)
            if len(self.waiting) == ROWS_A_CALL:
                self.flush()

    def flush(self) -> None:
        """Hand the waiting scores to a writer."""
        if not self.waiting:
            return
        rows, self.waiting = self.waiting, []
        inserting = self.writers.submit(self._insert, rows)
        self.steps |= dict.fromkeys([row.image.key for row in rows], inserting)

    def _insert(self, rows: list[ScoredImage]) -> dict[str, Step]:
        inserted = self.pool.insert_scores(rows)
        return {
            row.image.key: Outcome.SCORED
            if row.image.key in inserted
            else self.writers.submit(self._write, row)
            for row in rows
        }

    def _refresh(self, row: ScoredImage) -> Outcome:
        """Write the new score of an upload that was read again, with one request in the place of four."""
        if self.pool.refresh_score(row.image, row.prediction):
            return Outcome.SCORED
        return self._write(row)

    def _write(self, row: ScoredImage) -> Outcome:
        if not self.pool.put_score(row.image, row.prediction):
            return Outcome.STALE
        if self._changed(row.image):
            self.resolve_label(row.image.key)
        return Outcome.SCORED

    def _changed(self, image: ImageRef) -> bool:
        with contextlib.suppress(ServiceUnavailable):
            known = self.known.result().get(image.key)
            return known is None or known.etag != image.etag
        return True

    def _is_same_upload(self, image: ImageRef) -> bool:
        with contextlib.suppress(ServiceUnavailable):
            known = self.known.result().get(image.key)
            return known is not None and known.is_of(image)
        return False

    def _note(self, known: Known) -> Outcome:
        self.pool.note_upload(known.image)
        return Outcome.KNOWN

    def _quarantine(self, rejected: Rejected) -> Outcome:
        written = self.pool.put_quarantine(rejected.image, rejected.reason, rejected.detail)
        return Outcome.QUARANTINED if written else Outcome.STALE
