"""Every test here runs over the in-memory fakes, and over the real tables on every lane of LocalStack.

`make second-dynamodb` runs them over the tables of another emulator.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from fakes.clock import FakeClock
from fakes.events import FakeEventProgress
from fakes.images import FakeBackfills, FakeBacklog
from fakes.imported_labels import FakeImportedLabels
from fakes.labelling import FakeFullAudits, FakeLabels, FakeMissing, FakeProposals, FakeRounds, FakeTaskSyncs
from fakes.models import (
    FakeChampions,
    FakeHistory,
    FakeObservations,
    FakeReadingProgress,
    FakeReferences,
    FakeRescoring,
    FakeTrainingRecords,
)
from fakes.pool import FakeBlindImages, FakeEntries, FakePool, FakeRecords
from fakes.training import FakeControl
from lanes import LANES, ROOT, on
from ministack import ministack

from octospoon.adapters.dynamodb.control.backfill import DynamoBackfills, DynamoBacklog
from octospoon.adapters.dynamodb.control.events import DynamoEventProgress
from octospoon.adapters.dynamodb.control.model_history import DynamoHistory, DynamoObservations
from octospoon.adapters.dynamodb.control.reading import DynamoReadingProgress
from octospoon.adapters.dynamodb.control.reconciliation import DynamoFullAudits, DynamoTaskSync
from octospoon.adapters.dynamodb.control.removal_proposals import DynamoProposals
from octospoon.adapters.dynamodb.control.rescoring import DynamoRescoring
from octospoon.adapters.dynamodb.control.rounds import DynamoRounds
from octospoon.adapters.dynamodb.control.table import ControlTable
from octospoon.adapters.dynamodb.control.training import DynamoControl
from octospoon.adapters.dynamodb.imported_labels import DynamoImportedLabels
from octospoon.adapters.dynamodb.label_counter import LabelCounter
from octospoon.adapters.dynamodb.labels import DynamoLabels
from octospoon.adapters.dynamodb.pool.blind_images import DynamoBlindImages
from octospoon.adapters.dynamodb.pool.entries import DynamoEntries
from octospoon.adapters.dynamodb.pool.ranking import DynamoRankingPool
from octospoon.adapters.dynamodb.pool.record import DynamoRecords
from octospoon.adapters.dynamodb.pool.report import DynamoPoolReport
from octospoon.adapters.dynamodb.pool.rescoring import DynamoRescoringPool
from octospoon.adapters.dynamodb.pool.sampling import DynamoSampling
from octospoon.adapters.dynamodb.pool.scores import Order
from octospoon.adapters.dynamodb.pool.scoring import DynamoScoringPool
from octospoon.adapters.dynamodb.pool.training import DynamoTrainingPool
from octospoon.adapters.dynamodb.pool.walk import DynamoWalk
from octospoon.adapters.dynamodb.pool.watching import DynamoWatchingPool
from octospoon.adapters.s3.artifacts import S3Artifacts, S3Champions
from octospoon.adapters.s3.drift_references import S3References
from octospoon.adapters.s3.removals import S3MissingAnnotations
from octospoon.adapters.s3.rounds import RoundFiles
from octospoon.adapters.s3.training_records import S3TrainingRecords
from octospoon.cli.deploy import sam_template
from octospoon.cli.deployment.session import session
from octospoon.domain.task_types.classification import CLASSIFICATION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lanes import Lane

    from octospoon.ports.events import EventProgress
    from octospoon.ports.images import Backfills, Backlog
    from octospoon.ports.imported_labels import ImportedLabels
    from octospoon.ports.labelling import Labels, Rounds
    from octospoon.ports.models import (
        Champions,
        ModelHistory,
        Observations,
        ReadingProgress,
        References,
        Rescoring,
        TrainingRecords,
    )
    from octospoon.ports.pool import (
        BlindImages,
        FullAudits,
        ImageRecords,
        PoolEntries,
        PoolReport,
        PoolSampling,
        PoolWalk,
        RankingPool,
        RescoringPool,
        ScoringPool,
        TrainingPool,
        WatchingPool,
    )
    from octospoon.ports.reconciliation import MissingAnnotations, Proposals, TaskSyncs
    from octospoon.ports.training import Control

RESOURCES = sam_template.read(ROOT / "template.yaml")["Resources"]


@dataclass
class Stores:
    clock: FakeClock
    pool: PoolSampling
    scoring: ScoringPool
    ranking: RankingPool
    rescoring_pool: RescoringPool
    watching: WatchingPool
    training_pool: TrainingPool
    pool_report: PoolReport
    walk: PoolWalk
    control: Control
    labels: Labels
    rounds: Rounds
    task_syncs: TaskSyncs
    entries: PoolEntries
    full_audits: FullAudits
    rescoring: Rescoring
    reading: ReadingProgress
    history: ModelHistory
    observations: Observations
    references: References
    records: ImageRecords
    missing: MissingAnnotations
    proposals: Proposals
    blind: BlindImages
    event_progress: EventProgress
    backfills: Backfills
    imported: ImportedLabels
    backlog: Backlog
    champions: Champions
    training_records: TrainingRecords


@pytest.fixture(params=["fake", *LANES, "second"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "fake":
        return fake()
    lane = request.getfixturevalue("second") if request.param == "second" else on(request, request.param)
    return real(lane)


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Second]:
    """Another emulator, MiniStack, which shares no code with LocalStack's tables."""
    with ministack(tmp_path_factory.mktemp("ministack")) as url:
        yield Second(url)


