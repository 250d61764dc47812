"""The wiring of `webhook`."""

from __future__ import annotations

from functools import partial

from octospoon.adapters.label_studio.controls import control_named
from octospoon.adapters.label_studio.webhook import parse
from octospoon.runtime import aws
from octospoon.runtime.settings import WebhookSettings, load
from octospoon.runtime.wiring.triggers import queue_sender
from octospoon.usecases.receive_webhook import ReceiveWebhook


def webhook() -> ReceiveWebhook:
    """Wire the receipt of Label Studio's webhooks."""
    config = load(WebhookSettings)
    # Label Studio waits for one second, but a message that a later attempt queues still counts
    retries = {"mode": "standard", "total_max_attempts": 3}
    sqs = aws.client("sqs", connect_timeout=1, read_timeout=2, retries=retries)
    return ReceiveWebhook(
        secret=lambda: aws.secret(config.webhook_secret),
        messages=partial(parse, control=control_named(config.task_type)),
        enqueue=queue_sender(sqs, config.annotations_queue_url, "queueing an annotation"),
    )
