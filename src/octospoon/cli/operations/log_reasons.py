"""Why a function failed on something, from its own log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment

_ERROR = "ERROR"
_LENGTH = 500


def newest(deployment: Deployment, function: str, word: str, since: float) -> str:
    """Return the newest error that a function logged with a word in it; empty if there is none.

    Args:
        deployment: the deployment.
        function: its short name, such as ``score``.
        word: the id of the message or image that failed, of letters, digits and hyphens.
        since: epoch seconds, before which nothing is looked for.
    """
    name = deployment.outputs[f"{function.capitalize()}FunctionName"]
    logs = deployment.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/lambda/{name}", startTime=int(since * 1000), filterPattern=f'"{word}"'
    )
    try:
        # LocalStack takes a pattern and gives everything
        lines = [event for page in pages for event in page["events"] if word in event["message"]]
    except logs.exceptions.ResourceNotFoundException:  # the function never ran
        return ""
    reasons = [text for event in sorted(lines, key=_time) if (text := reason(event["message"]))]
    return reasons[-1] if reasons else ""


def _time(event: Any) -> int:  # noqa: ANN401 - as boto3 types it
    return int(event["timestamp"])


def reason(line: str) -> str:
    """Return the error of one line of a function's log, without its traceback; empty for other lines."""
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(entry, dict) or entry.get("level") != _ERROR:
        return ""
    lines = str(entry.get("exception") or "").strip().splitlines()
    return (lines[-1] if lines else str(entry.get("message", "")))[:_LENGTH]
