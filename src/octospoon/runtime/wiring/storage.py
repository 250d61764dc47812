"""The adapters over a stack's buckets and tables, for functions, the trainer and the command line.

Each adapter is imported when it is first asked for: a function must not load the adapters of all others.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from octospoon.domain.pool.source import MADE, ImagesSource
from octospoon.domain.task_types.named import task_type_named
from octospoon.runtime import aws
from octospoon.runtime.wiring.buckets import BucketStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from octospoon.adapters.dynamodb.control.backfill import DynamoBackfills, DynamoBacklog
    from octospoon.adapters.dynamodb.control.classes import CachedClasses, DynamoClassRecord
    from octospoon.adapters.dynamodb.control.events import DynamoEventProgress
    from octospoon.adapters.dynamodb.control.model_history import DynamoHistory, DynamoObservations
    from octospoon.adapters.dynamodb.control.reading import DynamoReadingProgress
    from octospoon.adapters.dynamodb.control.reconciliation import DynamoFullAudits, DynamoTaskSync
    from octospoon.adapters.dynamodb.control.removal_proposals import DynamoProposals
    from octospoon.adapters.dynamodb.control.rescoring import DynamoRescoring
    from octospoon.adapters.dynamodb.control.rounds import DynamoRounds
    from octospoon.adapters.dynamodb.control.table import ControlTable
    from octospoon.adapters.dynamodb.control.task_type import DynamoTaskTypeRecord
    from octospoon.adapters.dynamodb.control.training import DynamoControl
    from octospoon.adapters.dynamodb.imported_labels import DynamoImportedLabels
    from octospoon.adapters.dynamodb.labels import DynamoLabels
    from octospoon.adapters.dynamodb.pool.entries import DynamoEntries
    from octospoon.adapters.dynamodb.pool.ranking import DynamoRankingPool
    from octospoon.adapters.dynamodb.pool.record import DynamoRecords
    from octospoon.adapters.dynamodb.pool.report import DynamoPoolReport
    from octospoon.adapters.dynamodb.pool.rescoring import DynamoRescoringPool
    from octospoon.adapters.dynamodb.pool.sampling import DynamoSampling
    from octospoon.adapters.dynamodb.pool.scoring import DynamoScoringPool
    from octospoon.adapters.dynamodb.pool.training import DynamoTrainingPool
    from octospoon.adapters.dynamodb.pool.walk import DynamoWalk
    from octospoon.adapters.dynamodb.pool.watching import DynamoWatchingPool
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.runtime.wiring.buckets import StorageNames


class Storage(BucketStorage):
    """The adapters over a stack's buckets and tables.

    Args:
        names: names of the buckets and tables.
        s3: returns the S3 client.
        dynamodb: returns the DynamoDB client.
        now: returns the time in epoch seconds; by default, of the process' clock.
        source: the part of the images bucket that is read, and whether it is only read.
    """

    def __init__(
        self,
        names: StorageNames,
        s3: Callable[[], S3Client] = aws.s3,
        dynamodb: Callable[[], DynamoDBClient] = aws.dynamodb,
        now: Callable[[], float] | None = None,
        source: ImagesSource = MADE,
    ) -> None:
        super().__init__(names, s3, source)
        self._names = names
        self._dynamodb = dynamodb
        self._now = now or aws.CLOCK.now

    @cached_property
    def task_type(self) -> TaskType:
        """The kind of label."""
        return task_type_named(self._names.task_type)

    @cached_property
    def task_type_record(self) -> DynamoTaskTypeRecord:
        """The kind of the labels that the stack has."""
        from octospoon.adapters.dynamodb.control.task_type import DynamoTaskTypeRecord

        return DynamoTaskTypeRecord(self.control_table, self.task_type.name)

    @cached_property
    def pool(self) -> DynamoSampling:
        """The pool table, for reading and sampling images."""
        from octospoon.adapters.dynamodb.pool.sampling import DynamoSampling

        return DynamoSampling(self._dynamodb(), self._names.pool_table)

    def scoring_pool(self, strategy: str) -> DynamoScoringPool:
        """Return the pool table, as `score` writes it for a strategy."""
        from octospoon.adapters.dynamodb.label_counter import LabelCounter
        from octospoon.adapters.dynamodb.pool.scores import Order
        from octospoon.adapters.dynamodb.pool.scoring import DynamoScoringPool

        client = self._dynamodb()
        counter = LabelCounter(client, self._names.control_table)
        order = Order(strategy, self.task_type)
        return DynamoScoringPool(client, self._names.pool_table, order, self._now, counter)

    def rescoring_pool(self, strategy: str) -> DynamoRescoringPool:
        """Return the pool table, as `rescore` refreshes it for a strategy."""
        from octospoon.adapters.dynamodb.pool.rescoring import DynamoRescoringPool
        from octospoon.adapters.dynamodb.pool.scores import Order

        order = Order(strategy, self.task_type)
        return DynamoRescoringPool(self._dynamodb(), self._names.pool_table, order, self._now)

    @property
    def ranking_pool(self) -> DynamoRankingPool:
        """The pool table, for choosing a batch."""
        from octospoon.adapters.dynamodb.pool.ranking import DynamoRankingPool

        return DynamoRankingPool(self._dynamodb(), self._names.pool_table, self._now)

    @property
    def watching_pool(self) -> DynamoWatchingPool:
        """The pool table, for monitoring."""
        from octospoon.adapters.dynamodb.pool.watching import DynamoWatchingPool

        return DynamoWatchingPool(self._dynamodb(), self._names.pool_table)

    @property
    def training_pool(self) -> DynamoTrainingPool:
        """The pool table, for a training job."""
        from octospoon.adapters.dynamodb.pool.training import DynamoTrainingPool

        return DynamoTrainingPool(self._dynamodb(), self._names.pool_table)

    @property
    def pool_report(self) -> DynamoPoolReport:
        """The pool table, read as a whole."""
        from octospoon.adapters.dynamodb.pool.report import DynamoPoolReport

        return DynamoPoolReport(self._dynamodb(), self._names.pool_table)

    @property
    def entries(self) -> DynamoEntries:
        """The pool table, entry by entry."""
        from octospoon.adapters.dynamodb.pool.entries import DynamoEntries

        return DynamoEntries(self._dynamodb(), self._names.pool_table)

    @property
    def records(self) -> DynamoRecords:
        """The pool table, with everything known about one image."""
        from octospoon.adapters.dynamodb.pool.record import DynamoRecords

        return DynamoRecords(self._dynamodb(), self._names.pool_table)

    @property
    def walk(self) -> DynamoWalk:
        """The pool table, read segment by segment."""
        from octospoon.adapters.dynamodb.pool.walk import DynamoWalk

        return DynamoWalk(self._dynamodb(), self._names.pool_table)

    @property
    def labels(self) -> DynamoLabels:
        """The annotations, and the labels that they make."""
        from octospoon.adapters.dynamodb.labels import DynamoLabels

        names, meaning = self._names, self.task_type.labels
        tables = names.pool_table, names.annotations_table, self.control_table
        return DynamoLabels(self._dynamodb(), *tables, meaning, self._now)

    @property
    def imported_labels(self) -> DynamoImportedLabels:
        """The imported labels."""
        from octospoon.adapters.dynamodb.imported_labels import DynamoImportedLabels

        names = self._names
        return DynamoImportedLabels(
            self._dynamodb(), names.pool_table, names.annotations_table, names.control_table, self._now
        )

    def class_record(self, first: Sequence[str] = ()) -> DynamoClassRecord:
        """Return the project's classes and their changes.

        Args:
            first: the class names of the template, which count until the first change; empty if unknown.
        """
        from octospoon.adapters.dynamodb.control.classes import DynamoClassRecord

        return DynamoClassRecord(self.control_table, first)

    def class_history(self, first: Sequence[str] = ()) -> CachedClasses:
        """Return a function that reads the classes at most every few seconds; see `class_record`."""
        from octospoon.adapters.dynamodb.control.classes import CachedClasses

        return CachedClasses(self.class_record(first).read, self._now)

    @cached_property
    def control_table(self) -> ControlTable:
        """The control table."""
        from octospoon.adapters.dynamodb.control.table import ControlTable

        return ControlTable(self._dynamodb(), self._names.control_table)

    @property
    def control(self) -> DynamoControl:
        """The state of the training job."""
        from octospoon.adapters.dynamodb.control.training import DynamoControl

        return DynamoControl(self.control_table, self._now)

    @property
    def rounds(self) -> DynamoRounds:
        """The labelling rounds."""
        from octospoon.adapters.dynamodb.control.rounds import DynamoRounds
        from octospoon.adapters.s3.rounds import RoundFiles

        return DynamoRounds(self.control_table, RoundFiles(self.artifacts))

    @property
    def rescoring(self) -> DynamoRescoring:
        """The progress of re-scoring the pool."""
        from octospoon.adapters.dynamodb.control.rescoring import DynamoRescoring

        return DynamoRescoring(self.control_table)

    @property
    def reading(self) -> DynamoReadingProgress:
        """The progress of reading the pool's images again."""
        from octospoon.adapters.dynamodb.control.reading import DynamoReadingProgress

        return DynamoReadingProgress(self.control_table)

    @property
    def history(self) -> DynamoHistory:
        """The decisions about models."""
        from octospoon.adapters.dynamodb.control.model_history import DynamoHistory

        return DynamoHistory(self.control_table)

    @property
    def observations(self) -> DynamoObservations:
        """The results of `watch`."""
        from octospoon.adapters.dynamodb.control.model_history import DynamoObservations

        return DynamoObservations(self.control_table)

    @property
    def event_progress(self) -> DynamoEventProgress:
        """Return the progress of publishing events."""
        from octospoon.adapters.dynamodb.control.events import DynamoEventProgress

        return DynamoEventProgress(self.control_table)

    @property
    def task_syncs(self) -> DynamoTaskSync:
        """The progress of the task sync."""
        from octospoon.adapters.dynamodb.control.reconciliation import DynamoTaskSync

        return DynamoTaskSync(self.control_table)

    @property
    def full_audits(self) -> DynamoFullAudits:
        """The progress of the full audit."""
        from octospoon.adapters.dynamodb.control.reconciliation import DynamoFullAudits

        return DynamoFullAudits(self.control_table)

    @property
    def backfills(self) -> DynamoBackfills:
        """The progress of the newest backfill."""
        from octospoon.adapters.dynamodb.control.backfill import DynamoBackfills

        return DynamoBackfills(self.control_table)

    @property
    def backlog(self) -> DynamoBacklog | None:
        """The objects that are left to a backfill; None if the stack made the images bucket."""
        from octospoon.adapters.dynamodb.control.backfill import DynamoBacklog

        return DynamoBacklog(self.control_table) if self._source.existing else None

    @property
    def proposals(self) -> DynamoProposals:
        """The removal of labels that waits for a person's approval."""
        from octospoon.adapters.dynamodb.control.removal_proposals import DynamoProposals

        return DynamoProposals(self.control_table)
