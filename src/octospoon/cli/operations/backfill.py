"""octospoon backfill: queue the images that a bucket already holds, and say first what that costs."""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from octospoon.adapters.aws.sqs_uploads import SqsUploads
from octospoon.cli import extras
from octospoon.cli.deploy.images_source import images_source
from octospoon.cli.operations import prices
from octospoon.cli.operations.queues import depth
from octospoon.cli.operations.rescore import BATCH, MEASURED, measured_seconds
from octospoon.domain.errors import BadRequest
from octospoon.domain.pool.backfill import MOST_AT_ONCE
from octospoon.runtime.aws import SystemClock
from octospoon.usecases.backfill import RunBackfill

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.pool.backfill import Backfill
    from octospoon.usecases.backfill import Survey

ASSUMED_SECONDS = 0.05
"""Seconds of one core for one image, where none can be measured."""
ROW_WRITE_UNITS = 5
_PASSES = 2
"""The bucket is listed, and the pool asked, once for the estimate and once while objects are queued."""
_SETTLING_AWS = 60.0
_SETTLING_LOCAL = 1.0


@dataclass(frozen=True)
class Estimate:
    """The estimated size, time and cost of a backfill on AWS.

    Attributes:
        objects: objects in its range.
        known: objects that the pool knows already.
        images: objects to queue.
        megabytes: of the objects to queue.
        rate: objects to queue a second.
        seconds: of one core for one image.
        measured: images that were measured on this machine; 0 if `seconds` is assumed.
        dollars: by what they pay for.
    """

    objects: int
    known: int
    images: int
    megabytes: float
    rate: int
    seconds: float
    measured: int
    dollars: dict[str, float]

    @property
    def minutes(self) -> float:
        """The minutes of queueing at this rate."""
        return self.images / self.rate / 60

    @property
    def total(self) -> float:
        """The sum of the dollars."""
        return sum(self.dollars.values())

    def lines(self) -> list[str]:
        """Return the estimate, for people."""
        how = f"of {self.measured} measured here" if self.measured else "assumed"
        parts = ", ".join(f"{name} {dollars:.2f}" for name, dollars in self.dollars.items())
        return [
            f"{self.objects:,} objects, {self.known:,} of them known",
            f"to queue: {self.images:,} images, {self.megabytes:,.0f} MB, {self.minutes:,.1f} minutes at "
            f"{self.rate:,} a second",
            f"about {self.total:.2f} dollars on AWS: {parts}",
            f"({1000 * self.seconds:.0f} ms an image, {how}; {prices.SOURCE}, read {prices.READ})",
        ]

    def document(self) -> dict[str, object]:
        """Return the estimate, for programs."""
        return {**vars(self), "minutes": self.minutes, "total_dollars": self.total}


def estimate(survey: Survey, rate: int, spent: list[float]) -> Estimate:
    """Return what it takes to queue and score what a survey counted.

    Args:
        survey: of the bucket.
        rate: objects to queue a second.
        spent: measured seconds of one core for some images; none to assume `ASSUMED_SECONDS`.
    """
    seconds = sum(spent) / len(spent) if spent else ASSUMED_SECONDS
    images, writes = survey.images, survey.images / min(rate, MOST_AT_ONCE) + survey.pages
    dollars = {
        "listing": _PASSES * survey.pages * prices.S3_LIST,
        "looking up": _PASSES * survey.objects * prices.DYNAMODB_READ_UNIT,
        "queue": images * prices.SQS_REQUEST * 3 / 10,  # ten in a request: sent, received and deleted
        "reading": images * prices.S3_GET,
        "scoring": images * prices.lambda_dollars(seconds, prices.MB_A_CORE, BATCH, "x86_64"),
        "writing": (images * ROW_WRITE_UNITS + writes) * prices.DYNAMODB_WRITE_UNIT,
    }
    return Estimate(
        survey.objects, survey.known, images, survey.megabytes, rate, seconds, len(spent), dollars
    )


def measured(deployment: Deployment, survey: Survey) -> list[float]:
    """Return the measured seconds of some images; none if this machine cannot score, or there is no model."""
    if not survey.sample or not extras.installed("models") or deployment.champions.pointer() is None:
        return []
    return measured_seconds(deployment, survey.sample[:: max(1, len(survey.sample) // MEASURED)])


def check_prefix(deployment: Deployment, prefix: str) -> None:
    """Make sure that the stack reads keys that begin so.

    Raises:
        BadRequest: it reads none.
    """
    source = images_source(deployment.outputs)
    if not source.ranges(prefix):
        raise BadRequest(
            f"the stack reads no key that begins with {prefix}, only {' and '.join(source.prefixes)}: leave "
            "--prefix out, or give one of them"
        )


def run_backfill(deployment: Deployment, report: Callable[[Backfill], None] = lambda _: None) -> RunBackfill:
    """Wire a backfill of a deployment.

    Args:
        deployment: the deployment.
        report: called with the progress after each step.
    """
    sqs, url = deployment.client("sqs"), deployment.outputs["UploadsQueueUrl"]
    return RunBackfill(
        bucket=deployment.images,
        pool=deployment.entries,
        uploads=SqsUploads(sqs, url, "backfill"),
        progress=deployment.backfills,
        clock=SystemClock(),
        sleep=time.sleep,
        waiting=lambda: sum(depth(sqs, url)),
        owner=f"{socket.gethostname()}:{os.getpid()}",
        is_dead=is_dead,
        settling=_SETTLING_LOCAL if deployment.endpoint_url else _SETTLING_AWS,
        report=report,
        backlog=deployment.backlog,
    )


def is_dead(owner: str) -> bool:
    """Return True if an owner is a process of this machine that runs no more."""
    host, _, process = owner.rpartition(":")
    if host != socket.gethostname() or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def epoch_seconds(since: str) -> float:
    """Return a time such as 2026-01-31, or 2026-01-31T12:00, as epoch seconds; in UTC if it has no offset.

    Raises:
        BadRequest: it is no such time.
    """
    if not since:
        return 0.0
    try:
        time_ = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", since))
    except ValueError as error:
        raise BadRequest(
            f"--since {since!r} is no time: give it as 2026-01-31 or 2026-01-31T12:00"
        ) from error
    return (time_ if time_.tzinfo else time_.replace(tzinfo=UTC)).timestamp()
