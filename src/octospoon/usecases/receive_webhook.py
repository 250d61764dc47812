"""Receive a webhook of the annotation tool: verify it, reduce it to what counting needs, and queue it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from octospoon.domain.errors import Unauthorized
from octospoon.domain.pool.keys import image_id
from octospoon.usecases.shared_secret import same_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.ports.labelling import Message

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReceiveWebhook:
    """The use case.

    Attributes:
        secret: gives the shared secret that the header must have.
        messages: reduces a body to what counting needs, in messages that the queue takes; none for actions
            that counting does not need. Raises BadRequest for a body that is not the annotation tool's.
        enqueue: queues one encoded message durably.
    """

    secret: Callable[[], str]
    messages: Callable[[bytes], list[Message]]
    enqueue: Callable[[str], None]

    def __call__(self, body: bytes, given_secret: str) -> bool:
        """Receive one request; return whether it was queued (False: an action that counting does not need).

        Raises:
            Unauthorized: the secret is missing or wrong.
            BadRequest: the body is too large or not a Label Studio webhook.
        """
        if not same_secret(given_secret, self.secret()):
            raise Unauthorized("the secret header is missing or wrong")
        messages = self.messages(body)
        for message in messages:
            self.enqueue(msgspec.json.encode(message).decode())
            images = [image_id(task.key, task.etag) for task in message.tasks if task.key]
            LOG.info("queued %s", message.action, extra={"images": images})
        return bool(messages)
