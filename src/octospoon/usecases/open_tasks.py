"""Find the tasks in Label Studio that hold up a new batch, and those that are not octospoon's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octospoon.domain.labelling.tasks import TaskCounts
    from octospoon.domain.pool.images import PoolRow
    from octospoon.ports.clock import Clock
    from octospoon.ports.labelling import Labeler, TaskBody
    from octospoon.ports.pool import PoolRows

PAGE = 500
_DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class OpenTasks:
    """The tasks that wait for an annotator.

    Attributes:
        labeler: Label Studio.
        pool: the images; a task is not octospoon's if its image is not in the pool.
        clock: the time.
        days: days after which an unanswered task no longer holds up a new batch; 0 for never.
    """

    labeler: Labeler
    pool: PoolRows
    clock: Clock
    days: int

    def counts(self) -> TaskCounts:
        """Count the tasks, with a few requests for any number of tasks.

        A task that names an image and its bytes counts as octospoon's, even if the pool does not have it.
        """
        return self.labeler.task_counts(self._since())

    def reach(self, limit: int) -> bool:
        """Return whether at least `limit` tasks of unlabelled images wait for an annotator."""
        count = 0
        for page in self._pages():
            rows = self._rows(page)
            count += sum(self._wanted(task, rows.get(task.key)) for task in page)
            if count >= limit:
                return True
        return False

    def not_ours(self, limit: int, most: int = 2000) -> list[TaskBody]:
        """Return up to `limit` tasks that are not octospoon's.

        These are tasks that name no image or no bytes. Among the first `most` tasks that wait for an
        annotator, they are also those whose image is not in the pool or in quarantine.
        """
        strangers = self.labeler.not_ours(limit)
        seen = 0
        for page in self._pages():
            if len(strangers) >= limit or seen >= most:
                break
            seen += len(page)
            rows = self._rows(page)
            strangers += [task for task in page if task.key and task.etag and task.key not in rows]
        return strangers[:limit]

    def _since(self) -> float:
        return self.clock.now() - self.days * _DAY if self.days else 0.0

    def _pages(self) -> Iterator[Sequence[TaskBody]]:
        after, since = 0, self._since()
        while page := self.labeler.waiting(after, PAGE, since):
            after = page[-1].id
            yield page

    def _rows(self, page: Sequence[TaskBody]) -> dict[str, PoolRow]:
        return self.pool.rows(list(dict.fromkeys(task.key for task in page if task.key)))

    @staticmethod
    def _wanted(task: TaskBody, row: PoolRow | None) -> bool:
        return row is not None and row.etag == task.etag and row.state is not State.LABELLED
