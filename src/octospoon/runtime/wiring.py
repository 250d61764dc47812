"""The composition root: the one place where ports meet adapters.

Imports stand inside the functions, so that each Lambda loads only what it uses.
"""

from __future__ import annotations

import contextlib
import os
import time
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from octospoon.domain.errors import NotConfigured, ServiceUnavailable
from octospoon.domain.secrets import checked_secret, header_secret
from octospoon.runtime import settings as settings_
from octospoon.runtime.settings import listed, load

if TYPE_CHECKING:
    from collections.abc import Callable

    import botocore.session
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from octospoon.adapters.label_studio.api import LabelStudio
    from octospoon.adapters.s3.artifacts import S3Artifacts
    from octospoon.adapters.s3.images import S3Images
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.ports.labelling import Labels
    from octospoon.ports.models import Champions, Scorer
    from octospoon.ports.training import TrainingLauncher
    from octospoon.usecases.collect import CollectAnnotations
    from octospoon.usecases.finished_rounds import FinishedRounds
    from octospoon.usecases.predict import PredictImages
    from octospoon.usecases.rank import Rank
    from octospoon.usecases.receive_webhook import ReceiveWebhook
    from octospoon.usecases.reconcile import Reconcile
    from octospoon.usecases.rescore import Head, RescorePool
    from octospoon.usecases.resolve_label import ResolveLabel
    from octospoon.usecases.score import ScoreUploads
    from octospoon.usecases.sync_registry_alias import SyncRegistryAlias
    from octospoon.usecases.watch import Watch

_CONNECTIONS = 12
_SECRET_MAX_AGE = 300
_MODEL_FILE_MAX_AGE = 600


class SystemClock:
    """Implements `octospoon.ports.clock.Clock`."""

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return time.time()


CLOCK = SystemClock()


@cache
def session() -> botocore.session.Session:
    """Return the one session of the process: botocore's, since boto3's takes a tenth of a cold start more."""
    import botocore.session

    return botocore.session.Session()


def client(service: str, **settings: Any) -> Any:  # noqa: ANN401 - a type for each service
    """Return a client for a service, with botocore's `Config` made of these settings."""
    from botocore.config import Config

    return session().create_client(service, config=Config(**settings))


@cache
def s3() -> S3Client:
    """Return the one S3 client, with a connection for every thread."""
    made: S3Client = client("s3", max_pool_connections=_CONNECTIONS)
    return made


@cache
def dynamodb() -> DynamoDBClient:
    """Return the one DynamoDB client, with a connection for every thread."""
    # what is written is typed already; the checks would cost as much as the call's signature
    made: DynamoDBClient = client("dynamodb", max_pool_connections=_CONNECTIONS, parameter_validation=False)
    return made


def disconnect() -> None:
    """Close the connections of scoring; the next call opens one."""
    for one in (images(), s3(), dynamodb()):
        one.close()


def artifacts(bucket: str) -> S3Artifacts:
    """Return the artifacts bucket."""
    from octospoon.adapters.s3.artifacts import S3Artifacts

    return S3Artifacts(s3(), bucket)


def secret(name: str) -> str:
    """Return a secret from Secrets Manager, kept for some minutes so that a rotation gets through.

    Raises:
        NotConfigured: it cannot be sent in an HTTP header; the message names it and does not quote it.
    """
    return header_secret(name, _stored_secret(name))


def password(name: str) -> str:
    """Return a secret that travels in no header as it is; kept as `secret`."""
    return checked_secret(name, _stored_secret(name))


def _stored_secret(name: str) -> str:
    from aws_lambda_powertools.utilities import parameters

    found: str | bytes = parameters.get_secret(name, max_age=_SECRET_MAX_AGE)
    return found if isinstance(found, str) else found.decode(errors="replace")


def score() -> ScoreUploads:
    """Wire the scoring of uploads."""
    from octospoon.adapters.dynamodb.label_counter import LabelCounter
    from octospoon.adapters.dynamodb.pool.scoring import DynamoScoringPool
    from octospoon.usecases.score import ScoreUploads

    config = load(settings_.ScoreSettings)
    counter = LabelCounter(dynamodb(), config.control_table)
    return ScoreUploads(
        images=images(),
        pool=DynamoScoringPool(dynamodb(), config.pool_table, config.strategy, CLOCK.now, counter),
        model=_current_scorer(),
        resolve_label=_resolve_label(config),
        workers=cores(),
        downloads=_CONNECTIONS,
    )


