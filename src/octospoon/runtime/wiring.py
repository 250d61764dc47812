"""The composition root: the one place where ports meet adapters.

Imports stand inside the functions, so that each Lambda loads only what it uses.
"""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from octospoon.domain.errors import NotConfigured
from octospoon.runtime import settings as settings_
from octospoon.runtime.settings import listed, load

if TYPE_CHECKING:
    from collections.abc import Callable

    import boto3
    from mypy_boto3_dynamodb import DynamoDBClient

    from octospoon.adapters.s3_artifacts import S3Artifacts
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.ports import Champions, Labeler, Scorer, TrainingLauncher
    from octospoon.usecases.collect import CollectAnnotations
    from octospoon.usecases.follow_alias import FollowAlias
    from octospoon.usecases.rank import Rank
    from octospoon.usecases.receive import ReceiveWebhook
    from octospoon.usecases.reconcile import Reconcile
    from octospoon.usecases.rescore import Head, RescorePool
    from octospoon.usecases.score import ScoreUploads
    from octospoon.usecases.watch import Watch

_CONNECTIONS = 16
_SECRET_MAX_AGE = 300


class SystemClock:
    """Implements `octospoon.ports.Clock`."""

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return time.time()


CLOCK = SystemClock()


@cache
def session() -> boto3.Session:
    """Return the one boto3 session of the process."""
    import boto3

    return boto3.Session()


@cache
def dynamodb() -> DynamoDBClient:
    """Return the one DynamoDB client, with a connection for every thread."""
    from botocore.config import Config

    return session().client("dynamodb", config=Config(max_pool_connections=_CONNECTIONS))


def artifacts(bucket: str) -> S3Artifacts:
    """Return the artifacts bucket."""
    from octospoon.adapters.s3_artifacts import S3Artifacts

    return S3Artifacts(session().client("s3"), bucket)


def secret(name: str) -> str:
    """Return a secret from Secrets Manager, kept for some minutes so that a rotation gets through."""
    from aws_lambda_powertools.utilities import parameters

    return str(parameters.get_secret(name, max_age=_SECRET_MAX_AGE))


def score() -> ScoreUploads:
    """Wire the scoring of uploads."""
    from botocore.config import Config

    from octospoon.adapters.dynamodb_pool import DynamoPool
    from octospoon.adapters.s3_artifacts import S3Champions
    from octospoon.adapters.s3_images import S3Images
    from octospoon.usecases.champion import CurrentModel
    from octospoon.usecases.score import ScoreUploads

    config = load(settings_.ScoreSettings)
    champions = S3Champions(artifacts(config.artifacts_bucket))
    s3 = session().client("s3", config=Config(max_pool_connections=_CONNECTIONS))
    return ScoreUploads(
        images=S3Images(s3, config.images_bucket),
        pool=DynamoPool(dynamodb(), config.pool_table, config.strategy, CLOCK.now),
        model=CurrentModel(champions, scorer_loader(champions), CLOCK).get,
        workers=cores(),
        downloads=_CONNECTIONS,
    )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def scorer_loader(champions: Champions) -> Callable[[ChampionPointer], Scorer]:
    """Return what turns a champion pointer into a scorer: download, verify, open, check."""
    from octospoon.adapters.onnx_scorer import OnnxScorer

    return lambda pointer: OnnxScorer(champions.fetch(pointer, model_folder()))


def model_folder() -> Path:
    """Return the folder for downloaded models, made where it is missing."""
    folder = Path(gettempdir()) / "octospoon-models"
    folder.mkdir(exist_ok=True)
    return folder


