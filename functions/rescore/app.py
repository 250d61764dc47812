"""champion pointer changed -> fresh scores for the selectable images."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.runtime import aws
from octospoon.runtime.batches import each
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
    """Fan out when the pointer changed or somebody asks for it, or refresh one segment."""
    deadline = aws.CLOCK.now() + context.get_remaining_time_in_millis() / 1000 - _RESERVE_SECONDS

    def process(body: str) -> None:
        said = json.loads(body)
        if "shard" in said:
            count(metrics, "rescored", use_case().segment(body, deadline))
        elif "days" in said:
            use_case().champion_changed(int(said["days"]))
        elif s3_records(body):
            use_case().champion_changed()

    return each(event, process, logger)