def _resolve_label(config: settings_.Stores) -> Callable[[str], object]:
    """Return what settles a label; loaded when first needed, which is seldom where pictures are scored."""

    @cache
    def settle_label() -> ResolveLabel:
        from octospoon.adapters.dynamodb.labels import DynamoLabels
        from octospoon.usecases.resolve_label import ResolveLabel

        return ResolveLabel(
            DynamoLabels(
                dynamodb(), config.pool_table, config.annotations_table, config.control_table, CLOCK.now
            )
        )

    return lambda key: settle_label()(key)


@cache
def images() -> S3Images:
    """Return the images bucket, for reading many at once."""
    from urllib.request import getproxies

    from octospoon.adapters.s3.images import S3Images
    from octospoon.adapters.s3.signed_gets import SignedGets

    bucket, credentials = images_bucket(), session().get_credentials()
    quick = credentials and not getproxies()  # they know no proxies
    gets = SignedGets(s3(), credentials, bucket) if credentials and quick else None
    return S3Images(s3(), bucket, gets)


def images_bucket() -> str:
    """Return the name of the images bucket."""
    return load(settings_.Buckets).images_bucket


def predict() -> PredictImages:
    """Wire the answering of questions about single pictures."""
    from octospoon.adapters.dynamodb.pool.blind_images import DynamoBlindImages
    from octospoon.adapters.s3.inbox import S3Inbox
    from octospoon.usecases.predict import PredictImages

    return PredictImages(
        images=images(),
        inbox=S3Inbox(s3(), images_bucket()),
        model=_current_scorer(),
        blind=DynamoBlindImages(dynamodb(), load(settings_.PredictSettings).pool_table),
    )


def predict_secret() -> str:
    """Return the secret that whoever asks `predict` must know."""
    return secret(load(settings_.PredictSettings).predict_secret)


def version_in_service() -> int:
    """Return the version that the champion pointer names; raises ServiceUnavailable before the first."""
    from octospoon.usecases.predict import version_in_service as version

    return version(_champions())


def _champions() -> Champions:
    from octospoon.adapters.s3.artifacts import S3Champions

    return S3Champions(artifacts(load(settings_.Buckets).artifacts_bucket))


def _current_scorer() -> Callable[[], Scorer]:
    """Return what gives the model that predicts now."""
    from octospoon.usecases.champion import CurrentModel

    champions = _champions()
    return CurrentModel(champions, scorer_loader(champions), CLOCK).get


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def scorer_loader(champions: Champions) -> Callable[[ChampionPointer], Scorer]:
    """Return what converts a champion pointer into a scorer: download, verify, open, check."""
    from octospoon.adapters.onnx.scorer import OnnxScorer

    def load_model(pointer: ChampionPointer) -> Scorer:
        path = champions.fetch(pointer, model_folder())
        scorer = OnnxScorer(path, pointer.generation)
        _forget_models(path)
        return scorer

    return load_model


def _forget_models(but: Path) -> None:
    """Remove the files of models long out of service: a function's disk is small and lives for hours."""
    for path in but.parent.iterdir():
        with contextlib.suppress(FileNotFoundError):  # on one machine other processes tidy up too
            if path != but and path.stat().st_mtime < CLOCK.now() - _MODEL_FILE_MAX_AGE:
                path.unlink()


def model_folder() -> Path:
    """Return the folder for downloaded models, made where it is missing."""
    folder = Path(gettempdir()) / "octospoon-models"
    folder.mkdir(exist_ok=True)
    return folder