def rank() -> Rank:
    """Wire the choosing and exporting of labelling batches."""
    from octospoon.adapters.dynamodb_control import ControlTable, DynamoRounds
    from octospoon.adapters.dynamodb_pool import DynamoPool
    from octospoon.adapters.s3_artifacts import RoundFiles, S3Champions
    from octospoon.adapters.s3_images import S3Images
    from octospoon.usecases.rank import BatchRules, Rank

    config = load(settings_.RankSettings)
    store = artifacts(config.artifacts_bucket)
    return Rank(
        pool=DynamoPool(dynamodb(), config.pool_table, config.strategy, CLOCK.now),
        rounds=DynamoRounds(ControlTable(dynamodb(), config.control_table), RoundFiles(store)),
        labeler=_labeler(),
        images=S3Images(session().client("s3"), config.images_bucket),
        champions=S3Champions(store),
        clock=CLOCK,
        rules=BatchRules(
            size=config.batch_size,
            audit_share=config.audit_share,
            strategy=config.strategy,
            max_open_tasks=config.max_open_tasks,
        ),
    )


def _labeler() -> Labeler:
    from octospoon.adapters.label_studio import LabelStudio, LabelStudioApi

    config = load(settings_.LabelStudioSettings)
    api = LabelStudioApi(config.label_studio_url, lambda: secret(config.label_studio_token_secret))
    return LabelStudio(api, config.label_studio_project)


def webhook() -> ReceiveWebhook:
    """Wire the receiving of Label Studio's webhooks."""
    from octospoon.adapters.aws_errors import translated
    from octospoon.usecases.receive import ReceiveWebhook

    config = load(settings_.WebhookSettings)
    sqs = session().client("sqs")

    def enqueue(body: str) -> None:
        with translated("queueing an annotation"):
            sqs.send_message(QueueUrl=config.annotations_queue_url, MessageBody=body)

    return ReceiveWebhook(secret=lambda: secret(config.webhook_secret), enqueue=enqueue)


def collect() -> CollectAnnotations:
    """Wire the counting of annotations."""
    from octospoon.adapters.dynamodb_control import ControlTable, DynamoControl
    from octospoon.adapters.dynamodb_labels import DynamoLabels
    from octospoon.domain.training_policy import TrainingRules
    from octospoon.usecases.collect import CollectAnnotations

    config = load(settings_.CollectSettings)
    return CollectAnnotations(
        labels=DynamoLabels(
            dynamodb(), config.pool_table, config.annotations_table, config.control_table, CLOCK.now
        ),
        control=DynamoControl(ControlTable(dynamodb(), config.control_table), CLOCK.now),
        launcher=_launcher(config),
        clock=CLOCK,
        classes=listed(config.classes),
        rules=TrainingRules(config.training_threshold, config.training_cool_down, config.trainings_per_day),
    )


def _launcher(config: settings_.CollectSettings) -> TrainingLauncher:
    from octospoon.adapters.launchers import EcsLauncher, EcsTarget, QueueLauncher

    if config.launcher == "queue":
        return QueueLauncher(session().client("sqs"), config.training_queue_url)
    if config.launcher == "ecs":
        target = EcsTarget(
            cluster=config.ecs_cluster,
            task_definition=config.ecs_task_definition,
            container=config.ecs_container,
            subnets=listed(config.ecs_subnets),
            security_groups=listed(config.ecs_security_groups),
        )
        return EcsLauncher(session().client("ecs"), target)
    raise NotConfigured(f"OCTOSPOON_LAUNCHER is {config.launcher!r}: it must be queue or ecs")


def reconcile() -> Reconcile:
    """Wire the counting of what lost webhooks left uncounted."""
    from octospoon.adapters.dynamodb_control import ControlTable, DynamoSweeps
    from octospoon.usecases.reconcile import Reconcile

    config = load(settings_.Stores)
    return Reconcile(
        labeler=_labeler(),
        sweeps=DynamoSweeps(ControlTable(dynamodb(), config.control_table)),
        collect=collect(),
        clock=CLOCK,
    )


