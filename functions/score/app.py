"""Score uploads from the queue into the pool table."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.domain.pool.keys import image_id
from octospoon.runtime import snapstart
from octospoon.runtime.batches import by_message, failures
from octospoon.runtime.events import uploads
from octospoon.runtime.observability import count, make_logger, make_metrics
from octospoon.runtime.wiring.score import score
from octospoon.runtime.wiring.scoring import disconnect

if TYPE_CHECKING:
    from octospoon.usecases.score import ScoreUploads

logger = make_logger("score")
metrics = make_metrics("score")


@cache
def use_case() -> ScoreUploads:
    """Wire once per execution environment."""
    return score()


snapstart.prepare(lambda: use_case().model(), disconnect)


@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - AWS's context
    """Score one batch of uploads; those that failed or had no time go back to the queue."""
    images, owners, failed = by_message(event, uploads, logger)
    identities: dict[tuple[str, str], str] = {}
    outcomes = use_case()(
        images,
        lambda: context.get_remaining_time_in_millis() / 1000,
        lambda read: identities.__setitem__((read.key, read.sequencer), read.etag),
    )
    scored = {}
    for image, owner, outcome in zip(images, owners, outcomes, strict=True):
        name = image_id(image.key, identities.get((image.key, image.sequencer), image.etag))
        if isinstance(outcome, Exception):
            details = {"image": name, "key": image.key, "message_id": owner}
            logger.error("not scored", exc_info=outcome, extra=details)
            failed.add(owner)
        else:
            count(metrics, outcome.value, 1)
            scored[name] = outcome.value
    # one line for all images: a line for each would take as long as writing its row
    logger.info("scored", extra={"images": scored})
    return failures(failed)
