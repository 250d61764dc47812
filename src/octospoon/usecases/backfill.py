"""Queue the objects that a bucket already holds, at a steady rate, and none twice.

The progress is written before objects are queued and after. A run that is killed in between leaves a range of
keys in doubt: they may be queued or not. The next run passes over this range. It looks at it in the end, when
the queue is empty: what the pool then does not know was never queued.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest, Conflict, RetryableError
from octospoon.domain.labelling.reconciliation import needs_scoring
from octospoon.domain.pool.backfill import Backfill
from octospoon.domain.pool.images import ImageRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from octospoon.domain.pool.backfill import Pace
    from octospoon.domain.pool.images import StoredObject
    from octospoon.ports.clock import Clock
    from octospoon.ports.images import Backfills, Backlog, Bucket, Uploads
    from octospoon.ports.pool import PoolEntries

PAGE = 1000
LEASE = 30.0
"""Seconds for which a run keeps others out. Every write of the progress renews it."""
POLL = 5.0
PATIENCE = 600.0
"""Seconds to wait for an empty queue, before objects in doubt are left for another run."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object of the bucket, and whether it is to be queued.

    Attributes:
        ref: the object, as an upload.
        new: True if the pool does not know its bytes.
    """

    ref: ImageRef
    new: bool


@dataclass(slots=True)
class Survey:
    """The counts of a backfill's range.

    Attributes:
        objects: objects in its range.
        known: objects whose bytes the pool knows, and markers of folders.
        images: objects to queue.
        megabytes: of the objects to queue.
        pages: requests that listed the bucket.
        sample: some of the objects to queue, one of each page.
    """

    objects: int = 0
    known: int = 0
    images: int = 0
    megabytes: float = 0.0
    pages: int = 0
    sample: list[ImageRef] = field(default_factory=list)

    def add(self, page: list[Stored]) -> None:
        """Count a page of the listing."""
        new = [stored for stored in page if stored.new]
        self.pages += 1
        if new:
            self.sample.append(new[self.pages % len(new)].ref)
        self.objects += len(page)
        self.known += len(page) - len(new)
        self.images += len(new)
        self.megabytes += sum(stored.ref.size for stored in new) / 1e6


@dataclass(frozen=True, slots=True)
class RunBackfill:
    """The use case.

    Attributes:
        bucket: the objects.
        pool: the images that are known.
        uploads: the queue.
        progress: the progress, which outlives this process.
        clock: the time.
        sleep: waits for some seconds.
        waiting: returns how many messages are in the queue, waiting or in work.
        owner: this process, as ``host:process id``.
        is_dead: returns True if another owner certainly runs no more.
        settling: seconds after which the number of waiting messages is exact.
        report: called with the progress after each step.
        backlog: what reconciliation leaves to a backfill; None if it leaves nothing.
    """

    bucket: Bucket
    pool: PoolEntries
    uploads: Uploads
    progress: Backfills
    clock: Clock
    sleep: Callable[[float], None]
    waiting: Callable[[], int]
    owner: str
    is_dead: Callable[[str], bool] = lambda _: False
    settling: float = 60.0
    report: Callable[[Backfill], None] = field(default=lambda _: None)
    backlog: Backlog | None = None

    def scope(self, prefix: str, since: float, *, restart: bool = False) -> Backfill:
        """Return the unfinished backfill of this scope, or a new one; writes nothing.

        Args:
            prefix: of the keys.
            since: epoch seconds; older objects are left out.
            restart: begin a new one in any case.

        Raises:
            BadRequest: another scope is unfinished, or what the last backfill queued still waits.
        """
        last = self.progress.read()
        if not restart and not last.finished:
            if (last.prefix, last.since) != (prefix, since):
                raise BadRequest(
                    f"a backfill with the prefix {last.prefix!r} is not finished: "
                    "finish it with the same options, or forget it with --restart"
                )
            return last.resumed()
        if not restart and last.queued and (waiting := self.waiting()):
            raise BadRequest(
                f"{waiting:,} uploads are still in the queue and would be queued twice: wait until "
                "`octospoon status` shows that none wait, or add --restart"
            )
        return Backfill(last.revision, self.clock.now(), prefix, since, finished=False)

    def pages(self, backfill: Backfill) -> Iterator[list[Stored]]:
        """Yield the objects that are left, page by page, in the order of their keys."""
        after = backfill.cursor
        while page := self.bucket.listing(after, PAGE, backfill.prefix):
            after = page[-1].key
            yield self._known(backfill, page)

    def __call__(self, backfill: Backfill, pace: Pace) -> Backfill:
        """Queue what is left of a backfill; return its progress at the end.

        Args:
            backfill: from `scope`.
            pace: at which objects are queued.

        Raises:
            Conflict: another process runs a backfill.
            RetryableError: AWS does not answer. Another run continues at the same place.
        """
        state = self._taken(backfill)
        try:
            while page := self.bucket.listing(state.cursor, PAGE, state.prefix):
                state = self._queued(state, self._known(state, page), pace)
                state = self._saved(state, replace(state, cursor=page[-1].key))
            state = self._settled(state)
            if self.backlog and not state.prefix:
                # from now on, reconciliation repairs what is lost of these objects too
                self.backlog.reach(state.since)
            state = self._saved(state, replace(state, finished=not state.doubtful))
        except BaseException:
            self._release()
            raise
        return state

    def _known(self, backfill: Backfill, page: list[StoredObject]) -> list[Stored]:
        """Return the objects of a page that are in scope, each with whether it is to be queued."""
        inside = [stored for stored in page if backfill.since <= stored.modified < backfill.began]
        entries = self.pool.entries([stored.key for stored in inside])
        known = []
        for stored in inside:
            entry = entries.get(stored.key)
            # an event that still comes has a newer sequencer, or the same
            ref = ImageRef(stored.key, stored.etag, entry.sequencer if entry else "", stored.size)
            known.append(Stored(ref, needs_scoring(stored, entry)))
        return known

    def _queued(self, state: Backfill, page: list[Stored], pace: Pace) -> Backfill:
        new = [stored.ref for stored in page if stored.new]
        for start in range(0, len(new), pace.at_once):
            chunk = new[start : start + pace.at_once]
            self.sleep(pace.delay(len(chunk), self.clock.now()))
            state = self._saved(state, replace(state, sending_to=chunk[-1].key))
            self.uploads.send_all(chunk)
            queued = state.queued + len(chunk)
            state = replace(state, cursor=chunk[-1].key, sending_to="", queued=queued)
            self.report(state)
        return state

    def _settled(self, state: Backfill) -> Backfill:
        """Queue the objects in doubt that were not queued, once the queue is empty."""
        until = self.clock.now() + PATIENCE
        while state.doubtful:
            state, empty = self._drained(state, until)
            if not empty:
                return state
            after, end = state.doubtful[0]
            while page := [s for s in self.bucket.listing(after, PAGE, state.prefix) if s.key <= end]:
                new = [stored.ref for stored in self._known(state, page) if stored.new]
                # if this run is killed here, the range is still in doubt, and another run looks at it
                self.uploads.send_all(new)
                state = replace(state, queued=state.queued + len(new))
                after = page[-1].key
            state = self._saved(state, replace(state, doubtful=state.doubtful[1:]))
        return state

    def _drained(self, state: Backfill, until: float) -> tuple[Backfill, bool]:
        """Wait until the queue has been empty for `settling` seconds; return whether it has."""
        empty_since: float | None = None
        while (now := self.clock.now()) < until:
            if self.waiting():
                empty_since = None
            elif empty_since is None:
                empty_since = now
            elif now - empty_since >= self.settling:
                return state, True
            self.sleep(min(POLL, self.settling))
            state = self._saved(state, state)
        return state, False

    def _taken(self, backfill: Backfill) -> Backfill:
        """Take the lease. A run that was killed keeps it for a while: wait for its end."""
        last = self.progress.read()
        while (left := last.lease_until - self.clock.now()) > 0 and not self.is_dead(last.owner):
            if last.revision != backfill.revision:
                break
            self.sleep(min(left, 1.0))
            last = self.progress.read()
        if last.revision != backfill.revision:
            raise Conflict(f"another backfill runs, as {last.owner}: wait until it ends")
        return self._saved(backfill, backfill)

    def _saved(self, before: Backfill, backfill: Backfill) -> Backfill:
        """Store the progress and renew the lease, unless another process has taken over."""
        lease = 0.0 if backfill.finished else self.clock.now() + LEASE
        now = replace(backfill, owner=self.owner, lease_until=lease)
        if not self.progress.save(before, now):
            raise Conflict("another backfill has taken over: wait until it ends")
        stored = replace(now, revision=before.revision + 1)
        self.report(stored)
        return stored

    def _release(self) -> None:
        """Let another run begin at once, if this one still has the lease."""
        with contextlib.suppress(RetryableError):
            last = self.progress.read()
            if last.owner == self.owner and not last.finished:
                self.progress.save(last, replace(last, lease_until=0.0))


def survey(pages: Iterator[list[Stored]], report: Callable[[Survey], None] = lambda _: None) -> Survey:
    """Count what a backfill has to queue.

    Args:
        pages: from `RunBackfill.pages`.
        report: called after each page.
    """
    counted = Survey()
    for page in pages:
        counted.add(page)
        report(counted)
    return counted