def rank() -> Rank:
    """Wire the choosing and exporting of labelling batches."""
    from octospoon.adapters.dynamodb.control import ControlTable, DynamoRescoring, DynamoRounds
    from octospoon.adapters.dynamodb.model_history import DynamoObservations
    from octospoon.adapters.dynamodb.pool.ranking import DynamoRankingPool
    from octospoon.adapters.label_studio.predictions import LabelStudioPredictions
    from octospoon.adapters.s3.artifacts import S3Champions
    from octospoon.adapters.s3.images import S3Images
    from octospoon.adapters.s3.rounds import RoundFiles
    from octospoon.domain.batch.compose import BatchRules
    from octospoon.domain.batch.limits import Limits
    from octospoon.domain.labelling.blinding import HIDDEN
    from octospoon.domain.uncertainty import order_of
    from octospoon.usecases.open_tasks import OpenTasks
    from octospoon.usecases.rank import Rank
    from octospoon.usecases.refresh_predictions import RefreshPredictions
    from octospoon.usecases.rescore import Reorder

    config = load(settings_.RankSettings)
    store, control = artifacts(config.artifacts_bucket), ControlTable(dynamodb(), config.control_table)
    pool, labeler = DynamoRankingPool(dynamodb(), config.pool_table, CLOCK.now), _labeler()
    rounds, champions = DynamoRounds(control, RoundFiles(store)), S3Champions(store)
    return Rank(
        pool=pool,
        rounds=rounds,
        labeler=labeler,
        images=S3Images(s3(), config.images_bucket),
        champions=champions,
        clock=CLOCK,
        rules=BatchRules(
            size=config.batch_size,
            audit_share=config.audit_share,
            control_share=config.control_share,
            limits=Limits(config.min_distance, config.class_quota, config.group_quota),
            drift_share=config.drift_share,
            blind=config.audit_predictions == HIDDEN,
        ),
        strategy=config.strategy,
        open_tasks=OpenTasks(labeler, pool, CLOCK, config.open_task_days),
        max_open_tasks=config.max_open_tasks,
        observations=DynamoObservations(control),
        reorder=Reorder(
            DynamoRescoring(control),
            _rescore_queue(config.rescore_queue_url),
            order_of(config.strategy),
        ),
        refresh=RefreshPredictions(
            predictions=LabelStudioPredictions(labeler),
            pool=pool,
            rounds=rounds,
            champions=champions,
            head=lambda pointer: head_loader(champions)(pointer),  # seldom needed, and slow to import
            clock=CLOCK,
        ),
    )


def _rescore_queue(url: str) -> Callable[[str], None]:
    """Return what queues a part of the pool for `rescore`."""
    from octospoon.adapters.aws.errors import translated

    sqs = client("sqs")

    def enqueue(body: str) -> None:
        with translated("queueing a segment"):
            sqs.send_message(QueueUrl=url, MessageBody=body)

    return enqueue


def _labeler() -> LabelStudio:
    from octospoon.adapters.label_studio.api import LabelStudio, LabelStudioApi

    config = load(settings_.LabelStudioSettings)
    api = LabelStudioApi(config.label_studio_url, lambda: secret(config.label_studio_token_secret))
    return LabelStudio(api, config.label_studio_project)


def webhook() -> ReceiveWebhook:
    """Wire the receiving of Label Studio's webhooks."""
    from octospoon.adapters.aws.errors import translated
    from octospoon.usecases.receive_webhook import ReceiveWebhook

    config = load(settings_.WebhookSettings)
    # Label Studio waits for one second; what a later attempt brings into the queue is counted all the same
    retries = {"mode": "standard", "total_max_attempts": 3}
    sqs = client("sqs", connect_timeout=1, read_timeout=2, retries=retries)

    def enqueue(body: str) -> None:
        with translated("queueing an annotation"):
            sqs.send_message(QueueUrl=config.annotations_queue_url, MessageBody=body)

    return ReceiveWebhook(secret=lambda: secret(config.webhook_secret), enqueue=enqueue)


def collect() -> CollectAnnotations:
    """Wire the counting of annotations."""
    from octospoon.adapters.dynamodb.control import ControlTable, DynamoControl
    from octospoon.adapters.dynamodb.labels import DynamoLabels
    from octospoon.domain.training.jobs import JobSettings
    from octospoon.domain.training.policy import TrainingRules
    from octospoon.usecases.collect import CollectAnnotations

    config = load(settings_.CollectSettings)
    labels = DynamoLabels(
        dynamodb(), config.pool_table, config.annotations_table, config.control_table, CLOCK.now
    )
    return CollectAnnotations(
        labels=labels,
        control=DynamoControl(ControlTable(dynamodb(), config.control_table), CLOCK.now),
        launcher=_launcher(config),
        clock=CLOCK,
        settings=JobSettings(
            classes=listed(config.classes),
            trainer=config.trainer,
            fine_tuning=config.fine_tuning,
            class_weights=config.class_weights,
            model_name=config.model_name,
            experiment=config.experiment,
        ),
        rules=TrainingRules(config.training_threshold, config.training_cool_down, config.trainings_per_day),
        finished=_finished_rounds(config, labels),
    )


