"""The wiring of `collect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.aws.ecs_launcher import EcsLauncher, EcsTarget
from octospoon.adapters.aws.sqs_launcher import QueueLauncher
from octospoon.domain.errors import NotConfigured
from octospoon.domain.training.jobs import JobSettings
from octospoon.domain.training.policy import TrainingRules
from octospoon.runtime import aws
from octospoon.runtime.settings import CollectSettings, listed, load
from octospoon.runtime.wiring.storage import Storage
from octospoon.runtime.wiring.triggers import batch_request
from octospoon.usecases.collect import CollectAnnotations
from octospoon.usecases.finished_rounds import FinishedRounds

if TYPE_CHECKING:
    from octospoon.ports.training import TrainingLauncher


def collect() -> CollectAnnotations:
    """Wire the counting of annotations."""
    config = load(CollectSettings)
    storage, classes = Storage(config), listed(config.classes)
    return CollectAnnotations(
        labels=storage.labels,
        control=storage.control,
        launcher=_launcher(config),
        clock=aws.CLOCK,
        history=storage.class_history(classes),
        settings=JobSettings(
            classes=classes,
            trainer=config.trainer,
            fine_tuning=config.fine_tuning,
            class_weights=config.class_weights,
            model_name=config.model_name,
            experiment=config.experiment,
        ),
        rules=TrainingRules(config.training_threshold, config.training_cool_down, config.trainings_per_day),
        finished=_finished_rounds(config, storage),
    )


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
    raise NotConfigured(f"OCTOSPOON_LAUNCHER is {config.launcher!r}: it must be queue or ecs")
