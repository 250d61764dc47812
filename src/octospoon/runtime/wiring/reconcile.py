"""The wiring of `reconcile`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.aws.event_bridge import EventBridgeBus
from octospoon.adapters.aws.sqs_uploads import SqsUploads
from octospoon.adapters.mlflow.alias import MlflowAlias
from octospoon.domain.pool.source import source_of
from octospoon.runtime import aws
from octospoon.runtime.observability import stack_name
from octospoon.runtime.settings import MlflowSettings, ReconcileSettings, load
from octospoon.runtime.wiring.collect import collect
from octospoon.runtime.wiring.label_studio import labeler
from octospoon.runtime.wiring.mlflow import mlflow_api
from octospoon.runtime.wiring.storage import Storage
from octospoon.usecases.promote_version import PromoteVersion
from octospoon.usecases.publish_events import PublishEvents
from octospoon.usecases.reconcile import Reconcile, Stores
from octospoon.usecases.sync_registry_alias import SyncRegistryAlias

if TYPE_CHECKING:
    from octospoon.usecases.collect import CollectAnnotations


def reconcile() -> Reconcile:
    """Wire the repair of lost events."""
    config = load(ReconcileSettings)
    source = source_of(config.images_source, config.images_prefixes)
    storage = Storage(config, source=source)
    collecting = collect()
    return Reconcile(
        labeler=labeler(storage.task_type),
        stores=Stores(
            task_syncs=storage.task_syncs,
            full_audits=storage.full_audits,
            pool=storage.entries,
            rounds=storage.rounds,
            bucket=storage.images,
            uploads=SqsUploads(aws.client("sqs"), config.uploads_queue_url),
            missing=storage.missing_annotations,
            proposals=storage.proposals,
            backlog=storage.backlog,
        ),
        collect=collecting,
        clock=aws.CLOCK,
        sync_registry_alias=_sync_registry_alias(storage),
        events=_events(config.event_bus, storage, collecting),
    )


def _events(bus: str, storage: Storage, collecting: CollectAnnotations) -> PublishEvents | None:
    """Wire the publication of events; None without a bus."""
    if not bus:
        return None
    return PublishEvents(
        bus=EventBridgeBus(aws.client("events"), bus, stack_name()),
        progress=storage.event_progress,
        rounds=storage.rounds,
        control=storage.control,
        decisions=storage.history,
        champions=storage.champions,
        observations=storage.observations,
        labels=storage.labels,
        history=collecting.history,
        shown=storage.task_type.labels.shown,
        clock=aws.CLOCK,
    )


def _sync_registry_alias(storage: Storage) -> SyncRegistryAlias | None:
    """Wire the sync with MLflow's champion alias; None without an MLflow server."""
    server = load(MlflowSettings)
    api = mlflow_api(server.mlflow_url, server.mlflow_username, server.mlflow_password_secret, aws.password)
    if api is None:
        return None
    champions = storage.champions
    return SyncRegistryAlias(
        alias=MlflowAlias(api, server.model_name),
        champions=champions,
        history=storage.history,
        serve=PromoteVersion(champions, storage.entries),
    )
