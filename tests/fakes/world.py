"""The fakes of one deployment, wired once, and the use cases over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fakes.clock import FakeClock
from fakes.events import FakeEventBus, FakeEventProgress
from fakes.images import FakeBucket, FakeImages, FakeUploads
from fakes.label_studio import FakeLabeler
from fakes.labelling import FakeFullAudits, FakeLabels, FakeMissing, FakeProposals, FakeRounds, FakeTaskSyncs
from fakes.models import (
    FakeAlias,
    FakeChampions,
    FakeHistory,
    FakeObservations,
    FakeReadingProgress,
    FakeReferences,
    FakeRescoring,
    FakeTrainingRecords,
)
from fakes.pool import FakeEntries, FakePool
from fakes.training import FakeControl, FakeLauncher
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import Pick
from octospoon.domain.pool.images import ImageRef, Prediction
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.training.jobs import JobSettings
from octospoon.usecases.choose_batch import ChooseBatch
from octospoon.usecases.collect import CollectAnnotations
from octospoon.usecases.open_tasks import OpenTasks
from octospoon.usecases.plan_audit import PlanAudit
from octospoon.usecases.promote_version import PromoteVersion
from octospoon.usecases.publish_events import PublishEvents
from octospoon.usecases.rank import Rank
from octospoon.usecases.read_again import ReadAgain
from octospoon.usecases.reconcile import Reconcile, Stores
from octospoon.usecases.rescore import Reorder, RescorePool
from octospoon.usecases.rescore_walk import NewestFirst
from octospoon.usecases.sync_registry_alias import SyncRegistryAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.batch.compose import BatchRules
    from octospoon.domain.labelling.consensus import Consensus
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.domain.training.policy import TrainingRules
    from octospoon.ports.labelling import AnswerReader
    from octospoon.usecases.first_batches import FirstBatches


class FakeWorld:
    """One clock, one pool and one Label Studio project, shared by every fake.

    The builders read the attributes when they are called: a test replaces a fake before it builds a use case.
    """

    def __init__(
        self,
        *,
        time: float | None = None,
        strategy: str = "margin_diverse",
        task_type: TaskType = CLASSIFICATION,
    ) -> None:
        self.task_type = task_type
        self.clock = FakeClock() if time is None else FakeClock(time)
        self.control, self.launcher = FakeControl(self.clock), FakeLauncher()
        self.pool = FakePool(strategy, control=self.control, clock=self.clock, task_type=task_type)
        self.labels = FakeLabels(self.pool, self.control, task_type=task_type)
        self.labeler = FakeLabeler(clock=self.clock)
        self.rounds, self.task_syncs, self.full_audits = FakeRounds(), FakeTaskSyncs(), FakeFullAudits()
        self.missing, self.proposals = FakeMissing(), FakeProposals()
        self.bucket, self.uploads, self.images = FakeBucket(), FakeUploads(), FakeImages()
        self.champions, self.alias, self.history = FakeChampions(), FakeAlias(), FakeHistory()
        self.observations: Any = FakeObservations()
        self.references, self.rescoring = FakeReferences(), FakeRescoring()
        self.rereading = FakeReadingProgress()
        self.training_records = FakeTrainingRecords(self.champions)
        self.queue: list[str] = []
        self.later: list[tuple[float, str]] = []
        self.bus, self.event_progress = FakeEventBus(), FakeEventProgress()

    def port(self, fake: Any) -> Any:
        """Return the fake as a use case gets it; the fault tests put faults around each call."""
        return fake

    # -- use cases ------------------------------------------------------------------------------

    def build_collect(
        self, classes: tuple[str, ...], rules: TrainingRules, read: AnswerReader
    ) -> CollectAnnotations:
        labels, control = self.port(self.labels), self.port(self.control)
        return CollectAnnotations(
            labels,
            control,
            self.port(self.launcher),
            self.clock,
            JobSettings(classes, task_type=self.task_type.name),
            lambda: ClassHistory(classes),
            self.task_type,
            read,
            rules,
        )

    def build_promote(self) -> PromoteVersion:
        return PromoteVersion(self.champions, FakeEntries(self.pool))

    def build_sync_alias(self) -> SyncRegistryAlias:
        alias, history = self.port(self.alias), self.port(self.history)
        return SyncRegistryAlias(alias, self.champions, history, self.build_promote())

    def build_events(self, collect: CollectAnnotations) -> PublishEvents:
        return PublishEvents(
            self.port(self.bus),
            self.port(self.event_progress),
            self.port(self.rounds),
            self.port(self.control),
            self.port(self.history),
            self.champions,
            self.port(self.observations),
            self.port(self.labels),
            collect.history,
            self.task_type.labels.shown,
            self.clock,
        )

    def build_stores(self) -> Stores:
        return Stores(
            self.port(self.task_syncs),
            self.port(self.full_audits),
            self.port(FakeEntries(self.pool)),
            self.port(self.rounds),
            self.port(self.bucket),
            self.port(self.uploads),
            self.port(self.missing),
            self.port(self.proposals),
        )

    def build_reconcile(self, stores: Stores, collect: CollectAnnotations) -> Reconcile:
        return Reconcile(self.port(self.labeler), stores, collect, self.clock, self.build_sync_alias())

    def build_rank(
        self,
        rules: BatchRules,
        strategy: str,
        *,
        days: int,
        max_open_tasks: int,
        refresh: Callable[[], int],
        target: float = 0.0,
        first: FirstBatches | None = None,
    ) -> Rank:
        pool, labeler = self.port(self.pool), self.port(self.labeler)
        rounds, observations = self.port(self.rounds), self.port(self.observations)
        control, history = self.port(self.control), self.port(self.history)
        return Rank(
            pool,
            rounds,
            labeler,
            self.images,
            self.champions,
            self.clock,
            choose=ChooseBatch(
                pool,
                rounds,
                self.clock,
                rules,
                strategy,
                self.task_type,
                observations,
                plan_audit=PlanAudit(control, history, observations, rounds, pool, target, "accuracy"),
                jobs=lambda: control.state().jobs,
                first=first,
            ),
            task_type=self.task_type,
            open_tasks=OpenTasks(labeler, pool, self.clock, days=days),
            max_open_tasks=max_open_tasks,
            reorder=Reorder(self.rescoring, self.queue.append, "margin", self.clock),
            refresh=refresh,
            first=first,
        )

    def build_rescore(
        self,
        model: Callable[[], tuple[ChampionPointer, Any]],
        order: str = "margin",
        *,
        walk: NewestFirst | None = None,
        images: int = 0,
        days: int = 0,
        request_batch: Callable[[], None] | None = None,
    ) -> RescorePool:
        pool, uploads, progress = self.port(self.pool), self.port(self.uploads), self.port(self.rescoring)
        walk = walk or NewestFirst(pool, self.clock)
        enqueue, later = self.port(self.queue).append, self.port(self.later).append
        reader = ReadAgain(
            pool,
            walk,
            uploads,
            self.port(self.rereading),
            lambda body, seconds: later((self.clock.now() + seconds, body)),
            self.clock,
            images,
        )
        return RescorePool(
            pool,
            walk,
            reader,
            progress,
            model,
            enqueue,
            self.clock,
            order,
            days,
            workers=1,
            request_batch=request_batch,
        )

    # -- images ---------------------------------------------------------------------------------

    def export(self, key: str, etag: str, task: int) -> None:
        """Add a scored image that waits for an annotator, as this task of round 1."""
        prediction = Prediction(1, "b" * 64, np.zeros(4, np.float32), np.array([0.5, 0.5], np.float32))
        self.pool.put_score(ImageRef(key, etag, "1", 1), prediction)
        self.pool.claim(Pick(key, etag, False, "margin", 0.1, task, None), 1, 0.0)
        self.pool.mark_exported(key, 1, task)

    def resolve(self, key: str, agreed: Consensus) -> None:
        """Give an image the label that its annotators agree on."""
        state = self.labels.label_state(key)
        assert state is not None
        self.labels.resolve_label(state, agreed)
