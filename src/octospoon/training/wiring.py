"""The trainer's composition root, beside that of the functions in `octospoon.runtime.wiring`."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb_control import ControlTable, DynamoControl, DynamoRounds
from octospoon.adapters.dynamodb_history import DynamoHistory, DynamoObservations
from octospoon.adapters.dynamodb_labels import DynamoLabels
from octospoon.adapters.dynamodb_pool import DynamoPool
from octospoon.adapters.mlflow_registry import MlflowRegistry
from octospoon.adapters.onnx_scorer import OnnxScorer
from octospoon.adapters.onnx_session import OnnxHead
from octospoon.adapters.s3_artifacts import S3Champions
from octospoon.adapters.s3_images import S3Images
from octospoon.adapters.s3_labelling import RoundFiles, S3Snapshots
from octospoon.adapters.s3_references import S3References
from octospoon.runtime.settings import TrainerSettings, listed, load
from octospoon.runtime.wiring import CLOCK, artifacts, dynamodb, s3
from octospoon.training.finetune.options import FineTuning
from octospoon.training.finetune.trainer import FineTuner
from octospoon.training.ports import TrainingPorts
from octospoon.training.trainer import train_head

if TYPE_CHECKING:
    from octospoon.ports.images import ImageStore
    from octospoon.ports.training import DatasetArchive
    from octospoon.training.trainer import Trainer


def training_ports() -> TrainingPorts:
    """Wire one training job from the environment."""
    config = load(TrainerSettings)
    client, store = dynamodb(), artifacts(config.artifacts_bucket)
    table, images = ControlTable(client, config.control_table), S3Images(s3(), config.images_bucket)
    return TrainingPorts(
        clock=CLOCK,
        control=DynamoControl(table, CLOCK.now),
        labels=DynamoLabels(
            client, config.pool_table, config.annotations_table, config.control_table, CLOCK.now
        ),
        snapshots=S3Snapshots(store),
        pool=DynamoPool(client, config.pool_table),
        images=images,
        champions=S3Champions(store),
        references=S3References(store),
        history=DynamoHistory(table),
        observations=DynamoObservations(table),
        registry=MlflowRegistry(config.model_name, config.experiment),
        rounds=DynamoRounds(table, RoundFiles(store)),
        open_model=OnnxScorer,
        open_head=OnnxHead,
        datasets=_datasets(config),
        classes=listed(config.classes),
        trainer=_trainer(config, images),
    )


def _trainer(config: TrainerSettings, images: ImageStore) -> Trainer:
    balanced = config.class_weights == "balanced"
    if config.trainer == "finetune":
        return FineTuner(images, FineTuning.read(config.fine_tuning), balanced=balanced)
    return partial(train_head, balanced=balanced)


def _datasets(config: TrainerSettings) -> DatasetArchive | None:
    from octospoon.adapters.dagshub_datasets import DagshubDatasets, Repository

    found = Repository.of(config.dagshub_repository, os.environ)
    return DagshubDatasets(found) if found else None
