"""octospoon logs: what the functions said lately."""

from __future__ import annotations

import shlex
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment


def show_logs(deployment: Deployment, function: str, minutes: float, search: str) -> None:
    """Print a function's log events of the last minutes, oldest first.

    Args:
        deployment: whose function.
        function: its short name, such as ``score``.
        minutes: how far back.
        search: a CloudWatch filter pattern, such as ``ERROR``; empty for everything. On LocalStack words
            alone, of which an event must have each.

    Raises:
        BadRequest: the pattern cannot be read.
    """
    name = deployment.outputs[f"{function.capitalize()}FunctionName"]
    pages = deployment.client("logs").get_paginator("filter_log_events")
    # LocalStack takes a pattern and gives everything
    words = _words(search) if deployment.endpoint_url else []
    console = Console(soft_wrap=True, markup=False, highlight=False)
    for page in pages.paginate(
        logGroupName=f"/aws/lambda/{name}",
        startTime=int((time.time() - 60 * minutes) * 1000),
        **({"filterPattern": search} if search else {}),
    ):
        for event in page["events"]:
            if not all(word in event["message"] for word in words):
                continue
            when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).strftime("%H:%M:%S")
            console.print(f"{when}  {event['message'].rstrip()}")


def _words(search: str) -> list[str]:
    try:
        return shlex.split(search)
    except ValueError as error:
        raise BadRequest(f"{search} is no pattern: {error}") from error