def _finished_rounds(config: settings_.CollectSettings, labels: Labels) -> FinishedRounds | None:
    """Return what asks for a new batch after the last answer; None where only the schedule does."""
    from octospoon.adapters.dynamodb.control import ControlTable, DynamoRounds
    from octospoon.adapters.dynamodb.pool.entries import DynamoEntries
    from octospoon.adapters.s3.rounds import RoundFiles
    from octospoon.usecases.finished_rounds import FinishedRounds

    request = _batch_request(config.rank_function)
    if request is None:
        return None
    files = RoundFiles(artifacts(config.artifacts_bucket))
    rounds = DynamoRounds(ControlTable(dynamodb(), config.control_table), files)
    return FinishedRounds(rounds, DynamoEntries(dynamodb(), config.pool_table), labels, request)


def _batch_request(function: str) -> Callable[[], None] | None:
    """Return what has `rank` run soon; None where only the schedule does."""
    from botocore.exceptions import BotoCoreError, ClientError

    def request() -> None:
        try:
            client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=b"{}")
        except (BotoCoreError, ClientError) as error:
            # whatever it is, a missing permission too: what was counted stays counted
            raise ServiceUnavailable(f"asking for a new batch: {type(error).__name__}") from error

    return request if function else None


def _launcher(config: settings_.CollectSettings) -> TrainingLauncher:
    from octospoon.adapters.aws.launchers import EcsLauncher, EcsTarget, QueueLauncher

    if config.launcher == "queue":
        return QueueLauncher(client("sqs"), config.training_queue_url)
    if config.launcher == "ecs":
        target = EcsTarget(
            cluster=config.ecs_cluster,
            task_definition=config.ecs_task_definition,
            container=config.ecs_container,
            subnets=listed(config.ecs_subnets),
            security_groups=listed(config.ecs_security_groups),
            capacity=config.ecs_capacity,
        )
        return EcsLauncher(client("ecs"), target)
    raise NotConfigured(f"OCTOSPOON_LAUNCHER is {config.launcher!r}: it must be queue or ecs")


def reconcile() -> Reconcile:
    """Wire the repairing of what was lost on the way."""
    from octospoon.adapters.aws.sqs_uploads import SqsUploads
    from octospoon.adapters.dynamodb.control import ControlTable, DynamoRounds
    from octospoon.adapters.dynamodb.pool.entries import DynamoEntries
    from octospoon.adapters.dynamodb.progress import DynamoFullAudits, DynamoTaskSync
    from octospoon.adapters.dynamodb.removal_proposals import DynamoProposals
    from octospoon.adapters.s3.images import S3Images
    from octospoon.adapters.s3.removals import S3MissingAnnotations
    from octospoon.adapters.s3.rounds import RoundFiles
    from octospoon.usecases.reconcile import Reconcile, Stores

    config = load(settings_.ReconcileSettings)
    control, store = ControlTable(dynamodb(), config.control_table), artifacts(config.artifacts_bucket)
    return Reconcile(
        labeler=_labeler(),
        stores=Stores(
            task_syncs=DynamoTaskSync(control),
            full_audits=DynamoFullAudits(control),
            pool=DynamoEntries(dynamodb(), config.pool_table),
            rounds=DynamoRounds(control, RoundFiles(store)),
            bucket=S3Images(s3(), config.images_bucket),
            uploads=SqsUploads(client("sqs"), config.uploads_queue_url),
            missing=S3MissingAnnotations(store),
            proposals=DynamoProposals(control),
        ),
        collect=collect(),
        clock=CLOCK,
        sync_registry_alias=sync_registry_alias(),
    )


