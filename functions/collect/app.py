"""Count annotations from the queue, and start a training job when one is due."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.runtime.batches import process_each
from octospoon.runtime.observability import count, make_logger, make_metrics
from octospoon.runtime.wiring.collect import collect

if TYPE_CHECKING:
    from octospoon.usecases.collect import CollectAnnotations

logger = make_logger("collect")
metrics = make_metrics("collect")


@cache
def use_case() -> CollectAnnotations:
    """Wire once per execution environment."""
    return collect(lambda parts: count(metrics, "left_out", parts))


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Count one batch of annotation messages; failed messages go back to the queue."""
    return process_each(event, _count, logger)


def _count(body: str) -> None:
    job_id = use_case()(body)
    count(metrics, "counted", 1)
    if job_id:
        logger.info("launched %s", job_id)
        count(metrics, "launched", 1)
