"""Compare the bucket, the pool, Label Studio and the stored annotations with each other, and repair.

One full audit a day walks through the bucket's listing, the pool and the stored annotations, page by page,
and goes on in the next run where one is too short. Every repair is conditional on what it was decided on, so
that any number of runs at once do no harm.
"""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadImage
from octospoon.domain.labelling.addresses import KEY_NOT_SHOWN, why_not_shown
from octospoon.domain.labelling.reconciliation import FullAudit
from octospoon.domain.pool.images import ARCHIVED, ImageRef, State
from octospoon.domain.pool.keys import is_folder_marker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from octospoon.domain.labelling.reconciliation import PoolEntry
    from octospoon.domain.labelling.tasks import Round
    from octospoon.domain.pool.images import StoredObject
    from octospoon.ports.clock import Clock
    from octospoon.ports.images import Bucket, Uploads
    from octospoon.ports.labelling import AnnotatedTask, Labeler, Labels
    from octospoon.ports.pool import FullAudits, PoolEntries
    from octospoon.usecases.compare_annotations import Compared
    from octospoon.usecases.removals import Removals

LOG = logging.getLogger(__name__)
EVERY = 24 * 3600.0
SETTLING = 900.0
"""Seconds for which a new object's own event is waited for."""
OBJECTS = 500
ROWS = 200
KEYS = 100
_READERS = 16


@dataclass(frozen=True, slots=True)
class RunFullAudit:
    """The use case.

    Attributes:
        bucket: what is stored.
        uploads: where an object that was never scored is queued.
        pool: the images.
        labels: what annotators said.
        labeler: Label Studio.
        progress: how far the full audit is.
        clock: the time.
        compare: settles the labels of images against the tasks that they have.
        removals: takes back what Label Studio no longer has.
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

    def __call__(self, until: float, *, full: bool = False) -> tuple[Counter[str], bool]:
        """Go on with the full audit, or begin one that is due, until this time.

        Returns:
            What was repaired, counted by kind, and whether the full audit is finished.
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
        """Give the images back to the pool whose claim in one of these rounds is over."""
        keys = [pick.key for round_ in rounds for pick in round_.picks]
        return self._place(self.pool.entries(keys).values(), exported=False)

    def _bucket_page(self, at: FullAudit) -> tuple[Counter[str], str]:
        page = self.bucket.listing(at.cursor, OBJECTS)
        entries = self.pool.entries([one.key for one in page])
        unseen = [one for one in page if self._unseen(one, entries.get(one.key))]
        for one in unseen:
            entry = entries.get(one.key)
            LOG.warning("%s was never scored: queueing it again", one.key)
            # an event of the bucket that comes after all is newer than this, or the same
            sequencer = entry.sequencer if entry else ""
            self.uploads.send(ImageRef(one.key, one.etag, sequencer, one.size))
        return Counter(requeued=len(unseen)), page[-1].key if page else ""

    def _unseen(self, one: StoredObject, entry: PoolEntry | None) -> bool:
        if one.modified > self.clock.now() - SETTLING:
            return False
        if is_folder_marker(one.key, one.size):
            return False
        if entry is None or entry.reason == "gone":
            return True
        if entry.reason == ARCHIVED and not one.archived:
            return True
        return one.etag not in (entry.etag, entry.object_etag)

    def _pool_page(self, at: FullAudit) -> tuple[Counter[str], str]:
        entries, end = self.pool.page(at.cursor, ROWS)
        waiting = [one for one in entries if one.state in (State.SCORED, State.CLAIMED, State.EXPORTED)]
        with ThreadPoolExecutor(_READERS) as readers:
            problems = list(readers.map(self._problem, waiting))
        found = list(zip(waiting, problems, strict=True))
        withdrawn = sum(self.pool.withdraw(one, why.reason, why.detail) for one, why in found if why)
        left = [one for one, why in found if not why]
        return self._place(left, exported=True) + Counter(withdrawn=withdrawn), end

    def _problem(self, one: PoolEntry) -> BadImage | None:
        """Return why nobody can label an image, None where somebody can."""
        if why := why_not_shown(one.key):
            return BadImage(KEY_NOT_SHOWN, why)
        return self.bucket.problem(one.key)

    def _place(self, entries: Iterable[PoolEntry], *, exported: bool) -> Counter[str]:
        """Compare where these images stand with the tasks that they have."""
        now = self.clock.now()
        doubtful = [
            one
            for one in entries
            if (one.state is State.CLAIMED and one.claim_until < now)
            or (exported and one.state is State.EXPORTED)
        ]
        tasks = self.labeler.find({one.key: one.etag for one in doubtful}) if doubtful else {}
        repaired: Counter[str] = Counter()
        for one in doubtful:
            if one.key not in tasks:
                repaired["released"] += self.pool.release(one)
            elif one.state is State.CLAIMED:
                repaired["adopted"] += self.pool.adopt(one, tasks[one.key])
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