class Second:
    """An emulator that runs, with tables as the template has them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.outputs: dict[str, str] = {}
        for name, table in RESOURCES.items():
            if table["Type"] == "AWS::DynamoDB::Table":
                self.outputs[name] = f"template-{name}-{uuid.uuid4().hex}"
                create_table(self.client("dynamodb"), self.outputs[name], table["Properties"])

    @cache  # noqa: B019 - there is one for the whole run
    def client(self, service: Any) -> Any:
        return session(self._url).client(service, endpoint_url=self._url)


def fake() -> Stores:
    clock = FakeClock()
    control = FakeControl(clock)
    pool = FakePool(control=control, clock=clock)
    labels = FakeLabels(pool, control)
    return Stores(
        clock,
        pool,
        pool,
        pool,
        pool,
        pool,
        pool,
        pool,
        pool,
        control,
        labels,
        FakeRounds(),
        FakeTaskSyncs(),
        FakeEntries(pool),
        FakeFullAudits(),
        FakeRescoring(),
        FakeReadingProgress(),
        FakeHistory(),
        FakeObservations(),
        FakeReferences(),
        FakeRecords(pool),
        FakeMissing(),
        FakeProposals(),
        FakeBlindImages(pool),
        FakeEventProgress(),
        FakeBackfills(),
        FakeImportedLabels(labels),
        FakeBacklog(),
        champions := FakeChampions(),
        FakeTrainingRecords(champions),
    )


def real(lane: Lane | Second) -> Stores:
    """Empty tables and an empty bucket, shaped as the template shapes them."""
    clock, outputs, client = FakeClock(), lane.outputs, lane.client("dynamodb")
    pool, annotations, control = (
        copy_table(client, outputs[name]) for name in ("PoolTable", "AnnotationsTable", "ControlTable")
    )
    s3, bucket = lane.client("s3"), f"contract-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    table, order = ControlTable(client, control), Order("margin_diverse", CLASSIFICATION)
    return Stores(
        clock,
        DynamoSampling(client, pool),
        DynamoScoringPool(client, pool, order, clock.now, LabelCounter(client, control)),
        DynamoRankingPool(client, pool, clock.now),
        DynamoRescoringPool(client, pool, order, clock.now),
        DynamoWatchingPool(client, pool),
        DynamoTrainingPool(client, pool),
        DynamoPoolReport(client, pool),
        DynamoWalk(client, pool),
        DynamoControl(table, clock.now),
        DynamoLabels(client, pool, annotations, table, CLASSIFICATION.labels, clock.now),
        DynamoRounds(table, RoundFiles(S3Artifacts(s3, bucket))),
        DynamoTaskSync(table),
        DynamoEntries(client, pool),
        DynamoFullAudits(table),
        DynamoRescoring(table),
        DynamoReadingProgress(table),
        DynamoHistory(table),
        DynamoObservations(table),
        S3References(S3Artifacts(s3, bucket)),
        DynamoRecords(client, pool),
        S3MissingAnnotations(S3Artifacts(s3, bucket)),
        DynamoProposals(table),
        DynamoBlindImages(client, pool),
        DynamoEventProgress(table),
        DynamoBackfills(table),
        DynamoImportedLabels(client, pool, annotations, control, clock.now),
        DynamoBacklog(table),
        S3Champions(S3Artifacts(s3, bucket)),
        S3TrainingRecords(S3Artifacts(s3, bucket)),
    )


def copy_table(client: Any, name: str) -> str:
    copy = f"contract-{uuid.uuid4().hex}"
    create_table(client, copy, client.describe_table(TableName=name)["Table"])
    return copy


def create_table(client: Any, name: str, like: Mapping[str, Any]) -> None:
    """Create a table with the keys and indexes of another, or of a table of the template."""
    indexes = [
        {part: index[part] for part in ("IndexName", "KeySchema", "Projection")}
        for index in like.get("GlobalSecondaryIndexes", [])
    ]
    client.create_table(
        TableName=name,
        KeySchema=like["KeySchema"],
        AttributeDefinitions=like["AttributeDefinitions"],
        BillingMode="PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    )
