"""Read invocations from the functions' logs: time, duration, number of images, memory."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octospoon.cli.deployment import Deployment

_REPORT = re.compile(
    r"^REPORT .*?\tDuration: ([\d.]+) ms.*?Max Memory Used: (\d+) MB(?:\tInit Duration: ([\d.]+))?"
)
_OUTCOMES = ("scored", "known", "stale", "quarantined")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation of the scoring function.

    Attributes:
        end: seconds since the epoch.
        seconds: how long it took, without a cold start.
        cold: seconds of the cold start before it; 0 for none.
        counts: images by outcome; none for a message that names no image, such as S3's test of a new queue.
        memory: the most that its environment has used so far, in MB.
    """

    end: float
    seconds: float
    cold: float
    counts: dict[str, int]
    memory: int

    @property
    def start(self) -> float:
        """Seconds since the epoch."""
        return self.end - self.seconds

    @property
    def images(self) -> int:
        """Images in its batch."""
        return sum(self.counts.values())


def of_score(deployment: Deployment, since: float) -> list[Invocation]:
    """Return the scoring function's invocations that ended after a given time, sorted by end."""
    invocations = []
    events = sorted(_events(deployment, "Score", since), key=itemgetter("logStreamName", "ingestionTime"))
    for _, stream in groupby(events, itemgetter("logStreamName")):
        counted: dict[str, Any] = {}
        for event in stream:
            message = event["message"]
            if '"CloudWatchMetrics"' in message:
                counted = json.loads(message)
            elif report := _REPORT.match(message):
                counts = {name: int(np.sum(counted[name])) for name in _OUTCOMES if name in counted}
                end = counted["_aws"]["Timestamp"] if counted else event["timestamp"]
                took, memory, cold = (float(number or 0) for number in report.groups())
                invocations.append(Invocation(end / 1000, took / 1000, cold / 1000, counts, int(memory)))
                counted = {}
    return sorted(invocations, key=lambda invocation: invocation.end)


def peak_memory(deployment: Deployment) -> dict[str, int]:
    """Return the peak memory in MB of each function that ran."""
    names = [key.removesuffix("FunctionName") for key in deployment.outputs if key.endswith("FunctionName")]
    peaks = {
        name.lower(): max(
            (
                int(report[2])
                for event in _events(deployment, name, 0)
                if (report := _REPORT.match(event["message"]))
            ),
            default=0,
        )
        for name in sorted(names)
    }
    return {name: peak for name, peak in peaks.items() if peak}


def pause(invocations: Sequence[Invocation]) -> float:
    """Return the median seconds between the end of an invocation and the start of the next."""
    gaps = [after.start - before.end for before, after in pairwise(invocations)]
    return float(np.median(gaps))


def _events(deployment: Deployment, name: str, since: float) -> Iterator[dict[str, Any]]:
    client = deployment.client("logs")
    group = f"/aws/lambda/{deployment.outputs[f'{name}FunctionName']}"
    try:
        for page in client.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=int(since * 1000)
        ):
            yield from page["events"]
    except client.exceptions.ResourceNotFoundException:  # it never ran
        return
