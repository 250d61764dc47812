"""Refresh the scores of the selectable images after the champion pointer changed."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.runtime import aws
from octospoon.runtime.batches import process_each
from octospoon.runtime.events import s3_records
from octospoon.runtime.observability import count, make_logger, make_metrics
from octospoon.runtime.wiring.rescore import rescore

if TYPE_CHECKING:
    from octospoon.usecases.rescore import RescorePool

logger = make_logger("rescore")
metrics = make_metrics("rescore")
_RESERVE_SECONDS = 15.0


@cache
def use_case() -> RescorePool:
    """Wire once per execution environment."""
    return rescore()


@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - AWS's context
    """Fan out after a change of the pointer or on request, or work on a part of one shard."""
    deadline = aws.CLOCK.now() + context.get_remaining_time_in_millis() / 1000 - _RESERVE_SECONDS

    def process(body: str) -> None:
        message = json.loads(body)
        if "shard" in message:
            count(metrics, "rescored", use_case().segment(body, deadline))
        elif "reading" in message:
            count(metrics, "read_again", use_case().reading(body, deadline))
        elif "days" in message:
            use_case().champion_changed(int(message["days"]), int(message.get("images", 0)))
        elif s3_records(body):
            use_case().champion_changed()

    return process_each(event, process, logger)
