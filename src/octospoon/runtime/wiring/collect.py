"""The wiring of `collect`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws import batch_launcher
from octospoon.adapters.aws.batch_launcher import BatchLauncher, BatchTarget
from octospoon.adapters.aws.ecs_launcher import EcsLauncher, EcsTarget
from octospoon.adapters.aws.sqs_launcher import QueueLauncher
from octospoon.adapters.label_studio.controls import control_of
from octospoon.domain.errors import NotConfigured
from octospoon.domain.training.first_labels import FirstLabels
from octospoon.domain.training.jobs import JobSettings
from octospoon.domain.training.policy import TrainingRules
from octospoon.runtime import aws
from octospoon.runtime.observability import stack_name
from octospoon.runtime.settings import CollectSettings, listed, load
from octospoon.runtime.wiring.storage import Storage
from octospoon.runtime.wiring.triggers import batch_request
from octospoon.usecases.collect import LAUNCH_LEASE, CollectAnnotations
from octospoon.usecases.finished_rounds import FinishedRounds
from octospoon.usecases.give_up_lost_job import GiveUpLostJob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.domain.labelling.answers import Answer
    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.ports.labelling import AnswerReader
    from octospoon.ports.training import TrainingLauncher


def collect(left_out: Callable[[int], object] = lambda _: None) -> CollectAnnotations:
    """Wire the counting of annotations.

    Args:
        left_out: see `CollectAnnotations`.
    """
    config = load(CollectSettings)
    storage, classes = Storage(config), listed(config.classes)
    storage.task_type_record.check()
    launcher = _launcher(config)
    batch = launcher if isinstance(launcher, BatchLauncher) else None
    return CollectAnnotations(
        labels=storage.labels,
        control=storage.control,
        launcher=launcher,
        clock=aws.CLOCK,
        history=storage.class_history(classes),
        task_type=storage.task_type,
        read=_reader(storage),
        settings=JobSettings(
            classes=classes,
            trainer=config.trainer,
            fine_tuning=config.fine_tuning,
            class_weights=config.class_weights,
            model_name=config.model_name,
            experiment=config.experiment,
            task_type=config.task_type,
        ),
        rules=TrainingRules(
            config.training_threshold,
            config.training_cool_down,
            config.trainings_per_day,
            FirstLabels(config.first_batch_size, config.task_type),
        ),
        finished=_finished_rounds(config, storage),
        lost_job=GiveUpLostJob(storage.control, batch, aws.CLOCK) if batch else None,
        launch_lease=batch_launcher.LAUNCH_LEASE if batch else LAUNCH_LEASE,
        left_out=left_out,
        has_model=lambda: storage.rescoring.progress()[0] >= 0,
    )


def _reader(storage: Storage) -> AnswerReader:
    """Return a function that reads answers; the first label settles the kind of all labels of the stack."""
    read = control_of(storage.task_type).read

    def read_answer(result: Sequence[Any] | None, classes: ClassHistory) -> Answer:
        answer = read(result, classes)
        if answer.label is not None:
            storage.task_type_record.keep()
        return answer

    return read_answer


def _finished_rounds(config: CollectSettings, storage: Storage) -> FinishedRounds | None:
    """Return the request for a new batch after a round's last answer; None if only the schedule asks."""
    request = batch_request(config.rank_function)
    if request is None:
        return None
    return FinishedRounds(storage.rounds, storage.entries, storage.labels, request)


def _launcher(config: CollectSettings) -> TrainingLauncher:
    if config.launcher == "queue":
        return QueueLauncher(aws.client("sqs"), config.training_queue_url)
    if config.launcher == "ecs":
        target = EcsTarget(
            cluster=config.ecs_cluster,
            task_definition=config.ecs_task_definition,
            container=config.ecs_container,
            subnets=listed(config.ecs_subnets),
            security_groups=listed(config.ecs_security_groups),
            capacity=config.ecs_capacity,
            public_ip=config.ecs_public_ip,
        )
        return EcsLauncher(aws.client("ecs"), target)
    if config.launcher == "batch":
        batch = BatchTarget(config.batch_queue, config.batch_job_definition, stack_name())
        once = aws.client("batch", retries={"total_max_attempts": 1})
        return BatchLauncher(aws.client("batch"), once, batch, aws.CLOCK)
    raise NotConfigured(f"OCTOSPOON_LAUNCHER is {config.launcher!r}: it must be queue, ecs or batch")
