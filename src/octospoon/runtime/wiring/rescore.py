"""The wiring of `rescore`."""

from __future__ import annotations

from octospoon.domain.uncertainty import order_of
from octospoon.runtime import aws
from octospoon.runtime.settings import RescoreSettings, load
from octospoon.runtime.wiring.head import current_head
from octospoon.runtime.wiring.storage import Storage
from octospoon.runtime.wiring.triggers import batch_request, rescore_queue
from octospoon.usecases.rescore import RescorePool


def rescore() -> RescorePool:
    """Wire the refresh of the pool's scores."""
    config = load(RescoreSettings)
    storage = Storage(config)
    return RescorePool(
        pool=storage.rescoring_pool(config.strategy),
        walk=storage.walk,
        progress=storage.rescoring,
        model=current_head(storage.champions, storage.task_type),
        enqueue=rescore_queue(config.rescore_queue_url),
        clock=aws.CLOCK,
        order=order_of(config.strategy),
        days=config.rescore_days,
        request_batch=batch_request(config.rank_function),
    )
