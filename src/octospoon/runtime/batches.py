"""Partial batch responses: only failed messages go back to the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence

    from aws_lambda_powertools import Logger

T = TypeVar("T")


def by_message(
    event: dict[str, Any], parse: Callable[[str], Sequence[T]], logger: Logger | logging.Logger
) -> tuple[list[T], list[str], set[str]]:
    """Parse every message of an SQS batch.

    Returns:
        The parsed values, the id of each value's message, and the ids of unreadable messages. These fail
        until the queue moves them to its dead-letter queue.
    """
    values: list[T] = []
    owners: list[str] = []
    failed: set[str] = set()
    for record in event["Records"]:
        try:
            parsed = parse(record["body"])
        except BadRequest as error:
            logger.error("unreadable message %s: %s", record["messageId"], error)  # noqa: TRY400
            failed.add(record["messageId"])
            continue
        values += parsed
        owners += [record["messageId"]] * len(parsed)
    return values, owners, failed


def failures(ids: set[str]) -> dict[str, Any]:
    """Return the response that puts only these messages back into the queue."""
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in sorted(ids)]}


def process_each(
    event: dict[str, Any], process: Callable[[str], object], logger: Logger | logging.Logger
) -> dict[str, Any]:
    """Process the messages of an SQS batch one by one; return the partial batch response."""
    failed: set[str] = set()
    for record in event["Records"]:
        try:
            process(record["body"])
        except Exception:  # a failed message must not fail the others of its batch
            logger.exception("message %s failed", record["messageId"])
            failed.add(record["messageId"])
    return failures(failed)
