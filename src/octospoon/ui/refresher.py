"""Keeps the newest snapshot of the pool: from disk at once, and read again in the background."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.ui.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG = logging.getLogger(__name__)
DAILY = 24 * 3600.0
"""Seconds between two reads of a pool on AWS, where each costs money."""
OFTEN = 30.0
"""Seconds between two reads of a local pool, which is free."""
_TICK = 1.0
_LOOKS = 60.0
"""Seconds after the last request of an open page for which it counts as open."""
_SHARE_OF_TIME = 10
"""A pool is read for at most one tenth of the time."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the page says about the snapshot.

    Attributes:
        reading: whether the pool is being read, or the map computed.
        rows: rows read so far.
        placing: whether all are read, and a new map is being computed.
        error: why the last read failed, as one sentence; empty if it did not.
        number: increases with every new snapshot; 0 before the first.
    """

    reading: bool = False
    rows: int = 0
    placing: bool = False
    error: str = ""
    number: int = 0


class Refresher:
    """The newest snapshot, and the thread that renews it.

    Args:
        read: reads the pool; see `PoolReader`.
        path: of the file that keeps the snapshot.
        every: seconds between two reads.
        sentence: says in one sentence why a read failed.
        now: the time in epoch seconds.
    """

    def __init__(
        self,
        read: Callable[[Callable[[int], None], Callable[[Snapshot], None]], None],
        path: Path,
        every: float,
        sentence: Callable[[BaseException], str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._read, self._path, self._every = read, path, every
        self._sentence, self._now = sentence, now
        self._wanted, self._ended = threading.Event(), threading.Event()
        self._seen_at, self._failed_at = -_LOOKS, 0.0
        self.snapshot = Snapshot.load(path)
        self.progress = Progress(number=1 if self.snapshot else 0)

    def start(self) -> None:
        """Start the thread; it ends with the process."""
        threading.Thread(target=self._run, name="octospoon-ui-pool", daemon=True).start()

    def seen(self) -> None:
        """Note that somebody looks at the page: without that, the pool is not read again."""
        self._seen_at = self._now()

    def stop(self) -> None:
        """Start no further read."""
        self._ended.set()
        self._wanted.set()

    def request(self) -> None:
        """Read the pool as soon as possible, also where the last read is recent."""
        self._wanted.set()

    def next_at(self) -> float:
        """Return when the pool is read next, in epoch seconds."""
        if self.snapshot is None:
            return self._now()
        facts = self.snapshot.facts
        return float(facts["read_at"]) + max(self._every, _SHARE_OF_TIME * float(facts["seconds"]))

    def refresh(self) -> None:
        """Read the pool now; an error is kept for the page, and the last snapshot stays."""
        self.progress = replace(self.progress, reading=True, rows=0, placing=False, error="")
        try:
            self._read(self._count_rows, self._publish)
        except Exception as error:  # the page shows it, and the next read may succeed
            LOG.info("reading the pool failed", exc_info=True)
            self._failed_at = self._now()
            self.progress = replace(self.progress, error=self._sentence(error))
        finally:
            self.progress = replace(self.progress, reading=False)

    def _run(self) -> None:
        while not self._ended.is_set():
            if self._wanted.is_set() or self._due():
                self._wanted.clear()
                self.refresh()
            self._wanted.wait(_TICK)

    def _due(self) -> bool:
        """Return whether the pool is to be read now: it is time, and somebody looks at the page."""
        now = self._now()
        # a read that failed has cost money too
        at = self._failed_at + self._every if self.progress.error else self.next_at()
        return now >= at and now - self._seen_at < _LOOKS

    def _count_rows(self, rows: int) -> None:
        self.progress = replace(self.progress, rows=rows)

    def _publish(self, snapshot: Snapshot) -> None:
        snapshot.save(self._path)
        self.snapshot = snapshot
        self.progress = replace(self.progress, placing=True, number=self.progress.number + 1)
