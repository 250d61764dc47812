"""The wiring of `rescore`."""

from __future__ import annotations

from octospoon.adapters.aws.sqs_uploads import SqsUploads
from octospoon.domain.uncertainty import order_of
from octospoon.runtime import aws
from octospoon.runtime.settings import RescoreSettings, load
from octospoon.runtime.wiring.head import current_head
from octospoon.runtime.wiring.storage import Storage
from octospoon.runtime.wiring.triggers import batch_request, rescore_queue, rescore_queue_later
from octospoon.usecases.read_again import ReadAgain
from octospoon.usecases.rescore import RescorePool
from octospoon.usecases.rescore_walk import NewestFirst


def rescore() -> RescorePool:
    """Wire the refresh of the pool's scores."""
    config = load(RescoreSettings)
    storage = Storage(config)
    pool, walk = storage.rescoring_pool(config.strategy), NewestFirst(storage.walk, aws.CLOCK)
    return RescorePool(
        pool=pool,
        walk=walk,
        reader=ReadAgain(
            pool=pool,
            walk=walk,
            uploads=SqsUploads(aws.client("sqs"), config.uploads_queue_url, "rescore"),
            progress=storage.reading,
            enqueue=rescore_queue_later(config.rescore_queue_url),
            clock=aws.CLOCK,
            images=config.reread_images,
        ),
        progress=storage.rescoring,
        model=current_head(storage.champions, storage.task_type),
        enqueue=rescore_queue(config.rescore_queue_url),
        clock=aws.CLOCK,
        order=order_of(config.strategy),
        days=config.rescore_days,
        request_batch=batch_request(config.rank_function),
    )
