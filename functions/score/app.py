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
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Score one batch of uploads; messages that failed go back to the queue."""
    images, owners, failed = by_message(event, uploads, logger)
    for owner, outcome in zip(owners, use_case()(images), strict=True):
        if isinstance(outcome, Exception):
            logger.error("not scored", exc_info=outcome)
            failed.add(owner)
        else:
            count(metrics, outcome.value, 1)
    return failures(failed)
