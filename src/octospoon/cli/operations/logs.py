"""What a function logged lately."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.cli.deployment import Deployment
    from octospoon.cli.operations.functions import FunctionName


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line of a log.

    Attributes:
        at: epoch seconds.
        message: the line.
    """

    at: float
    message: str


def events(deployment: Deployment, function: FunctionName, minutes: float, search: str) -> Iterator[LogEvent]:
    """Yield a function's log events of the last minutes, oldest first.

    Args:
        deployment: the deployment.
        function: its short name.
        minutes: how far back.
        search: a CloudWatch filter pattern, such as ``ERROR``; empty for everything. On LocalStack only
            words, each of which an event must have.

    Raises:
        BadRequest: the pattern cannot be read.
    """
    name = deployment.outputs[f"{function.capitalize()}FunctionName"]
    pages = deployment.client("logs").get_paginator("filter_log_events")
    # LocalStack ignores the pattern and returns everything
    words = _words(search) if deployment.endpoint_url else []
    for page in pages.paginate(
        logGroupName=f"/aws/lambda/{name}",
        startTime=int((time.time() - 60 * minutes) * 1000),
        **({"filterPattern": search} if search else {}),
    ):
        for event in page["events"]:
            if all(word in event["message"] for word in words):
                yield LogEvent(event["timestamp"] / 1000, event["message"].rstrip())


def _words(search: str) -> list[str]:
    try:
        return shlex.split(search)
    except ValueError as error:
        raise BadRequest(f"{search} is no pattern: {error}") from error
