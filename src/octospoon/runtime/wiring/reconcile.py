"""The wiring of `reconcile`."""

from __future__ import annotations

from octospoon.adapters.aws.sqs_uploads import SqsUploads
from octospoon.adapters.mlflow.alias import MlflowAlias
from octospoon.domain.pool.source import source_of
from octospoon.runtime import aws
from octospoon.runtime.settings import MlflowSettings, ReconcileSettings, load
from octospoon.runtime.wiring.collect import collect
from octospoon.runtime.wiring.label_studio import labeler
from octospoon.runtime.wiring.mlflow import mlflow_api
from octospoon.runtime.wiring.storage import Storage
from octospoon.usecases.promote_version import PromoteVersion
from octospoon.usecases.reconcile import Reconcile, Stores
from octospoon.usecases.sync_registry_alias import SyncRegistryAlias


def reconcile() -> Reconcile:
    """Wire the repair of lost events."""
    config = load(ReconcileSettings)
    source = source_of(config.images_source, config.images_prefixes)
    storage = Storage(config, source=source)
    return Reconcile(
        labeler=labeler(),
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
        collect=collect(),
        clock=aws.CLOCK,
        sync_registry_alias=_sync_registry_alias(storage),
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
