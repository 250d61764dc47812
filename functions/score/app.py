"""uploads queue -> scores in the pool table."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.runtime import snapstart, wiring
from octospoon.runtime.batches import by_message, failures
from octospoon.runtime.events import uploads
from octospoon.runtime.observability import count, make_logger, make_metrics

if TYPE_CHECKING:
    from octospoon.usecases.score import ScoreUploads

logger = make_logger("score")
metrics = make_metrics("score")


@cache
def use_case() -> ScoreUploads:
    """Wire once per execution environment."""
    return wiring.score()


snapstart.prepare(lambda: use_case().model(), wiring.disconnect)


@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - AWS's context
    """Score one batch of uploads; what failed, or what time did not suffice for, goes back to the queue."""
    images, owners, failed = by_message(event, uploads, logger)
    outcomes = use_case()(images, lambda: context.get_remaining_time_in_millis() / 1000)
    for owner, outcome in zip(owners, outcomes, strict=True):
        if isinstance(outcome, Exception):
            logger.error("not scored", exc_info=outcome)
            failed.add(owner)
        else:
            count(metrics, outcome.value, 1)
    return failures(failed)
