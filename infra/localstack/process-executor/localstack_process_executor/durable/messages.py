"""SQS messages on disk, from when they are sent until they are deleted.

Deliveries are not kept. In a new LocalStack every message is visible and counts as never received: it is
delivered again, which SQS may do at any time. FIFO queues are not kept.
"""

from __future__ import annotations

import base64
import functools
import json
import time
from typing import TYPE_CHECKING, Any

from localstack.services.sqs.models import SqsMessage, StandardQueue
from localstack.utils.aws.arns import parse_arn

from localstack_process_executor.durable.store import Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from localstack_process_executor.durable.store import Store

    Method = Callable[..., Any]

INTERNAL = "949334387222"
"""The account of LocalStack's own queues, for asynchronous invocations."""
_SOURCE = "DeadLetterQueueSourceArn"
_RECEIVED = "ApproximateReceiveCount"
_BYTES = "$bytes"


def install(store: Store) -> None:
    """Let each queue keep its messages, and take those of the store when it is created."""
    StandardQueue.__init__ = _filling(StandardQueue.__init__, store)
    StandardQueue.put = _keeping(StandardQueue.put, store)
    StandardQueue._on_remove_message = _removing(StandardQueue._on_remove_message, store)  # noqa: SLF001 - its hook
    StandardQueue.clear = _clearing(StandardQueue.clear, store)


def space_of(queue: Any) -> str:  # noqa: ANN401 - LocalStack's types are not ours
    """Return the name of a queue's records in the store."""
    return f"queue/{queue.account_id}/{queue.region}/{queue.name}"


def fill(queue: Any, store: Store) -> None:  # noqa: ANN401
    """Put the messages of the store into a new queue, except for those past the retention period."""
    for key, body in store.read(space_of(queue)):
        record = json.loads(body, object_hook=_unpacked)
        if record["created"] + queue.message_retention_period < time.time():
            store.write([Change(space_of(queue), key, None)])
            continue
        message = SqsMessage(record["created"], record["message"])
        message.created = record["created"]
        message.visibility_timeout = queue.visibility_timeout
        message.delay_seconds = record["delay"]
        if message.is_delayed:
            queue.delayed.add(message)
        else:
            queue._put_message(message)  # noqa: SLF001 - as `put` does


def _record(message: Any) -> str:  # noqa: ANN401
    attributes = {**message.message["Attributes"], _RECEIVED: "0"}
    return json.dumps(
        {
            "created": message.created,
            "delay": message.delay_seconds,
            "message": {**message.message, "Attributes": attributes},
        },
        default=_packed,
    )


def _packed(value: object) -> dict[str, str]:
    """Return bytes, which a binary attribute of a message has, in a form for JSON."""
    if not isinstance(value, bytes):
        raise TypeError(f"a message cannot contain {value!r}")
    return {_BYTES: base64.b64encode(value).decode()}


def _unpacked(value: dict[str, Any]) -> Any:  # noqa: ANN401
    return base64.b64decode(value[_BYTES]) if value.keys() == {_BYTES} else value


def _filling(original: Method, store: Store) -> Method:
    @functools.wraps(original)
    def init(self: Any, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        original(self, *arguments, **options)
        if self.account_id != INTERNAL:
            fill(self, store)

    return init


def _keeping(original: Method, store: Store) -> Method:
    @functools.wraps(original)
    def put(self: Any, message: Any, *rest: Any, **options: Any) -> Any:  # noqa: ANN401
        if self.account_id == INTERNAL:
            return original(self, message, *rest, **options)
        with self.mutex:  # `remove` takes it too: nobody deletes the message before it is kept
            sent = original(self, message, *rest, **options)
            store.write([Change(space_of(self), sent.message_id, _record(sent)), *_moved(self, sent)])
        return sent

    return put


def _moved(queue: Any, message: Any) -> list[Change]:  # noqa: ANN401
    """Return the removal of a dead letter from the queue that it comes from."""
    source = message.message["Attributes"].get(_SOURCE)
    if not source or source == queue.arn:
        return []
    arn = parse_arn(source)
    return [Change(f"queue/{arn['account']}/{arn['region']}/{arn['resource']}", message.message_id, None)]


def _removing(original: Method, store: Store) -> Method:
    @functools.wraps(original)
    def on_remove_message(self: Any, message: Any) -> None:  # noqa: ANN401
        original(self, message)
        if self.account_id != INTERNAL:
            store.write([Change(space_of(self), message.message_id, None)])

    return on_remove_message


def _clearing(original: Method, store: Store) -> Method:
    @functools.wraps(original)
    def clear(self: Any) -> None:  # noqa: ANN401
        original(self)
        if self.account_id != INTERNAL:
            store.clear(space_of(self))

    return clear
