"""The wiring of `watch`."""

from __future__ import annotations

from octospoon.runtime import aws
from octospoon.runtime.settings import WatchSettings, load
from octospoon.runtime.wiring.head import current_head
from octospoon.runtime.wiring.storage import Storage
from octospoon.usecases.live_evaluation import EvaluateLive
from octospoon.usecases.watch import Watch


def watch() -> Watch:
    """Wire the monitoring of the model in service."""
    config = load(WatchSettings)
    storage = Storage(config)
    storage.task_type_record.check()
    return Watch(
        model=current_head(storage.champions, storage.task_type),
        evaluate=EvaluateLive(
            storage.pool,
            storage.labels,
            storage.training_records,
            storage.task_type,
            storage.class_history(),
        ),
        pool=storage.watching_pool,
        references=storage.references,
        observations=storage.observations,
        control=storage.control,
        clock=aws.CLOCK,
        task_type=storage.task_type,
        accuracy_floor=config.accuracy_floor,
    )
