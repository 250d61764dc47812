"""The walk of a shard's images for a new champion: by day of the upload, the newest first, then by the index.

`Segment` holds the place. A shard of few images needs no days: the index of outdated rows has them at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from octospoon.domain.pool.keys import day, day_before, sampling_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.ports.clock import Clock
    from octospoon.ports.pool import PoolWalk
    from octospoon.usecases.rescore_segment import Segment

PAGE = 100
LOOK = 500
GAP = 60


class Page(NamedTuple):
    """A page of images to refresh.

    Attributes:
        keys: of the images, ordered by sampling key.
        leftover: whether they come from the index of outdated rows, not from a day.
        following: where to continue; None after the last page.
    """

    keys: Sequence[str]
    leftover: bool
    following: Segment | None

    def first(self, at: Segment, count: int) -> Page:
        """Return a page of the first keys alone, at least one; `at` is where this page begins."""
        if len(self.keys) <= count:
            return self
        keys = self.keys[:count]
        following = msgspec.structs.replace(at, start=sampling_key(keys[-1]))
        return Page(keys, self.leftover, following)


@dataclass(frozen=True, slots=True)
class NewestFirst:
    """The walk.

    Attributes:
        pool: the images.
        clock: the time.
        page: images of a page of a day.
        look: index entries that are looked at together for what is outdated; a shard of fewer needs no days.
        gap: days in a row without an upload, after which older ones are left to the index.
    """

    pool: PoolWalk
    clock: Clock
    page: int = PAGE
    look: int = LOOK
    gap: int = GAP

    def page_at(self, at: Segment) -> Page:
        """Return the page that begins at a place."""
        moved = msgspec.structs.replace
        if at.day:
            keys, start = self.pool.uploaded(at.shard, at.day, at.start, self.page)
            if start is not None:
                return Page(keys, leftover=False, following=moved(at, start=start))
            return Page(keys, leftover=False, following=self._older(at, met=bool(keys) or at.start >= 0))
        keys, start = self.pool.outdated(at.shard, at.generation, at.began, at.oldest, at.start, self.look)
        if start is None or at.walked:
            following = None if start is None else moved(at, start=start)
            return Page(keys, leftover=True, following=following)
        return Page([], leftover=False, following=self.newest(at))

    def newest(self, at: Segment) -> Segment:
        """Return where the days begin."""
        return msgspec.structs.replace(at, walked=True, day=day(self.clock.now()), start=-1.0)

    def _older(self, at: Segment, *, met: bool) -> Segment:
        """Return where to continue after a day: at the day before, or with the index of outdated rows."""
        empty, older = 0 if met else at.empty + 1, day_before(at.day)
        if empty > self.gap or older < at.oldest:
            return msgspec.structs.replace(at, day="", start=-1.0)
        return msgspec.structs.replace(at, day=older, start=-1.0, empty=empty)
