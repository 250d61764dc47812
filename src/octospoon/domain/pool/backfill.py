"""The progress of a backfill, which queues objects that a bucket already holds, and the pace of queueing."""

from __future__ import annotations

from dataclasses import dataclass, replace

MOST_AT_ONCE = 100
"""The largest number of objects between two writes of the progress."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """The progress of the newest backfill. Every change of it raises `revision` by one.

    Attributes:
        revision: counts the changes, so that a writer notices another writer.
        began: epoch seconds at the start. Objects that are newer arrive by events.
        prefix: of the keys that are queued; empty for all.
        since: epoch seconds; older objects are left out. 0 for all.
        cursor: the last key that is finished.
        sending_to: the last key of the objects that are being queued now; empty for none.
        doubtful: ranges of keys (after, up to and including) that a killed run was queueing.
        queued: objects that were queued.
        finished: True if no object is left.
        owner: the process that runs it, as ``host:process id``.
        lease_until: epoch seconds until which no other process may run it.
    """

    revision: int = 0
    began: float = 0.0
    prefix: str = ""
    since: float = 0.0
    cursor: str = ""
    sending_to: str = ""
    doubtful: tuple[tuple[str, str], ...] = ()
    queued: int = 0
    finished: bool = True
    owner: str = ""
    lease_until: float = 0.0

    def resumed(self) -> Backfill:
        """Return the progress from which another run continues.

        What a killed run was queueing may be queued or not. It is passed over, and looked at in the end.
        """
        if not self.sending_to:
            return self
        doubtful = self.doubtful
        if doubtful and doubtful[-1][1] == self.cursor:
            doubtful = (*doubtful[:-1], (doubtful[-1][0], self.sending_to))
        else:
            doubtful = (*doubtful, (self.cursor, self.sending_to))
        return replace(self, cursor=self.sending_to, sending_to="", doubtful=doubtful)


class Pace:
    """Spreads work evenly over time.

    Args:
        rate: the most objects a second, at least 1.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._due = 0.0

    @property
    def at_once(self) -> int:
        """The number of objects to queue at once: at most those of a second."""
        return min(self._rate, MOST_AT_ONCE)

    def delay(self, count: int, now: float) -> float:
        """Return the seconds to wait before the next `count` objects, and note them as queued.

        A pause is not caught up later.
        """
        begin = max(self._due, now)
        self._due = begin + count / self._rate
        return begin - now
