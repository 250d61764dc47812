"""Put Label Studio's webhooks into the annotations queue."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.domain.errors import BadRequest, Unauthorized
from octospoon.runtime.observability import make_logger
from octospoon.runtime.rest import SECRET_HEADER
from octospoon.runtime.wiring.webhook import webhook

if TYPE_CHECKING:
    from octospoon.usecases.receive_webhook import ReceiveWebhook

logger = make_logger("webhook")


@cache
def use_case() -> ReceiveWebhook:
    """Wire once per execution environment."""
    return webhook()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Verify, queue and answer; Label Studio waits for one second and never sends a webhook again."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    raw = event.get("body") or ""
    try:
        body = base64.b64decode(raw) if event.get("isBase64Encoded") else raw.encode()
        queued = use_case()(body, headers.get(SECRET_HEADER, ""))
    except Unauthorized as error:
        return _answer(401, str(error))
    except (BadRequest, ValueError) as error:
        logger.warning("refused: %s", error)
        return _answer(400, str(error))
    return _answer(200, "queued" if queued else "ignored")


def _answer(status: int, text: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": "text/plain"}, "body": text}
