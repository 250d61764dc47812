"""Choose a labelling batch and export it to the annotators exactly once, despite interruptions."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.batch.compose import strategy_for
from octospoon.domain.errors import OctospoonError, ServiceUnavailable
from octospoon.domain.labelling.addresses import why_not_shown
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import Round, Task, TaskCounts
from octospoon.domain.model_spec import version_name
from octospoon.domain.pool.boxes import classes_of
from octospoon.domain.pool.keys import image_id
from octospoon.domain.uncertainty import order_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import Pick
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.ports.clock import Clock
    from octospoon.ports.images import ImageStore
    from octospoon.ports.labelling import Labeler, Rounds
    from octospoon.ports.models import Champions
    from octospoon.ports.pool import RankingPool
    from octospoon.usecases.choose_batch import ChooseBatch
    from octospoon.usecases.first_batches import FirstBatches
    from octospoon.usecases.open_tasks import OpenTasks
    from octospoon.usecases.rescore import Reorder

LOG = logging.getLogger(__name__)
CLAIM_SECONDS = 3600.0
EXPORT_SECONDS = 420.0
"""Seconds for which one run alone may export a round: the function's own timeout, and the time for which
Label Studio may continue an import after the function has died."""


@dataclass(frozen=True, slots=True)
class RankReport:
    """The result of one run.

    Attributes:
        round_number: number of the exported round; 0 for none.
        exported: images of the round that have a task.
        created: tasks that this run created.
        reason: why nothing was exported; empty if something was.
        refreshed: open tasks that got a prediction of the model in service.
        tasks: counts of the tasks; None if an open round had to be finished first.
        notes: why the round is composed in this way.
    """

    round_number: int = 0
    exported: int = 0
    created: int = 0
    reason: str = ""
    refreshed: int = 0
    tasks: TaskCounts | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rank:
    """The use case: finish the open round, or choose and export a new one.

    Attributes:
        choose: chooses a new round from the pool's present state.
        task_type: the kind of label.
        open_tasks: the tasks that wait for annotators.
        max_open_tasks: no new round begins while at least this many tasks wait for an annotator.
        refresh: gives the open tasks predictions of the model in service, and shows them.
        reorder: reorders the pool's priorities after a change of the strategy.
        history: returns the project's classes; predictions name these.
        first: holds up batches until a first model can choose them; None for a model that was there before.
    """

    pool: RankingPool
    rounds: Rounds
    labeler: Labeler
    images: ImageStore
    champions: Champions
    clock: Clock
    choose: ChooseBatch
    task_type: TaskType
    open_tasks: OpenTasks
    max_open_tasks: int
    reorder: Reorder
    refresh: Callable[[], int]
    history: Callable[[], ClassHistory] = ClassHistory
    first: FirstBatches | None = None

    def __call__(self) -> RankReport:
        """Run once. If a run is interrupted, the next run exports the same images, each once.

        Raises:
            RetryableError: Label Studio or AWS did not answer.
        """
        report = self._rank()
        return replace(report, refreshed=self.refresh())

    def _rank(self) -> RankReport:
        round_ = self.rounds.open()
        if round_ is not None:
            return self._export(round_)
        tasks = self.open_tasks.counts()
        return replace(self._new_round(tasks.waiting), tasks=tasks)

    def _new_round(self, waiting: int) -> RankReport:
        # the count includes tasks of images that are gone or labelled: check before holding up a batch
        if waiting >= self.max_open_tasks and self.open_tasks.reach(self.max_open_tasks):
            return RankReport(reason=f"{waiting} tasks still wait for an annotator")
        pointer = self._champion()
        if self.first and not pointer.predicts and (why := self.first.hold(waiting)):
            return RankReport(reason=why)
        shards = self._in_another_order(pointer)
        if shards:
            return RankReport(
                reason=f"the pool is being reordered for {self.choose.strategy}: {shards} shards to go"
            )
        round_ = self.choose(pointer)
        if not round_.picks:
            return RankReport(reason="no image can be selected: none is scored, or all have tasks already")
        return self._export(self.rounds.begin(round_))

    def _in_another_order(self, pointer: ChampionPointer) -> int:
        chosen = strategy_for(self.choose.strategy, has_head=pointer.predicts)
        return self.reorder(pointer.generation) if order_of(chosen.name) else 0

    def _champion(self) -> ChampionPointer:
        current = self.champions.pointer()
        if current is None:
            raise ServiceUnavailable("no model can be loaded yet: run `octospoon init-model` first")
        return current[0]

    def _export(self, round_: Round) -> RankReport:
        now = self.clock.now()
        until = now + EXPORT_SECONDS
        if not self.rounds.acquire(round_.number, now, until):
            return RankReport(
                reason=f"another run is exporting round {round_.number}, or was interrupted recently"
            )
        try:
            claimed, known, tasks = self._prepare(round_)
            missing = [task for task in tasks if task.key not in known]
        except OctospoonError:
            self.rounds.release(round_.number, until)
            raise
        # from here on Label Studio may have tasks that we do not know: the next run waits, and looks them up
        created = self.labeler.create(missing) if missing else {}
        exported = {**known, **created}
        for pick in claimed:
            if pick.key in exported:
                self.pool.mark_exported(pick.key, round_.number, exported[pick.key])
        self.rounds.close(round_.number)
        images = [image_id(pick.key, pick.etag) for pick in claimed if pick.key in exported]
        LOG.info("exported round %d", round_.number, extra={"images": images})
        return RankReport(round_.number, len(exported), len(created), notes=list(round_.notes))

    def _prepare(self, round_: Round) -> tuple[list[Pick], dict[str, int], list[Task]]:
        """Claim the round's images; return these picks, the ids of existing tasks, and all tasks."""
        until = self.clock.now() + CLAIM_SECONDS
        # rows older than this rule wait for `reconcile`, which puts them in quarantine
        shown = [pick for pick in round_.picks if not why_not_shown(pick.key)]
        claimed = [pick for pick in shown if self.pool.claim(pick, round_.number, until)]
        rows = self.pool.rows([pick.key for pick in claimed])
        known = self.labeler.find({pick.key: pick.etag for pick in claimed})
        model, history = self._champion(), self.history()
        return claimed, known, [self._task(pick, rows.get(pick.key), model, history) for pick in claimed]

    def _task(self, pick: Pick, row: PoolRow | None, model: ChampionPointer, history: ClassHistory) -> Task:
        task = Task(pick.key, pick.etag, self.images.uri(pick.key), None, None)
        if pick.blind:
            return task
        shares = None if row is None else _in_classes_of(row, model, history)
        translated = self.task_type.translation(history, model.classes)
        if row is None or shares is None or not translated.names:
            return task  # without a usable prediction, or all its classes are retired
        shares = translated(shares[np.newaxis])
        (predicted,) = self.task_type.predicted(shares, translated.names)
        version = version_name(row.model_version, history.revision)
        return replace(task, label=predicted.label, confidence=predicted.confidence, version=version)


def _in_classes_of(
    row: PoolRow, model: ChampionPointer, history: ClassHistory
) -> npt.NDArray[np.float32] | None:
    """Return the prediction that a row has, if it is of the classes of the model in service; else None.

    Args:
        row: of an image. An earlier model may have scored it.
        model: the pointer of the model in service.
        history: of the project's classes.

    Returns:
        float32 [C] or [K, 4 + C], as `PoolRow.probabilities`.
    """
    if row.probabilities is None or classes_of(row.probabilities) != len(model.classes):
        return None  # scored without classes, or with another list of them
    if history.revision and row.model_version != model.version:
        return None  # the older model may have had other classes, in the same number
    return row.probabilities