def sync_registry_alias() -> SyncRegistryAlias | None:
    """Wire the following of MLflow's champion alias; None without an MLflow server."""
    from octospoon.adapters.dynamodb.control import ControlTable
    from octospoon.adapters.dynamodb.model_history import DynamoHistory
    from octospoon.adapters.dynamodb.pool.entries import DynamoEntries
    from octospoon.adapters.mlflow.alias import MlflowAlias
    from octospoon.adapters.mlflow.rest import MlflowApi
    from octospoon.usecases.promote_version import PromoteVersion
    from octospoon.usecases.sync_registry_alias import SyncRegistryAlias

    config, server = load(settings_.Stores), load(settings_.MlflowSettings)
    if not server.mlflow_url:
        return None

    def sign_in() -> tuple[str, str]:
        name = server.mlflow_password_secret
        return server.mlflow_username, password(name) if name else ""

    champions = _champions()
    return SyncRegistryAlias(
        alias=MlflowAlias(MlflowApi(server.mlflow_url, sign_in), server.model_name),
        champions=champions,
        history=DynamoHistory(ControlTable(dynamodb(), config.control_table)),
        serve=PromoteVersion(champions, DynamoEntries(dynamodb(), config.pool_table)),
    )


def watch() -> Watch:
    """Wire the watching of the model in service."""
    from octospoon.adapters.dynamodb.control import ControlTable, DynamoControl
    from octospoon.adapters.dynamodb.labels import DynamoLabels
    from octospoon.adapters.dynamodb.model_history import DynamoObservations
    from octospoon.adapters.dynamodb.pool.sampling import DynamoSampling
    from octospoon.adapters.dynamodb.pool.watching import DynamoWatchingPool
    from octospoon.adapters.s3.artifacts import S3Champions
    from octospoon.adapters.s3.drift_references import S3References
    from octospoon.usecases.champion import CurrentModel
    from octospoon.usecases.live_evaluation import Measure
    from octospoon.usecases.watch import Watch

    config = load(settings_.WatchSettings)
    store = artifacts(config.artifacts_bucket)
    champions, table = S3Champions(store), ControlTable(dynamodb(), config.control_table)
    labels = DynamoLabels(
        dynamodb(), config.pool_table, config.annotations_table, config.control_table, CLOCK.now
    )
    return Watch(
        model=CurrentModel(champions, head_loader(champions), CLOCK, max_age=0.0).get,
        measure=Measure(DynamoSampling(dynamodb(), config.pool_table), labels),
        pool=DynamoWatchingPool(dynamodb(), config.pool_table),
        references=S3References(store),
        observations=DynamoObservations(table),
        control=DynamoControl(table, CLOCK.now),
        clock=CLOCK,
        accuracy_floor=config.accuracy_floor,
    )


def head_loader(champions: Champions) -> Callable[[ChampionPointer], tuple[ChampionPointer, Head | None]]:
    """Return what converts a champion pointer into its head: download, verify, open."""
    from octospoon.adapters.onnx.session import OnnxHead

    def load_head(pointer: ChampionPointer) -> tuple[ChampionPointer, Head | None]:
        if not pointer.head_key:
            return pointer, None
        return pointer, OnnxHead(champions.fetch_head(pointer, model_folder()))

    return load_head


def rescore() -> RescorePool:
    """Wire the refreshing of the pool's scores."""
    from octospoon.adapters.dynamodb.control import ControlTable, DynamoRescoring
    from octospoon.adapters.dynamodb.pool.rescoring import DynamoRescoringPool
    from octospoon.adapters.dynamodb.pool.walk import DynamoWalk
    from octospoon.domain.uncertainty import order_of
    from octospoon.usecases.champion import CurrentModel
    from octospoon.usecases.rescore import RescorePool

    config, champions = load(settings_.RescoreSettings), _champions()
    return RescorePool(
        pool=DynamoRescoringPool(dynamodb(), config.pool_table, config.strategy, CLOCK.now),
        walk=DynamoWalk(dynamodb(), config.pool_table),
        progress=DynamoRescoring(ControlTable(dynamodb(), config.control_table)),
        model=CurrentModel(champions, head_loader(champions), CLOCK, max_age=0.0).get,
        enqueue=_rescore_queue(config.rescore_queue_url),
        clock=CLOCK,
        order=order_of(config.strategy),
        days=config.rescore_days,
        request_batch=_batch_request(config.rank_function),
    )
