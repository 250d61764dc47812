"""Wire a training job, with the storage of `octospoon.runtime.wiring`."""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.http_errors import failure_text
from octospoon.adapters.mlflow.registry import MlflowRegistry
from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.onnx.session import OnnxHead
from octospoon.domain.errors import NotConfigured
from octospoon.domain.evaluation.gate import Rules
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.runtime import aws
from octospoon.runtime.settings import TrainerSettings, load
from octospoon.runtime.wiring.storage import Storage
from octospoon.training.command.champion import InService
from octospoon.training.command.command_line import CommandLine
from octospoon.training.command.trainer import LONGEST, CommandTrainer
from octospoon.training.context import TrainingPorts
from octospoon.training.detector.options import DetectorOptions
from octospoon.training.detector.trainer import DetectorTrainer
from octospoon.training.finetune.options import FineTuning
from octospoon.training.finetune.trainer import FineTuner
from octospoon.training.head.requested_backbone import RequestedBackbone
from octospoon.training.head.trainer import train_head
from octospoon.training.job.lease import LEASE_SECONDS
from octospoon.training.job.time_limit import allowed

if TYPE_CHECKING:
    from octospoon.domain.training.jobs import JobSettings, TrainingState
    from octospoon.ports.training import DatasetArchive
    from octospoon.training.command.follow import Report
    from octospoon.training.head.trainer import Trainer


def training_ports(job_id: str) -> TrainingPorts:
    """Wire one training job from the environment and the settings in the control item.

    Raises:
        NotConfigured: a setting is missing or wrong. If it is the job's, the control item has it too.
    """
    control = Storage(config := load(TrainerSettings)).control
    try:
        settings = _settings(control.state(), job_id)
        storage = _storage(config, settings)
        registry = MlflowRegistry(settings.model_name, settings.experiment)
        trainer = _trainer(settings, storage, config, partial(registry.follow, job_id))
    except NotConfigured as error:
        control.fail(job_id, failure_text(error), aws.CLOCK.now() + LEASE_SECONDS)
        raise
    return TrainingPorts(
        clock=aws.CLOCK,
        control=control,
        labels=storage.labels,
        snapshots=storage.snapshots,
        pool=storage.training_pool,
        images=storage.images,
        champions=storage.champions,
        references=storage.references,
        training_records=storage.training_records,
        history=storage.history,
        observations=storage.observations,
        registry=registry,
        rounds=storage.rounds,
        open_model=OnnxScorer,
        open_head=OnnxHead,
        datasets=_datasets(config),
        classes=settings.classes,
        task_type=storage.task_type,
        trainer=trainer,
        rules=_rules(settings),
        candidate=settings.candidate,
        class_history=storage.class_record(settings.classes).read,
        keep_labels=storage.class_record().keep_labels,
    )


def _settings(state: TrainingState, job_id: str) -> JobSettings:
    """Return the current job's settings. If `job_id` is another job, the run refuses it later."""
    if state.settings is None:
        raise NotConfigured(
            f"functions of an earlier release started job {job_id} without its settings: deploy functions "
            "and trainer of the same release; the job then starts again automatically"
        )
    return state.settings


def _storage(config: TrainerSettings, settings: JobSettings) -> Storage:
    """Return the storage for a job's kind of label, which must be that of the stack's labels."""
    given = msgspec.structs.asdict(config) | {"task_type": settings.task_type}
    try:
        storage = Storage(msgspec.convert(given, TrainerSettings))
    except msgspec.ValidationError as error:
        raise NotConfigured(f"this trainer does not know the settings of the job: {error}") from error
    storage.task_type_record.check()
    return storage


def _rules(settings: JobSettings) -> Rules:
    """Return the gate's limits. A person who requested a backbone has seen how slow it is."""
    return replace(Rules(), slowdown=math.inf) if settings.candidate else Rules()


def _trainer(settings: JobSettings, storage: Storage, config: TrainerSettings, report: Report) -> Trainer:
    balanced = settings.class_weights == "balanced"
    head = partial(train_head, balanced=balanced)
    until = time.monotonic() + allowed(config.time_limit or LONGEST)
    boxes = settings.task_type == TaskTypeName.DETECTION
    if settings.candidate is not None:
        train = _detector(settings, storage, config, until) if boxes else head
        stores = (storage.images, storage.champions)
        return RequestedBackbone(*stores, settings.candidate, storage.task_type, train)
    if settings.trainer == "command":
        # from the environment, not from the job: who can write a table must not run programs here
        command = CommandLine.read(config.trainer_command)
        in_service = InService(storage.champions, storage.training_records)
        return CommandTrainer(
            storage.images, command, storage.task_type, until, in_service, report, balanced=balanced
        )
    if boxes:
        _check_detector(settings)
        return _detector(settings, storage, config, until)
    if settings.trainer == "finetune":
        return FineTuner(
            storage.images, FineTuning.read(settings.fine_tuning), balanced=balanced, device=config.device
        )
    return head


def _detector(
    settings: JobSettings, storage: Storage, config: TrainerSettings, until: float
) -> DetectorTrainer:
    options = DetectorOptions.read(settings.fine_tuning)
    return DetectorTrainer(storage.images, options, config.device, until=until)


def _check_detector(settings: JobSettings) -> None:
    """Check that octospoon trains detectors as the settings ask; the template's rules say the same."""
    if settings.trainer != "finetune":
        raise NotConfigured(
            f"Trainer={settings.trainer} learns no boxes: with TaskType=detection, set Trainer=finetune or "
            "Trainer=command, and deploy again"
        )
    if settings.class_weights != "none":
        raise NotConfigured(
            f"Trainer=finetune trains detectors without class weights: set ClassWeights=none in the place of "
            f"{settings.class_weights}, and deploy again"
        )


def _datasets(config: TrainerSettings) -> DatasetArchive | None:
    from octospoon.adapters.dagshub.datasets import DagshubDatasets, Repository

    repository = Repository.of(config.dagshub_repository, os.environ)
    return DagshubDatasets(repository) if repository else None
