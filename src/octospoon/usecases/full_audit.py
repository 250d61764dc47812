"""Compare the bucket, the pool, Label Studio and the stored annotations with each other, and repair.

Once a day, a full audit walks page by page through the bucket's listing, the stored annotations and the pool.
If one run is too short, the next run continues. Every repair is conditional on the state that it was decided
on, so that concurrent runs do no harm.
"""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadImage
from octospoon.domain.labelling.addresses import KEY_NOT_SHOWN, why_not_shown
from octospoon.domain.labelling.reconciliation import FullAudit, needs_scoring
from octospoon.domain.pool.images import ImageRef, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from octospoon.domain.labelling.reconciliation import PoolEntry
    from octospoon.domain.labelling.tasks import Round
    from octospoon.domain.pool.images import StoredObject
    from octospoon.ports.clock import Clock
    from octospoon.ports.images import Backlog, Bucket, Uploads
    from octospoon.ports.labelling import AnnotatedTask, Labeler, Labels
    from octospoon.ports.pool import FullAudits, PoolEntries
    from octospoon.usecases.compare_annotations import Compared
    from octospoon.usecases.removals import Removals

LOG = logging.getLogger(__name__)
EVERY = 24 * 3600.0
SETTLING = 900.0
"""Seconds to wait for a new object's own event."""
OBJECTS = 500
ROWS = 200
KEYS = 100
_READERS = 16


@dataclass(frozen=True, slots=True)
class RunFullAudit:
    """The use case.

    Attributes:
        bucket: the stored objects.
        uploads: the queue for objects that were never scored.
        pool: the images.
        labels: the annotations.
        labeler: Label Studio.
        progress: the progress of the full audit.
        clock: the time.
        compare: compares annotations of images with their tasks, and repairs.
        removals: removes annotations that Label Studio no longer has.
        backlog: the objects that are left to a backfill; None for none.
    """

    bucket: Bucket
    uploads: Uploads
    pool: PoolEntries
    labels: Labels
    labeler: Labeler
    progress: FullAudits
    clock: Clock
    compare: Callable[[Sequence[str], Sequence[AnnotatedTask]], Compared]
    removals: Removals
    backlog: Backlog | None = None

    def __call__(self, until: float, *, full: bool = False) -> tuple[Counter[str], bool]:
        """Continue the full audit, or begin one if it is due, until this time.

        Returns:
            Repairs, counted by kind, and whether the full audit is finished.
        """
        repaired: Counter[str] = Counter()
        before = self.progress.read()
        now = self._next(before, full=full)
        ours = now == before or self.progress.save(before, now)
        while ours and not now.finished and self.clock.now() < until:
            page, cursor = self._phases()[now.phase](now)
            repaired += page
            done = replace(now, cursor=cursor) if cursor else self._following(now)
            ours = self.progress.save(now, done)
            now = done
        return repaired, ours and now.finished

    def _next(self, last: FullAudit, *, full: bool) -> FullAudit:
        now = self.clock.now()
        if not full and not (last.finished and now - last.began >= EVERY):
            return last
        return FullAudit(began=now, phase=next(iter(self._phases())), finished=False)

    def _following(self, now: FullAudit) -> FullAudit:
        phases = [*self._phases(), ""]
        phase = phases[phases.index(now.phase) + 1]
        return replace(now, phase=phase, cursor="", finished=not phase)

    def _phases(self) -> dict[str, Callable[[FullAudit], tuple[Counter[str], str]]]:
        return {"bucket": self._bucket_page, "labels": self._labels_page, "pool": self._pool_page}

    def claims(self, rounds: Iterable[Round]) -> Counter[str]:
        """Release the images of these rounds whose claim has expired."""
        keys = [pick.key for round_ in rounds for pick in round_.picks]
        return self._place(self.pool.entries(keys).values(), exported=False)

    def _bucket_page(self, at: FullAudit) -> tuple[Counter[str], str]:
        page = self.bucket.listing(at.cursor, OBJECTS)
        entries = self.pool.entries([stored.key for stored in page])
        oldest = self.backlog.until(self.clock.now()) if self.backlog else 0.0
        unseen = [
            stored
            for stored in page
            if (stored.key in entries or stored.modified >= oldest)
            and self._unseen(stored, entries.get(stored.key))
        ]
        for stored in unseen:
            entry = entries.get(stored.key)
            LOG.warning("%s was never scored: queueing it again", stored.key)
            # if the bucket's own event still comes, its sequencer is newer or the same
            sequencer = entry.sequencer if entry else ""
            self.uploads.send(ImageRef(stored.key, stored.etag, sequencer, stored.size))
        return Counter(requeued=len(unseen)), page[-1].key if page else ""

    def _unseen(self, stored: StoredObject, entry: PoolEntry | None) -> bool:
        if stored.modified > self.clock.now() - SETTLING:
            return False
        return needs_scoring(stored, entry)

    def _pool_page(self, at: FullAudit) -> tuple[Counter[str], str]:
        entries, end = self.pool.page(at.cursor, ROWS)
        waiting = [entry for entry in entries if entry.state in (State.SCORED, State.CLAIMED, State.EXPORTED)]
        with ThreadPoolExecutor(_READERS) as readers:
            problems = list(readers.map(self._problem, waiting))
        checked = list(zip(waiting, problems, strict=True))
        withdrawn = sum(self.pool.withdraw(entry, bad.reason, bad.detail) for entry, bad in checked if bad)
        sound = [entry for entry, bad in checked if not bad]
        return self._place(sound, exported=True) + Counter(withdrawn=withdrawn), end

    def _problem(self, entry: PoolEntry) -> BadImage | None:
        """Return why an image cannot be labelled; None if it can."""
        if why := why_not_shown(entry.key):
            return BadImage(KEY_NOT_SHOWN, why)
        return self.bucket.problem(entry.key)

    def _place(self, entries: Iterable[PoolEntry], *, exported: bool) -> Counter[str]:
        """Compare the states of these images with their tasks, and repair the states."""
        now = self.clock.now()
        doubtful = [
            entry
            for entry in entries
            if (entry.state is State.CLAIMED and entry.claim_until < now)
            or (exported and entry.state is State.EXPORTED)
        ]
        tasks = self.labeler.find({entry.key: entry.etag for entry in doubtful}) if doubtful else {}
        repaired: Counter[str] = Counter()
        for entry in doubtful:
            if entry.key not in tasks:
                repaired["released"] += self.pool.release(entry)
            elif entry.state is State.CLAIMED:
                repaired["adopted"] += self.pool.adopt(entry, tasks[entry.key])
        return repaired

    def _labels_page(self, at: FullAudit) -> tuple[Counter[str], str]:
        walk, project = f"full-audit-{at.began:.6f}", self.labeler.project()
        keys, end = self.labels.keys(at.cursor, KEYS)
        compared = self.compare(keys, self.labeler.tasks_of(keys))
        self.removals.keep(walk, at.cursor, compared.missing)
        repaired = compared.repaired + Counter(elsewhere=compared.elsewhere)
        if not end:
            repaired += self.removals.decide(walk, project, everything=True)
        return repaired, end