def follow_alias() -> FollowAlias | None:
    """Wire the following of MLflow's champion alias; None without an MLflow server."""
    from octospoon.adapters.dynamodb_control import ControlTable
    from octospoon.adapters.dynamodb_history import DynamoHistory
    from octospoon.adapters.mlflow_alias import MlflowAlias
    from octospoon.adapters.s3_artifacts import S3Champions
    from octospoon.usecases.follow_alias import FollowAlias
    from octospoon.usecases.serve import ServeVersion

    config, server = load(settings_.Stores), load(settings_.MlflowSettings)
    if not server.mlflow_url:
        return None

    def sign_in() -> tuple[str, str]:
        name = server.mlflow_password_secret
        return server.mlflow_username, secret(name) if name else ""

    champions = S3Champions(artifacts(config.artifacts_bucket))
    return FollowAlias(
        alias=MlflowAlias(server.mlflow_url, server.model_name, sign_in),
        champions=champions,
        history=DynamoHistory(ControlTable(dynamodb(), config.control_table)),
        serve=ServeVersion(champions),
    )


def watch() -> Watch:
    """Wire the watching of the model in service."""
    from octospoon.adapters.dynamodb_control import ControlTable, DynamoControl
    from octospoon.adapters.dynamodb_history import DynamoObservations
    from octospoon.adapters.dynamodb_labels import DynamoLabels
    from octospoon.adapters.dynamodb_pool import DynamoPool
    from octospoon.adapters.s3_artifacts import S3Champions
    from octospoon.adapters.s3_references import S3References
    from octospoon.usecases.champion import CurrentModel
    from octospoon.usecases.measure import Measure
    from octospoon.usecases.watch import Watch

    config = load(settings_.WatchSettings)
    store = artifacts(config.artifacts_bucket)
    champions, table = S3Champions(store), ControlTable(dynamodb(), config.control_table)
    pool = DynamoPool(dynamodb(), config.pool_table)
    labels = DynamoLabels(
        dynamodb(), config.pool_table, config.annotations_table, config.control_table, CLOCK.now
    )
    return Watch(
        model=CurrentModel(champions, head_loader(champions), CLOCK, max_age=0.0).get,
        measure=Measure(pool, labels),
        pool=pool,
        references=S3References(store),
        observations=DynamoObservations(table),
        control=DynamoControl(table, CLOCK.now),
        clock=CLOCK,
        accuracy_floor=config.accuracy_floor,
    )


def head_loader(champions: Champions) -> Callable[[ChampionPointer], tuple[ChampionPointer, Head | None]]:
    """Return what turns a champion pointer into its head: download, verify, open."""
    from octospoon.adapters.onnx_session import OnnxHead

    def load_head(pointer: ChampionPointer) -> tuple[ChampionPointer, Head | None]:
        if not pointer.head_key:
            return pointer, None
        return pointer, OnnxHead(champions.fetch_head(pointer, model_folder()))

    return load_head


def rescore() -> RescorePool:
    """Wire the refreshing of the pool's scores."""
    from octospoon.adapters.aws_errors import translated
    from octospoon.adapters.dynamodb_control import ControlTable, DynamoRescoring
    from octospoon.adapters.dynamodb_pool import DynamoPool
    from octospoon.adapters.s3_artifacts import S3Champions
    from octospoon.usecases.champion import CurrentModel
    from octospoon.usecases.rescore import RescorePool

    config = load(settings_.RescoreSettings)
    champions = S3Champions(artifacts(config.artifacts_bucket))
    sqs = session().client("sqs")

    def enqueue(body: str) -> None:
        with translated("queueing a segment"):
            sqs.send_message(QueueUrl=config.rescore_queue_url, MessageBody=body)

    return RescorePool(
        pool=DynamoPool(dynamodb(), config.pool_table, config.strategy, CLOCK.now),
        progress=DynamoRescoring(ControlTable(dynamodb(), config.control_table)),
        model=CurrentModel(champions, head_loader(champions), CLOCK, max_age=0.0).get,
        enqueue=enqueue,
        clock=CLOCK,
    )
