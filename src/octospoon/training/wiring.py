"""The trainer's composition root, beside that of the functions in `octospoon.runtime.wiring`."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.control import ControlTable, DynamoControl, DynamoRounds
from octospoon.adapters.dynamodb.labels import DynamoLabels
from octospoon.adapters.dynamodb.model_history import DynamoHistory, DynamoObservations
from octospoon.adapters.dynamodb.pool.training import DynamoTrainingPool
from octospoon.adapters.http_errors import failure_text
from octospoon.adapters.mlflow.registry import MlflowRegistry
from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.onnx.session import OnnxHead
from octospoon.adapters.s3.artifacts import S3Champions
from octospoon.adapters.s3.drift_references import S3References
from octospoon.adapters.s3.images import S3Images
from octospoon.adapters.s3.rounds import RoundFiles, S3Snapshots
from octospoon.domain.errors import NotConfigured
from octospoon.runtime.settings import TrainerSettings, load
from octospoon.runtime.wiring import CLOCK, artifacts, dynamodb, s3
from octospoon.training.context import TrainingPorts
from octospoon.training.finetune.options import FineTuning
from octospoon.training.finetune.trainer import FineTuner
from octospoon.training.head.trainer import train_head
from octospoon.training.job.lease import LEASE_SECONDS

if TYPE_CHECKING:
    from octospoon.domain.training.jobs import JobSettings, TrainingState
    from octospoon.ports.images import ImageStore
    from octospoon.ports.training import DatasetArchive
    from octospoon.training.head.trainer import Trainer


def training_ports(job_id: str) -> TrainingPorts:
    """Wire one training job: its surroundings from the environment, its settings from the control item.

    Raises:
        NotConfigured: a setting is missing or wrong; of a job's own, the control item says so too.
    """
    config = load(TrainerSettings)
    client, store = dynamodb(), artifacts(config.artifacts_bucket)
    table, images = ControlTable(client, config.control_table), S3Images(s3(), config.images_bucket)
    control = DynamoControl(table, CLOCK.now)
    try:
        settings = _settings(control.state(), job_id)
        trainer = _trainer(settings, images)
    except NotConfigured as error:
        control.fail(job_id, failure_text(error), CLOCK.now() + LEASE_SECONDS)
        raise
    return TrainingPorts(
        clock=CLOCK,
        control=control,
        labels=DynamoLabels(
            client, config.pool_table, config.annotations_table, config.control_table, CLOCK.now
        ),
        snapshots=S3Snapshots(store),
        pool=DynamoTrainingPool(client, config.pool_table),
        images=images,
        champions=S3Champions(store),
        references=S3References(store),
        history=DynamoHistory(table),
        observations=DynamoObservations(table),
        registry=MlflowRegistry(settings.model_name, settings.experiment),
        rounds=DynamoRounds(table, RoundFiles(store)),
        open_model=OnnxScorer,
        open_head=OnnxHead,
        datasets=_datasets(config),
        classes=settings.classes,
        trainer=trainer,
    )


def _settings(state: TrainingState, job_id: str) -> JobSettings:
    """Return a job's settings; those of any other job are as good, because it will not be run."""
    if state.settings is None:
        raise NotConfigured(
            f"job {job_id} was begun without its settings, by functions of an earlier release: deploy the "
            "functions and the trainer of one release; the job is begun again by itself"
        )
    return state.settings


def _trainer(settings: JobSettings, images: ImageStore) -> Trainer:
    balanced = settings.class_weights == "balanced"
    if settings.trainer == "finetune":
        return FineTuner(images, FineTuning.read(settings.fine_tuning), balanced=balanced)
    return partial(train_head, balanced=balanced)


def _datasets(config: TrainerSettings) -> DatasetArchive | None:
    from octospoon.adapters.dagshub.datasets import DagshubDatasets, Repository

    found = Repository.of(config.dagshub_repository, os.environ)
    return DagshubDatasets(found) if found else None
